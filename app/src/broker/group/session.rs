//! A member's session in its group, from the first JoinGroup to LeaveGroup, on a thread of its own: heartbeats go on whatever the rest
//! of the program does.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::error::Result;
use crate::stop::Stop;

use crate::broker::config::ClientConfig;
use crate::broker::connection::ConnectionError;
use crate::broker::connection::bounds::Answer;
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::group::coordinator::{Coordinator, text};
use crate::broker::group::member::{Assignment, GroupConfig, LastProgress, MemberCommand, Membership};
use crate::broker::group::range_assignor::{self, PROTOCOL_TYPE, RANGE};
use crate::broker::retry::RetryBudget;
use crate::broker::{error_codes, metadata};

/// How long the answer to a first JoinGroup is waited for although the user wants to stop: without it nobody knows which member leaves.
const NAME: Duration = Duration::from_secs(1);

/// How long a group's first coordinator may take to be there before we call it trouble.
const SETTLING: Duration = Duration::from_secs(15);

/// How long other members may be waited for before the user is told.
const SAY: Duration = Duration::from_secs(2);

const LOOK: Duration = Duration::from_millis(50);

/// Time between two looks at the partitions of the topics, by the member that deals them out.
const COUNT: Duration = Duration::from_secs(5);

/// So many topics that are not there yet are looked for: a member can name any number of them.
const MOST_MISSING: usize = 1000;

/// The longest session that every broker allows, unless it is set up otherwise.
const LONGEST_SESSION: Duration = Duration::from_secs(30);

/// What a look at the partitions of all topics brings.
type Counts = Result<HashMap<String, i32>, KafkaError>;

/// Why a state ended.
enum Next {
    Join,
    Leave,
}

/// What one member does in its group.
pub struct GroupSession {
    coordinator: Coordinator,
    retry: RetryBudget,
    terms: GroupConfig,
    /// That of the terms, or longer where the coordinator is too slow for it.
    session: Duration,
    /// Given by the coordinator; empty before.
    id: String,
    /// The partitions of all topics that the group wants, where this member deals them out.
    leads: Option<HashMap<String, i32>>,
    /// A look at them that is under way.
    counting: Option<Receiver<Counts>>,
    words: Receiver<MemberCommand>,
    alive: LastProgress,
    stop: Stop,
}

impl GroupSession {
    pub fn new(
        config: Arc<ClientConfig>,
        retry: RetryBudget,
        terms: GroupConfig,
        words: Receiver<MemberCommand>,
        alive: LastProgress,
        stop: Stop,
    ) -> Self {
        Self {
            coordinator: Coordinator::new(config, &terms.group),
            retry,
            session: terms.session,
            terms,
            id: String::new(),
            leads: None,
            counting: None,
            words,
            alive,
            stop,
        }
    }

    /// Takes part until the member leaves, or the group cannot be used.
    pub fn keep(mut self, post: &Sender<Result<Assignment>>) {
        loop {
            let next = match self.join() {
                Ok(Some((assignment, generation))) => {
                    let over = assignment.over.clone();
                    self.alive.beat();
                    let next = match post.send(Ok(assignment)) {
                        Ok(()) => self.hold(generation, &over),
                        Err(_) => Ok(Next::Leave),
                    };
                    over.request();
                    next
                }
                Ok(None) => Ok(Next::Leave),
                Err(error) => Err(error),
            };
            match next {
                Ok(Next::Join) => {}
                Ok(Next::Leave) => return self.leave(),
                Err(error) => {
                    self.leave();
                    let _ = post.send(Err(error));
                    return;
                }
            }
        }
    }

    /// Joins until there is a share; none when it is time to leave.
    fn join(&mut self) -> Result<Option<(Assignment, i32)>> {
        let began = Instant::now();
        loop {
            match self.try_to_join() {
                Ok(Some(share)) => {
                    self.retry.record_success();
                    return Ok(Some(share));
                }
                Ok(None) => return Ok(None),
                Err(Refusal::Again) => {}
                Err(Refusal::KafkaError(trouble)) if trouble.is_broken() && began.elapsed() < SETTLING => {
                    self.stop.sleep(LOOK)?
                }
                Err(Refusal::KafkaError(trouble)) => self.retry.back_off(trouble)?,
            }
            if self.wants_to_leave() {
                return Ok(None);
            }
        }
    }

