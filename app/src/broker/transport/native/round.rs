//! How much a Fetch waits for. Answers come the sooner the less a broker has to wait for, and each
//! of them costs the same, however little it brings: while much comes, it is worth the wait for
//! more.

use std::time::Duration;

/// So many bytes in one answer are much.
const MUCH: usize = 256 << 10;

/// Then so many are waited for,
const MORE: i32 = 1 << 20;

/// for no longer than this.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// What the answer before has told.
#[derive(Debug, Default)]
pub(super) struct Round {
    is_much_coming: bool,
}

impl Round {
    /// The fewest bytes to wait for, and how long.
    pub(super) fn wait(&self, max_wait: Duration) -> (i32, Duration) {
        if self.is_much_coming {
            (MORE, max_wait.min(LONGEST_WAIT))
        } else {
            (1, max_wait)
        }
    }

    pub(super) fn note_answer(&mut self, bytes: usize) {
        self.is_much_coming = bytes >= MUCH;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_while_much_comes_more_is_waited_for() {
        let (mut round, second) = (Round::default(), Duration::from_secs(1));
        assert_eq!(round.wait(second), (1, second));
        round.note_answer(MUCH);
        assert_eq!(round.wait(second), (MORE, LONGEST_WAIT));
        assert_eq!(round.wait(Duration::ZERO), (MORE, Duration::ZERO));
        round.note_answer(MUCH - 1);
        assert_eq!(round.wait(second), (1, second));
    }
}
