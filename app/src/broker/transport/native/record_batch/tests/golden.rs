use std::fs;
use std::path::Path;

use super::*;
use crate::broker::transport::native::record_batch::defect::{BadBatch, Defect};
use crate::broker::transport::native::record_batch::transactions::AbortedTransactions;

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker/transport/native/golden");
    let file = folder.join(name).with_extension("bin");
    fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[test]
fn batches_of_java_and_librdkafka_are_read_in_every_codec() {
    for client in ["java", "librdkafka"] {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let name = format!("{client}-{codec}");
            let sets = decode(golden(&name));
            assert_complete(&sets);
            assert_eq!(pairs(&sets), GOLDEN, "{name}");
            assert_eq!(offsets(&sets), [0, 1, 2, 3, 4, 5], "{name}");
            assert_eq!(sets.next_offset, 6);
            let batch = &sets.batches[0];
            assert_eq!(
                (batch.producer_id, batch.transactional, batch.leader_epoch),
                (-1, false, 0)
            );
        }
    }
}

/// When all golden records were written, by the clients that wrote them.
const WRITTEN: i64 = 1_700_000_000_000;

fn read_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn the_golden_batches_have_the_header_and_the_times_that_the_readme_tells() {
    const LOG_APPEND_TIME: u8 = 0x08;
    // The header's name and value, each behind its length, and behind their number.
    const HEADERS: &[u8] = b"\x02\x0cheader\x18of the first";
    for client in ["java", "librdkafka"] {
        for codec in Codec::ALL {
            let name = format!("{client}-{codec:?}").to_lowercase();
            let bytes = golden(&name);
            assert_eq!(
                bytes[22],
                codec.attributes(),
                "{name}: the writer's time, and this codec"
            );
            assert_eq!([27, 35].map(|at| read_i64(&bytes, at)), [WRITTEN; 2], "{name}");
            let sets = decode(bytes);
            let data = &sets.batches[0].data;
            let with_headers = data.windows(HEADERS.len()).filter(|part| *part == HEADERS);
            assert_eq!(with_headers.count(), 1, "{name}");
        }
    }
    for client in ["java", "python"] {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let name = format!("{client}-v1-{codec:?}").to_lowercase();
            let bytes = golden(&name);
            assert_eq!((bytes[16], bytes[17] & LOG_APPEND_TIME), (1, 0), "{name}");
            assert_eq!(read_i64(&bytes, 18), WRITTEN, "{name}");
        }
    }
}

#[test]
fn sets_of_the_old_formats_are_read_in_every_codec_that_they_have() {
    let files = [
        ("java-v0", &["none", "gzip", "snappy"][..]),
        ("java-v1", &["none", "gzip", "snappy", "lz4"]),
        ("python-v1", &["none", "gzip", "snappy", "lz4"]),
    ];
    for (client, codecs) in files {
        for codec in codecs {
            let name = format!("{client}-{codec}");
            for asked in 0..6 {
                let sets = decode_from(golden(&name), asked);
                assert_complete(&sets);
                assert_eq!(pairs(&sets), GOLDEN[asked as usize..], "{name}");
                assert_eq!(offsets(&sets), (asked..6).collect::<Vec<_>>(), "{name}");
                assert_eq!((sets.next_offset, sets.batches.len()), (6, 1), "{name}");
            }
        }
    }
}

#[test]
fn lz4_of_format_0_is_refused_for_what_it_is() {
    let sets = decode(golden("java-v0-lz4"));
    let (offset, defect) = (5, Defect::Lz4InFormat0);
    assert_eq!(sets.end, End::Bad(BadBatch { offset, defect }));
    assert_eq!((sets.len(), sets.next_offset), (0, 0));
}

#[test]
fn a_log_whose_format_was_raised_is_read_through() {
    let rounds = 7;
    let sets = decode(golden("mixture"));
    assert_complete(&sets);
    assert_eq!(pairs(&sets), GOLDEN.repeat(rounds));
    assert_eq!(offsets(&sets), (0..6 * rounds as i64).collect::<Vec<_>>());
    for asked in 0..42 {
        let sets = decode_from(golden("mixture"), asked);
        assert_complete(&sets);
        assert_eq!(offsets(&sets), (asked..42).collect::<Vec<_>>());
    }
}

/// What the broker's index of transactions says of the log (golden/README.md).
const ABORTED: [(i64, i64); 2] = [(0, 0), (1, 9)];
const LAST_STABLE_OFFSET: i64 = 11;

#[test]
fn aborted_and_open_transactions_are_left_out_and_the_last_stable_offset_is_the_end() {
    let log: Bytes = golden("transactions").into();
    let keys = |sets: &RecordSets| {
        let key = |record: &[u8]| String::from_utf8(record.to_vec()).unwrap();
        sets.iter().map(|record| key(record.key.unwrap())).collect::<String>()
    };
    let all = decode(log.clone());
    assert_complete(&all);
    assert_eq!((&*keys(&all), all.next_offset), ("abcdefghi", 13));
    assert_eq!(offsets(&all), [0, 1, 2, 3, 5, 7, 9, 11, 12]);
    for (asked, expected) in [
        (0, "bcef"),
        (1, "bcef"),
        (2, "cef"),
        (4, "ef"),
        (6, "f"),
        (8, ""),
        (11, ""),
    ] {
        let isolation = Isolation::ReadCommitted {
            aborted: AbortedTransactions::new(ABORTED.to_vec()),
            last_stable_offset: LAST_STABLE_OFFSET,
        };
        let sets = Decoder::new().decode(&log, asked, isolation);
        assert_complete(&sets);
        assert_eq!(
            (&*keys(&sets), sets.next_offset),
            (expected, LAST_STABLE_OFFSET),
            "{asked}"
        );
    }
    let producers: Vec<_> = all
        .batches
        .iter()
        .map(|batch| (batch.producer_id, batch.transactional))
        .collect();
    assert_eq!(producers[..3], [(0, true), (1, true), (-1, false)]);
}
