use super::*;

const LIES: [&[u8]; 6] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff; 4],
    &[0x80, 0, 0, 0],
    &[0x7f, 0xff],
    &[0, 0x10],
    &[0xff, 0xff, 0xff, 0x7f],
];

/// An answer of this layout and version, with so many entries in each list.
fn sample(layout: &[Field], version: i16, is_flexible: bool, entries: u8, bytes: &mut Vec<u8>) {
    for field in layout {
        match field {
            Fixed(count) => bytes.resize(bytes.len() + count, 0),
            Text if is_flexible => bytes.extend([4, b'o', b'n', b'e']),
            Bytes if is_flexible => bytes.extend([5, 1, 2, 3, 4]),
            Text => bytes.extend([0, 3, b'o', b'n', b'e']),
            Bytes => bytes.extend([0, 0, 0, 4, 1, 2, 3, 4]),
            List(layout) => {
                if is_flexible {
                    bytes.push(entries + 1);
                } else {
                    bytes.extend([0, 0, 0, entries]);
                }
                (0..entries).for_each(|_| sample(layout, version, is_flexible, entries, bytes));
            }
            In(from, to, layout) if (*from..=*to).contains(&version) => {
                sample(layout, version, is_flexible, entries, bytes);
            }
            Tags(known) if is_flexible => {
                let known = if entries > 0 { *known } else { &[] };
                // And one that nobody knows.
                bytes.push(known.len() as u8 + 1);
                for (tag, layout) in known {
                    let mut value = Vec::new();
                    sample(layout, version, is_flexible, entries, &mut value);
                    bytes.extend([*tag as u8, value.len() as u8]);
                    bytes.extend(value);
                }
                bytes.extend([99, 2, 7, 7]);
            }
            In(..) | Tags(_) => {}
        }
    }
}

/// A layout is that of the decoder: both find the same end. Of an answer that is cut, or has
/// another number in some place, nothing comes but an answer or none: had the decoder been shown
/// it, this process would have been ended.
fn check<R: Answer>(versions: std::ops::RangeInclusive<i16>) {
    for version in versions {
        for entries in [0, 1, 3] {
            check_sample::<R>(version, entries);
        }
    }
}

fn check_sample<R: Answer>(version: i16, entries: u8) {
    let mut bytes = Vec::new();
    sample(R::LAYOUT, version, version >= R::FLEXIBLE, entries, &mut bytes);
    assert!(are_kept_in::<R>(version, &bytes), "{:?} {version}", R::API);
    let mut rest = &bytes[..];
    assert!(R::decode(&mut rest, version).is_ok(), "{:?} {version}", R::API);
    assert!(rest.is_empty(), "{:?} {version} leaves {} bytes", R::API, rest.len());
    for cut in 0..bytes.len() {
        let cut_off = &bytes[..cut];
        assert!(
            !are_kept_in::<R>(version, cut_off),
            "{cut} bytes of {:?} {version}",
            R::API
        );
    }
    for at in 0..bytes.len() {
        for lie in LIES {
            let mut bytes = bytes.clone();
            bytes[at..].iter_mut().zip(lie).for_each(|(byte, lie)| *byte = *lie);
            if are_kept_in::<R>(version, &bytes) {
                let _ = R::decode(&mut &bytes[..], version);
            }
        }
    }
}

#[test]
fn layouts_are_those_of_the_decoders_and_lies_in_answers_cost_nothing() {
    check::<ApiVersionsResponse>(0..=0);
    check::<MetadataResponse>(0..=12);
    check::<ProduceResponse>(3..=12);
    check::<ListOffsetsResponse>(1..=7);
    check::<FetchResponse>(4..=12);
    check::<FetchV0Response>(0..=0);
    check::<FindCoordinatorResponse>(0..=0);
    check::<JoinGroupResponse>(0..=0);
    check::<SyncGroupResponse>(0..=0);
    check::<HeartbeatResponse>(0..=0);
    check::<LeaveGroupResponse>(0..=0);
    check::<DescribeGroupsResponse>(0..=0);
    check::<OffsetCommitResponse>(2..=2);
    check::<OffsetFetchResponse>(1..=1);
    check::<SaslHandshakeResponse>(1..=1);
    check::<SaslAuthenticateResponse>(1..=1);
    check::<SaslAuthenticateV0>(0..=0);
}

#[test]
fn an_answer_has_no_more_entries_than_a_cluster() {
    let mut bytes = vec![0, 0];
    bytes.extend((MOST_ENTRIES as i32 + 1).to_be_bytes());
    bytes.resize(6 + (MOST_ENTRIES + 1) * 6, 0);
    assert!(!are_kept::<ApiVersionsResponse>(&bytes));
    bytes[2..6].copy_from_slice(&(MOST_ENTRIES as i32).to_be_bytes());
    assert!(are_kept::<ApiVersionsResponse>(&bytes));
}
