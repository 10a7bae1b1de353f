//! The offsets that a consumer group shows to lag monitors and people. Asked over a plain
//! connection with limits: the `kafka` crate's own commit can spin for ever, and its fetch can
//! answer nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

use crate::error::Result;
use crate::model::TopicPartition;
use crate::stop::Stop;

use crate::broker::config::ClientConfig;
use crate::broker::error::KafkaError;
use crate::broker::group::coordinator::{Coordinator, text, topic_name};
use crate::broker::group::membership::Membership;
use crate::broker::group::range_assignor;
use crate::broker::retry::RetryBudget;
use crate::broker::{deadline, error_codes};

/// How long one try goes on; a group's first needs a moment, while the broker makes its topic.
const TRY_TIMEOUT: Duration = Duration::from_secs(4);

/// Time between two requests of one try.
const REQUEST_PAUSE: Duration = Duration::from_millis(100);

const COMMIT: &str = "commit the group's offsets";

/// A question to a group's coordinator.
trait Ask<R>: Fn(&mut Coordinator) -> Result<R, KafkaError> + Clone + Send + 'static {}

impl<R, F: Fn(&mut Coordinator) -> Result<R, KafkaError> + Clone + Send + 'static> Ask<R> for F {}

/// An offset that a group keeps, with the note that stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub note: String,
}

/// The offsets of a consumer group, committed in the name of one of its members.
#[derive(Debug)]
pub struct Group {
    config: Arc<ClientConfig>,
    retry: RetryBudget,
    group: String,
    membership: Membership,
    coordinator: Arc<Mutex<Coordinator>>,
}

impl Group {
    pub(in crate::broker) fn new(
        config: Arc<ClientConfig>,
        retry: RetryBudget,
        group: &str,
        membership: Membership,
    ) -> Self {
        Self {
            coordinator: Arc::new(Mutex::new(Coordinator::new(config.clone(), group))),
            config,
            retry,
            group: group.to_string(),
            membership,
        }
    }

    /// Writes the next offsets to read: topic, partition, offset; with a note. One bounded try,
    /// which goes on when the user wants to stop: it may be the last word. A group that has gone on
    /// without this member takes nothing of it, which is as it should be.
    pub fn commit(&mut self, offsets: &[(TopicPartition, i64)], note: &str) -> Result<()> {
        let ask = self.commit_request(offsets, note);
        self.try_for_a_while(COMMIT, &Stop::default(), ask)
            .map_err(KafkaError::into_error)
    }

    /// The same until it is done, as long as our patience lasts.
    pub fn commit_with_retry(&mut self, offsets: &[(TopicPartition, i64)], note: &str) -> Result<()> {
        let ask = self.commit_request(offsets, note);
        self.ask_with_retry(COMMIT, ask)
    }

