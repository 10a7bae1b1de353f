use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::*;
use crate::broker::transport::native::record_batch::encode::largest_size;

type OwnedPair = (Option<Vec<u8>>, Option<Vec<u8>>);

fn random_pairs(random: &mut Random, memory: &[u8]) -> Vec<OwnedPair> {
    let mut piece = |most: usize| match random.below(8) {
        0 => None,
        1 => Some(Vec::new()),
        _ => {
            let from = random.below(memory.len() - most);
            Some(memory[from..from + random.below(most)].to_vec())
        }
    };
    let large = memory.len() - 1;
    (0..1 + memory.len() % 97)
        .map(|i| (piece(100), piece(if i % 50 == 3 { large } else { 300 })))
        .collect()
}

#[test]
fn what_is_written_is_read_in_every_codec_and_is_no_larger_than_was_said() {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let mut random = Random(seed);
    for round in 0..60 {
        let alphabet = [1, 2, 20, 256][round % 4];
        let length = 400 + random.below(70_000);
        let memory: Vec<u8> = (0..length).map(|_| random.below(alphabet) as u8).collect();
        let owned = random_pairs(&mut random, &memory);
        let written: Vec<Pair<'_>> = owned
            .iter()
            .map(|(key, value)| (key.as_deref(), value.as_deref()))
            .collect();
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let bytes = written.iter().map(|&(key, value)| length(key) + length(value)).sum();
        let mut together = Vec::new();
        for (i, codec) in Codec::ALL.into_iter().enumerate() {
            let base = (i * written.len()) as i64;
            let one = batch(codec, base, &written);
            assert!(
                one.len() <= largest_size(written.len(), bytes),
                "seed {seed}, {codec:?}"
            );
            let sets = decode_from(one.clone(), base);
            assert_complete(&sets);
            assert_eq!(pairs(&sets), written, "seed {seed}, {codec:?}");
            together.extend(one);
        }
        let sets = decode(together);
        assert_complete(&sets);
        assert_eq!(pairs(&sets), written.repeat(Codec::ALL.len()), "seed {seed}");
        assert!(offsets(&sets).into_iter().eq(0..sets.next_offset));
    }
}

#[test]
fn an_encoder_goes_on_behind_what_is_there() {
    let mut encoder = Encoder::new(Codec::Zstd);
    let mut out = Vec::new();
    encoder.encode(GOLDEN, 1, &mut out);
    let first = out.clone();
    encoder.encode(GOLDEN, 1, &mut out);
    assert_eq!(out, first.repeat(2));
}

#[test]
fn what_does_not_get_smaller_goes_as_it_is() {
    let mut random = Random(1);
    let noise: Vec<u8> = (0..1000).map(|_| random.next() as u8).collect();
    let pair = [(None, Some(&noise[..]))];
    for codec in Codec::ALL {
        assert_eq!(batch(codec, 0, &pair), batch(Codec::None, 0, &pair), "{codec:?}");
    }
}

#[test]
fn plain_records_lend_from_the_answer_and_compressed_ones_from_one_buffer() {
    let answer: Bytes = [batch(Codec::None, 0, &GOLDEN), batch(Codec::Gzip, 6, &GOLDEN)]
        .concat()
        .into();
    let sets = decode(answer.clone());
    let within = |place: usize, memory: &[u8]| memory.as_ptr_range().contains(&sets.get(place).value.unwrap().as_ptr());
    assert!((0..12).filter(|i| i % 6 == 0).all(|i| within(i, &answer) == (i < 6)));
    assert_eq!(sets.batches.len(), 2);
    assert_eq!(
        sets.iter_range(4..8).map(|record| record.offset).collect::<Vec<_>>(),
        [4, 5, 6, 7]
    );
    assert_eq!(sets.iter().rev().map(|record| record.offset).next(), Some(11));
}

#[test]
fn another_library_reads_what_is_written() {
    let mut answer: Bytes = batch(Codec::None, 7, &GOLDEN).into();
    let sets = RecordBatchDecoder::decode_all(&mut answer).unwrap();
    let records: Vec<&Record> = sets.iter().flat_map(|set| &set.records).collect();
    let read: Vec<Pair<'_>> = records
        .iter()
        .map(|record| (record.key.as_deref(), record.value.as_deref()))
        .collect();
    assert_eq!(read, GOLDEN);
    assert!(records.iter().map(|record| record.offset).eq(7..13));
    assert!(
        records
            .iter()
            .all(|record| record.timestamp == 1_700_000_000_000 && record.producer_id == -1)
    );
}

#[test]
fn what_another_library_writes_is_read_with_its_headers_passed_over() {
    let record = |(i, (key, value)): (usize, Pair<'_>)| Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: 12,
        producer_epoch: 1,
        timestamp_type: TimestampType::Creation,
        offset: 5 + i as i64,
        sequence: i as i32,
        timestamp: 1_700_000_000_000 + 1000 * i as i64,
        key: key.map(Bytes::copy_from_slice),
        value: value.map(Bytes::copy_from_slice),
        headers: IndexMap::from([("one".into(), Some(Bytes::from_static(b"1"))), ("none".into(), None)]),
    };
    let records: Vec<Record> = GOLDEN.into_iter().enumerate().map(record).collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut out = bytes::BytesMut::new();
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    let sets = decode(out.freeze());
    assert_complete(&sets);
    assert_eq!(pairs(&sets), GOLDEN);
    assert_eq!(offsets(&sets), [5, 6, 7, 8, 9, 10]);
    let batch = &sets.batches[0];
    assert_eq!(
        (batch.producer_id, batch.transactional, batch.leader_epoch),
        (12, true, 3)
    );
}