    fn try_to_join(&mut self) -> Result<Option<(Assignment, i32)>, Refusal> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(RANGE))
            .with_metadata(range_assignor::subscription(&self.terms.topics, &self.terms.note).into());
        let request = JoinGroupRequest::default()
            .with_group_id(self.coordinator.group_id())
            .with_session_timeout_ms(self.session.as_millis().min(i32::MAX as u128) as i32)
            .with_member_id(text(&self.id))
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        // The others may take as long as their own terms allow.
        let patience = (self.session * 2).max(Duration::from_secs(60));
        let Some(joined) = self.wait_for::<_, JoinGroupResponse>(&request, patience)? else {
            return Ok(None);
        };
        let dealt = Instant::now();
        self.accept(joined.error_code)?;
        self.id = joined.member_id.to_string();
        let leads = joined.leader == joined.member_id;
        let mut assignments = Vec::new();
        (self.leads, self.counting) = (None, None);
        if leads {
            let members: Vec<(String, BTreeSet<&str>)> = joined
                .members
                .iter()
                .map(|member| {
                    (
                        member.member_id.to_string(),
                        range_assignor::subscribed_topics(&member.metadata),
                    )
                })
                .collect();
            let known = metadata::partition_counts(self.coordinator.config()).map_err(Refusal::KafkaError)?;
            let wanted: BTreeSet<&str> = members.iter().flat_map(|(_, wanted)| wanted).copied().collect();
            let (there, missing): (Vec<&str>, Vec<&str>) = wanted.iter().partition(|topic| known.contains_key(**topic));
            // A topic that the broker does not know of yet has none, until the next look.
            let missing = missing.into_iter().take(MOST_MISSING).map(|topic| (topic, 0));
            let counts: HashMap<String, i32> = there
                .into_iter()
                .map(|topic| (topic, known[topic]))
                .chain(missing)
                .map(|(topic, count)| (topic.to_string(), count))
                .collect();
            assignments = range_assignor::range(&members, &counts)
                .iter()
                .map(|(id, share)| {
                    SyncGroupRequestAssignment::default()
                        .with_member_id(text(id))
                        .with_assignment(range_assignor::assignment(share).into())
                })
                .collect();
            self.leads = Some(counts);
        }
        let request = SyncGroupRequest::default()
            .with_group_id(self.coordinator.group_id())
            .with_generation_id(joined.generation_id)
            .with_member_id(text(&self.id))
            .with_assignments(assignments);
        let patience = self.session + self.coordinator.config().limit;
        let Some(synced) = self.wait_for::<_, SyncGroupResponse>(&request, patience)? else {
            return Ok(None);
        };
        if error_codes::is_unknown_member(synced.error_code) {
            self.outlast(dealt.elapsed());
        }
        self.accept(synced.error_code)?;
        let partitions = range_assignor::read_assignment(&synced.assignment).ok_or_else(|| {
            Refusal::KafkaError(KafkaError::fatal(
                format!(
                    "group {}: the share that its leader deals out cannot be read",
                    self.coordinator.group()
                ),
                "name another --group, or stop the members that are no consumers of Kafka's usual kind",
            ))
        })?;
        let assignment = Assignment {
            partitions,
            membership: Some(Membership {
                member: self.id.clone(),
                generation: joined.generation_id,
            }),
            over: self.stop.part(),
        };
        Ok(Some((assignment, joined.generation_id)))
    }

    /// Sends a request whose answer waits for other members; none when it is time to leave.
    fn wait_for<Q, R>(&mut self, request: &Q, patience: Duration) -> Result<Option<R>, Refusal>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let (words, stop, nameless) = (&self.words, &self.stop, self.id.is_empty());
        let (group, session) = (&self.terms.group, self.session.as_secs());
        let limit = self.coordinator.config().limit;
        let (began, mut said) = (Instant::now(), false);
        let mut leaves_since = None;
        let answer = self.coordinator.talk(limit, |connection| {
            connection.send::<R, _>(request, limit)?;
            loop {
                if connection.arrives(LOOK)? {
                    return connection.receive(limit).map(Some);
                }
                if leaves_since.is_none() && (stop.requested() || leaves(words)) {
                    leaves_since = Some(Instant::now());
                }
                let grace = if nameless { NAME } else { Duration::ZERO };
                if leaves_since.is_some_and(|since| since.elapsed() >= grace) {
                    return Ok(None);
                }
                if began.elapsed() >= patience {
                    return Err(ConnectionError::Silent);
                }
                if !said && began.elapsed() >= SAY {
                    said = true;
                    log::info!("group {group}: waiting for its other members; one that was killed keeps its place for {session} s");
                }
            }
        });
        let answer = answer.map_err(Refusal::KafkaError)?;
        if answer.is_none() {
            // What comes on this connection now answers what nobody asks any more.
            self.coordinator.disconnect();
        }
        Ok(answer)
    }

    /// Looks at an error code of the group: it may have gone on without this member.
    fn accept(&mut self, code: i16) -> Result<(), Refusal> {
        if code == 0 {
            return Ok(());
        }
        if error_codes::is_unseated(code) {
            if error_codes::is_unknown_member(code) {
                self.id.clear();
            }
            return Err(Refusal::Again);
        }
        let session = self.session.as_secs();
        Err(Refusal::KafkaError(match error_codes::group_way_out(code, session) {
            Some(way_out) => KafkaError::fatal(self.coordinator.code(code).to_string(), way_out),
            None => self.coordinator.code(code),
        }))
    }

    /// A coordinator that is slow drops a member before its next word arrives, again and again: the next session is to last longer than
    /// several of its answers.
    fn outlast(&mut self, answer: Duration) {
        let (before, longer) = (self.session, (answer * 4).min(LONGEST_SESSION));
        if answer < before / 2 || longer <= before {
            return;
        }
        self.session = longer;
        log::info!(
            "group {}: its broker needs {} s to answer, too long for a session of {} s: joining again with one of {} s",
            self.terms.group,
            answer.as_secs(),
            before.as_secs_f32(),
            longer.as_secs()
        );
    }

    /// Holds a share: heartbeats until the group deals anew, the session is lost, or the work on the share stands still.
    fn hold(&mut self, generation: i32, over: &Stop) -> Result<Next> {
        let beat = (self.session / 10).clamp(LOOK, Duration::from_secs(1));
        let (mut next_beat, mut next_count) = (Instant::now() + beat, Instant::now() + COUNT);
        let mut heard = Instant::now();
        loop {
            match self
                .words
                .recv_timeout(next_beat.saturating_duration_since(Instant::now()))
            {
                Ok(MemberCommand::GivenUp) => return Ok(Next::Join),
                Ok(MemberCommand::Leave) | Err(RecvTimeoutError::Disconnected) => return Ok(Next::Leave),
                Err(RecvTimeoutError::Timeout) => next_beat = Instant::now() + beat,
            }
            if self.alive.age() > self.terms.standstill {
                log::warn!(
                    "group {}: nothing has landed for {} s, so that the partitions are given to other members",
                    self.terms.group,
                    self.terms.standstill.as_secs()
                );
                self.leave();
                return Ok(self.wait_until_given_up(over));
            }
            match self.beat(generation) {
                Ok(()) => {
                    heard = Instant::now();
                    self.retry.record_success();
                }
                // Until the share is given up the heart beats on, so that the others wait.
                Err(Refusal::Again) if self.id.is_empty() => return Ok(self.wait_until_given_up(over)),
                Err(Refusal::Again) => over.request(),
                // The last word is the other side's: it has offsets to commit from this seat.
                Err(Refusal::KafkaError(_)) if over.requested() => {}
                Err(Refusal::KafkaError(trouble)) => {
                    self.retry.record_failure(trouble)?;
                    if heard.elapsed() > self.session {
                        log::debug!("group {}: the session is over", self.terms.group);
                        return Ok(self.wait_until_given_up(over));
                    }
                }
            }
            if self.leads.is_some() && self.counting.is_none() && Instant::now() >= next_count {
                next_count = Instant::now() + COUNT;
                self.start_to_count();
            }
            if self.has_grown() {
                over.request();
            }
        }
    }

    fn wait_until_given_up(&mut self, over: &Stop) -> Next {
        over.request();
        match self.words.recv() {
            Ok(MemberCommand::GivenUp) => Next::Join,
            Ok(MemberCommand::Leave) | Err(_) => Next::Leave,
        }
    }

    fn beat(&mut self, generation: i32) -> Result<(), Refusal> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.coordinator.group_id())
            .with_generation_id(generation)
            .with_member_id(text(&self.id));
        let limit = self.coordinator.config().limit.min(self.session);
        let answer: HeartbeatResponse = self
            .coordinator
            .ask_within(limit, &request)
            .map_err(Refusal::KafkaError)?;
        self.accept(answer.error_code)
    }

    /// Looks at the partitions of all topics from a thread of its own: the heart beats on.
    fn start_to_count(&mut self) {
        let (done, counting) = channel();
        let config = self.coordinator.config().clone();
        deadline::spawn("kafka-count", move || {
            drop(done.send(metadata::partition_counts(&config)))
        });
        self.counting = Some(counting);
    }

    /// Whether a look is done, and a topic of the group has other partitions than those that were dealt out.
    fn has_grown(&mut self) -> bool {
        let counted = match self.counting.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => return false,
            Some(counted) => counted,
        };
        self.counting = None;
        let (Some(dealt), Ok(Ok(counts))) = (&self.leads, counted) else {
            return false;
        };
        dealt
            .iter()
            .any(|(topic, n)| counts.get(topic).is_some_and(|now| now != n))
    }

    fn wants_to_leave(&self) -> bool {
        self.stop.requested() || leaves(&self.words)
    }

    fn leave(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let request = LeaveGroupRequest::default()
            .with_group_id(self.coordinator.group_id())
            .with_member_id(text(&std::mem::take(&mut self.id)));
        let left: Result<LeaveGroupResponse, KafkaError> = self.coordinator.ask(&request);
        if let Err(trouble) = left {
            log::debug!("{trouble}");
        }
    }
}

/// Whether the rest of the program wants to leave; that it gave up a share it does not have says nothing.
fn leaves(words: &Receiver<MemberCommand>) -> bool {
    loop {
        match words.try_recv() {
            Ok(MemberCommand::GivenUp) => {}
            Ok(MemberCommand::Leave) | Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => return false,
        }
    }
}

/// Why a request to the group did not do what it should have.
enum Refusal {
    /// The group has gone on: join again.
    Again,
    KafkaError(KafkaError),
}
