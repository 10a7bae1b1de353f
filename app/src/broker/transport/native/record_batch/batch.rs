//! Reads a batch of format 2.

use std::ops::Range;

use super::codec::Codec;
use super::defect::Defect;
use super::encode::{CHECKED, HEADER};
use super::reader::Reader;
use super::records::Entry;
use super::transactions::Marker;

const CONTROL: u8 = 0x20;
const TRANSACTIONAL: u8 = 0x10;

/// The fewest bytes that a record takes: six numbers of one byte (its length, time, offset, two
/// lengths, its headers' count), and its attributes.
pub(super) const SMALLEST_RECORD: usize = 7;

/// What stands before a batch's records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) base_offset: i64,
    /// The offset behind its last, which compaction does not change, whatever records it takes out.
    pub(super) next_offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) producer_id: i64,
    pub(super) transactional: bool,
    pub(super) control: bool,
    /// The codec, or the number of an unknown one.
    pub(super) codec: Result<Codec, u8>,
    count: usize,
}

impl Header {
    /// Reads it from a whole batch, whose checksum is checked.
    pub(super) fn read(batch: &[u8]) -> Result<Self, Defect> {
        let mut fields = Reader::new(batch, 0, batch.len().min(HEADER));
        let base_offset = fields.i64()?;
        let _length = fields.i32()?;
        let leader_epoch = fields.i32()?;
        let _magic = fields.u8()?;
        let checksum = fields.u32()?;
        if crc32c::crc32c(&batch[CHECKED..]) != checksum {
            return Err(Defect::Checksum);
        }
        let [_, attributes] = fields.array()?;
        let last_offset_delta = fields.i32()?;
        let _times: [u8; 16] = fields.array()?;
        let producer_id = fields.i64()?;
        let _epoch_and_sequence: [u8; 6] = fields.array()?;
        let count = fields.i32()?;
        let records = u32::try_from(last_offset_delta).map_err(|_| Defect::Offsets)?;
        Ok(Self {
            base_offset,
            next_offset: base_offset.checked_add(i64::from(records) + 1).ok_or(Defect::Offsets)?,
            leader_epoch,
            producer_id,
            transactional: attributes & TRANSACTIONAL != 0,
            control: attributes & CONTROL != 0,
            codec: Codec::of_attributes(attributes),
            count: usize::try_from(count).map_err(|_| Defect::Malformed)?,
        })
    }

    /// How many records it claims, which its bytes can hold.
    pub(super) fn count_within(&self, bytes: usize) -> Result<usize, Defect> {
        if self.count > bytes / SMALLEST_RECORD {
            return Err(Defect::Malformed);
        }
        Ok(self.count)
    }

    /// Reads its records, which stand in `data` at `place`, and keeps those with these offsets.
    pub(super) fn records(
        &self,
        data: &[u8],
        place: Range<usize>,
        kept: &Range<i64>,
        batch: u32,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Defect> {
        let count = self.count_within(place.len())?;
        entries.reserve(count);
        let mut bytes = Reader::new(data, place.start, place.end);
        let mut least = self.base_offset;
        for _ in 0..count {
            let entry = self.record(&mut bytes, batch)?;
            if entry.offset < least || entry.offset >= self.next_offset {
                return Err(Defect::Offsets);
            }
            least = entry.offset + 1;
            if kept.contains(&entry.offset) {
                entries.push(entry);
            }
        }
        if !bytes.is_at_end() {
            return Err(Defect::Malformed);
        }
        Ok(())
    }

    /// Reads a record. Its headers are stepped over, and end where it ends.
    #[inline]
    fn record(&self, bytes: &mut Reader<'_>, batch: u32) -> Result<Entry, Defect> {
        let length = bytes.varint()?;
        let mut record = bytes.part(length)?;
        let _attributes = record.u8()?;
        let _time_delta = record.varint()?;
        let offset_delta = record.varint()?;
        let offset = self.base_offset.checked_add(offset_delta).ok_or(Defect::Offsets)?;
        let key_length = record.varint()?;
        let key = record.span(key_length)?;
        let value_length = record.varint()?;
        let value = record.span(value_length)?;
        pass_headers(&mut record)?;
        Ok(Entry {
            offset,
            key,
            value,
            batch,
        })
    }
}

/// Steps over a record's headers, and finds nothing behind them.
#[inline]
fn pass_headers(record: &mut Reader<'_>) -> Result<(), Defect> {
    let count = record.varint()?;
    if count < 0 {
        return Err(Defect::Malformed);
    }
    for _ in 0..count {
        // A name is never null, a value may be.
        let name_length = record.varint()?;
        record.part(name_length)?;
        let value_length = record.varint()?;
        record.span(value_length)?;
    }
    if record.is_at_end() {
        Ok(())
    } else {
        Err(Defect::Malformed)
    }
}

/// How a transaction ended, by the key of a control batch's record.
pub(super) fn marker(key: Option<&[u8]>) -> Result<Marker, Defect> {
    let key = key.ok_or(Defect::Malformed)?;
    let mut fields = Reader::new(key, 0, key.len());
    let _version = fields.i16()?;
    fields.i16().map(Marker::of)
}
