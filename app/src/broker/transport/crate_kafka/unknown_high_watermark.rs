//! Whether a leader still learns how far its log goes: one that has just become it must hear from
//! the other replicas first, and a question in the old version gets too small an offset meanwhile.
//! Brokers of 2.2 and later say so in a newer version.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::model::TopicPartition;

use crate::broker::connection::Connection;
use crate::broker::connection::open::CONNECT_TIMEOUT;
use crate::broker::error::KafkaError;
use crate::broker::transport::crate_kafka::client::Client;

/// Asks for the offset of the next record.
const LATEST: i64 = -1;

/// What the leaders say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HighWatermark {
    /// All of them know.
    Known,
    /// The one of this partition does not.
    Unknown(TopicPartition),
    /// They are too old to tell.
    Untold,
}

impl Client {
    /// Asks the leaders of these partitions. One that does not answer is an error, not one that has
    /// nothing to tell.
    pub(super) fn high_watermark_of_all(&mut self, partitions: &[TopicPartition]) -> Result<HighWatermark, KafkaError> {
        match self.config.versions.get() {
            Some(versions) if versions.tell_unknown_high_watermark() => {}
            Some(_) => return Ok(HighWatermark::Untold),
            None => return Err(KafkaError::passing("the broker has not told yet what it speaks")),
        }
        let leaders = self.leaders(partitions)?;
        let config = &self.config;
        for (at, leader) in partitions.iter().zip(leaders) {
            let knows = match leader {
                Some(host) => {
                    self.deadline.begin(config.limit + CONNECT_TIMEOUT)?;
                    knows(&host, &config.client_id, at, config.limit)
                }
                None => Err(KafkaError::passing("it is not there, or has no leader")),
            };
            if !knows.map_err(|error| error.at(&at.to_string()))? {
                return Ok(HighWatermark::Unknown(at.clone()));
            }
        }
        Ok(HighWatermark::Known)
    }
}

/// Whether a leader knows where its log ends.
fn knows(host: &str, client_id: &str, at: &TopicPartition, limit: Duration) -> Result<bool, KafkaError> {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(at.partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_string(at.topic.to_string())))
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
