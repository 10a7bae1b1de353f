//! The second look at a hole before an answer's first record. When an answer meets a compressed
//! batch, the `kafka` crate returns that batch alone and loses the plain records before it; a
//! smaller window brings them. Records behind the first are not lost that way: an answer is either
//! plain records up to the first compressed batch, or one whole batch.

/// What a request from the hole's first offset brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing: the window is smaller than what comes first.
    Nothing,
    /// Records from behind the offset that was asked for.
    Hole,
}

/// A compressed batch takes more bytes than this, so windows that differ by less do not differ in
/// what they hide.
const CLOSE: i32 = 26;

/// Bisects the windows between one that answers nothing and one that answers with a hole.
#[derive(Debug)]
pub(super) struct WindowBisect {
    nothing: i32,
    hole: i32,
}

impl WindowBisect {
    /// Begins after a window that answered with a hole.
    pub(super) fn below(window: i32) -> Self {
        Self {
            nothing: 0,
            hole: window,
        }
    }

    /// The window to ask with next; none when the hole is a real one.
    pub(super) fn next(&self) -> Option<i32> {
        (self.hole - self.nothing > CLOSE).then(|| self.nothing + (self.hole - self.nothing) / 2)
    }

    /// Takes what that window brought.
    pub(super) fn saw(&mut self, window: i32, seen: Probe) {
        match seen {
            Probe::Nothing => self.nothing = window,
            Probe::Hole => self.hole = window,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of a log: offsets from, to, its bytes, and whether it is a compressed batch.
    type Entry = (i64, i64, i32, bool);

    /// The offset of the first record that the crate returns for a window at `from`.
    fn first(log: &[Entry], from: i64, window: i32) -> Option<i64> {
        let mut left = window;
        let mut first = None;
        for &(start, _, bytes, compressed) in log.iter().filter(|entry| entry.1 > from) {
            if bytes > left {
                break;
            }
            left -= bytes;
            if compressed {
                return Some(start.max(from));
            }
            first = first.or(Some(start.max(from)));
        }
        first
    }

    /// The first record that is there in truth, and how many requests it took.
    fn look(log: &[Entry], from: i64, window: i32) -> (i64, usize) {
        let mut best = first(log, from, window).unwrap();
        let mut search = WindowBisect::below(window);
        let mut asked = 0;
        while let Some(window) = search.next()
            && best > from
        {
            asked += 1;
            match first(log, from, window) {
                None => search.saw(window, Probe::Nothing),
                Some(offset) => {
                    best = offset;
                    search.saw(window, Probe::Hole);
                }
            }
        }
        (best, asked)
    }

    #[test]
    fn plain_records_hidden_by_a_compressed_batch_are_found() {
        let plain: Vec<Entry> = (0..300).map(|i| (i, i + 1, 100, false)).collect();
        for batch in [60, 500, 50_000, 900_000] {
            let log = [plain.clone(), vec![(300, 900, batch, true)]].concat();
            let (found, asked) = look(&log, 0, 1 << 20);
            assert_eq!(found, 0, "batch of {batch}");
            assert!(asked <= 25, "{asked}");
        }
    }

    #[test]
    fn a_real_hole_stays_after_a_bounded_search() {
        let log: [Entry; 3] = [(0, 10, 1000, false), (50, 60, 700, true), (60, 90, 1000, true)];
        let (found, asked) = look(&log, 10, 4 << 20);
        assert_eq!(found, 50);
        assert!(asked <= 25, "{asked}");
    }

    #[test]
    fn a_hole_with_hidden_records_in_it_shrinks_to_what_is_real() {
        let log: [Entry; 3] = [(0, 10, 1000, false), (30, 40, 700, false), (40, 90, 300, true)];
        assert_eq!(look(&log, 10, 1 << 20).0, 30);
    }
}
