//! One member's part of Kafka's group protocol: JoinGroup and SyncGroup, Heartbeat, LeaveGroup, and
//! what the answers mean for it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};

use crate::model::TopicPartition;
use crate::stop::STOP_POLL;

use crate::broker::connection::ConnectionError;
use crate::broker::error::KafkaError;
use crate::broker::error_codes;
use crate::broker::group::client::GroupClient;
use crate::broker::group::coordinator::{code_error, text};
use crate::broker::group::membership::{GroupConfig, Membership};
use crate::broker::group::range_assignor::{self, ASSIGNOR, Assignments, PROTOCOL_TYPE};

/// How long the answer to a first JoinGroup is waited for although the user wants to stop: without
/// it nobody knows which member leaves.
const MEMBER_ID_GRACE: Duration = Duration::from_secs(1);

/// How long other members may be waited for before the user is told.
const UNTOLD_WAIT: Duration = Duration::from_secs(2);

/// The shortest time that the others may take to join again; longer where their session timeouts
/// are.
const MIN_REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);

/// So many topics that are not there yet are looked for: a member can name any number of them.
const MAX_MISSING_TOPICS: usize = 1000;

/// The longest session timeout that every broker allows, unless it is set up otherwise.
const MAX_SESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// What an attempt to join brought.
pub(super) enum JoinOutcome {
    Assigned(Assigned),
    /// Meanwhile it is time to leave.
    LeaveWanted,
}

pub(super) struct Assigned {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) membership: Membership,
    /// How many partitions each of the group's topics has, where this member leads the group and
    /// assigned them.
    pub(super) counts: Option<HashMap<String, i32>>,
}

/// Why a request to the group did not do what it should have.
pub(super) enum GroupError {
    /// The group has gone on without this member, or is about to assign anew: join again.
    Rebalance,
    /// The group does not know this member any more: join again, as a new one.
    UnknownMember,
    Kafka(KafkaError),
}

impl From<KafkaError> for GroupError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// What one member knows of its place.
pub(super) struct MemberProtocol {
    client: GroupClient,
    config: GroupConfig,
    /// That of the config, or longer where the coordinator is too slow for it.
    session_timeout: Duration,
    /// Given by the coordinator; empty before.
    member_id: String,
}

impl MemberProtocol {
    pub(super) fn new(client: GroupClient, config: GroupConfig) -> Self {
        Self {
            client,
            session_timeout: config.session_timeout,
            config,
            member_id: String::new(),
        }
    }

    pub(super) fn client(&self) -> &GroupClient {
        &self.client
    }

    pub(super) fn config(&self) -> &GroupConfig {
        &self.config
    }

    pub(super) fn session_timeout(&self) -> Duration {
        self.session_timeout
    }

    /// Joins the group and waits for an assignment; `leave_wanted` tells when it is time to leave.
    pub(super) fn join(&mut self, leave_wanted: &mut dyn FnMut() -> bool) -> Result<JoinOutcome, GroupError> {
        self.client.send_join(&self.join_request())?;
        // The others may take as long as their own session timeouts allow.
        let patience = (self.session_timeout * 2).max(MIN_REBALANCE_TIMEOUT);
        let Some(joined) = self.wait_for(GroupClient::poll_join, patience, leave_wanted)? else {
            return Ok(JoinOutcome::LeaveWanted);
        };
        let joined_at = Instant::now();
        self.check(joined.error_code)?;
        self.member_id = joined.member_id.to_string();
        let (assignments, counts) = if joined.leader == joined.member_id {
            let (assignments, counts) = self.assign(&joined.members)?;
            (assignments, Some(counts))
        } else {
            (Assignments::new(), None)
        };

        self.client
            .send_sync(&self.sync_request(joined.generation_id, &assignments))?;
        let patience = self.session_timeout + self.client.request_timeout();
        let Some(synced) = self.wait_for(GroupClient::poll_sync, patience, leave_wanted)? else {
            return Ok(JoinOutcome::LeaveWanted);
        };
        if error_codes::is_unknown_member(synced.error_code) {
            self.lengthen_session(joined_at.elapsed());
        }
        self.check(synced.error_code)?;
        let partitions = range_assignor::read_assignment(&synced.assignment).ok_or_else(|| {
            KafkaError::fatal(
                format!(
                    "group {}: the share that its leader deals out cannot be read",
                    self.config.group
                ),
                "name another --group, or stop the members that are no consumers of Kafka's usual kind",
            )
        })?;
        let membership = Membership {
            member: self.member_id.clone(),
            generation: joined.generation_id,
        };
        Ok(JoinOutcome::Assigned(Assigned {
            partitions,
            membership,
            counts,
        }))
    }

