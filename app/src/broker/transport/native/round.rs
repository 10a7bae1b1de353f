//! How much a Fetch asks for, and how much it waits for. Answers come the sooner the less a broker
//! has to wait for, and each of them costs the same, however little it brings: while much comes, it
//! is worth the wait for more. What is compressed takes more memory here than in the answer, and an
//! answer is to take as much as any other.

use std::time::Duration;

/// So many bytes in one answer are much.
const MUCH: u64 = 256 << 10;

/// Then so many are waited for,
const MORE: i32 = 1 << 20;

/// for no longer than this.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Records compress to a sixth or so: before anything has come, it may be so.
const FIRST_EXPANSION: u64 = 6;

/// What the answer before has told. All sizes are those that records take in memory.
#[derive(Debug)]
pub(crate) struct Round {
    is_much_coming: bool,
    came: Size,
}

/// Of an answer that brought something.
#[derive(Debug)]
struct Size {
    on_the_wire: u64,
    in_memory: u64,
}

impl Round {
    pub(crate) fn new() -> Self {
        Self {
            is_much_coming: false,
            came: Size {
                on_the_wire: 1,
                in_memory: FIRST_EXPANSION,
            },
        }
    }

    /// The fewest bytes of an answer to wait for, and how long.
    pub(crate) fn wait(&self, max_wait: Duration) -> (i32, Duration) {
        if self.is_much_coming {
            (self.on_the_wire(MORE), max_wait.min(LONGEST_WAIT))
        } else {
            (1, max_wait)
        }
    }

    /// How many bytes of an answer are likely to take so many in memory; at least one, for which a
    /// broker still answers a whole batch.
    pub(crate) fn on_the_wire(&self, in_memory: i32) -> i32 {
        let bytes = u64::from(in_memory.unsigned_abs()) * self.came.on_the_wire / self.came.in_memory;
        i32::try_from(bytes.max(1)).unwrap_or(i32::MAX)
    }

    /// Notes an answer: its records' bytes, and those that were unpacked from them.
    pub(crate) fn note_answer(&mut self, bytes: usize, unpacked: usize) {
        let (on_the_wire, in_memory) = (bytes as u64, (bytes + unpacked) as u64);
        self.is_much_coming = in_memory >= MUCH;
        if on_the_wire > 0 {
            self.came = Size { on_the_wire, in_memory };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_while_much_comes_more_is_waited_for() {
        let (mut round, second) = (Round::new(), Duration::from_secs(1));
        assert_eq!(round.wait(second), (1, second));
        round.note_answer(MUCH as usize, 0);
        assert_eq!(round.wait(second), (MORE, LONGEST_WAIT));
        assert_eq!(round.wait(Duration::ZERO), (MORE, Duration::ZERO));
        round.note_answer(MUCH as usize - 1, 0);
        assert_eq!(round.wait(second), (1, second));
        round.note_answer(MUCH as usize / 4, MUCH as usize / 4 * 3);
        assert_eq!(round.wait(second), (MORE / 4, LONGEST_WAIT));
    }

    #[test]
    fn as_much_is_asked_for_as_takes_that_room_in_memory() {
        let mut round = Round::new();
        assert_eq!(round.on_the_wire(6 << 20), 1 << 20, "nothing is known yet");
        round.note_answer(1000, 0);
        assert_eq!(round.on_the_wire(i32::MAX), i32::MAX);
        round.note_answer(1000, 9000);
        assert_eq!(round.on_the_wire(4 << 20), (4 << 20) / 10);
        // An answer without records tells nothing.
        round.note_answer(0, 0);
        assert_eq!(round.on_the_wire(4 << 20), (4 << 20) / 10);
        round.note_answer(100, 256 << 20);
        assert_eq!(round.on_the_wire(1 << 10), 1);
    }
}
