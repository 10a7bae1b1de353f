use super::*;
use crate::broker::transport::native::record_batch::defect::{BadBatch, Defect};
use crate::broker::transport::native::record_batch::encode::HEADER;
use crate::broker::transport::native::record_batch::fuzzing;
use crate::broker::transport::native::record_batch::varint;

/// Batches and messages in all formats and codecs.
fn all_kinds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Codec::ALL.iter().map(|codec| batch(*codec, 3, &GOLDEN)).collect();
    for magic in [0, 1] {
        all.push(message(magic, 0, 3, GOLDEN[0]));
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            all.push(set(
                magic,
                codec,
                4,
                &[message(magic, 0, 3, GOLDEN[2]), message(magic, 0, 4, GOLDEN[4])],
            ));
        }
    }
    all
}

fn defect(sets: &RecordSets) -> Option<Defect> {
    match sets.end {
        End::Bad(BadBatch { defect, .. }) => Some(defect),
        _ => None,
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    for one in all_kinds() {
        // Not checked: a batch's offset and leader's epoch, and what a length makes of it.
        let checked = if one[16] == 2 { 17 } else { 12 };
        for at in (checked..one.len()).filter(|at| *at != 16) {
            for bit in 0..8 {
                let mut bytes = one.clone();
                bytes[at] ^= 1 << bit;
                assert_eq!(defect(&decode(bytes)), Some(Defect::Checksum), "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn any_byte_may_be_anything_under_a_right_checksum() {
    for one in all_kinds() {
        for at in 0..one.len() {
            for byte in [
                0,
                1,
                2,
                3,
                0x7e,
                0x7f,
                0x80,
                0xfe,
                0xff,
                one[at] ^ 0x10,
                one[at].wrapping_add(1),
            ] {
                let mut bytes = vec![1 | (at as u8) << 3];
                bytes.extend(&one);
                bytes[1 + at] = byte;
                fuzzing::record_sets(&bytes);
            }
        }
    }
}

#[test]
fn lengths_and_counts_are_claims() {
    const LIES: [i32; 8] = [i32::MIN, -2, -1, 0, 1, 0xffff, 1 << 24, i32::MAX];
    for one in all_kinds() {
        for at in 0..one.len() - 4 {
            for lie in LIES {
                let mut bytes = vec![1 | (at as u8) << 3];
                bytes.extend(&one);
                bytes[1 + at..1 + at + 4].copy_from_slice(&lie.to_be_bytes());
                fuzzing::record_sets(&bytes);
            }
        }
    }
    let one = batch(Codec::None, 3, &GOLDEN);
    for lie in LIES {
        let sets = decode(changed(one.clone(), 57, lie.to_be_bytes()));
        assert_eq!(
            (defect(&sets), sets.len()),
            (Some(Defect::Malformed), 0),
            "{lie} records"
        );
    }
}

#[test]
fn numbers_in_records_are_claims() {
    let lies = [
        i64::MIN,
        i64::from(i32::MIN),
        -2,
        1000,
        i64::from(i32::MAX),
        1 << 40,
        i64::MAX,
    ];
    // Length, time, offset, key's and value's length, before a key and a value of three bytes each.
    let usual = [13, 0, 0, 3, 3];
    for (field, lie) in (0..usual.len()).flat_map(|field| lies.map(|lie| (field, lie))) {
        let mut numbers = usual;
        numbers[field] = lie;
        let mut body = Vec::new();
        let put = |body: &mut Vec<u8>, number| {
            let mut bytes = [0; varint::LONGEST];
            let end = varint::write(&mut bytes, 0, number);
            body.extend_from_slice(&bytes[..end]);
        };
        let [length, time, offset, key, value] = numbers;
        put(&mut body, length);
        body.push(0);
        put(&mut body, time);
        put(&mut body, offset);
        put(&mut body, key);
        body.extend(b"key");
        put(&mut body, value);
        body.extend(b"val");
        body.push(0);
        if field != 0 {
            body[0] = ((body.len() - 1) * 2) as u8;
        }
        let mut bytes = batch(Codec::None, 3, &GOLDEN[..1]);
        bytes.truncate(HEADER);
        bytes.extend(&body);
        let length = (bytes.len() - 12) as i32;
        let sets = decode(changed(bytes, 8, length.to_be_bytes()));
        let expected = match field {
            1 => None,
            2 => Some(Defect::Offsets),
            _ => Some(Defect::Malformed),
        };
        assert_eq!(defect(&sets), expected, "{lie} for field {field}");
    }
}

/// A record of three bytes in its key and three in its value, with these headers and what is behind
/// them.
fn with_headers(headers: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 6];
    body.extend(b"key\x06val");
    body.extend(headers);
    let mut bytes = batch(Codec::None, 3, &GOLDEN[..1]);
    bytes.truncate(HEADER);
    bytes.push((body.len() * 2) as u8);
    bytes.extend(body);
    let length = (bytes.len() - 12) as i32;
    changed(bytes, 8, length.to_be_bytes())
}

#[test]
fn a_record_ends_where_its_headers_end() {
    let well = [
        &b"\x00"[..],
        b"\x02\x02h\x02v",
        b"\x02\x00\x00",
        b"\x04\x02h\x01\x02i\x00",
    ];
    for headers in well {
        let sets = decode(with_headers(headers));
        assert_complete(&sets);
        assert_eq!(pairs(&sets), [(Some(&b"key"[..]), Some(&b"val"[..]))]);
    }
    let broken = [
        &b""[..],
        b"\x00\x00",
        b"\x01",
        b"\x02",
        b"\x02\x02h",
        b"\x02\x01\x00",
        b"\x02\x02h\x03",
        b"\x02\x02h\x04v",
        b"\x02\x02h\x02v\x00",
        b"\x7e\x00\x00",
        b"\xfe\xff\xff\xff\x0f\x00\x00",
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ];
    for headers in broken {
        let sets = decode(with_headers(headers));
        assert_eq!((defect(&sets), sets.len()), (Some(Defect::Malformed), 0), "{headers:?}");
    }
}

/// Where a length or a count of 32 bits stands, in all formats.
fn claims(one: &[u8]) -> Vec<usize> {
    match one[16] {
        2 => vec![8, 57],
        magic => {
            let key = 18 + 8 * usize::from(magic);
            let value = key + 4 + read_i32(one, key).max(0) as usize;
            vec![8, key, value]
        }
    }
}

fn read_i32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn a_length_or_a_count_that_is_not_so_brings_no_record() {
    for one in all_kinds() {
        for at in claims(&one) {
            let claimed = read_i32(&one, at);
            for lie in [claimed + 1, claimed - 1, 0, -2, i32::MIN, i32::MAX] {
                // A set has no key, or an empty one: that is all the same.
                if lie == claimed || (claimed, lie) == (-1, 0) {
                    continue;
                }
                let mut bytes = one.clone();
                bytes[at..at + 4].copy_from_slice(&lie.to_be_bytes());
                // The checksum is right where the length leads into what is there.
                let sets = decode(fuzzing::with_checksums(bytes));
                let is_refused = defect(&sets).is_some() || sets.end == End::Cut;
                // A frame of LZ4 may lack its end, when all records are there.
                let is_all = one[16] == 2 && one[22] == Codec::Lz4.attributes() && pairs(&sets) == GOLDEN;
                assert!(
                    is_all || is_refused && sets.is_empty() && sets.next_offset == 0,
                    "{lie} for {claimed} at {at} of {one:?}"
                );
            }
        }
    }
}

#[test]
fn where_records_stand_takes_memory_too_if_they_are_not_compressed() {
    let nothing = [(None, None)].repeat(100_000);
    let bytes: Bytes = batch(Codec::None, 0, &nothing).into();
    let mut decoder = Decoder::new();
    decoder.begin_answer_within(2 << 20);
    let sets = decoder.decode(&bytes, 0, Isolation::ReadUncommitted);
    assert_eq!(defect(&sets), Some(Defect::TooLarge));
    decoder.begin_answer_within(6 << 20);
    let twice: Bytes = [&bytes[..], &batch(Codec::None, 100_000, &nothing)].concat().into();
    let sets = decoder.decode(&twice, 0, Isolation::ReadUncommitted);
    assert_eq!((sets.end, sets.next_offset), (End::LimitReached, 100_000));
}

#[test]
fn offsets_that_are_not_those_of_a_log_are_refused() {
    let one = batch(Codec::None, 3, &GOLDEN);
    for base in [-1, i64::MIN, i64::MAX, i64::MAX - 5] {
        let sets = decode(changed(one.clone(), 0, base.to_be_bytes()));
        assert_eq!(defect(&sets), Some(Defect::Offsets), "{base}");
    }
    for delta in [-1, i32::MIN, 4] {
        let sets = decode(changed(one.clone(), 23, delta.to_be_bytes()));
        assert_eq!(defect(&sets), Some(Defect::Offsets), "{delta}");
    }
    let back = [one.clone(), batch(Codec::None, 8, &GOLDEN)].concat();
    let sets = decode(back);
    assert_eq!(
        (defect(&sets), sets.next_offset, sets.len()),
        (Some(Defect::Offsets), 9, 6)
    );
    for offset in [-1, i64::MAX] {
        assert_eq!(defect(&decode(message(1, 0, offset, GOLDEN[0]))), Some(Defect::Offsets));
    }
}

#[test]
fn unknown_formats_and_codecs_are_named() {
    for magic in 3..=255 {
        let mut bytes = batch(Codec::None, 3, &GOLDEN);
        bytes[16] = magic;
        assert_eq!(defect(&decode(bytes)), Some(Defect::Magic(magic)));
    }
    for codec in 5..8 {
        let sets = decode(changed(batch(Codec::None, 3, &GOLDEN), 22, [codec]));
        assert_eq!(defect(&sets), Some(Defect::Codec(codec)));
    }
}

#[test]
fn what_unpacks_to_more_than_the_limit_is_refused_in_any_codec() {
    let zeros = vec![0; 4 << 20];
    let large = [(None, Some(&zeros[..]))];
    let mut kinds: Vec<Vec<u8>> = Codec::ALL[1..].iter().map(|codec| batch(*codec, 7, &large)).collect();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
        kinds.push(set(1, codec, 7, &[message(1, 0, 0, large[0])]));
    }
    let mut decoder = Decoder::new();
    let mut read = |answer: &[u8], limit| {
        decoder.begin_answer_within(limit);
        decoder.decode(&Bytes::copy_from_slice(answer), 0, Isolation::ReadUncommitted)
    };
    for bytes in kinds {
        assert_complete(&read(&bytes, (4 << 20) + 200));
        let sets = read(&bytes, 4 << 20);
        let (offset, defect) = (7, Defect::TooLarge);
        assert_eq!((sets.end, sets.len()), (End::Bad(BadBatch { offset, defect }), 0));
        // Behind others it is for the next answer to tell.
        let behind = [batch(Codec::Zstd, 0, &GOLDEN), bytes].concat();
        let sets = read(&behind, 4 << 20);
        assert_eq!((sets.end, sets.len(), sets.next_offset), (End::LimitReached, 6, 6));
    }
}

#[test]
fn records_without_anything_in_them_count_too() {
    let nothing = [(None, None)].repeat(100_000);
    let bytes: Bytes = batch(Codec::Zstd, 0, &nothing).into();
    let mut decoder = Decoder::new();
    decoder.begin_answer_within(2 << 20);
    let sets = decoder.decode(&bytes, 0, Isolation::ReadUncommitted);
    assert_eq!(defect(&sets), Some(Defect::TooLarge));
    decoder.begin_answer();
    assert_eq!(decoder.decode(&bytes, 0, Isolation::ReadUncommitted).len(), 100_000);
}

#[test]
fn what_does_not_unpack_is_refused() {
    for codec in &Codec::ALL[1..] {
        let whole = batch(*codec, 0, &GOLDEN);
        for end in HEADER..whole.len() {
            let bytes = whole[..end].to_vec();
            let sets = decode(changed(bytes, 8, ((end - 12) as i32).to_be_bytes()));
            // A frame of LZ4 may lack its end, when all records are there.
            let is_all = *codec == Codec::Lz4 && pairs(&sets) == GOLDEN;
            let is_refused = defect(&sets).is_some() && sets.is_empty();
            assert!(is_all || is_refused, "{codec:?} cut at {end}");
        }
    }
    // Blocks that claim gigabytes.
    let mut lie = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    lie.extend([0, 0, 0, 6, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    for body in [&lie[..], &lie[20..]] {
        let mut bytes = batch(Codec::Snappy, 0, &GOLDEN);
        bytes.truncate(HEADER);
        bytes.extend(body);
        let length = (bytes.len() - 12) as i32;
        let sets = decode(changed(bytes, 8, length.to_be_bytes()));
        assert_eq!(defect(&sets), Some(Defect::Compression));
    }
}

#[test]
fn bytes_by_chance_are_read_or_refused() {
    let mut random = Random(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1));
    let kinds = all_kinds();
    for _ in 0..3000 {
        let seed = random.0;
        let how = random.next() as u8;
        let mut bytes = vec![how];
        match how & 0x07 {
            0..=3 => {
                for _ in 0..1 + random.below(4) {
                    bytes.extend(&kinds[random.below(kinds.len())]);
                }
                for _ in 0..random.below(6) {
                    let at = 1 + random.below(bytes.len() - 1);
                    bytes[at] = random.next() as u8;
                }
            }
            _ => bytes.extend((0..random.below(60)).map(|_| random.below(20) as u8)),
        }
        let read = std::panic::catch_unwind(|| fuzzing::record_sets(&bytes));
        assert!(read.is_ok(), "seed {seed}: {bytes:?}");
    }
}
