//! The offsets that a consumer group shows to lag monitors and people. Asked over a plain connection with limits: the `kafka` crate's
//! own commit can spin for ever, and its fetch can answer nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::error::Result;

use super::aside;
use super::codes::{self, Verdict};
use super::hosts::CONNECT;
use super::plain::Plain;
use super::trouble::Trouble;
use super::worker::Recipe;

/// How long one try may take; a group's first needs a moment, while the broker makes its topic.
const TRY: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

/// A consumer group without members: it only keeps offsets.
#[derive(Debug)]
pub struct Group {
    recipe: Arc<Recipe>,
    group: String,
    /// The connection to the group's coordinator, while it stands.
    coordinator: Arc<Mutex<Option<Plain>>>,
}

impl Group {
    pub(super) fn new(recipe: Arc<Recipe>, group: &str) -> Self {
        Self {
            recipe,
            group: group.to_string(),
            coordinator: Arc::default(),
        }
    }

    /// Writes the next offsets to read: topic, partition, offset. One bounded try.
    pub fn commit(&mut self, offsets: &[(Arc<str>, i32, i64)]) -> Result<()> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (topic, partition, offset) in offsets {
            let entry = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::default()));
            topics.entry(topic).or_default().push(entry);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions)
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id_or_member_epoch(-1)
            .with_retention_time_ms(-1)
            .with_topics(topics.collect());
        self.try_for_a_while("commit", move |coordinator| {
            let answer: OffsetCommitResponse = coordinator
                .ask(ApiKey::OffsetCommit, 2, &request, ANSWER)
                .map_err(|e| e.to_string())?;
            let codes = answer
                .topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .map(|p| p.error_code);
            Ok(Reply::of(codes, ()))
        })
    }

    /// Reads the offsets that the group keeps for partitions `0..partitions` of a topic.
    pub fn committed(&mut self, topic: &str, partitions: i32) -> Result<Vec<Option<i64>>> {
        let wanted = OffsetFetchRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes((0..partitions).collect());
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_topics(Some(vec![wanted]));
        self.try_for_a_while("read", move |coordinator| {
            let answer: OffsetFetchResponse = coordinator
                .ask(ApiKey::OffsetFetch, 1, &request, ANSWER)
                .map_err(|e| e.to_string())?;
            let all = || answer.topics.iter().flat_map(|topic| &topic.partitions);
            let offset = |partition| {
                let found = all().find(|p| p.partition_index == partition)?;
                (found.committed_offset >= 0).then_some(found.committed_offset)
            };
            let known = (0..partitions).map(offset).collect();
            Ok(Reply::of(all().map(|p| p.error_code).chain([answer.error_code]), known))
        })
    }

    fn try_for_a_while<R: Send + 'static>(
        &mut self,
        verb: &str,
        ask: impl Fn(&mut Plain) -> Result<Reply<R>, String> + Send + 'static,
    ) -> Result<R> {
        let (recipe, group, coordinator) = (self.recipe.clone(), self.group.clone(), self.coordinator.clone());
        let what = format!("cannot {verb} the offsets of group {group}");
        let limit = TRY + ANSWER;
        let answer = aside::aside(limit, &self.recipe.stop, move || {
            let mut coordinator = coordinator.lock().unwrap_or_else(PoisonError::into_inner);
            let end = Instant::now() + TRY;
            loop {
                let mut connection = match coordinator.take() {
                    Some(connection) => Ok(connection),
                    None => find(&recipe, &group),
                };
                let why = match connection.as_mut().map_err(|why| why.clone()).and_then(&ask) {
                    Ok(Reply::Done(done)) => {
                        *coordinator = connection.ok();
                        return Ok(done);
                    }
                    Ok(Reply::Code(code)) if codes::verdict(code) == Verdict::Fatal => {
                        return Err(Trouble::code(code).at(&format!("group {group}")));
                    }
                    Ok(Reply::Code(code)) => codes::name(code),
                    Err(why) => why,
                };
                if Instant::now() >= end {
                    return Err(Trouble::passing(why));
                }
                thread::sleep(PAUSE);
            }
        });
        if !matches!(answer, Ok(Ok(_))) {
            // A thread that hangs keeps the old connection and its lock to itself.
            self.coordinator = Arc::default();
        }
        answer?.map_err(|trouble| trouble.at(&what).into_error())
    }
}

/// An answer, or the first error code in it.
enum Reply<R> {
    Done(R),
    Code(i16),
}

impl<R> Reply<R> {
    fn of(mut codes: impl Iterator<Item = i16>, done: R) -> Self {
        match codes.find(|&code| code != 0) {
            Some(code) => Reply::Code(code),
            None => Reply::Done(done),
        }
    }
}

/// Connects to the broker that keeps the group's offsets.
fn find(recipe: &Recipe, group: &str) -> Result<Plain, String> {
    let host = recipe.hosts.reachable()?;
    let mut any = Plain::open(&host, &recipe.client_id, CONNECT).map_err(|e| format!("{host}: {e}"))?;
    let request = FindCoordinatorRequest::default().with_key(text(group));
    let found: FindCoordinatorResponse = any
        .ask(ApiKey::FindCoordinator, 0, &request, ANSWER)
        .map_err(|e| format!("{host}: {e}"))?;
    if found.error_code != 0 {
        return Err(codes::name(found.error_code));
    }
    let host = format!("{}:{}", found.host.as_str(), found.port);
    Plain::open(&host, &recipe.client_id, CONNECT).map_err(|e| format!("{host}: {e}"))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
