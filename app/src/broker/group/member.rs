//! A place in a consumer group, as the rest of the program sees it: assignments that come and go.
//! `session` keeps it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::stop::Stop;

use crate::broker::deadline;
use crate::broker::group::client::GroupClient;
use crate::broker::group::commands::{Commands, MemberCommand};
use crate::broker::group::coordinator::Coordinator;
use crate::broker::group::membership::{Assignment, GroupConfig, LastProgress};
use crate::broker::group::session::GroupSession;
use crate::broker::retry::RetryBudget;
use crate::broker::transport::crate_kafka::worker::ClientConfig;

/// The longest that the end of a run waits until the group is told.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(1500);

/// A place in a group.
pub struct Member {
    assignments: Receiver<Result<Assignment>>,
    commands: Sender<MemberCommand>,
    last_progress: LastProgress,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Member {
    pub(in crate::broker) fn start(
        client: Arc<ClientConfig>,
        retry: RetryBudget,
        config: GroupConfig,
        stop: &Stop,
    ) -> Self {
        let client = GroupClient::Coordinator(Coordinator::new(client, &config.group));
        Self::start_with(client, retry, config, stop)
    }

    pub(super) fn start_with(client: GroupClient, retry: RetryBudget, config: GroupConfig, stop: &Stop) -> Self {
        let (sender, assignments) = channel();
        let (commands, received) = channel();
        let (running, ended) = channel();
        let last_progress = LastProgress::now();
        let received = Commands::new(received);
        let session = GroupSession::new(client, retry, config, received, last_progress.clone(), stop.clone());
        deadline::spawn("kafka-member", move || {
            session.run(&sender);
            drop(running);
        });
        Self {
            assignments,
            commands,
            last_progress,
            ended,
        }
    }

    /// Waits for an assignment for up to `wait`.
    pub fn assignment(&self, wait: Duration) -> Result<Option<Assignment>> {
        match self.assignments.recv_timeout(wait) {
            Ok(assignment) => assignment.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::failed("the group's thread ended")),
        }
    }

    /// The work on the assignment goes on.
    pub fn goes_on(&self) {
        self.last_progress.renew();
    }

    /// Gives the assignment back; the next one comes when the group has assigned anew.
    pub fn give_up(&self) {
        self.last_progress.renew();
        // A thread that has ended has no assignment to take back.
        let _ = self.commands.send(MemberCommand::GivenUp);
    }

    /// Leaves the group, so that the others need not wait for the session to end.
    pub fn leave(self) {
        let _ = self.commands.send(MemberCommand::Leave);
        let _ = self.ended.recv_timeout(LEAVE_TIMEOUT);
    }
}
