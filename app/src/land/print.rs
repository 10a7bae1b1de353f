//! `--print`: a landed record as a line of JSON, whatever its key and its value hold.

use crate::model::TopicPartition;
use std::io::Write;

use serde_json::Value as Json;

use crate::broker::Message;
use crate::sink::SinkPosition;
use crate::terminal::escape::acts;
use crate::wire::json_string;
use crate::wire::names::DELETED;
use crate::wire::sign::without_origin;

/// Adds `{"topic":...,"partition":...,"offset":...,"key":...,"row":...}` and a line feed; the row
/// of a deletion is null.
pub(crate) fn line(position: &SinkPosition, message: Message<'_>, out: &mut Vec<u8>) {
    let SinkPosition {
        at: TopicPartition { topic, partition },
        ..
    } = position;
    out.extend_from_slice(b"{\"topic\":");
    string(topic, out);
    // Writing to a vector cannot fail.
    let _ = write!(out, ",\"partition\":{partition},\"offset\":{},\"key\":", message.offset);
    json(message.opt_key(), out);
    out.extend_from_slice(b",\"row\":");
    row(message.opt_value(), out);
    out.extend_from_slice(b"}\n");
}

/// A value without what is only ours to read.
fn row(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let bare = value.and_then(without_origin).map(|row| [row, b"}"].concat());
    // Where a member of that name stands inside of another one, what is before it is no JSON.
    match bare.as_deref().and_then(as_json) {
        Some(text) if is_deletion(text) => out.extend_from_slice(b"null"),
        Some(text) => one_line(text, out),
        None => json(value, out),
    }
}

fn is_deletion(text: &str) -> bool {
    text.strip_suffix("true}")
        .is_some_and(|text| text.ends_with(DELETED.next))
}

/// JSON as it came; what is no JSON becomes a string.
fn json(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(bytes) = bytes else {
        return out.extend_from_slice(b"null");
    };
    match as_json(bytes) {
        Some(text) => one_line(text, out),
        None => string(&String::from_utf8_lossy(bytes), out),
    }
}

/// The bytes as text, if they are one JSON value that whoever reads the line can read too: it is
/// one level deeper there, as it is here.
fn as_json(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    let values: Vec<Json> = serde_json::from_str(&format!("[{text}]")).ok()?;
    (values.len() == 1).then_some(text)
}

fn string(text: &str, out: &mut Vec<u8>) {
    let mut quoted = Vec::new();
    json_string(text, &mut quoted);
    one_line(str::from_utf8(&quoted).expect("a text was written"), out);
}

/// Writes JSON on one line, which steers no terminal. Outside of its strings only spaces and ends
/// of lines can act, and they say nothing.
fn one_line(json: &str, out: &mut Vec<u8>) {
    let mut rest = json;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts(*c)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let _ = match c {
            '\n' | '\r' | '\t' => out.write_all(b" "),
            _ => write!(out, "\\u{:04x}", u32::from(c)),
        };
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(topic: &str, key: &[u8], value: &[u8]) -> String {
        let position = SinkPosition::new(TopicPartition::new(topic, 3), 0);
        let message = Message {
            offset: 7,
            key,
            value,
            key_is_null: false,
            value_is_null: value.is_empty(),
        };
        let mut out = Vec::new();
        line(&position, message, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Key and row of the one line that is printed for a record.
    fn shown(key: &[u8], value: &[u8]) -> (String, String) {
        let out = printed("t", key, value);
        let start = "{\"topic\":\"t\",\"partition\":3,\"offset\":7,\"key\":";
        let (key, row) = out.strip_prefix(start).unwrap().split_once(",\"row\":").unwrap();
        (key.to_owned(), row.strip_suffix("}\n").unwrap().to_owned())
    }

    #[test]
    fn a_record_of_ours_is_its_row_and_others_are_what_they_are() {
        let of = |value: &str| shown(b"{\"id\":1}", value.as_bytes()).1;
        assert_eq!(
            of("{\"id\":1,\"v\":\"x\",\"_ferry\":\"s.1.2\"}"),
            "{\"id\":1,\"v\":\"x\"}"
        );
        assert_eq!(of("{\"id\":1,\"__deleted\":true,\"_ferry\":\"s.1.2\"}"), "null");
        assert_eq!(of(""), "null");
        assert_eq!(shown(b"", b"{}").0, "\"\"");
        for foreign in [
            "{\"a\": [1, 2]}",
            "{\"a\":{\"b\":1,\"_ferry\":\"s.1.2\"}}",
            "{\"_ferry\":\"s.1.2\",\"id\":1}",
        ] {
            assert_eq!(of(foreign), foreign);
        }
    }

    #[test]
    fn a_forged_line_stays_inside_of_its_record() {
        let forged = b"\x1b[2J\n{\"topic\":\"t\",\"partition\":0}";
        let (key, row) = shown(forged, forged);
        assert_eq!(key, "\"\\u001b[2J\\n{\\\"topic\\\":\\\"t\\\",\\\"partition\\\":0}\"");
        assert_eq!(row, key);
        // It begins like JSON and goes on like another record.
        assert_eq!(
            shown(b"{}}\n{\"topic\":1", b"{\n\t\"a\": 1}").0,
            "\"{}}\\n{\\\"topic\\\":1\""
        );
        assert_eq!(
            shown(b"1,2", b"{\n\t\"a\": 1}"),
            ("\"1,2\"".into(), "{  \"a\": 1}".into())
        );
        assert_eq!(
            shown("\"a\u{7f}\u{9b}\u{202e}\"".as_bytes(), b"\xff").0,
            "\"a\\u007f\\u009b\\u202e\""
        );
        assert!(printed("a\"\n\u{1b}", b"1", b"2").starts_with("{\"topic\":\"a\\\"\\n\\u001b\","));
    }

    #[test]
    fn any_bytes_are_one_line_of_json() {
        const PARTS: [&[u8]; 28] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\"",
            b"\\",
            b"\n",
            b"\r",
            b"\t",
            b"\x1b",
            b"\0",
            b"\x7f",
            b" ",
            b"1",
            b"1e999",
            b"null",
            b"\"a\"",
            b"{\"id\":",
            b",\"_ferry\":\"s.1.2\"}",
            b",\"__deleted\":true",
            b"\\u0000",
            b"\xff",
            "\u{9b}".as_bytes(),
            "\u{202e}".as_bytes(),
            b"\xed\xa0\x80",
            b"{\"a\":[",
        ];
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut some = || {
            let parts = random(12);
            let mut bytes: Vec<u8> = (0..parts).flat_map(|_| PARTS[random(PARTS.len())]).copied().collect();
            if random(4) == 0 {
                bytes.push(random(256) as u8);
            }
            bytes
        };
        let deep = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat().into_bytes();
        let random = (0..200_000).map(|_| (some(), some())).collect::<Vec<_>>();
        for (key, value) in random
            .into_iter()
            .chain((100..200).map(|levels| (deep(levels), deep(levels))))
        {
            let line = printed("t", &key, &value);
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.contains(acts), "{line:?}");
            serde_json::from_str::<Json>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        }
    }
}
