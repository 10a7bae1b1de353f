//! The offsets that a consumer group shows to lag monitors and people. Asked over a plain connection with limits: the `kafka` crate's
//! own commit can spin for ever, and its fetch can answer nothing.

use crate::model::TopicPartition;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

use crate::error::Result;
use crate::stop::Stop;

use crate::broker::Cluster;
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::error_codes;
use crate::broker::group::coordinator::{Coordinator, text, topic_name};
use crate::broker::group::member::Membership;
use crate::broker::group::range_assignor;

/// How long one try goes on; a group's first needs a moment, while the broker makes its topic.
const TRY: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(100);

const COMMIT: &str = "commit the group's offsets";

/// A question to a group's coordinator.
trait Request<R>: Fn(&mut Coordinator) -> Result<R, KafkaError> + Clone + Send + 'static {}

impl<R, F: Fn(&mut Coordinator) -> Result<R, KafkaError> + Clone + Send + 'static> Request<R> for F {}

/// An offset that a group keeps, with the note that stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub note: String,
}

/// The offsets of a consumer group, committed in the name of one of its members.
#[derive(Debug)]
pub struct Group {
    cluster: Cluster,
    group: String,
    seat: Membership,
    coordinator: Arc<Mutex<Coordinator>>,
}

impl Group {
    pub(in crate::broker) fn new(cluster: &Cluster, group: &str, seat: Membership) -> Self {
        Self {
            coordinator: Arc::new(Mutex::new(Coordinator::new(cluster.config.clone(), group))),
            cluster: cluster.clone(),
            group: group.to_string(),
            seat,
        }
    }

    /// Writes the next offsets to read: topic, partition, offset; with a note. One bounded try, which goes on when the user wants to
    /// stop: it may be the last word. A group that has gone on without this member takes nothing of it, which is as it should be.
    pub fn commit(&mut self, offsets: &[(TopicPartition, i64)], note: &str) -> Result<()> {
        let ask = self.to_commit(offsets, note);
        self.try_for_a_while(COMMIT, &Stop::default(), ask)
            .map_err(KafkaError::into_error)
    }

    /// The same until it is done, as long as our patience lasts.
    pub fn claim(&mut self, offsets: &[(TopicPartition, i64)], note: &str) -> Result<()> {
        let ask = self.to_commit(offsets, note);
        self.back_off(COMMIT, ask)
    }

    fn to_commit(&self, offsets: &[(TopicPartition, i64)], note: &str) -> impl Request<()> {
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
            .with_generation_id_or_member_epoch(self.seat.generation)
            .with_member_id(text(&self.seat.member))
            .with_retention_time_ms(-1)
            .with_topics(topics.collect());
        move |coordinator: &mut Coordinator| {
            let answer: OffsetCommitResponse = coordinator.ask(&request)?;
            let codes = answer.topics.iter().flat_map(|topic| &topic.partitions);
            match codes.map(|p| p.error_code).find(|&code| code != 0) {
                Some(code) if !error_codes::is_unseated(code) => Err(coordinator.code(code)),
                _ => Ok(()),
            }
        }
    }

    /// Reads what the group keeps for partitions `0..partitions` of a topic, as long as our patience lasts.
    pub fn committed(&mut self, topic: &str, partitions: i32) -> Result<Vec<Option<Committed>>> {
        let wanted = OffsetFetchRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes((0..partitions).collect());
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_topics(Some(vec![wanted]));
        self.back_off("read the group's offsets", move |coordinator: &mut Coordinator| {
            let answer: OffsetFetchResponse = coordinator.ask(&request)?;
            let all = || answer.topics.iter().flat_map(|topic| &topic.partitions);
            let code = all().map(|p| p.error_code).find(|&code| code != 0);
            if let Some(code) = code.or((answer.error_code != 0).then_some(answer.error_code)) {
                return Err(coordinator.code(code));
            }
            let kept = |partition| {
                let found = all().find(|p| p.partition_index == partition && p.committed_offset >= 0)?;
                let note = found.metadata.as_ref().map_or(String::new(), |note| note.to_string());
                Some(Committed {
                    offset: found.committed_offset,
                    note,
                })
            };
            Ok((0..partitions).map(kept).collect())
        })
    }

    /// What the other members say of themselves. Those are alive: who has not joined again since this one came is a member no more. A
    /// group that deals anew does not tell; then this one's seat is over, too.
    pub fn notes_of_others(&mut self) -> Result<Vec<String>> {
        let own = self.seat.member.clone();
        self.back_off("ask for the group's members", move |coordinator: &mut Coordinator| {
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

    /// Takes members out of the group that can no longer leave it by themselves. One that the group does not know is out already.
    pub fn dismiss(&mut self, members: Vec<String>) -> Result<()> {
        let stop = self.cluster.config.stop.clone();
        let ask = move |coordinator: &mut Coordinator| {
            for member in &members {
                let request = LeaveGroupRequest::default()
                    .with_group_id(coordinator.group_id())
                    .with_member_id(text(member));
                let answer: LeaveGroupResponse = coordinator.ask(&request)?;
                if answer.error_code != 0 && !error_codes::is_unseated(answer.error_code) {
                    return Err(coordinator.code(answer.error_code));
                }
            }
            Ok(())
        };
        self.try_for_a_while("take dead members out of the group", &stop, ask)
            .map_err(KafkaError::into_error)
    }

    /// Tries until it is done. KafkaError that trying again does not mend, or that has lasted for longer than we back_off, is an error.
    fn back_off<R: Send + 'static>(&mut self, verb: &str, ask: impl Request<R>) -> Result<R> {
        let (mut retry, stop) = (self.cluster.retry(), self.cluster.config.stop.clone());
        loop {
            match self.try_for_a_while(verb, &stop, ask.clone()) {
                Ok(done) => {
                    retry.record_success();
                    return Ok(done);
                }
                Err(trouble) => retry.back_off(trouble)?,
            }
        }
    }

    fn try_for_a_while<R: Send + 'static>(
        &mut self,
        verb: &str,
        stop: &Stop,
        ask: impl Request<R>,
    ) -> Result<R, KafkaError> {
        let coordinator = self.coordinator.clone();
        // The last request may be one of three: for the coordinator, at the coordinator, and for another member or so.
        let longest = TRY + self.cluster.config.limit * 3;
        let answer = deadline::run_with_deadline(longest, stop, move || {
            let mut coordinator = coordinator.lock().unwrap_or_else(PoisonError::into_inner);
            let end = Instant::now() + TRY;
            loop {
                match ask(&mut coordinator) {
                    Err(trouble) if !trouble.is_fatal() && Instant::now() < end => thread::sleep(PAUSE),
                    done => return done,
                }
            }
        });
        if answer.is_err() {
            // A thread that hangs keeps the old connection and its lock to itself.
            let fresh = Coordinator::new(self.cluster.config.clone(), &self.group);
            self.coordinator = Arc::new(Mutex::new(fresh));
        }
        answer.map_err(|trouble| trouble.at(&format!("cannot {verb}")))
    }
}