    fn commit_request(&self, offsets: &[(TopicPartition, i64)], note: &str) -> impl Ask<()> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (TopicPartition { topic, partition }, offset) in offsets {
            let entry = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text(note)));
            topics.entry(topic).or_default().push(entry);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions)
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id_or_member_epoch(self.membership.generation)
            .with_member_id(text(&self.membership.member))
            .with_retention_time_ms(-1)
            .with_topics(topics.collect());
        move |coordinator: &mut Coordinator| {
            let answer: OffsetCommitResponse = coordinator.ask(&request)?;
            let codes = answer.topics.iter().flat_map(|topic| &topic.partitions);
            match codes.map(|p| p.error_code).find(|&code| code != 0) {
                Some(code) if !error_codes::must_rejoin(code) => Err(coordinator.code(code)),
                _ => Ok(()),
            }
        }
    }

    /// Reads what the group keeps for partitions `0..partitions` of a topic, as long as our
    /// patience lasts.
    pub fn committed(&mut self, topic: &str, partitions: i32) -> Result<Vec<Option<Committed>>> {
        let wanted = OffsetFetchRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes((0..partitions).collect());
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_topics(Some(vec![wanted]));
        self.ask_with_retry("read the group's offsets", move |coordinator: &mut Coordinator| {
            let answer: OffsetFetchResponse = coordinator.ask(&request)?;
            let all = || answer.topics.iter().flat_map(|topic| &topic.partitions);
            let code = all().map(|p| p.error_code).find(|&code| code != 0);
            if let Some(code) = code.or((answer.error_code != 0).then_some(answer.error_code)) {
                return Err(coordinator.code(code));
            }
            let kept = |partition| {
                let found = all().find(|p| p.partition_index == partition && p.committed_offset >= 0)?;
                let note = found
                    .metadata
                    .as_ref()
                    .map_or(String::new(), std::string::ToString::to_string);
                Some(Committed {
                    offset: found.committed_offset,
                    note,
                })
            };
            Ok((0..partitions).map(kept).collect())
        })
    }

    /// What the other members say of themselves. Those are alive: who has not joined again since
    /// this one came is a member no more. A group that assigns anew does not tell; then this one's
    /// assignment is over, too.
    pub fn notes_of_others(&mut self) -> Result<Vec<String>> {
        let own = self.membership.member.clone();
        self.ask_with_retry("ask for the group's members", move |coordinator: &mut Coordinator| {
            let request = DescribeGroupsRequest::default().with_groups(vec![coordinator.group_id()]);
            let answer: DescribeGroupsResponse = coordinator.ask(&request)?;
            let group = answer.groups.first();
            match group.map(|group| (group.error_code, group.group_state.as_str())) {
                Some((0, "Stable")) => {}
                Some((code, _)) if code != 0 => return Err(coordinator.code(code)),
                _ => return Err(KafkaError::passing(format!("group {} deals anew", coordinator.group()))),
            }
            let members = group.iter().flat_map(|group| &group.members);
            let others = members.filter(|member| member.member_id.as_str() != own);
            Ok(others
                .map(|member| range_assignor::user_data(&member.member_metadata))
                .collect())
        })
    }

    /// Takes members out of the group that can no longer leave it by themselves. One that the group
    /// does not know is out already.
    pub fn evict(&mut self, members: Vec<String>) -> Result<()> {
        let stop = self.config.stop.clone();
        let ask = move |coordinator: &mut Coordinator| {
            for member in &members {
                let request = LeaveGroupRequest::default()
                    .with_group_id(coordinator.group_id())
                    .with_member_id(text(member));
                let answer: LeaveGroupResponse = coordinator.ask(&request)?;
                if answer.error_code != 0 && !error_codes::must_rejoin(answer.error_code) {
                    return Err(coordinator.code(answer.error_code));
                }
            }
            Ok(())
        };
        self.try_for_a_while("take dead members out of the group", &stop, ask)
            .map_err(KafkaError::into_error)
    }

    /// Tries until it is done. What trying again does not mend, or has not mended for as long as
    /// our patience lasts, is an error.
    fn ask_with_retry<R: Send + 'static>(&mut self, verb: &str, ask: impl Ask<R>) -> Result<R> {
        let stop = self.config.stop.clone();
        loop {
            match self.try_for_a_while(verb, &stop, ask.clone()) {
                Ok(done) => {
                    self.retry.record_success();
                    return Ok(done);
                }
                Err(error) => self.retry.back_off(error)?,
            }
        }
    }

    fn try_for_a_while<R: Send + 'static>(
        &mut self,
        verb: &str,
        stop: &Stop,
        ask: impl Ask<R>,
    ) -> Result<R, KafkaError> {
        let coordinator = self.coordinator.clone();
        // The last request may be one of three: for the coordinator, at the coordinator, and for
        // another member or so.
        let (find, open) = (self.config.open_any_timeout(), self.config.open_timeout());
        let longest = TRY_TIMEOUT + find + open + self.config.limit * 3;
        let answer = deadline::run_with_deadline(longest, stop, move || {
            let mut coordinator = coordinator.lock().unwrap_or_else(PoisonError::into_inner);
            let end = Instant::now() + TRY_TIMEOUT;
            loop {
                match ask(&mut coordinator) {
                    Err(error) if !error.is_fatal() && Instant::now() < end => deadline::pause(REQUEST_PAUSE),
                    done => return done,
                }
            }
        });
        if answer.is_err() {
            // A thread that hangs keeps the old connection and its lock to itself.
            let fresh = Coordinator::new(self.config.clone(), &self.group);
            self.coordinator = Arc::new(Mutex::new(fresh));
        }
        answer.map_err(|error| error.at(&format!("cannot {verb}")))
    }
}
