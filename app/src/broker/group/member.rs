//! A place in a consumer group, as the rest of the program sees it: assignments that come and go. `session` keeps it.

use crate::model::TopicPartition;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::stop::Stop;

use crate::broker::config::ClientConfig;
use crate::broker::deadline;
use crate::broker::group::session::GroupSession;
use crate::broker::retry::RetryBudget;

/// How a member takes part.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    pub group: String,
    pub topics: Vec<String>,
    /// What the member says of itself to those that ask for the group's members.
    pub note: String,
    /// How long the others wait for a member that is not heard of.
    pub session: Duration,
    /// How long the work on a share may stand still before the share is given up.
    pub standstill: Duration,
}

/// A member and the generation of the group in which it has its place, for commits in its name.
#[derive(Debug, Clone)]
pub struct Membership {
    pub(super) member: String,
    pub(super) generation: i32,
}

impl Membership {
    /// For what concerns the group from outside.
    pub fn none() -> Self {
        Self {
            member: String::new(),
            generation: -1,
        }
    }

    /// The member's name in its group.
    pub fn member(&self) -> &str {
        &self.member
    }
}

/// Partitions that are this consumer's until `over` is raised.
#[derive(Debug)]
pub struct Assignment {
    pub partitions: Vec<TopicPartition>,
    /// Where a group assigned them.
    pub membership: Option<Membership>,
    pub over: Stop,
}

/// What the rest of the program tells the member's thread.
pub(super) enum MemberCommand {
    /// The share is no longer worked on.
    GivenUp,
    Leave,
}

/// A place in a group.
pub struct Member {
    assignments: Receiver<Result<Assignment>>,
    words: Sender<MemberCommand>,
    alive: LastProgress,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

/// When the work on the share was last seen to go on.
#[derive(Clone)]
pub(super) struct LastProgress(Arc<Mutex<Instant>>);

impl LastProgress {
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// The longest that the end of a run waits until the group is told.
const LAST_WORD: Duration = Duration::from_millis(1500);

impl Member {
    pub(in crate::broker) fn start(
        config: Arc<ClientConfig>,
        retry: RetryBudget,
        terms: GroupConfig,
        stop: &Stop,
    ) -> Self {
        let (post, assignments) = channel();
        let (words, heard) = channel();
        let (living, ended) = channel();
        let alive = LastProgress(Arc::new(Mutex::new(Instant::now())));
        let session = GroupSession::new(config, retry, terms, heard, alive.clone(), stop.clone());
        deadline::spawn("kafka-member", move || {
            session.keep(&post);
            drop(living);
        });
        Self {
            assignments,
            words,
            alive,
            ended,
        }
    }

    /// Waits for a share of the partitions for up to `wait`.
    pub fn assignment(&self, wait: Duration) -> Result<Option<Assignment>> {
        match self.assignments.recv_timeout(wait) {
            Ok(share) => share.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::failed("the group's thread ended")),
        }
    }

    /// The work on the share goes on.
    pub fn goes_on(&self) {
        self.alive.beat();
    }

    /// Gives the share back; the next one comes when the group has dealt anew.
    pub fn give_up(&self) {
        self.alive.beat();
        let _ = self.words.send(MemberCommand::GivenUp);
    }

    /// Leaves the group, so that the others need not wait for the session to end.
    pub fn leave(self) {
        let _ = self.words.send(MemberCommand::Leave);
        let _ = self.ended.recv_timeout(LAST_WORD);
    }
}
