//! - `golden`: what other clients and brokers wrote
//! - `round_trips`: what is written is read, here and by another library
//! - `old_formats`: messages of formats 0 and 1
//! - `walks`: where an answer begins and ends, and what is left out
//! - `hostile`: what no client writes

mod golden;
mod hostile;
mod old_formats;
mod round_trips;
mod walks;

use bytes::Bytes;

use super::codec::Codec;
use super::compress::Compressor;
use super::decode::Decoder;
use super::encode::Encoder;
use super::fuzzing::with_checksums;
use super::records::{End, RecordSets};
use super::transactions::Isolation;

/// Key and value.
type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// What every client wrote into the golden batches.
const GOLDEN: [Pair<'static>; 6] = [
    (Some(b"1"), Some(b"{\"id\":1,\"name\":\"Ada\"}")),
    (Some(b"2"), None),
    (Some(b"3"), Some(b"")),
    (None, Some(b"no key")),
    (Some(b""), Some(b"empty key")),
    (Some(b"6"), Some(&[b'x'; 1000])),
];

fn decode(answer: impl Into<Bytes>) -> RecordSets {
    decode_from(answer, 0)
}

fn decode_from(answer: impl Into<Bytes>, asked: i64) -> RecordSets {
    Decoder::new().decode(&answer.into(), asked, Isolation::ReadUncommitted)
}

fn pairs(sets: &RecordSets) -> Vec<Pair<'_>> {
    sets.iter().map(|record| (record.key, record.value)).collect()
}

fn offsets(sets: &RecordSets) -> Vec<i64> {
    sets.iter().map(|record| record.offset).collect()
}

/// A batch of format 2 at an offset.
fn batch(codec: Codec, base_offset: i64, pairs: &[Pair<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(codec).encode(pairs.iter().copied(), 1_700_000_000_000, &mut out);
    out[..8].copy_from_slice(&base_offset.to_be_bytes());
    out
}

/// Bytes of a batch's or message's header replaced, with the checksum that belongs to them.
fn changed<const N: usize>(mut bytes: Vec<u8>, at: usize, with: [u8; N]) -> Vec<u8> {
    bytes[at..at + N].copy_from_slice(&with);
    with_checksums(bytes)
}

/// A message of format 0 or 1.
fn message(magic: u8, attributes: u8, offset: i64, (key, value): Pair<'_>) -> Vec<u8> {
    let mut out = offset.to_be_bytes().to_vec();
    out.extend([0; 8]);
    out.extend([magic, attributes]);
    if magic == 1 {
        out.extend(1_700_000_000_000_i64.to_be_bytes());
    }
    for bytes in [key, value] {
        out.extend(bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        out.extend(bytes.unwrap_or_default());
    }
    let length = (out.len() - 12) as i32;
    changed(out, 8, length.to_be_bytes())
}

/// A compressed set of messages.
fn set(magic: u8, codec: Codec, offset: i64, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::new();
    Compressor::new().compress(codec, &messages.concat(), &mut packed);
    message(magic, codec.attributes(), offset, (None, Some(&packed)))
}

/// A small generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below another.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Asserts that all came and was read.
fn assert_complete(sets: &RecordSets) {
    assert_eq!(sets.end, End::Complete);
}
