//! Whether a leader still learns how far its log goes: one that has just become it must hear from the other replicas first, and a
//! question in the old version gets too small an offset meanwhile. Brokers of 2.2 and later say so in a newer version.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ApiKey, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::error::Result;

use super::aside;
use super::hosts::CONNECT;
use super::plain::Plain;
use super::worker::{self, Recipe, Worker};

/// The version of ListOffsets in which a leader says that it does not know yet.
const VERSION: i16 = 5;

const ANSWER: Duration = Duration::from_secs(5);

/// Asks for the offset of the next record.
const LATEST: i64 = -1;

/// What the leaders say.
#[derive(Debug, PartialEq, Eq)]
pub enum Learning {
    /// All of them know.
    Over,
    /// The one of this partition does not.
    Still(i32),
    /// One is not reached, or too old to tell.
    Untold,
}

/// Asks the leaders of these partitions.
pub fn of_any(recipe: &Arc<Recipe>, topic: &str, partitions: Vec<i32>) -> Result<Learning> {
    let name = topic.to_string();
    let leaders = Worker::new(recipe.clone()).call(move |client| {
        let leader = |partition| (partition, worker::leader(client, &name, partition));
        Ok(partitions.into_iter().map(leader).collect::<Vec<_>>())
    })?;
    let Ok(leaders) = leaders else {
        return Ok(Learning::Untold);
    };
    for (partition, leader) in leaders {
        let (id, topic) = (recipe.client_id.clone(), topic.to_string());
        let Some(host) = leader else {
            return Ok(Learning::Untold);
        };
        let ask = move || Ok(knows(&host, &id, &topic, partition));
        match aside::aside(recipe.limit, &recipe.stop, ask)? {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Ok(Learning::Still(partition)),
            _ => return Ok(Learning::Untold),
        }
    }
    Ok(Learning::Over)
}

/// Whether a leader knows where its log ends; none when it does not tell.
fn knows(host: &str, client_id: &str, topic: &str, partition: i32) -> Option<bool> {
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
    let mut broker = Plain::open(host, client_id, CONNECT).ok()?;
    let answer: ListOffsetsResponse = broker.ask(ApiKey::ListOffsets, VERSION, &request, ANSWER).ok()?;
    match answer.topics.first()?.partitions.first()?.error_code {
        0 => Some(true),
        code if code == ResponseError::OffsetNotAvailable.code() => Some(false),
        _ => None,
    }
}
