//! The fast way to read a row that we wrote: the columns in their order, no space anywhere, the stamp at the end. What is any different
//! is not read here.

use std::borrow::Cow;

use super::text;
use super::value::Read;
use crate::row::{TableSchema, Value};
use crate::sequence::Stamp;

/// Digits that fit an i64 whatever they are.
const DIGITS: usize = 18;

/// Reads a row into `row`, which is empty, and its stamp. None when it stands there in any other way; `row` holds nothing of use then.
pub fn row<'a>(text: &'a str, schema: &TableSchema, row: &mut Vec<Value<'a>>) -> Option<Stamp<'a>> {
    let mut rest = text;
    for (i, column) in schema.columns.iter().enumerate() {
        take(&mut rest, if i == 0 { "{\"" } else { ",\"" })?;
        take(&mut rest, &column.name)?;
        take(&mut rest, "\":")?;
        row.push(value(&mut rest)?);
    }
    take(&mut rest, ",\"_ferry\":\"")?;
    let stamp = rest.strip_suffix("\"}")?;
    let is_last = !stamp.contains(['"', '\\']);
    Stamp::parse(stamp).filter(|_| is_last)
}

fn take(rest: &mut &str, expected: &str) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

fn value<'a>(rest: &mut &'a str) -> Option<Value<'a>> {
    let bytes = rest.as_bytes();
    let end = |of: usize| of + 1;
    match bytes.first()? {
        b'"' => {
            let at = 1 + text::special(&bytes[1..])?;
            if bytes[at] == b'"' {
                let text = &bytes[1..at];
                *rest = &rest[end(at)..];
                return Some(Value::Text(Cow::Borrowed(text)));
            }
            read(rest, end(closing_quote(bytes, at)?))
        }
        b'-' | b'0'..=b'9' => {
            let length = bytes.iter().position(|b| matches!(b, b',' | b'}'))?;
            match integer(&bytes[..length]) {
                Some(integer) => {
                    *rest = &rest[length..];
                    Some(Value::Integer(integer))
                }
                None => read(rest, length),
            }
        }
        b'n' => take(rest, "null").map(|()| Value::Null),
        // A tagged value: neither its tag nor its content holds a brace.
        b'{' => read(rest, end(bytes.iter().position(|b| *b == b'}')?)),
        _ => None,
    }
}

/// Reads the next `length` bytes as serde_json does.
fn read<'a>(rest: &mut &'a str, length: usize) -> Option<Value<'a>> {
    let (value, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(serde_json::from_str::<Read>(value).ok()?.0)
}

/// The quote that ends a string, in which nothing before `from` does.
fn closing_quote(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        match bytes.get(from)? {
            b'"' => return Some(from),
            b'\\' => from += 2,
            _ => from += 1,
        }
    }
}

/// A number of few digits, written as JSON has it. -0 is a real.
fn integer(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let leads = match digits {
        [b'0'] => !negative,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if !leads || digits.len() > DIGITS {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        number = number * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read at the beginning of a text, and what is left of it.
    fn scanned(text: &str) -> Option<(Value<'_>, &str)> {
        let mut rest = text;
        value(&mut rest).map(|value| (value, rest))
    }

    #[test]
    fn what_is_scanned_is_what_serde_reads() {
        let values = [
            "0",
            "-0",
            "7",
            "-12",
            "007",
            "1e5",
            "1.5",
            "-2.0",
            "999999999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "1x",
            "-",
            "null",
            "nul",
            "true",
            r#""plain""#,
            r#""""#,
            r#""ünï""#,
            r#""a\"b\\""#,
            r#""\u00e9\n""#,
            r#""\ud83d\ude00""#,
            r#""\x""#,
            "\"\u{1}\"",
            r#"{"$blob":"AAEC"}"#,
            r#"{"$real":"-inf"}"#,
            r#"{"a":{}}"#,
            "[]",
        ];
        for text in values {
            let expected = serde_json::from_str::<Read>(text).ok().map(|read| read.0);
            for behind in [",\"b\":1}", "}"] {
                let whole = format!("{text}{behind}");
                match scanned(&whole) {
                    Some((value, rest)) => assert_eq!((Some(value), rest), (expected.clone(), behind), "{text}"),
                    None => assert!(expected.is_none() || text == "true", "{text} was not read"),
                }
            }
        }
    }

    #[test]
    fn a_text_that_ends_too_soon_is_no_value() {
        for text in ["", "\"", "\"a", "\"a\\", "\"a\\\"", "12", "-", "{\"$blob\":\"\"", "nu"] {
            assert_eq!(scanned(text), None, "{text}");
        }
    }
}
