use super::*;
use crate::broker::transport::native::record_batch::defect::{BadBatch, Defect};
use crate::broker::transport::native::record_batch::transactions::AbortedTransactions;

const ONE: [Pair<'static>; 1] = [(Some(b"k"), Some(b"v"))];
const ATTRIBUTES: usize = 22;
const LAST_OFFSET_DELTA: usize = 23;
const PRODUCER_ID: usize = 43;
const COUNT: usize = 57;

/// A batch that compaction has left without records.
fn emptied(base_offset: i64, last_offset_delta: i32) -> Vec<u8> {
    let mut bytes = batch(Codec::None, base_offset, &ONE);
    bytes.truncate(61);
    bytes = changed(bytes, 8, 49_i32.to_be_bytes());
    bytes = changed(bytes, LAST_OFFSET_DELTA, last_offset_delta.to_be_bytes());
    changed(bytes, COUNT, 0_i32.to_be_bytes())
}

/// A batch of a transaction; a control batch where the attributes say so.
fn of_producer(bytes: Vec<u8>, attributes: u8, producer_id: i64) -> Vec<u8> {
    let bytes = changed(bytes, ATTRIBUTES, [attributes]);
    changed(bytes, PRODUCER_ID, producer_id.to_be_bytes())
}

fn marker(base_offset: i64, kind: u8, producer_id: i64) -> Vec<u8> {
    let pair = (Some(&[0, 0, 0, kind][..]), Some(&[0, 0, 0, 0, 0, 1][..]));
    of_producer(batch(Codec::None, base_offset, &[pair]), 0x30, producer_id)
}

#[test]
fn the_next_offset_comes_from_the_batches_and_not_from_their_records() {
    let compacted = changed(batch(Codec::Lz4, 10, &GOLDEN), LAST_OFFSET_DELTA, 99_i32.to_be_bytes());
    let sets = decode_from(compacted, 10);
    assert_eq!((offsets(&sets), sets.next_offset), ((10..16).collect(), 110));
    let sets = decode_from(emptied(10, 4), 10);
    assert_complete(&sets);
    assert_eq!((sets.len(), sets.batches.len(), sets.next_offset), (0, 0, 15));
    let sets = decode_from(Vec::new(), 10);
    assert_complete(&sets);
    assert!(sets.is_empty());
    assert_eq!(sets.next_offset, 10);
}

#[test]
fn batches_may_begin_before_what_was_asked_for() {
    let log = [
        batch(Codec::None, 0, &GOLDEN),
        batch(Codec::Snappy, 6, &GOLDEN),
        batch(Codec::None, 20, &GOLDEN),
    ]
    .concat();
    for asked in 0..30 {
        let sets = decode_from(log.clone(), asked);
        let expected: Vec<i64> = (0..12).chain(20..26).filter(|offset| *offset >= asked).collect();
        assert_eq!((offsets(&sets), sets.next_offset), (expected, asked.max(26)));
    }
}

#[test]
fn control_batches_are_no_records() {
    let log = [
        batch(Codec::None, 0, &ONE),
        marker(1, 1, 7),
        marker(2, 0, 8),
        marker(3, 9, 8),
        batch(Codec::None, 4, &ONE),
    ];
    let sets = decode(log.concat());
    assert_complete(&sets);
    assert_eq!((offsets(&sets), sets.next_offset), (vec![0, 4], 5));
    // Compaction takes a marker's record out, at last.
    let gone = of_producer(emptied(0, 0), 0x30, 7);
    assert_eq!(decode(gone).next_offset, 1);
}

#[test]
fn aborted_batches_are_left_out_without_being_unpacked() {
    let transactional = |codec: Codec, base, producer| {
        let bytes = batch(codec, base, &GOLDEN);
        let codec = bytes[ATTRIBUTES];
        of_producer(bytes, codec | 0x10, producer)
    };
    let mut broken = transactional(Codec::Zstd, 6, 7);
    broken[61..65].fill(0);
    let log = [
        transactional(Codec::Zstd, 0, 8),
        with_checksums(broken),
        marker(12, 0, 7),
        transactional(Codec::Gzip, 13, 7),
        marker(19, 1, 7),
        marker(20, 1, 8),
        transactional(Codec::None, 21, 8),
    ]
    .concat();
    let committed = |last_stable_offset| Isolation::ReadCommitted {
        aborted: AbortedTransactions::new(vec![(7, 6)]),
        last_stable_offset,
    };
    let sets = Decoder::new().decode(&log.clone().into(), 2, committed(21));
    assert_complete(&sets);
    assert_eq!(offsets(&sets), (2..6).chain(13..19).collect::<Vec<_>>());
    assert_eq!(sets.next_offset, 21);
    // Within a batch, where no broker puts it, and not said.
    let sets = Decoder::new().decode(&log.clone().into(), 2, committed(15));
    assert_eq!((sets.iter().last().unwrap().offset, sets.next_offset), (14, 15));
    let sets = Decoder::new().decode(&log.clone().into(), 2, committed(-1));
    assert_eq!((sets.iter().last().unwrap().offset, sets.next_offset), (26, 27));
    let (offset, defect) = (6, Defect::Compression);
    assert_eq!(decode(log).end, End::Bad(BadBatch { offset, defect }));
}

#[test]
fn an_answer_may_be_cut_at_every_byte() {
    let parts = [
        batch(Codec::None, 0, &GOLDEN),
        message(0, 0, 6, GOLDEN[0]),
        message(1, 0, 7, GOLDEN[1]),
        set(
            1,
            Codec::Lz4,
            9,
            &[message(1, 0, 0, GOLDEN[2]), message(1, 0, 1, GOLDEN[3])],
        ),
        batch(Codec::Zstd, 10, &GOLDEN),
        marker(16, 1, 7),
        batch(Codec::Gzip, 17, &GOLDEN),
    ];
    let nexts = [6, 7, 8, 10, 16, 17, 23];
    let ends: Vec<usize> = parts
        .iter()
        .scan(0, |end, part| {
            *end += part.len();
            Some(*end)
        })
        .collect();
    let log: Bytes = parts.concat().into();
    let whole = decode(log.clone());
    assert_complete(&whole);
    for cut in 0..log.len() {
        let sets = decode(log.slice(..cut));
        let parts = ends.iter().filter(|end| **end <= cut).count();
        let next = parts.checked_sub(1).map_or(0, |last| nexts[last]);
        assert_eq!(sets.next_offset, next, "{cut}");
        let expected = whole.iter().filter(|record| record.offset < next);
        assert!(sets.iter().eq(expected), "{cut}");
        let is_whole = cut == 0 || ends.contains(&cut);
        assert_eq!(sets.end, if is_whole { End::Complete } else { End::Cut }, "{cut}");
    }
}

#[test]
fn what_comes_before_a_bad_batch_is_read() {
    let mut bad = batch(Codec::Gzip, 6, &GOLDEN);
    *bad.last_mut().unwrap() ^= 1;
    let log = [batch(Codec::Lz4, 0, &GOLDEN), bad, batch(Codec::None, 12, &GOLDEN)].concat();
    let sets = decode(log);
    let (offset, defect) = (6, Defect::Checksum);
    assert_eq!(sets.end, End::Bad(BadBatch { offset, defect }));
    assert_eq!((pairs(&sets), sets.next_offset), (GOLDEN.to_vec(), 6));
    let bad = BadBatch { offset, defect };
    assert_eq!(
        bad.to_string(),
        "the batch at offset 6 cannot be read: its checksum is wrong"
    );
}