    fn join_request(&self) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(ASSIGNOR))
            .with_metadata(range_assignor::subscription(&self.config.topics, &self.config.note).into());
        JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(self.session_timeout.as_millis().min(i32::MAX as u128) as i32)
            .with_member_id(text(&self.member_id))
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(vec![protocol])
    }

    fn sync_request(&self, generation: i32, assignments: &Assignments) -> SyncGroupRequest {
        let assignments = assignments.iter().map(|(id, partitions)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(id))
                .with_assignment(range_assignor::write_assignment(partitions).into())
        });
        SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(generation)
            .with_member_id(text(&self.member_id))
            .with_assignments(assignments.collect())
    }

    /// The leader's duty: who gets which partitions, and how many each topic has.
    fn assign(&self, members: &[JoinGroupResponseMember]) -> Result<(Assignments, HashMap<String, i32>), KafkaError> {
        let members: Vec<(String, BTreeSet<&str>)> = members
            .iter()
            .map(|member| {
                let topics = range_assignor::subscribed_topics(&member.metadata);
                (member.member_id.to_string(), topics)
            })
            .collect();
        let broken_off = || Err(KafkaError::passing("the call broke off"));
        let known = self.client.count_partitions().recv().unwrap_or_else(|_| broken_off())?;
        let topics: BTreeSet<&str> = members.iter().flat_map(|(_, topics)| topics).copied().collect();
        let (there, missing): (Vec<&str>, Vec<&str>) = topics.iter().partition(|topic| known.contains_key(**topic));
        // A topic that the broker does not know of yet has none, until the next count.
        let missing = missing.into_iter().take(MAX_MISSING_TOPICS).map(|topic| (topic, 0));
        let there = there.into_iter().map(|topic| (topic, known[topic]));
        let counts = there
            .chain(missing)
            .map(|(topic, count)| (topic.to_string(), count))
            .collect();
        Ok((range_assignor::assign(&members, &counts), counts))
    }

    /// Waits for an answer that waits for other members; none when it is time to leave.
    fn wait_for<R>(
        &mut self,
        poll: impl Fn(&mut GroupClient, Duration) -> Result<Option<R>, KafkaError>,
        patience: Duration,
        leave_wanted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<R>, KafkaError> {
        let began = Instant::now();
        let grace = if self.member_id.is_empty() {
            MEMBER_ID_GRACE
        } else {
            Duration::ZERO
        };
        let mut leave_since: Option<Instant> = None;
        let mut wait_is_told = false;
        loop {
            if let Some(answer) = poll(&mut self.client, STOP_POLL)? {
                return Ok(Some(answer));
            }
            if leave_since.is_none() && leave_wanted() {
                leave_since = Some(Instant::now());
            }
            // What comes on this connection after one of these answers what nobody asks any more.
            if leave_since.is_some_and(|since| since.elapsed() >= grace) {
                self.client.disconnect();
                return Ok(None);
            }
            if began.elapsed() >= patience {
                self.client.disconnect();
                let why = ConnectionError::TimedOut;
                return Err(KafkaError::passing(format!("group {}: {why}", self.config.group)));
            }
            if !wait_is_told && began.elapsed() >= UNTOLD_WAIT {
                wait_is_told = true;
                log::info!(
                    "group {}: waiting for its other members; one that was killed keeps its place for {} s",
                    self.config.group,
                    self.session_timeout.as_secs()
                );
            }
        }
    }

    /// A coordinator that is slow drops a member before its next request arrives, again and again:
    /// the next session is to last longer than several of its answers.
    fn lengthen_session(&mut self, answer: Duration) {
        let (before, longer) = (self.session_timeout, (answer * 4).min(MAX_SESSION_TIMEOUT));
        if answer < before / 2 || longer <= before {
            return;
        }
        self.session_timeout = longer;
        log::info!(
            "group {}: its broker needs {} s to answer, too long for a session of {} s: joining again with one of {} s",
            self.config.group,
            answer.as_secs(),
            before.as_secs_f32(),
            longer.as_secs()
        );
    }

    /// Tells the group that this member lives.
    pub(super) fn heartbeat(&mut self, generation: i32) -> Result<(), GroupError> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(generation)
            .with_member_id(text(&self.member_id));
        let limit = self.client.request_timeout().min(self.session_timeout);
        let answer = self.client.heartbeat(&request, limit)?;
        self.check(answer.error_code)
    }

    /// Leaves the group, where it knows this member.
    pub(super) fn leave(&mut self) {
        if self.member_id.is_empty() {
            return;
        }
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group_id())
            .with_member_id(text(&std::mem::take(&mut self.member_id)));
        if let Err(error) = self.client.leave(&request) {
            log::debug!("{error}");
        }
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(&self.config.group))
    }

    /// What an error code of the group means for this member.
    fn check(&mut self, code: i16) -> Result<(), GroupError> {
        if code == 0 {
            return Ok(());
        }
        if error_codes::is_unknown_member(code) {
            self.member_id.clear();
            return Err(GroupError::UnknownMember);
        }
        if error_codes::must_rejoin(code) {
            return Err(GroupError::Rebalance);
        }
        // Another broker may be the coordinator by now.
        self.client.disconnect();
        let error = code_error(&self.config.group, code);
        Err(GroupError::Kafka(
            match error_codes::group_way_out(code, self.session_timeout.as_secs()) {
                Some(way_out) => KafkaError::fatal(error.to_string(), way_out),
                None => error,
            },
        ))
    }
}
