//! `--print`: a landed record as a line of JSON.

use std::io::Write;

use crate::broker::Message;
use crate::sink::Position;
use crate::wire::json_string;

/// Adds `{"topic":...,"partition":...,"offset":...,"key":...,"row":...}` and a line feed; the row of a deletion is null.
pub fn line(position: &Position, message: Message<'_>, out: &mut Vec<u8>) {
    let Position { topic, partition, .. } = position;
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "{{\"topic\":\"{topic}\",\"partition\":{partition},\"offset\":{},\"key\":",
        message.offset
    );
    json(message.key, out);
    out.extend_from_slice(b",\"row\":");
    match stamp_at(message.value) {
        Some(at) if message.value[..at].ends_with(b",\"__deleted\":true") => out.extend_from_slice(b"null"),
        Some(at) => {
            json(&message.value[..at], out);
            out.push(b'}');
        }
        None => json(message.value, out),
    }
    out.extend_from_slice(b"}\n");
}

/// Where our last member begins.
fn stamp_at(value: &[u8]) -> Option<usize> {
    const MEMBER: &[u8] = b",\"_ferry\":\"";
    value.windows(MEMBER.len()).rposition(|window| window == MEMBER)
}

/// JSON as it came, on one line; what is no JSON becomes a string.
fn json(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.first() {
        None => out.extend_from_slice(b"null"),
        Some(b'{' | b'[') => out.extend(bytes.iter().map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b })),
        Some(_) => match serde_json::from_slice::<serde_json::Value>(bytes) {
            Ok(_) => out.extend_from_slice(bytes),
            Err(_) => json_string(&String::from_utf8_lossy(bytes), out),
        },
    }
}
