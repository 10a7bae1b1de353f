//! What the rest of the program tells a member's thread.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberCommand {
    /// The assignment is no longer worked on.
    GivenUp,
    Leave,
}

/// The thread's end. A wish to leave stays one: it may come at a time when it can't be followed
/// yet.
pub(super) struct Commands {
    received: Receiver<MemberCommand>,
    leave_wanted: bool,
}

impl Commands {
    pub(super) fn new(received: Receiver<MemberCommand>) -> Self {
        Self {
            received,
            leave_wanted: false,
        }
    }

    /// The next command. Where nobody is left to give one it is time to leave.
    pub(super) fn next(&mut self) -> MemberCommand {
        if self.leave_wanted {
            return MemberCommand::Leave;
        }
        let command = self.received.recv().unwrap_or(MemberCommand::Leave);
        self.noted(command)
    }

    /// The same, if it comes before this.
    pub(super) fn next_before(&mut self, end: Instant) -> Option<MemberCommand> {
        if self.leave_wanted {
            return Some(MemberCommand::Leave);
        }
        let command = match self
            .received
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            Ok(command) => command,
            Err(RecvTimeoutError::Disconnected) => MemberCommand::Leave,
            Err(RecvTimeoutError::Timeout) => return None,
        };
        Some(self.noted(command))
    }

    fn noted(&mut self, command: MemberCommand) -> MemberCommand {
        self.leave_wanted |= command == MemberCommand::Leave;
        command
    }

    /// Whether it is time to leave. That an assignment was given up says nothing to one who has
    /// none.
    pub(super) fn leave_wanted(&mut self) -> bool {
        while !self.leave_wanted {
            match self.received.try_recv() {
                Ok(MemberCommand::GivenUp) => {}
                Ok(MemberCommand::Leave) | Err(TryRecvError::Disconnected) => self.leave_wanted = true,
                Err(TryRecvError::Empty) => return false,
            }
        }
        true
    }
}
