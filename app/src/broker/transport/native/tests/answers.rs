//! What a broker says.

use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, MetadataResponse, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::server::Reply;
use crate::broker::transport::native::record_batch::codec::Codec;
use crate::broker::transport::native::record_batch::encode::Encoder;

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

/// The topic `t`, whose partitions are all led by the broker on this port, in these epochs; one of
/// -1 has no leader.
pub(super) fn metadata(port: u16, epochs: &[i32]) -> Reply {
    let broker = MetadataResponseBroker::default()
        .with_node_id(1.into())
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(port.into());
    let partitions = epochs.iter().enumerate().map(|(i, &epoch)| {
        MetadataResponsePartition::default()
            .with_partition_index(i as i32)
            .with_leader_id(if epoch < 0 { -1 } else { 1 }.into())
            .with_leader_epoch(epoch)
    });
    let topic = MetadataResponseTopic::default()
        .with_name(Some(name()))
        .with_partitions(partitions.collect());
    Reply::Metadata(
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_topics(vec![topic]),
    )
}

pub(super) fn fetched(partitions: Vec<PartitionData>) -> Reply {
    let topic = FetchableTopicResponse::default()
        .with_topic(name())
        .with_partitions(partitions);
    Reply::Fetch(FetchResponse::default().with_responses(vec![topic]))
}

/// What a broker says to one who is over a quota, for so many milliseconds.
pub(super) fn throttled(time: i32) -> Reply {
    Reply::Fetch(FetchResponse::default().with_throttle_time_ms(time))
}

/// A partition whose log goes on to an end, with these bytes.
pub(super) fn partition(index: i32, end: i64, records: Vec<u8>) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_log_start_offset(0)
        .with_preferred_read_replica((-1).into())
        .with_records(Some(records.into()))
}

pub(super) fn refused(index: i32, code: i16) -> PartitionData {
    partition(index, -1, Vec::new()).with_error_code(code)
}

/// A batch of these values from an offset on, written in a leader's epoch.
pub(super) fn batch(offset: i64, epoch: i32, values: &[Option<&str>]) -> Vec<u8> {
    let mut batch = Vec::new();
    let records = values.iter().map(|value| (Some(&b"k"[..]), value.map(str::as_bytes)));
    Encoder::new(Codec::None).encode(records, -1, &mut batch);
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.to_be_bytes());
    batch
}

/// First offset and code of each partition.
pub(super) fn produced(partitions: &[(i32, i64, i16)]) -> Reply {
    let partitions = partitions.iter().map(|&(index, base_offset, code)| {
        PartitionProduceResponse::default()
            .with_index(index)
            .with_base_offset(base_offset)
            .with_error_code(code)
    });
    let topic = TopicProduceResponse::default()
        .with_name(name())
        .with_partition_responses(partitions.collect());
    Reply::Produce(ProduceResponse::default().with_responses(vec![topic]))
}

/// Offset and code of each partition.
pub(super) fn offsets(partitions: &[(i32, i64, i16)]) -> Reply {
    let partitions = partitions.iter().map(|&(index, offset, code)| {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(index)
            .with_offset(offset)
            .with_error_code(code)
    });
    let topic = ListOffsetsTopicResponse::default()
        .with_name(name())
        .with_partitions(partitions.collect());
    Reply::ListOffsets(ListOffsetsResponse::default().with_topics(vec![topic]))
}
