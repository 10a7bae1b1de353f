//! A member's session in its group, from the first JoinGroup to LeaveGroup, on a thread of its own:
//! heartbeats go on whatever the rest of the program does.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::stop::{STOP_POLL, Stop};

use crate::broker::group::client::GroupClient;
use crate::broker::group::commands::{Commands, MemberCommand};
use crate::broker::group::membership::{Assignment, GroupConfig, LastProgress};
use crate::broker::group::partition_watch::PartitionWatch;
use crate::broker::group::protocol::{GroupError, JoinOutcome, MemberProtocol};
use crate::broker::retry::RetryBudget;

/// How long a group's first coordinator may take to be there before we call it an outage.
const FIRST_COORDINATOR_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest time between two heartbeats.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Why an assignment is no longer held.
enum HoldEnd {
    /// It is no longer worked on: the group may assign anew.
    GivenUp,
    /// The member is one no more, and whoever works on the assignment does not know it yet.
    SessionLost,
    /// The work on it has not gone on for too long.
    StoodStill,
    LeaveWanted,
}

/// What one member does in its group.
pub(super) struct GroupSession {
    protocol: MemberProtocol,
    retry: RetryBudget,
    commands: Commands,
    last_progress: LastProgress,
    stop: Stop,
}

impl GroupSession {
    pub(super) fn new(
        client: GroupClient,
        retry: RetryBudget,
        config: GroupConfig,
        commands: Commands,
        last_progress: LastProgress,
        stop: Stop,
    ) -> Self {
        Self {
            protocol: MemberProtocol::new(client, config),
            retry,
            commands,
            last_progress,
            stop,
        }
    }

    /// Takes part until the member leaves, or the group cannot be used.
    pub(super) fn run(mut self, assignments: &Sender<Result<Assignment>>) {
        let ended = self.take_part(assignments);
        self.protocol.leave();
        if let Err(error) = ended {
            // Nobody may wait for an assignment any more.
            let _ = assignments.send(Err(error));
        }
    }

    fn take_part(&mut self, assignments: &Sender<Result<Assignment>>) -> Result<()> {
        loop {
            let assigned = match self.join()? {
                JoinOutcome::Assigned(assigned) => assigned,
                // A stop is told as one to whoever still waits for an assignment.
                JoinOutcome::LeaveWanted => return self.stop.check(),
            };
            let (generation, over) = (assigned.membership.generation, self.stop.part());
            self.last_progress.renew();
            let assignment = Assignment {
                partitions: assigned.partitions,
                membership: Some(assigned.membership),
                over: over.clone(),
            };
            if assignments.send(Ok(assignment)).is_err() {
                return Ok(());
            }
            let ended = self.hold(generation, &over, assigned.counts.map(PartitionWatch::new));
            over.request();
            match ended? {
                HoldEnd::GivenUp => {}
                HoldEnd::SessionLost => self.wait_until_given_up(),
                HoldEnd::StoodStill => {
                    self.protocol.leave();
                    self.wait_until_given_up();
                }
                HoldEnd::LeaveWanted => return Ok(()),
            }
        }
    }

    /// Joins until there is an assignment, or it is time to leave.
    fn join(&mut self) -> Result<JoinOutcome> {
        let began = Instant::now();
        loop {
            let (stop, commands) = (&self.stop, &mut self.commands);
            let mut leave_wanted = || stop.requested() || commands.leave_wanted();
            if leave_wanted() {
                return Ok(JoinOutcome::LeaveWanted);
            }
            match self.protocol.join(&mut leave_wanted) {
                Ok(JoinOutcome::Assigned(assigned)) => {
                    self.retry.over();
                    return Ok(JoinOutcome::Assigned(assigned));
                }
                Ok(JoinOutcome::LeaveWanted) => return Ok(JoinOutcome::LeaveWanted),
                Err(GroupError::Rebalance | GroupError::UnknownMember) => {}
                Err(GroupError::Kafka(error)) if error.broken && began.elapsed() < FIRST_COORDINATOR_TIMEOUT => {
                    self.stop.sleep(STOP_POLL)?
                }
                Err(GroupError::Kafka(error)) => self.retry.back_off(error)?,
            }
        }
    }

    /// Holds an assignment: heartbeats until the group assigns anew, the session is lost, or the
    /// work on the assignment stands still. The leader watches the topics' partitions meanwhile.
    fn hold(&mut self, generation: i32, over: &Stop, mut watch: Option<PartitionWatch>) -> Result<HoldEnd> {
        let interval = (self.protocol.session_timeout() / 10).clamp(STOP_POLL, MAX_HEARTBEAT_INTERVAL);
        let mut next_heartbeat = Instant::now() + interval;
        let mut last_answer = Instant::now();
        loop {
            match self.commands.next_before(next_heartbeat) {
                Some(MemberCommand::GivenUp) => return Ok(HoldEnd::GivenUp),
                Some(MemberCommand::Leave) => return Ok(HoldEnd::LeaveWanted),
                None => next_heartbeat = Instant::now() + interval,
            }
            let config = self.protocol.config();
            if self.last_progress.age() > config.progress_timeout {
                log::warn!(
                    "group {}: nothing has landed for {} s, so that the partitions are given to other members",
                    config.group,
                    config.progress_timeout.as_secs()
                );
                return Ok(HoldEnd::StoodStill);
            }
            match self.protocol.heartbeat(generation) {
                Ok(()) => {
                    last_answer = Instant::now();
                    self.retry.over();
                }
                Err(GroupError::UnknownMember) => return Ok(HoldEnd::SessionLost),
                // Until the assignment is given up heartbeats go on, so that the others wait.
                Err(GroupError::Rebalance) => over.request(),
                // The other side has the last word: it has offsets to commit in this member's name.
                Err(GroupError::Kafka(_)) if over.requested() => {}
                Err(GroupError::Kafka(error)) => {
                    self.retry.note(error)?;
                    if last_answer.elapsed() > self.protocol.session_timeout() {
                        log::debug!("group {}: the session is over", self.protocol.config().group);
                        return Ok(HoldEnd::SessionLost);
                    }
                }
            }
            let client = self.protocol.client();
            if let Some(watch) = &mut watch
                && watch.has_changed(|| client.count_partitions())
            {
                over.request();
            }
        }
    }

    /// The next assignment must not come before this one is worked on no more. A wish to leave ends
    /// the wait, too, and is seen again before the next join.
    fn wait_until_given_up(&mut self) {
        self.commands.next();
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
