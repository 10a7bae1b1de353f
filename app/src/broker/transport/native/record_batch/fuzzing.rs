//! Arbitrary bytes for the decoder, for the fuzz targets and the tests (see `crate::fuzzing`).

use bytes::Bytes;

use super::codec::Codec;
use super::compress::Compressor;
use super::decode::Decoder;
use super::encode::{CHECKED, Encoder, FRAME, HEADER, MAGIC};
use super::records::{Record, RecordSets};
use super::transactions::{AbortedTransactions, Isolation};

/// What one input may unpack to.
const LIMIT: usize = 1 << 20;

/// Record sets: the first byte says what is made of the others.
pub(crate) fn record_sets(bytes: &[u8]) {
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let codec = Codec::ALL[usize::from(how >> 3) % Codec::ALL.len()];
    let answer = match how & 0x07 {
        0 => bytes.to_vec(),
        // Checksums would stop nearly all.
        1..=3 => with_checksums(bytes.to_vec()),
        4 | 5 => batch_of(codec, bytes),
        magic => set_of(codec, magic - 6, bytes),
    };
    check(&answer.into(), codec);
}

/// Reads an answer in all ways, and writes what was read in a codec.
fn check(answer: &Bytes, codec: Codec) {
    let mut decoder = Decoder::new();
    let aborted = AbortedTransactions::new(vec![(1, 0), (0, 0), (1, 10)]);
    let committed = Isolation::ReadCommitted {
        aborted,
        last_stable_offset: 20,
    };
    for (asked, isolation) in [
        (0, Isolation::ReadUncommitted),
        (7, Isolation::ReadUncommitted),
        (0, committed),
    ] {
        decoder.begin_answer_within(LIMIT);
        let sets = decoder.decode(answer, asked, isolation);
        let mut least = asked;
        for record in sets.iter() {
            assert!(record.offset >= least && record.offset < sets.next_offset, "{record:?}");
            least = record.offset + 1;
        }
        assert!(sets.next_offset >= asked);
        assert_eq!(sets.is_empty(), sets.batches.is_empty());
        written_and_read(&sets, codec);
    }
}

/// Records that were read are written and read again as they were.
fn written_and_read(sets: &RecordSets, codec: Codec) {
    let records: Vec<Record<'_>> = sets.iter().collect();
    if records.is_empty() {
        return;
    }
    let pairs = || records.iter().map(|record| (record.key, record.value));
    let mut written = Vec::new();
    Encoder::new(codec).encode(pairs(), -1, &mut written);
    let read = Decoder::new().decode(&written.into(), 0, Isolation::ReadUncommitted);
    assert_eq!(read.next_offset, records.len() as i64);
    assert!(read.iter().map(|record| (record.key, record.value)).eq(pairs()));
}

/// A batch of format 2 around what are taken for its records; of the first byte comes their number.
fn batch_of(codec: Codec, records: &[u8]) -> Vec<u8> {
    let Some((&count, records)) = records.split_first() else {
        return Vec::new();
    };
    let mut batch = vec![0; HEADER];
    batch[16] = MAGIC;
    batch[22] = codec.attributes();
    batch[26] = count;
    batch[60] = count;
    Compressor::new().compress(codec, records, &mut batch);
    set_length(&mut batch);
    with_checksums(batch)
}

/// A compressed set of format 0 or 1 around what are taken for its messages.
fn set_of(codec: Codec, magic: u8, messages: &[u8]) -> Vec<u8> {
    let mut set = vec![0; 16];
    set[7] = 9;
    set.extend([magic, codec.attributes()]);
    set.resize(18 + 8 * usize::from(magic), 0);
    set.extend((-1_i32).to_be_bytes());
    let mut packed = Vec::new();
    Compressor::new().compress(codec, &with_checksums(messages.to_vec()), &mut packed);
    set.extend((packed.len() as i32).to_be_bytes());
    set.extend(packed);
    set_length(&mut set);
    with_checksums(set)
}

fn set_length(batch: &mut [u8]) {
    let length = (batch.len() - FRAME) as i32;
    batch[8..FRAME].copy_from_slice(&length.to_be_bytes());
}

/// Makes the checksums right, of as many batches and messages as there are.
pub(super) fn with_checksums(mut answer: Vec<u8>) -> Vec<u8> {
    let mut rest = &mut answer[..];
    while rest.len() > CHECKED {
        let length = i32::from_be_bytes([rest[8], rest[9], rest[10], rest[11]]);
        let end = FRAME.saturating_add(usize::try_from(length).unwrap_or(0));
        if end <= CHECKED || end > rest.len() {
            break;
        }
        let (batch, behind) = rest.split_at_mut(end);
        match batch[16] {
            MAGIC => {
                let checksum = crc32c::crc32c(&batch[CHECKED..]);
                batch[17..CHECKED].copy_from_slice(&checksum.to_be_bytes());
            }
            _ => {
                let checksum = crc32fast::hash(&batch[16..]);
                batch[12..16].copy_from_slice(&checksum.to_be_bytes());
            }
        }
        rest = behind;
    }
    answer
}
