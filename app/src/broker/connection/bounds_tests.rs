use super::*;

const LIES: [&[u8]; 5] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff; 4],
    &[0x80, 0, 0, 0],
    &[0x7f, 0xff],
    &[0, 0x10],
];

/// An answer of this layout, with so many entries in each list.
fn sample(layout: &[Field], entries: u8, bytes: &mut Vec<u8>) {
    for field in layout {
        match field {
            Fixed(count) => bytes.resize(bytes.len() + count, 0),
            Text => bytes.extend([0, 3, b'o', b'n', b'e']),
            Bytes => bytes.extend([0, 0, 0, 4, 1, 2, 3, 4]),
            List(layout) => {
                bytes.extend([0, 0, 0, entries]);
                (0..entries).for_each(|_| sample(layout, entries, bytes));
            }
        }
    }
}

/// A layout is that of the decoder: both find the same end. Of an answer that is cut, or has
/// another number in some place, nothing comes but an answer or none: had the decoder been shown
/// it, this process would have been ended.
fn check<R: Answer>() {
    for entries in [0, 1, 3] {
        let mut bytes = Vec::new();
        sample(R::LAYOUT, entries, &mut bytes);
        assert!(are_kept::<R>(&bytes), "{:?}", R::API);
        let mut rest = &bytes[..];
        assert!(R::decode(&mut rest, R::VERSION).is_ok(), "{:?}", R::API);
        assert!(rest.is_empty(), "{:?} leaves {} bytes", R::API, rest.len());
        for cut in 0..bytes.len() {
            assert!(!are_kept::<R>(&bytes[..cut]), "{cut} bytes of {:?}", R::API);
        }
        for at in 0..bytes.len() {
            for lie in LIES {
                let mut bytes = bytes.clone();
                bytes[at..].iter_mut().zip(lie).for_each(|(byte, lie)| *byte = *lie);
                if are_kept::<R>(&bytes) {
                    let _ = R::decode(&mut &bytes[..], R::VERSION);
                }
            }
        }
    }
}

#[test]
fn layouts_are_those_of_the_decoders_and_lies_in_answers_cost_nothing() {
    check::<ApiVersionsResponse>();
    check::<MetadataResponse>();
    check::<ListOffsetsResponse>();
    check::<FetchResponse>();
    check::<FindCoordinatorResponse>();
    check::<JoinGroupResponse>();
    check::<SyncGroupResponse>();
    check::<HeartbeatResponse>();
    check::<LeaveGroupResponse>();
    check::<DescribeGroupsResponse>();
    check::<OffsetCommitResponse>();
    check::<OffsetFetchResponse>();
    check::<SaslHandshakeResponse>();
    check::<SaslAuthenticateResponse>();
    check::<SaslAuthenticateV0>();
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
