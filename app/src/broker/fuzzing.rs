//! What this folder reads from others, for the fuzz targets (see `crate::fuzzing`).

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeGroupsResponse, FetchResponse, FindCoordinatorResponse, HeartbeatResponse,
    JoinGroupResponse, LeaveGroupResponse, ListOffsetsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetFetchResponse, ProduceResponse, SaslAuthenticateResponse, SaslHandshakeResponse, SyncGroupResponse,
};

use crate::broker::connection::bounds::{self, Answer, SaslAuthenticateV0};
use crate::broker::connection::fetch_v0::FetchV0Response;
use crate::broker::connection::scram;
use crate::broker::group::range_assignor;
use crate::broker::transport::crate_kafka::{batch_header, unpack};
use crate::broker::transport::native;
use crate::broker::transport::native::record_batch;
use crate::broker::transport::native::record_batch::codec::Codec;
use crate::broker::transport::native::record_batch::decode::Decoder;
use crate::broker::transport::native::record_batch::encode::Encoder;
use crate::broker::transport::native::record_batch::transactions::Isolation;

/// Members of a group that say this of themselves: each partition goes to one that wants its topic.
pub(crate) fn group_metadata(counts: &HashMap<String, i32>, members: &[&[u8]]) {
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
pub(crate) fn answer(kind: u8, bytes: &[u8]) {
    fn read<R: Answer>(mut bytes: &[u8]) {
        if bounds::are_kept::<R>(bytes) {
            let _ = R::decode(&mut bytes, R::VERSION);
        }
    }
    // In the version that comes first.
    fn read_in<R: Answer, const OLDEST: i16, const NEWEST: i16>(bytes: &[u8]) {
        let Some((&version, mut bytes)) = bytes.split_first() else {
            return;
        };
        let version = OLDEST + i16::from(version) % (NEWEST - OLDEST + 1);
        if bounds::are_kept_in::<R>(version, bytes) {
            let _ = R::decode(&mut bytes, version);
        }
    }
    // The same with the header before it, as it comes.
    fn read_behind_header<R: Answer, const OLDEST: i16, const NEWEST: i16>(bytes: &[u8]) {
        let Some((&version, answer)) = bytes.split_first() else {
            return;
        };
        let in_version = OLDEST + i16::from(version) % (NEWEST - OLDEST + 1);
        if let Some(start) = bounds::behind_header::<R>(in_version, answer) {
            read_in::<R, OLDEST, NEWEST>(&[&[version], &answer[start..]].concat());
        }
    }
    const KINDS: [fn(&[u8]); 26] = [
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
        read_in::<MetadataResponse, 0, 12>,
        read_in::<ProduceResponse, 3, 12>,
        read_in::<ListOffsetsResponse, 1, 8>,
        read_in::<FetchResponse, 4, 12>,
        read::<FetchV0Response>,
        read_behind_header::<MetadataResponse, 0, 12>,
        read_behind_header::<ProduceResponse, 3, 12>,
        read_behind_header::<ListOffsetsResponse, 1, 8>,
        read_behind_header::<FetchResponse, 4, 12>,
        native::fuzzing::fetch_answer,
        native::fuzzing::api_versions,
    ];
    KINDS[usize::from(kind) % KINDS.len()](bytes);
}

/// What a server says in a login, first and last, with a line between.
pub(crate) fn login(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    scram::server_messages(line(), line());
}

/// A message of the old format, and batches of today's.
pub(crate) fn batch(bytes: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let mut left = LIMIT;
    let _ = unpack::look(bytes, &mut left);
    assert!(left <= LIMIT);
    let _ = batch_header::find(bytes, 0);
}

/// Batches and messages of the log's formats.
pub(crate) fn record_sets(bytes: &[u8]) {
    record_batch::fuzzing::record_sets(bytes);
}

/// Writes a batch, its codec by its number: for the micro-benchmark.
pub fn encode_batch<'a>(
    codec: usize,
    records: impl IntoIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
    out: &mut Vec<u8>,
) {
    Encoder::new(Codec::ALL[codec]).encode(records, -1, out);
}

/// Reads batches, and sums the lengths of their keys and values: for the micro-benchmark.
pub fn decode_batches(answer: &Bytes) -> usize {
    let sets = Decoder::new().decode(answer, 0, Isolation::ReadUncommitted);
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    sets.iter()
        .map(|record| length(record.key) + length(record.value))
        .sum()
}
