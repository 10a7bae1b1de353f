//! An answer on its way: what has come of it is kept while the rest is waited for.

use std::time::Instant;

use bytes::Bytes;

use super::error::ConnectionError;
use super::stream::Stream;

/// What is made room for before the first bytes of an answer have come; then as much again as has
/// come, whatever its size is said to be.
const FIRST_BYTES: usize = 64 << 10;

/// The bytes of one answer, its size in front.
#[derive(Debug, Default)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// So many of them have come.
    filled: usize,
}

impl Frame {
    /// Reads until so many bytes have come in all; false when they have not by `end`.
    pub(super) fn fill(&mut self, wanted: usize, stream: &mut Stream, end: Instant) -> Result<bool, ConnectionError> {
        while self.filled < wanted {
            if self.bytes.len() == self.filled {
                self.bytes.resize(wanted.min((self.filled * 2).max(FIRST_BYTES)), 0);
            }
            match stream.read(&mut self.bytes[self.filled..], end)? {
                Some(count) => self.filled += count,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Four bytes that have come, as a number.
    pub(super) fn i32(&self, at: usize) -> i32 {
        let bytes = &self.bytes[at..];
        i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Whether it begins as a record of TLS: an alert or a handshake, of version 3.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.bytes[..self.filled], [0x15 | 0x16, 3, 0..=4, ..])
    }

    /// All bytes from there on.
    pub(super) fn into_bytes(mut self, at: usize) -> Bytes {
        self.bytes.truncate(self.filled);
        Bytes::from(self.bytes).slice(at..)
    }
}
