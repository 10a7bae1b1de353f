//! How many bytes to ask a partition for. Too small a window brings nothing at all. Of too large a
//! one, much is thrown away where records are compressed, because the `kafka` crate takes one
//! compressed batch from an answer and drops the rest; and a broker that has to rewrite records for
//! so old a client sends whole batches of its log, and fills the rest of the window with nothing.

use kafka_protocol::messages::FetchResponse;

use crate::broker::connection::bounds::Answer;

/// No record is larger than this; a broker's own limit on requests is 100 MiB.
pub(super) const CAP: i32 = 128 << 20;

/// A batch that comes within a window can be looked at, too: a broker sends the first one whole.
const _: () = assert!(FetchResponse::LARGEST > CAP as usize);

/// Few records are larger than this: when nothing comes, it is worth a look whether there are
/// records at all.
pub(super) const PEEK: i32 = 1 << 20;

const LEAST: i32 = 4 << 10;

/// After it had to grow, a window keeps its size for so many answers.
const STEADY: u8 = 16;

/// So many answers lie between two trials.
const REST: u8 = 32;

/// The window of one partition. How much of what a broker sent was thrown away shows only when
/// another window is tried: one that brings as much with less is better, and so is one that brings
/// half as much again with twice as much.
#[derive(Debug)]
pub(super) struct Window {
    size: i32,
    steady: u8,
    /// What the answer before brought. One by itself can be the short rest of a batch.
    before: usize,
    trial: Option<Trial>,
    rest: u8,
    /// Whether the last trial was a wider window.
    wider: bool,
}

/// A window of another size is tried: the size that it had, and what that brought.
#[derive(Debug)]
struct Trial {
    size: i32,
    bytes: usize,
}

impl Window {
    pub(super) fn new(share: i32) -> Self {
        Self {
            size: share,
            steady: 0,
            before: 0,
            trial: None,
            rest: 1,
            wider: false,
        }
    }

    pub(super) fn size(&self) -> i32 {
        self.size
    }

    /// Nothing comes, for the next record is larger than the window: takes a trial back, or doubles
    /// the window; false when it is as large as can be.
    pub(super) fn grow(&mut self) -> bool {
        if let Some(trial) = self.trial.take() {
            self.size = trial.size;
            return true;
        }
        if self.size >= CAP {
            return false;
        }
        self.size = self.size.saturating_mul(2).min(CAP);
        self.steady = STEADY;
        true
    }

    /// Learns from an answer: how many bytes of records it brought, and whether the log holds more
    /// behind them.
    pub(super) fn learn(&mut self, bytes: usize, more: bool, share: i32) {
        let best = bytes.max(std::mem::replace(&mut self.before, bytes));
        if let Some(trial) = self.trial.take() {
            let enough = if self.wider {
                trial.bytes / 2 * 3
            } else {
                trial.bytes / 8 * 7
            };
            if more && bytes >= enough {
                self.attempt(best, share);
            } else {
                self.size = trial.size;
            }
        } else if more && self.steady > 0 {
            self.steady -= 1;
        } else if self.size > share {
            // It grew for records that may be behind us.
            self.size = share.max(self.size / 2);
        } else if more && self.rest > 0 {
            self.rest -= 1;
        } else if more {
            self.rest = REST;
            self.wider = !self.wider && self.size < share;
            self.attempt(best, share);
        }
        if !more {
            self.steady = 0;
        }
    }

    /// Tries another window: twice as much; what came and some room for batches that are a little
    /// larger, if that is clearly less; or half.
    fn attempt(&mut self, best: usize, share: i32) {
        let tried = if self.wider {
            self.size.saturating_mul(2).min(share)
        } else if best < self.size as usize / 4 * 3 {
            (best + best / 8) as i32
        } else {
            self.size / 2
        };
        let tried = tried.max(LEAST);
        if tried != self.size {
            let (size, bytes) = (self.size, best);
            self.trial = Some(Trial { size, bytes });
            self.size = tried;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of so many partitions begins with.
    fn byte_budget(partitions: i32) -> i32 {
        (4 << 20) / partitions
    }

    #[test]
    fn a_window_grows_to_the_cap_and_no_further() {
        let mut window = Window::new(byte_budget(1));
        let mut grown = 0;
        while window.grow() {
            grown += 1;
        }
        assert_eq!(window.size(), CAP);
        assert_eq!(grown, 5);
    }

    #[test]
    fn a_grown_window_shrinks_once_it_has_caught_up() {
        let mut window = Window::new(byte_budget(64));
        while window.size() < 8 << 20 {
            assert!(window.grow());
        }
        window.learn(10, true, byte_budget(64));
        assert_eq!(window.size(), 8 << 20, "steady at first");
        for _ in 0..10 {
            window.learn(100, false, byte_budget(64));
        }
        assert_eq!(window.size(), byte_budget(64));
    }

    /// So many answers while the log holds more: `bring` tells what a window brings. How many of
    /// them brought nothing.
    fn follow(window: &mut Window, answers: usize, share: i32, bring: impl Fn(usize) -> usize) -> usize {
        let mut empty = 0;
        for _ in 0..answers {
            match bring(window.size() as usize) {
                0 => {
                    empty += 1;
                    assert!(window.grow());
                }
                bytes => window.learn(bytes, true, share),
            }
        }
        empty
    }

    #[test]
    fn a_window_follows_small_batches_down_and_full_answers_up_again() {
        let share = byte_budget(1);
        let mut window = Window::new(share);
        follow(&mut window, 100, share, |size| size.min(20_000));
        assert!((20_000..=50_000).contains(&window.size()), "{}", window.size());
        follow(&mut window, 100, share, |size| size);
        assert!(window.size() >= share / 2, "{}", window.size());
    }

    #[test]
    fn a_window_fits_compressed_batches_of_which_an_answer_brings_one() {
        let share = byte_budget(3);
        let mut window = Window::new(share);
        // 190 kB in the log, 763 kB unpacked.
        let empty = follow(&mut window, 200, share, |size| if size < 190_000 { 0 } else { 763_000 });
        assert!((190_000..=700_000).contains(&window.size()), "{}", window.size());
        assert!(empty <= 6, "{empty} answers brought nothing");
    }

    #[test]
    fn a_window_that_is_filled_in_part_by_all_of_the_log_stays_wide() {
        let share = byte_budget(3);
        // A batch for each record: in the log it takes more than for this client.
        for (in_log, here) in [(170, 126), (220, 176), (270, 226), (90, 36)] {
            let mut window = Window::new(share);
            let mut least = share;
            for _ in 0..500 {
                follow(&mut window, 1, share, |size| size / in_log * here);
                least = least.min(window.size());
            }
            assert!(least >= share / 3, "{least} for records of {here} bytes");
            assert!(window.trial.is_some() || window.size() == share, "{}", window.size());
        }
    }

    #[test]
    fn a_window_fits_the_batches_of_the_log_and_not_the_rest_of_one() {
        let share = byte_budget(3);
        let mut window = Window::new(share);
        let mut empty = 0;
        let batches = [763_000, 741_000, 790_000, 755_000].into_iter().cycle();
        for (i, batch) in batches.enumerate().take(200) {
            // Some come in two parts.
            let parts = match i % 10 {
                9 => vec![batch - 20_000, 20_000],
                _ => vec![batch],
            };
            for part in parts {
                empty += follow(&mut window, 1, share, |size| if size < part { 0 } else { part });
            }
        }
        assert!((790_000..900_000).contains(&window.size()), "{}", window.size());
        assert!(empty <= 6, "{empty} answers brought nothing");
    }
}
