//! Reads numbers, and where keys and values stand, and never beyond an end.

use super::defect::Defect;
use super::varint;

/// Where bytes stand in a stretch of memory; null is told from empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    const NULL: Self = Self {
        start: 0,
        length: u32::MAX,
    };

    pub(super) fn of(self, data: &[u8]) -> Option<&[u8]> {
        if self == Self::NULL {
            return None;
        }
        let start = self.start as usize;
        Some(&data[start..start + self.length as usize])
    }
}

/// A place in bytes. All memory that it is used on is smaller than 4 GiB.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from a place on, up to another; both lie within the bytes.
    pub(super) fn new(bytes: &'a [u8], from: usize, to: usize) -> Self {
        Self {
            bytes: &bytes[..to],
            at: from,
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Takes so many bytes, or none when it is less than 0: the place behind them.
    fn end(&self, length: i64) -> Result<usize, Defect> {
        let length = usize::try_from(length).map_err(|_| Defect::Malformed)?;
        let end = self.at.checked_add(length).ok_or(Defect::Malformed)?;
        if end > self.bytes.len() {
            return Err(Defect::Malformed);
        }
        Ok(end)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Defect> {
        let array = self.bytes[self.at..].first_chunk().ok_or(Defect::Malformed)?;
        self.at += N;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Defect> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Defect> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Defect> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Defect> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Defect> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<i64, Defect> {
        let (value, bytes) = varint::read(&self.bytes[self.at..]).ok_or(Defect::Malformed)?;
        self.at += bytes;
        Ok(value)
    }

    /// A reader of the next bytes alone, which are stepped over here.
    #[inline]
    pub(super) fn part(&mut self, length: i64) -> Result<Self, Defect> {
        let end = self.end(length)?;
        let part = Self {
            bytes: &self.bytes[..end],
            at: self.at,
        };
        self.at = end;
        Ok(part)
    }

    /// Bytes of this length; -1 is null.
    #[inline]
    pub(super) fn span(&mut self, length: i64) -> Result<Span, Defect> {
        if length == -1 {
            return Ok(Span::NULL);
        }
        let end = self.end(length)?;
        let span = Span {
            start: self.at as u32,
            length: (end - self.at) as u32,
        };
        self.at = end;
        Ok(span)
    }
}
