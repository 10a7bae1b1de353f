//! Writes records as a batch of format 2.

use super::codec::Codec;
use super::compress::Compressor;
use super::varint;

/// What stands before the records.
pub(super) const HEADER: usize = 61;
/// The offset and the length, which the length does not count.
pub(super) const FRAME: usize = 12;
/// From here on the checksum counts.
pub(super) const CHECKED: usize = 21;
pub(super) const MAGIC: u8 = 2;

/// The most that a record takes beside its key and value: four numbers of up to five bytes (its
/// length, its offset, two lengths), its attributes, its time and the number of its headers.
const RECORD_OVERHEAD: usize = 23;

/// The most bytes that a batch takes, in any codec, with so many records whose keys and values have
/// so many bytes in all.
pub(crate) const fn largest_size(records: usize, bytes: usize) -> usize {
    HEADER + records * RECORD_OVERHEAD + bytes
}

/// Writes batches of one codec.
pub(crate) struct Encoder {
    codec: Codec,
    compressor: Compressor,
    /// A batch's records, until they are compressed.
    plain: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(codec: Codec) -> Self {
        Self {
            codec,
            compressor: Compressor::new(),
            plain: Vec::new(),
        }
    }

    /// Appends a batch of these records (key and value of each; there is at least one), all of one
    /// time in milliseconds since 1970. The broker gives them their offsets.
    pub(crate) fn encode<'a>(
        &mut self,
        records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
        timestamp: i64,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.resize(start + HEADER, 0);
        let (count, codec) = match self.codec {
            Codec::None => (push_all(records, out), Codec::None),
            codec => {
                self.plain.clear();
                let count = push_all(records, &mut self.plain);
                (count, self.compress(codec, out))
            }
        };
        debug_assert!(count > 0, "brokers refuse a batch without records");
        finish(&mut out[start..], codec, count, timestamp);
    }

    /// Appends the records compressed, or as they are where that is no smaller: so a batch's size
    /// has one bound.
    fn compress(&mut self, codec: Codec, out: &mut Vec<u8>) -> Codec {
        let start = out.len();
        self.compressor.compress(codec, &self.plain, out);
        if out.len() - start < self.plain.len() {
            return codec;
        }
        out.truncate(start);
        out.extend_from_slice(&self.plain);
        Codec::None
    }
}

/// Appends all records; their number.
fn push_all<'a>(records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>, out: &mut Vec<u8>) -> i32 {
    let mut count = 0;
    for (key, value) in records {
        push(out, count, key, value);
        count += 1;
    }
    count
}

#[inline]
fn push(out: &mut Vec<u8>, offset_delta: i32, key: Option<&[u8]>, value: Option<&[u8]>) {
    const ATTRIBUTES_AND_TIME: usize = 2;
    const HEADERS: usize = 1;
    let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let (key_length, value_length, offset_delta) = (length(key), length(value), i64::from(offset_delta));
    let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
    let size = ATTRIBUTES_AND_TIME
        + varint::len(offset_delta)
        + varint::len(key_length)
        + key.len()
        + varint::len(value_length)
        + value.len()
        + HEADERS;
    out.reserve(varint::LONGEST + size);
    let mut small = [0; 4 * varint::LONGEST];
    let mut at = varint::write(&mut small, 0, size as i64) + ATTRIBUTES_AND_TIME;
    at = varint::write(&mut small, at, offset_delta);
    at = varint::write(&mut small, at, key_length);
    out.extend_from_slice(&small[..at]);
    out.extend_from_slice(key);
    at = varint::write(&mut small, 0, value_length);
    out.extend_from_slice(&small[..at]);
    out.extend_from_slice(value);
    out.push(0);
}

/// Fills in what stands before the records.
fn finish(batch: &mut [u8], codec: Codec, count: i32, timestamp: i64) {
    const NOBODY: [u8; 14] = [0xff; 14];
    let length = i32::try_from(batch.len() - FRAME).expect("a batch is smaller than 2 GiB");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    // The leader's epoch, which the leader fills in.
    batch[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
    batch[16] = MAGIC;
    batch[22] = codec.attributes();
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    // The time of the first record, and the latest.
    batch[27..35].copy_from_slice(&timestamp.to_be_bytes());
    batch[35..43].copy_from_slice(&timestamp.to_be_bytes());
    // The producer's id, epoch and sequence.
    batch[43..57].copy_from_slice(&NOBODY);
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let checksum = crc32c::crc32c(&batch[CHECKED..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
}
