//! What a member's handle and its session share: how it takes part, what it is assigned, and when
//! the work on it went on last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::TopicPartition;
use crate::stop::Stop;

/// How a member takes part.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    pub group: String,
    pub topics: Vec<String>,
    /// What the member says of itself to those that ask for the group's members.
    pub note: String,
    /// How long the others wait for a member that is not heard of.
    pub session_timeout: Duration,
    /// How long the work on an assignment may stand still before the assignment is given up.
    pub progress_timeout: Duration,
}

/// A member and the generation of the group that it belongs to, for commits in its name.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// When the work on the assignment was last seen to go on.
#[derive(Clone)]
pub(super) struct LastProgress(Arc<Mutex<Instant>>);

impl LastProgress {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn renew(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
