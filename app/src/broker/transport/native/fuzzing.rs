//! Arbitrary bytes for what this client makes of answers, for the fuzz targets (see
//! `crate::fuzzing`).

use kafka_protocol::messages::{
    ApiVersionsResponse, FetchResponse, ListOffsetsResponse, MetadataResponse, ProduceResponse,
};
use kafka_protocol::protocol::Decodable;

use crate::broker::connection::bounds;
use crate::broker::fetched_partition::FetchPosition;
use crate::broker::transport::requests::IsolationLevel;
use crate::model::TopicPartition;

use super::answer::{self, Answered};
use super::record_batch::decode::Decoder;
use super::versions::{Negotiated, Versions};

/// What one answer may unpack to.
const LIMIT: usize = 1 << 20;

/// A Fetch answer; its version comes first, then the offset that was asked for.
pub(crate) fn fetch_answer(bytes: &[u8]) {
    let [version, offset, body @ ..] = bytes else { return };
    let version = FetchResponse::OURS.start() + i16::from(*version) % FetchResponse::OURS.count() as i16;
    let mut body = body;
    if !bounds::are_kept_in::<FetchResponse>(version, body) {
        return;
    }
    let Ok(answer) = FetchResponse::decode(&mut body, version) else {
        return;
    };
    let mut decoder = Decoder::new();
    decoder.begin_answer_within(LIMIT);
    for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        let position = FetchPosition {
            at: TopicPartition::new("t", data.partition_index),
            offset: i64::from(*offset),
        };
        for level in [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted] {
            match answer::read(&mut decoder, &position, level, data.clone()) {
                Answered::Records { sets, end } => {
                    assert!(position.offset <= sets.next_offset && sets.next_offset <= end);
                    let within = |offset| (position.offset..sets.next_offset).contains(&offset);
                    assert!(sets.iter().all(|record| within(record.offset)));
                }
                Answered::Nothing { end } => assert!(end > position.offset),
                _ => {}
            }
        }
    }
}

/// What a broker says that it can be asked: what is chosen is what this client reads.
pub(crate) fn api_versions(bytes: &[u8]) {
    let mut body = bytes;
    if !bounds::are_kept::<ApiVersionsResponse>(bytes) {
        return;
    }
    let Ok(versions) = ApiVersionsResponse::decode(&mut body, 0).map(|answer| Versions::of(&answer)) else {
        return;
    };
    let Ok(versions) = versions else { return };
    fn choose<R: Negotiated>(versions: &Versions) {
        if let Ok(version) = versions.choose::<R>() {
            assert!(R::OURS.contains(&version), "{version}");
        }
    }
    choose::<MetadataResponse>(&versions);
    choose::<ProduceResponse>(&versions);
    choose::<FetchResponse>(&versions);
    choose::<ListOffsetsResponse>(&versions);
}
