//! Whether a leader still learns how far its log goes: one that has just become it must hear from the other replicas first, and a
//! question in the old version gets too small an offset meanwhile. Brokers of 2.2 and later say so in a newer version.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::error::Result;
use crate::model::TopicPartition;

use crate::broker::connection::Connection;
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::hosts::CONNECT_TIMEOUT;
use crate::broker::transport::crate_kafka::worker::{self, ClientConfig, Worker};

/// Asks for the offset of the next record.
const LATEST: i64 = -1;

/// What the leaders say.
#[derive(Debug, PartialEq, Eq)]
pub enum HighWatermark {
    /// All of them know.
    Over,
    /// The one of this partition does not.
    Still(i32),
    /// They are too old to tell.
    Untold,
}

/// Asks the leaders of these partitions. One that does not answer is trouble, not one that has nothing to tell.
pub fn of_any(
    config: &Arc<ClientConfig>,
    topic: &str,
    partitions: Vec<i32>,
) -> Result<Result<HighWatermark, KafkaError>> {
    match config.versions.get() {
        Some(versions) if versions.tell_unknown_high_watermark() => {}
        Some(_) => return Ok(Ok(HighWatermark::Untold)),
        None => return Ok(Err(KafkaError::passing("the broker has not told yet what it speaks"))),
    }
    let name = topic.to_string();
    let leaders = Worker::new(config.clone()).call(move |client| {
        let leader = |partition| {
            (
                partition,
                worker::leader(client, &TopicPartition::new(name.as_str(), partition)),
            )
        };
        Ok(partitions.into_iter().map(leader).collect::<Vec<_>>())
    })?;
    let leaders = match leaders {
        Ok(leaders) => leaders,
        Err(trouble) => return Ok(Err(trouble)),
    };
    for (partition, leader) in leaders {
        let (id, name, limit) = (config.client_id.clone(), topic.to_string(), config.limit);
        let at = |trouble: KafkaError| trouble.at(&TopicPartition::new(topic, partition).to_string());
        let Some(host) = leader else {
            return Ok(Err(at(KafkaError::passing("it is not there, or has no leader"))));
        };
        let ask = move || knows(&host, &id, &name, partition, limit);
        match deadline::run_with_deadline(limit + CONNECT_TIMEOUT, &config.stop, ask)? {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(HighWatermark::Still(partition))),
            Err(trouble) => return Ok(Err(at(trouble))),
        }
    }
    Ok(Ok(HighWatermark::Over))
}

/// Whether a leader knows where its log ends.
fn knows(host: &str, client_id: &str, topic: &str, partition: i32, limit: Duration) -> Result<bool, KafkaError> {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_string())))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic]);
    let answer: ListOffsetsResponse = Connection::connect(host, client_id, CONNECT_TIMEOUT)
        .and_then(|mut broker| broker.ask(&request, limit))
        .map_err(|why| KafkaError::from(why).at(host))?;
    match answer.topics.first().and_then(|topic| topic.partitions.first()) {
        Some(answer) if answer.error_code == 0 => Ok(true),
        Some(answer) if answer.error_code == ResponseError::OffsetNotAvailable.code() => Ok(false),
        Some(answer) => Err(KafkaError::code(answer.error_code)),
        None => Err(KafkaError::passing(format!("{host} leaves it out of its answer"))),
    }
}
