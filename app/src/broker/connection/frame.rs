//! An answer on its way: what has come of it is kept while the rest is waited for.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Instant;

use super::error::ConnectionError;

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
    pub(super) fn fill(
        &mut self,
        wanted: usize,
        stream: &mut TcpStream,
        end: Instant,
    ) -> Result<bool, ConnectionError> {
        while self.filled < wanted {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            if self.bytes.len() == self.filled {
                self.bytes.resize(wanted.min((self.filled * 2).max(FIRST_BYTES)), 0);
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut self.bytes[self.filled..]) {
                Ok(0) => return Err(ConnectionError::Closed(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.filled += count,
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
                    ) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }

    /// Four bytes that have come, as a number.
    pub(super) fn i32(&self, at: usize) -> i32 {
        let bytes = &self.bytes[at..];
        i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// All bytes from there on.
    pub(super) fn from(&self, at: usize) -> &[u8] {
        &self.bytes[at..self.filled]
    }
}
