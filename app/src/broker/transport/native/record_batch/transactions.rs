//! Which batches a reader of committed records leaves out: as Java's consumer does it, batch by
//! batch.

use std::collections::HashSet;

/// Whose records are read.
#[derive(Debug)]
pub(crate) enum Isolation {
    /// Those of open and aborted transactions, too.
    ReadUncommitted,
    /// Those outside of transactions and of committed ones, up to the last stable offset; -1 is a
    /// broker that does not say it.
    ReadCommitted {
        aborted: AbortedTransactions,
        last_stable_offset: i64,
    },
}

/// How a transaction ended, said by a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Abort,
    Commit,
    /// Of later versions; none of them ends a transaction.
    Other(i16),
}

impl Marker {
    pub(super) fn of(kind: i16) -> Self {
        match kind {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        }
    }
}

/// The aborted transactions that an answer names.
#[derive(Debug)]
pub(crate) struct AbortedTransactions {
    /// Producer's id and first offset of those that begin further on, the next one last.
    to_come: Vec<(i64, i64)>,
    /// Ids of producers whose transaction is read now.
    under_way: HashSet<i64>,
}

impl AbortedTransactions {
    /// Producer's id and first offset of each, in any order.
    pub(crate) fn new(mut all: Vec<(i64, i64)>) -> Self {
        all.sort_unstable_by_key(|&(_, first_offset)| std::cmp::Reverse(first_offset));
        Self {
            to_come: all,
            under_way: HashSet::new(),
        }
    }

    /// Goes on to a batch of a producer, which ends before `next_offset`.
    fn advance(&mut self, next_offset: i64) {
        while let Some((producer_id, _)) = self.to_come.pop_if(|(_, first)| *first < next_offset) {
            self.under_way.insert(producer_id);
        }
    }
}

impl Isolation {
    /// The end of what is read.
    pub(super) fn end(&self) -> i64 {
        match self {
            Self::ReadCommitted { last_stable_offset, .. } if *last_stable_offset >= 0 => *last_stable_offset,
            Self::ReadUncommitted | Self::ReadCommitted { .. } => i64::MAX,
        }
    }

    /// Whether nothing is read from an offset on.
    pub(super) fn ends_before(&self, offset: i64) -> bool {
        matches!(self, Self::ReadCommitted { .. }) && offset >= self.end()
    }

    /// Takes note of a marker that ends before `next_offset`.
    pub(super) fn pass_marker(&mut self, producer_id: i64, marker: Marker, next_offset: i64) {
        if let Self::ReadCommitted { aborted, .. } = self {
            aborted.advance(next_offset);
            if marker == Marker::Abort {
                aborted.under_way.remove(&producer_id);
            }
        }
    }

    /// Whether a transaction's batch, which ends before `next_offset`, is of an aborted one.
    pub(super) fn leaves_out(&mut self, producer_id: i64, next_offset: i64) -> bool {
        match self {
            Self::ReadUncommitted => false,
            Self::ReadCommitted { aborted, .. } => {
                aborted.advance(next_offset);
                aborted.under_way.contains(&producer_id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(aborted: Vec<(i64, i64)>) -> Isolation {
        Isolation::ReadCommitted {
            aborted: AbortedTransactions::new(aborted),
            last_stable_offset: 100,
        }
    }

    #[test]
    fn a_producers_records_are_left_out_from_the_first_of_its_aborted_transaction_to_its_marker() {
        // Offsets: 7 committed in 0..=2; 7 aborted in 3..=9; 8 aborted in 5..=12; 7 aborted again
        // in 20..=22.
        let mut isolation = committed(vec![(7, 20), (8, 5), (7, 3)]);
        assert!(!isolation.leaves_out(7, 2));
        isolation.pass_marker(7, Marker::Commit, 3);
        assert!(isolation.leaves_out(7, 5));
        assert!(isolation.leaves_out(8, 7));
        assert!(!isolation.leaves_out(9, 8), "somebody else's");
        isolation.pass_marker(7, Marker::Abort, 10);
        assert!(!isolation.leaves_out(7, 11), "the next transaction is none of these");
        assert!(isolation.leaves_out(8, 12));
        isolation.pass_marker(8, Marker::Abort, 13);
        assert!(!isolation.leaves_out(8, 14));
        assert!(isolation.leaves_out(7, 22));
    }

    #[test]
    fn a_marker_whose_transaction_has_no_records_left_ends_it() {
        let mut isolation = committed(vec![(7, 3)]);
        isolation.pass_marker(7, Marker::Abort, 10);
        assert!(!isolation.leaves_out(7, 12));
    }

    #[test]
    fn who_reads_uncommitted_records_leaves_out_none() {
        let mut isolation = Isolation::ReadUncommitted;
        isolation.pass_marker(7, Marker::Abort, 1);
        assert!(!isolation.leaves_out(7, 2));
        assert_eq!((isolation.end(), committed(vec![]).end()), (i64::MAX, 100));
    }
}
