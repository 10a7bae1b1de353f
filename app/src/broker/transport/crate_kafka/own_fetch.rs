//! Fetch requests of our own, over connections of our own, for what the crate cannot ask or is not
//! to read.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::connection::fetch_v0::{FetchV0Request, FetchV0Response};
use crate::broker::connection::open::CONNECT_TIMEOUT;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::error::KafkaError;
use crate::broker::transport::CONSUMER;
use crate::broker::transport::crate_kafka::client::Client;
use crate::broker::transport::crate_kafka::fetch::PartitionFetch;
use crate::broker::transport::native::answer::{ByPartition, by_partition};

/// By the broker's address. One that failed is not here any more.
pub(super) type OwnConnections = HashMap<String, Connection>;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(super) enum Version {
    /// All brokers up to 3.9 answer it, in format 0.
    V0,
    /// Brokers of 0.11 and later answer it with batches as they lie in the log, and the first one
    /// whole, however large.
    V4,
}

impl Client {
    /// What a leader says of these partitions.
    pub(super) fn fetch_ourselves(
        &mut self,
        host: &str,
        version: Version,
        asks: &[PartitionFetch],
        wait: Duration,
    ) -> Result<ByPartition, KafkaError> {
        let (limit, client_id) = (self.config.limit + wait, &self.config.client_id);
        // What fails, or is overtaken by a panic, is not put back.
        let connection = match self.own_connections.remove(host) {
            Some(connection) => Ok(connection),
            None => {
                self.deadline.begin(CONNECT_TIMEOUT)?;
                Connection::connect(host, client_id, CONNECT_TIMEOUT)
            }
        };
        self.deadline.begin(limit)?;
        let request = fetch_request(asks, wait);
        let asked = connection.and_then(|mut connection| {
            let answer = match version {
                Version::V0 => connection
                    .ask(&FetchV0Request(request), limit)
                    .map(|FetchV0Response(answer)| answer),
                Version::V4 => connection.ask::<_, FetchResponse>(&request, limit),
            }?;
            Ok((connection, answer))
        });
        let (connection, answer) = asked.map_err(|why| {
            let is_closed = matches!(why, ConnectionError::Closed(_));
            let error = KafkaError::from(why).at(host);
            if is_closed { error.broken() } else { error }
        })?;
        self.own_connections.insert(host.to_string(), connection);
        Ok(by_partition(answer))
    }
}

fn fetch_request(asks: &[PartitionFetch], wait: Duration) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for PartitionFetch { position, window } in asks {
        let topic = &*position.at.topic;
        let partition = FetchPartition::default()
            .with_partition(position.at.partition)
            .with_fetch_offset(position.offset)
            .with_partition_max_bytes(*window);
        match topics.iter_mut().find(|asked| asked.topic.as_str() == topic) {
            Some(asked) => asked.partitions.push(partition),
            None => topics.push(
                FetchTopic::default()
                    .with_topic(TopicName(StrBytes::from_string(topic.to_string())))
                    .with_partitions(vec![partition]),
            ),
        }
    }
    let windows = asks.iter().map(|ask| ask.window);
    FetchRequest::default()
        .with_replica_id(CONSUMER.into())
        .with_max_wait_ms(wait.as_millis().try_into().unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(windows.fold(0, i32::saturating_add))
        .with_topics(topics)
}
