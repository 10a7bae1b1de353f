//! What this folder reads from others, for the fuzz targets (see `crate::fuzzing`).

use std::collections::{BTreeSet, HashMap};

use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeGroupsResponse, FetchResponse, FindCoordinatorResponse, HeartbeatResponse,
    JoinGroupResponse, LeaveGroupResponse, ListOffsetsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetFetchResponse, SaslAuthenticateResponse, SaslHandshakeResponse, SyncGroupResponse,
};

use crate::broker::connection::bounds::{self, Answer, SaslAuthenticateV0};
use crate::broker::group::range_assignor;
use crate::broker::transport::crate_kafka::{batch_header, unpack};

/// Members of a group that say this of themselves: each partition goes to one that wants its topic.
pub fn group_metadata(counts: &HashMap<String, i32>, members: &[&[u8]]) {
    let _: Vec<_> = members
        .iter()
        .map(|bytes| (range_assignor::user_data(bytes), range_assignor::read_assignment(bytes)))
        .collect();
    let topics = members
        .iter()
        .map(|bytes| range_assignor::subscribed_topics(bytes))
        .enumerate();
    let members: Vec<(String, BTreeSet<&str>)> = topics.map(|(id, topics)| (id.to_string(), topics)).collect();
    let assignments = range_assignor::assign(&members, counts);
    for (topic, count) in counts {
        let subscribed = members.iter().filter(|(_, topics)| topics.contains(topic.as_str()));
        let assigned = subscribed.clone().flat_map(|(id, _)| &assignments[id]);
        let mut partitions: Vec<i32> = assigned
            .filter(|at| *at.topic == **topic)
            .map(|at| at.partition)
            .collect();
        partitions.sort_unstable();
        let all = if subscribed.count() > 0 { 0..*count } else { 0..0 };
        assert!(partitions.iter().copied().eq(all), "{topic}: {partitions:?} of {count}");
    }
    for assignment in assignments.values() {
        let written = range_assignor::write_assignment(assignment);
        let back = range_assignor::read_assignment(&written).expect("what is written is read");
        assert_eq!(back.len(), assignment.len());
    }
}

/// An answer of this kind.
pub fn answer(kind: u8, bytes: &[u8]) {
    fn read<R: Answer>(mut bytes: &[u8]) {
        if bounds::are_kept::<R>(bytes) {
            let _ = R::decode(&mut bytes, R::VERSION);
        }
    }
    const KINDS: [fn(&[u8]); 15] = [
        read::<ApiVersionsResponse>,
        read::<MetadataResponse>,
        read::<ListOffsetsResponse>,
        read::<FetchResponse>,
        read::<FindCoordinatorResponse>,
        read::<JoinGroupResponse>,
        read::<SyncGroupResponse>,
        read::<HeartbeatResponse>,
        read::<LeaveGroupResponse>,
        read::<DescribeGroupsResponse>,
        read::<OffsetCommitResponse>,
        read::<OffsetFetchResponse>,
        read::<SaslHandshakeResponse>,
        read::<SaslAuthenticateResponse>,
        read::<SaslAuthenticateV0>,
    ];
    KINDS[usize::from(kind) % KINDS.len()](bytes);
}

/// A message of the old format, and batches of today's.
pub fn batch(bytes: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let mut left = LIMIT;
    let _ = unpack::look(bytes, &mut left);
    assert!(left <= LIMIT);
    let _ = batch_header::find(bytes, 0);
}
