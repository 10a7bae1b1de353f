//! How many bytes to ask a partition for. Too small a window brings nothing at all. Of too large a one, much is thrown away where
//! records are compressed, because the `kafka` crate takes one compressed batch from an answer and drops the rest; and a broker that has
//! to rewrite records for so old a client sends whole batches of its log, and fills the rest of the window with nothing.

/// What all windows of one request together should stay within.
pub const BUDGET: i32 = 4 << 20;

/// No record is larger than this; a broker's own limit on requests is 100 MiB.
pub const CAP: i32 = 128 << 20;

/// Few records are larger than this: when nothing comes, it is worth a look whether there are records at all.
pub const PEEK: i32 = 1 << 20;

const LEAST_SHARE: i32 = 64 << 10;
const LEAST: i32 = 4 << 10;

/// After it had to grow, a window keeps its size for so many answers.
const STEADY: u8 = 16;

/// The part of the budget that each of `partitions` begins with.
pub fn share(partitions: usize) -> i32 {
    let partitions = i32::try_from(partitions.max(1)).unwrap_or(i32::MAX);
    (BUDGET / partitions).max(LEAST_SHARE)
}

/// The window of one partition.
#[derive(Debug)]
pub struct Window {
    size: i32,
    steady: u8,
    /// What the answer before brought. One by itself can be the short rest of a batch.
    before: usize,
}

impl Window {
    pub fn new(share: i32) -> Self {
        Self {
            size: share,
            steady: 0,
            before: share as usize,
        }
    }

    pub fn size(&self) -> i32 {
        self.size
    }

    /// The next record is larger than the window: doubles it; false when it is as large as can be.
    pub fn grow(&mut self) -> bool {
        if self.size >= CAP {
            return false;
        }
        self.size = self.size.saturating_mul(2).min(CAP);
        self.steady = STEADY;
        true
    }

    /// Learns from an answer: how many bytes of records it brought, and whether the log holds more behind them.
    pub fn learn(&mut self, bytes: usize, more: bool, share: i32) {
        let best = bytes.max(std::mem::replace(&mut self.before, bytes));
        let size = self.size as usize;
        if !more {
            // Caught up: large records are over for now.
            self.steady = 0;
            if self.size > share {
                self.size = share.max(self.size / 2);
            }
        } else if self.steady > 0 {
            self.steady -= 1;
        } else if best < size / 8 * 7 {
            // What came, and some room for batches that are a little larger.
            self.size = i32::try_from(best + best / 8).unwrap_or(CAP).max(LEAST);
        } else if self.size < share && bytes > size / 16 * 15 {
            self.size = self.size.saturating_mul(2).min(share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_share_the_budget() {
        assert_eq!(share(1), BUDGET);
        assert_eq!(share(4), BUDGET / 4);
        assert_eq!(share(1000), LEAST_SHARE);
    }

    #[test]
    fn a_window_grows_to_the_cap_and_no_further() {
        let mut window = Window::new(share(1));
        let mut grown = 0;
        while window.grow() {
            grown += 1;
        }
        assert_eq!(window.size(), CAP);
        assert_eq!(grown, 5);
    }

    #[test]
    fn a_grown_window_shrinks_once_it_has_caught_up() {
        let mut window = Window::new(share(64));
        while window.size() < 8 << 20 {
            assert!(window.grow());
        }
        window.learn(10, true, share(64));
        assert_eq!(window.size(), 8 << 20, "steady at first");
        for _ in 0..10 {
            window.learn(100, false, share(64));
        }
        assert_eq!(window.size(), share(64));
    }

    #[test]
    fn a_window_follows_small_compressed_batches_down_and_full_answers_up_again() {
        let mut window = Window::new(share(1));
        for _ in 0..100 {
            window.learn(20_000, true, share(1));
        }
        assert!((20_000..=25_000).contains(&window.size()), "{}", window.size());
        for _ in 0..100 {
            window.learn(window.size() as usize, true, share(1));
        }
        assert_eq!(window.size(), share(1));
    }

    #[test]
    fn a_window_fits_the_batches_of_the_log_and_not_the_rest_of_one() {
        let share = share(3);
        let mut window = Window::new(share);
        let batches = [763_000, 741_000, 790_000, 755_000].into_iter().cycle();
        for (i, batch) in batches.enumerate().take(100) {
            // Some come in two parts.
            let parts = if i % 10 == 9 {
                vec![batch - 20_000, 20_000]
            } else {
                vec![batch]
            };
            for bytes in parts {
                window.learn(bytes, true, share);
                assert!(window.size() > 800_000, "{} after {bytes}", window.size());
            }
        }
        assert!(window.size() < 900_000, "{}", window.size());
    }
}
