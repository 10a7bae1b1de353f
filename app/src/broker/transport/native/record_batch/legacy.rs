//! Reads messages of formats 0 and 1, which old segments of a log still hold, and sets of them that
//! are compressed into one message.

use std::ops::Range;

use super::codec::Codec;
use super::defect::Defect;
use super::reader::{Reader, Span};
use super::records::Entry;

/// From here on the checksum counts.
const CHECKED: usize = 16;

/// The fewest bytes that a message takes: offset, length, checksum, format, attributes, and the
/// lengths of a null key and a null value.
pub(super) const SMALLEST_MESSAGE: usize = 26;

/// A message: a record, or a compressed set of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    /// In a log, a set's offset is that of its last message.
    pub(super) offset: i64,
    magic: u8,
    /// How it is compressed, or why it cannot be.
    pub(super) codec: Result<Codec, Defect>,
    key: Span,
    value: Span,
}

impl Message {
    /// Reads a whole message, which stands in `data` at `place`.
    pub(super) fn read(data: &[u8], place: Range<usize>) -> Result<Self, Defect> {
        let mut fields = Reader::new(data, place.start, place.end);
        let offset = fields.i64()?;
        let _length = fields.i32()?;
        let checksum = fields.u32()?;
        if crc32fast::hash(&data[place.start + CHECKED..place.end]) != checksum {
            return Err(Defect::Checksum);
        }
        let magic = fields.u8()?;
        let attributes = fields.u8()?;
        match magic {
            0 => {}
            1 => {
                let _timestamp = fields.i64()?;
            }
            magic => return Err(Defect::Magic(magic)),
        }
        let codec = match Codec::of_attributes(attributes) {
            Ok(Codec::Zstd) => Err(Defect::Codec(attributes)),
            Ok(Codec::Lz4) if magic == 0 => Err(Defect::Lz4InFormat0),
            Ok(codec) => Ok(codec),
            Err(number) => Err(Defect::Codec(number)),
        };
        let key_length = fields.i32()?;
        let key = fields.span(key_length.into())?;
        let value_length = fields.i32()?;
        let value = fields.span(value_length.into())?;
        if !fields.is_at_end() {
            return Err(Defect::Malformed);
        }
        Ok(Self {
            offset,
            magic,
            codec,
            key,
            value,
        })
    }

    pub(super) fn entry(&self, batch: u32) -> Entry {
        Entry {
            offset: self.offset,
            key: self.key,
            value: self.value,
            batch,
        }
    }

    /// The compressed set that it is.
    pub(super) fn packed<'a>(&self, data: &'a [u8]) -> Result<&'a [u8], Defect> {
        self.value.of(data).ok_or(Defect::Malformed)
    }

    /// Looks through the set that it is, which has been unpacked.
    pub(super) fn set(&self, data: &[u8]) -> Result<Set, Defect> {
        let (mut count, mut last, mut at) = (0, None, 0);
        while at < data.len() {
            let mut frame = Reader::new(data, at, data.len());
            last = Some(frame.i64()?);
            count += 1;
            at = end_of_message(data, at)?;
        }
        let last = last.ok_or(Defect::Malformed)?;
        let base_offset = self.offset.checked_sub(last).filter(|base| *base >= 0);
        Ok(Set {
            magic: self.magic,
            base_offset: base_offset.ok_or(Defect::Offsets)?,
            count,
        })
    }
}

/// A set of messages that came as one, compressed.
#[derive(Debug)]
pub(super) struct Set {
    magic: u8,
    /// What its messages' offsets are counted from: in format 1 the set's first offset, in format
    /// 0, whose offsets are the log's own, 0. The last message's offset in the log is the set's
    /// own, which tells.
    base_offset: i64,
    pub(super) count: usize,
}

impl Set {
    /// Reads its messages, none of which may be before `least`, and keeps those with these offsets.
    ///
    /// Brokers of 0.8 and 0.9, which write format 0, take a compressed message in a set for any other: it has one
    /// offset, and their consumers, Java's and Scala's, hand out its value as it is. So it is a record here, and what is
    /// in it is not unpacked. Later brokers, which write format 1 too, refuse it.
    pub(super) fn records(
        &self,
        data: &[u8],
        mut least: i64,
        kept: &Range<i64>,
        batch: u32,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Defect> {
        let mut at = 0;
        while at < data.len() {
            let end = end_of_message(data, at)?;
            let message = Message::read(data, at..end)?;
            if self.magic > 0 && message.codec != Ok(Codec::None) {
                return Err(Defect::Nested);
            }
            if message.magic != self.magic {
                return Err(Defect::Malformed);
            }
            let mut entry = message.entry(batch);
            entry.offset = entry.offset.checked_add(self.base_offset).ok_or(Defect::Offsets)?;
            if entry.offset < least {
                return Err(Defect::Offsets);
            }
            least = entry.offset.checked_add(1).ok_or(Defect::Offsets)?;
            if kept.contains(&entry.offset) {
                entries.push(entry);
            }
            at = end;
        }
        Ok(())
    }
}

/// The end of a message in a set, which is there as a whole and long enough to have a checksum.
fn end_of_message(data: &[u8], at: usize) -> Result<usize, Defect> {
    let mut frame = Reader::new(data, at, data.len());
    let _offset = frame.i64()?;
    let length = frame.i32()?;
    frame.part(length.into())?;
    if frame.at() - at < SMALLEST_MESSAGE {
        return Err(Defect::Malformed);
    }
    Ok(frame.at())
}
