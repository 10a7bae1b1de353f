use super::*;
use crate::broker::transport::native::record_batch::defect::{BadBatch, Defect};

fn value(text: &str) -> Pair<'_> {
    (Some(b"k"), Some(text.as_bytes()))
}

/// The messages of a set that has lost its second to compaction.
fn holed(magic: u8, first: i64) -> Vec<Vec<u8>> {
    [(0, "a"), (2, "c"), (3, "d")]
        .iter()
        .map(|(offset, text)| message(magic, 0, first + offset, value(text)))
        .collect()
}

#[test]
fn offsets_in_a_set_count_from_its_first_message_or_are_the_logs_own() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
        // Relative, and absolute; compaction has taken a message out, and may have taken the first.
        for messages in [holed(1, 0), holed(1, 40), holed(1, 3)] {
            let sets = decode_from(set(1, codec, 43, &messages), 41);
            assert_complete(&sets);
            assert_eq!((offsets(&sets), sets.next_offset), (vec![42, 43], 44));
            assert_eq!(pairs(&sets), [value("c"), value("d")]);
        }
    }
    for messages in [holed(0, 0), holed(0, 40)] {
        let sets = decode(set(0, Codec::Gzip, 43, &messages));
        assert_complete(&sets);
        assert_eq!((offsets(&sets), sets.next_offset), (vec![40, 42, 43], 44));
    }
}

#[test]
fn messages_that_came_alone_lend_from_the_answer_as_one_batch() {
    let messages: Vec<_> = (3..9)
        .map(|offset| message(offset as u8 % 2, 0, offset, value("v")))
        .collect();
    let sets = decode_from(messages.concat(), 5);
    assert_complete(&sets);
    assert_eq!((offsets(&sets), sets.next_offset), (vec![5, 6, 7, 8], 9));
    assert_eq!(sets.batches.len(), 1);
    let between = [
        messages[0].clone(),
        set(1, Codec::Gzip, 7, &holed(1, 0)),
        message(1, 0, 9, value("v")),
    ];
    let sets = decode(between.concat());
    assert_eq!((offsets(&sets), sets.batches.len()), (vec![3, 4, 6, 7, 9], 3));
}

#[test]
fn a_compressed_message_in_a_set_of_format_0_is_a_record_as_it_is() {
    let mut packed = Vec::new();
    let bomb = message(0, 0, 0, value(&"x".repeat(1 << 20)));
    Compressor::new().compress(Codec::Gzip, &bomb, &mut packed);
    for codec in [Codec::Gzip, Codec::Snappy] {
        // As each codec's number stands there, known or not.
        for inner in 1..8 {
            let nested = message(0, inner, 6, (Some(b"k"), Some(&packed)));
            let messages = [message(0, 0, 5, value("a")), nested, message(0, 0, 7, value("b"))];
            let mut decoder = Decoder::new();
            decoder.begin_answer_within(4 << 10);
            let sets = decoder.decode(&set(0, codec, 7, &messages).into(), 5, Isolation::ReadUncommitted);
            assert_complete(&sets);
            assert_eq!((offsets(&sets), sets.next_offset), (vec![5, 6, 7], 8));
            assert_eq!(
                pairs(&sets)[1],
                (Some(&b"k"[..]), Some(&packed[..])),
                "{inner} in {codec:?}"
            );
        }
    }
}

#[test]
fn sets_that_cannot_be_are_refused() {
    let plain = |magic| message(magic, 0, 0, value("v"));
    let nested = set(1, Codec::Gzip, 1, &[plain(1), set(1, Codec::Gzip, 1, &[plain(1)])]);
    let null = message(1, Codec::Gzip.attributes(), 0, (None, None));
    let below_zero = set(1, Codec::Gzip, 3, &holed(1, 2));
    let falling = set(
        1,
        Codec::Gzip,
        9,
        &[message(1, 0, 3, value("v")), message(1, 0, 3, value("v"))],
    );
    let broken = set(1, Codec::Gzip, 0, &[[plain(1), vec![0]].concat()]);
    let mut wrong_inside = plain(1);
    *wrong_inside.last_mut().unwrap() ^= 1;
    let cases = [
        (nested, Defect::Nested),
        (null, Defect::Malformed),
        (below_zero, Defect::Offsets),
        (falling, Defect::Offsets),
        (broken, Defect::Malformed),
        (set(1, Codec::Gzip, 0, &[]), Defect::Malformed),
        (set(1, Codec::Gzip, 0, &[plain(0)]), Defect::Malformed),
        (set(1, Codec::Gzip, 0, &[wrong_inside]), Defect::Checksum),
        (set(1, Codec::Zstd, 0, &[plain(1)]), Defect::Codec(4)),
        (set(0, Codec::Lz4, 0, &[plain(0)]), Defect::Lz4InFormat0),
        (message(1, 7, 0, value("v")), Defect::Codec(7)),
    ];
    for (bad, defect) in cases {
        let offset = i64::from_be_bytes(bad[..8].try_into().unwrap());
        let sets = decode(bad);
        assert_eq!((sets.end, sets.len()), (End::Bad(BadBatch { offset, defect }), 0));
    }
}
