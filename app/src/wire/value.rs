//! One value as JSON. What JSON cannot hold is an object with a single tag for a member.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::names::{self, BLOB, INFINITY, NEGATIVE_INFINITY, REAL, TEXT};
use super::{base64, text};
use crate::model::Value;

/// Writes a string with JSON's escapes.
pub(crate) fn write_str(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a vector takes every byte");
}

pub(super) fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Integer(i) => serde_json::to_writer(out, i).expect("a vector takes every byte"),
        Value::Real(r) if r.is_finite() => serde_json::to_writer(out, r).expect("a vector takes every byte"),
        Value::Real(r) => {
            let content = if *r > 0.0 { INFINITY } else { NEGATIVE_INFINITY };
            write_tagged(&REAL, out, |out| out.extend_from_slice(content.as_bytes()));
        }
        Value::Text(bytes) if text::is_plain(bytes) => {
            out.push(b'"');
            out.extend_from_slice(bytes);
            out.push(b'"');
        }
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => write_str(text, out),
            Err(_) => write_tagged(&TEXT, out, |out| base64::encode(bytes, out)),
        },
        Value::Blob(bytes) => write_tagged(&BLOB, out, |out| base64::encode(bytes, out)),
    }
}

fn write_tagged(tag: &names::Member, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(tag.first.as_bytes());
    out.push(b'"');
    content(out);
    out.extend_from_slice(b"\"}");
}

/// A value read back; others' true and false are 1 and 0.
pub(super) struct Read<'a>(pub Value<'a>);

impl<'de> Deserialize<'de> for Read<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReadVisitor).map(Read)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar or a tagged value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Self::Value, E> {
        Ok(Value::Integer(it.into()))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(it))
    }

    /// What is beyond 64 bits becomes a real, as SQLite reads such a number itself.
    fn visit_u64<E>(self, it: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(it).map_or(Value::Real(it as f64), Value::Integer))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Self::Value, E> {
        Ok(Value::Real(it))
    }

    fn visit_borrowed_str<E>(self, it: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(it.as_bytes())))
    }

    fn visit_str<E>(self, it: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(it.as_bytes().to_vec())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let value = match map.next_entry::<Name<'de>, Name<'de>>()? {
            Some((tag, content)) => untag(&tag.0, &content.0),
            None => None,
        };
        match (value, map.next_key::<IgnoredAny>()?) {
            (Some(value), None) => Ok(value),
            _ => Err(de::Error::custom("an object that is no tagged value")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(de::Error::custom("an array"))
    }
}

/// A string, borrowed where it holds no escapes.
pub(super) struct Name<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NameVisitor).map(Name)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, it: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(it))
    }

    fn visit_str<E>(self, it: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(it.to_owned()))
    }
}

fn untag(tag: &str, content: &str) -> Option<Value<'static>> {
    let bytes = || base64::decode(content.as_bytes()).map(Cow::Owned);
    match content {
        INFINITY if tag == REAL.name => Some(Value::Real(f64::INFINITY)),
        NEGATIVE_INFINITY if tag == REAL.name => Some(Value::Real(f64::NEG_INFINITY)),
        _ if tag == BLOB.name => bytes().map(Value::Blob),
        _ if tag == TEXT.name => bytes().map(Value::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(value: Value<'_>) -> String {
        let mut out = Vec::new();
        write(&value, &mut out);
        let back: Read = serde_json::from_slice(&out).unwrap();
        assert_eq!(back.0, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_value_comes_back_to_the_bit() {
        for i in [i64::MIN, -(1 << 53) - 1, -1, 0, 1, (1 << 53) + 1, i64::MAX] {
            there_and_back(Value::Integer(i));
        }
        for r in [
            0.1 + 0.2,
            0.0,
            -0.0,
            1.0,
            1e15,
            1e16,
            1e308,
            5e-324,
            f64::MAX,
            -1e-7,
            9007199254740993.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            let json = there_and_back(Value::Real(r));
            assert!(json.contains(['.', 'e', '$']), "{json} could be taken for an integer");
        }
        for text in [
            &b""[..],
            b"a\0b",
            "\u{1f980} \"\\\u{7f}".as_bytes(),
            b"\xff\xfe",
            b"\xed\xa0\x80",
            b"{\"$blob\":\"\"}",
        ] {
            there_and_back(Value::Text(text.into()));
            there_and_back(Value::Blob(text.into()));
        }
        there_and_back(Value::Null);
    }

    #[test]
    fn random_reals_come_back_to_the_bit() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100_000 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let real = f64::from_bits(state ^ state >> 29);
            if !real.is_nan() {
                there_and_back(Value::Real(real));
            }
        }
    }

    #[test]
    fn an_object_that_is_no_tag_is_no_value() {
        for bad in [
            "{}",
            r#"{"$blob":"*"}"#,
            r#"{"$real":"nan"}"#,
            r#"{"$blob":"","x":1}"#,
            r#"{"$blob":1}"#,
            r#"{"a":"b"}"#,
            "[1]",
        ] {
            assert!(serde_json::from_str::<Read>(bad).is_err(), "{bad}");
        }
    }
}
