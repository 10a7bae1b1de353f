//! The fast way to read a row that we wrote: the columns in their order, no space anywhere, the id
//! at the end. What is any different is not read here.

use std::borrow::Cow;

use super::names::{RECORD_ID, SIGNATURE};
use super::value::{self, Read};
use super::{sign, text};
use crate::model::{RecordId, TableSchema, Value};

/// Digits that fit an i64 whatever they are.
const DIGITS: usize = 18;

/// Up to here an integer is a real without loss, and so are these powers of ten: one division of
/// the two rounds as it should.
const EXACT: i64 = 1 << 53;
const POWERS: [f64; DIGITS] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
];

/// A value where it stands.
pub(super) enum Scanned<'a> {
    /// A text without escapes, which begins at this byte of the record.
    Plain { from: usize, text: &'a [u8] },
    /// Any other value.
    Other(Value<'a>),
}

impl<'a> Scanned<'a> {
    pub(super) fn value(self) -> Value<'a> {
        match self {
            Scanned::Plain { text, .. } => Value::Text(Cow::Borrowed(text)),
            Scanned::Other(value) => value,
        }
    }
}

/// Reads the values of a row one by one, up to what has to be its id. None when it stands there in
/// any other way; the values so far are of no use then.
pub(super) fn row<'a>(text: &'a str, schema: &TableSchema, mut take_value: impl FnMut(Scanned<'a>)) -> Option<&'a str> {
    let mut rest = text;
    for (i, column) in schema.columns.iter().enumerate() {
        take(&mut rest, if i == 0 { "{\"" } else { ",\"" })?;
        name(&mut rest, &column.name)?;
        take(&mut rest, "\":")?;
        take_value(cell(&mut rest, text.len())?);
    }
    if take(&mut rest, SIGNATURE.next_string).is_some() {
        let (signature, behind) = rest.split_at_checked(sign::LETTERS)?;
        text::special(signature.as_bytes()).is_none().then_some(())?;
        rest = behind.strip_prefix('"')?;
    }
    take(&mut rest, RECORD_ID.next_string)?;
    rest.strip_suffix("\"}")
}

/// Reads the id of a row. None when other members stand behind it.
pub(super) fn record_id(text: &str) -> Option<RecordId<'_>> {
    RecordId::parse(text).filter(|_| text::special(text.as_bytes()).is_none())
}

/// A name as we write it: with its escapes, for one that cannot stand in a string as it is.
fn name(rest: &mut &str, name: &str) -> Option<()> {
    if text::special(name.as_bytes()).is_none() {
        return take(rest, name);
    }
    let mut written = Vec::new();
    value::write_str(name, &mut written);
    let written = std::str::from_utf8(&written).ok()?;
    take(rest, &written[1..written.len() - 1])
}

fn take(rest: &mut &str, expected: &str) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

/// Reads the value at the beginning of the rest of a record with this length. `row` is made anew
/// for each of its callers: as a call of its own this took a third more of the time.
#[inline(always)]
fn cell<'a>(rest: &mut &'a str, length_of_record: usize) -> Option<Scanned<'a>> {
    let bytes = rest.as_bytes();
    let end = |of: usize| of + 1;
    match bytes.first()? {
        b'"' => {
            let at = 1 + text::special(&bytes[1..])?;
            if bytes[at] == b'"' {
                let from = length_of_record - rest.len() + 1;
                let text = &bytes[1..at];
                *rest = &rest[end(at)..];
                return Some(Scanned::Plain { from, text });
            }
            read(rest, end(closing_quote(bytes, at)?))
        }
        b'-' | b'0'..=b'9' => {
            let length = bytes.iter().position(|b| matches!(b, b',' | b'}'))?;
            match number(&bytes[..length]) {
                Some(number) => {
                    *rest = &rest[length..];
                    Some(Scanned::Other(number))
                }
                None => read(rest, length),
            }
        }
        b'n' => take(rest, "null").map(|()| Scanned::Other(Value::Null)),
        // A tagged value: neither its tag nor its content holds a brace.
        b'{' => read(rest, end(bytes.iter().position(|b| *b == b'}')?)),
        _ => None,
    }
}

/// Reads the next `length` bytes as serde_json does.
fn read<'a>(rest: &mut &'a str, length: usize) -> Option<Scanned<'a>> {
    let (value, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(Scanned::Other(serde_json::from_str::<Read>(value).ok()?.0))
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

/// A number of few digits and without an exponent, written as JSON has it. -0 is a real.
fn number(text: &[u8]) -> Option<Value<'static>> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let leads = match digits {
        [b'0'] => !negative,
        [b'0', b'.', ..] | [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if !leads || digits.len() > DIGITS {
        return None;
    }
    let mut number = 0_i64;
    let mut point = None;
    for (place, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(place),
            _ => return None,
        }
    }
    let Some(point) = point else {
        return Some(Value::Integer(if negative { -number } else { number }));
    };
    let decimals = digits.len() - point - 1;
    if decimals == 0 || number > EXACT {
        return None;
    }
    let real = number as f64 / POWERS[decimals];
    Some(Value::Real(if negative { -real } else { real }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read at the beginning of a text, and what is left of it.
    fn scanned(text: &str) -> Option<(Value<'_>, &str)> {
        let mut rest = text;
        cell(&mut rest, text.len()).map(|found| {
            if let Scanned::Plain { from, text: plain } = found {
                assert!(text.as_bytes()[from..].starts_with(plain) && text[..from].ends_with('"'));
            }
            (found.value(), rest)
        })
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
            "0.0",
            "-0.0",
            "-0.1",
            "00.1",
            ".5",
            "5.",
            "1.5.2",
            "1.5e3",
            "9007199254740.992",
            "9007199254740.993",
            "0.1234567890123456",
            "0.12345678901234567",
            "123456789012345678.5",
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
    fn reals_of_few_digits_round_as_serde_rounds_them() {
        let mut state = 1_u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let decimals = 1 + (state >> 8) as usize % 15;
            let digits = (state >> 12) % 10_u64.pow(1 + (state >> 4) as u32 % 16);
            let text = format!("{digits:0>width$}", width = decimals + 1);
            let (whole, part) = text.split_at(text.len() - decimals);
            let text = format!("-{whole}.{part}");
            let Some(Value::Real(real)) = number(text.as_bytes()) else {
                assert!(digits > EXACT as u64 || text.len() - 1 > DIGITS, "{text} was not read");
                continue;
            };
            assert_eq!(real.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
    }

    #[test]
    fn a_text_that_ends_too_soon_is_no_value() {
        for text in ["", "\"", "\"a", "\"a\\", "\"a\\\"", "12", "-", "{\"$blob\":\"\"", "nu"] {
            assert_eq!(scanned(text), None, "{text}");
        }
    }
}
