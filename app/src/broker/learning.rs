//! Whether a leader still learns how far its log goes: one that has just become it must hear from the other replicas first, and a
//! question in the old version gets too small an offset meanwhile. Brokers of 2.2 and later say so in a newer version.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::error::Result;

use super::aside;
use super::hosts::CONNECT;
use super::place;
use super::plain::Plain;
use super::trouble::Trouble;
use super::worker::{self, Recipe, Worker};

/// Asks for the offset of the next record.
const LATEST: i64 = -1;

/// What the leaders say.
#[derive(Debug, PartialEq, Eq)]
pub enum Learning {
    /// All of them know.
    Over,
    /// The one of this partition does not.
    Still(i32),
    /// They are too old to tell.
    Untold,
}

/// Asks the leaders of these partitions. One that does not answer is trouble, not one that has nothing to tell.
pub fn of_any(recipe: &Arc<Recipe>, topic: &str, partitions: Vec<i32>) -> Result<Result<Learning, Trouble>> {
    match recipe.versions.get() {
        Some(versions) if versions.tell_learning() => {}
        Some(_) => return Ok(Ok(Learning::Untold)),
        None => return Ok(Err(Trouble::passing("the broker has not told yet what it speaks"))),
    }
    let name = topic.to_string();
    let leaders = Worker::new(recipe.clone()).call(move |client| {
        let leader = |partition| (partition, worker::leader(client, &name, partition));
        Ok(partitions.into_iter().map(leader).collect::<Vec<_>>())
    })?;
    let leaders = match leaders {
        Ok(leaders) => leaders,
        Err(trouble) => return Ok(Err(trouble)),
    };
    for (partition, leader) in leaders {
        let (id, name, limit) = (recipe.client_id.clone(), topic.to_string(), recipe.limit);
        let at = |trouble: Trouble| trouble.at(&place(topic, partition));
        let Some(host) = leader else {
            return Ok(Err(at(Trouble::passing("it is not there, or has no leader"))));
        };
        let ask = move || knows(&host, &id, &name, partition, limit);
        match aside::aside(limit + CONNECT, &recipe.stop, ask)? {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(Learning::Still(partition))),
            Err(trouble) => return Ok(Err(at(trouble))),
        }
    }
    Ok(Ok(Learning::Over))
}

/// Whether a leader knows where its log ends.
fn knows(host: &str, client_id: &str, topic: &str, partition: i32, limit: Duration) -> Result<bool, Trouble> {
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
    let answer: ListOffsetsResponse = Plain::open(host, client_id, CONNECT)
        .and_then(|mut broker| broker.ask(&request, limit))
        .map_err(|why| Trouble::passing(format!("{host}: {why}")))?;
    match answer.topics.first().and_then(|topic| topic.partitions.first()) {
        Some(answer) if answer.error_code == 0 => Ok(true),
        Some(answer) if answer.error_code == ResponseError::OffsetNotAvailable.code() => Ok(false),
        Some(answer) => Err(Trouble::code(answer.error_code)),
        None => Err(Trouble::passing(format!("{host} leaves it out of its answer"))),
    }
}
