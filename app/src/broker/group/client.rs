//! The seam between the rules of membership and the network: what a member asks of its group's
//! coordinator. Above it stand `protocol` and `session`; a test answers for the coordinator.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};

use crate::broker::error::KafkaError;
use crate::broker::group::coordinator::Coordinator;
#[cfg(test)]
use crate::broker::group::fake::FakeCoordinator;

/// How many partitions each topic of the cluster has.
pub(super) type PartitionCounts = Result<HashMap<String, i32>, KafkaError>;

/// Whom a member asks. Error codes in an answer are the caller's to judge; no answer is an error,
/// and the coordinator is looked for anew.
pub(super) enum GroupClient {
    Coordinator(Coordinator),
    #[cfg(test)]
    Fake(FakeCoordinator),
}

impl GroupClient {
    /// How long one request may take whose answer waits for nobody else.
    pub(super) fn request_timeout(&self) -> Duration {
        match self {
            Self::Coordinator(coordinator) => coordinator.config().limit,
            #[cfg(test)]
            Self::Fake(fake) => fake.request_timeout(),
        }
    }

    /// Sends a JoinGroup, whose answer waits for other members.
    pub(super) fn send_join(&mut self, request: &JoinGroupRequest) -> Result<(), KafkaError> {
        match self {
            Self::Coordinator(coordinator) => coordinator.send::<_, JoinGroupResponse>(request),
            #[cfg(test)]
            Self::Fake(fake) => fake.send_join(request),
        }
    }

    /// Its answer, if it comes within this time.
    pub(super) fn poll_join(&mut self, within: Duration) -> Result<Option<JoinGroupResponse>, KafkaError> {
        match self {
            Self::Coordinator(coordinator) => coordinator.poll_answer(within),
            #[cfg(test)]
            Self::Fake(fake) => fake.poll_join(within),
        }
    }

    /// Sends a SyncGroup, whose answer waits for the leader.
    pub(super) fn send_sync(&mut self, request: &SyncGroupRequest) -> Result<(), KafkaError> {
        match self {
            Self::Coordinator(coordinator) => coordinator.send::<_, SyncGroupResponse>(request),
            #[cfg(test)]
            Self::Fake(fake) => fake.send_sync(request),
        }
    }

    /// Its answer, if it comes within this time.
    pub(super) fn poll_sync(&mut self, within: Duration) -> Result<Option<SyncGroupResponse>, KafkaError> {
        match self {
            Self::Coordinator(coordinator) => coordinator.poll_answer(within),
            #[cfg(test)]
            Self::Fake(fake) => fake.poll_sync(within),
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        limit: Duration,
    ) -> Result<HeartbeatResponse, KafkaError> {
        match self {
            Self::Coordinator(coordinator) => coordinator.ask_within(limit, request),
            #[cfg(test)]
            Self::Fake(fake) => fake.heartbeat(request),
        }
    }

    pub(super) fn leave(&mut self, request: &LeaveGroupRequest) -> Result<LeaveGroupResponse, KafkaError> {
        match self {
            Self::Coordinator(coordinator) => coordinator.ask(request),
            #[cfg(test)]
            Self::Fake(fake) => fake.leave(request),
        }
    }

    /// Gives up the connection: an answer may still come on it that nobody waits for, or another
    /// broker is the coordinator by now.
    pub(super) fn disconnect(&mut self) {
        match self {
            Self::Coordinator(coordinator) => coordinator.disconnect(),
            #[cfg(test)]
            Self::Fake(fake) => fake.disconnect(),
        }
    }

    /// Asks for the partitions of all topics, on a thread of its own: heartbeats go on meanwhile.
    pub(super) fn count_partitions(&self) -> Receiver<PartitionCounts> {
        match self {
            Self::Coordinator(coordinator) => coordinator.count_partitions(),
            #[cfg(test)]
            Self::Fake(fake) => fake.count_partitions(),
        }
    }
}
