//! What an applier took last: whether a record that comes again is the same, and whether a run that was replaced goes on all the same.
//!
//! A producer sends a batch again unchanged. So a number that comes twice with other contents is no resend: one of the two records was
//! sent by somebody else, and the sink may have taken that one. What is compared are the last `WINDOW` numbers of the newest run that this
//! process took, and after a start those of them that stand among the last `LOOK_BACK` records below the position. Older ones are only
//! counted; yet who takes numbers from a source that lives is found when the source has come up to within the window.
//!
//! A run that was replaced stops soon, and the newer one has sent all of its rows again: its last records are skipped. Behind a stamp that
//! nobody sent there is no such run. From here both look the same, but for one thing: nothing of the newer run follows. Where that one has
//! sent no more than its beginning, it is a loss until something follows; else it is told at the end. The producer whose records are
//! skipped finds it in any case: its answer's offset does not follow its last one, so that it looks at what came between.

use std::time::Instant;

use crate::broker::{Cluster, FetchPosition, Message};
use crate::error::Result;
use crate::model::{LastApplied, RecordId};
use crate::wire::decode;
use crate::wire::fingerprint::quick;

use super::partition_applier::PartitionApplier;
use super::prefetch::LONGEST_FETCH;

const WINDOW: u64 = 1024;
const LOOK_BACK: i64 = 64;

/// What was taken, and what was not.
#[derive(Default)]
pub struct RecentRecords {
    /// Numbers of the newest run and what came with them, each in its place; 0 is no number.
    taken: Vec<(u64, u64)>,
    pub late: Option<Late>,
}

/// A record of an older run, behind which nothing of the newer one has come.
#[derive(Debug, Clone, Copy)]
pub struct Late {
    pub offset: i64,
    pub epoch: u64,
    pub since: Instant,
}

impl RecentRecords {
    /// A record of the newest run was taken.
    pub fn took(&mut self, seq: u64, message: &Message<'_>) {
        self.late = None;
        if self.taken.is_empty() {
            self.taken.resize(WINDOW as usize, (0, 0));
        }
        self.taken[(seq % WINDOW) as usize] = (seq, quick(message.key, message.value));
    }

    /// Whether another record was taken with this number, as far as is remembered.
    pub fn took_another(&self, seq: u64, message: &Message<'_>) -> bool {
        let taken = self.taken.get((seq % WINDOW) as usize);
        taken.is_some_and(|(taken, was)| *taken == seq && *was != quick(message.key, message.value))
    }

    /// A record of an older run was skipped.
    pub fn skipped(&mut self, stamp: &RecordId<'_>, offset: i64) {
        self.late = Some(Late {
            offset,
            epoch: stamp.epoch,
            since: Instant::now(),
        });
    }

    /// Another run begins.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Remembers a record below the position, from which all was taken that comes before `newest`; they are told in their order.
    fn recall(&mut self, newest: &LastApplied, message: &Message<'_>) {
        let Some(stamp) = decode::record_id(message.value).filter(|stamp| stamp.source == newest.source) else {
            return;
        };
        if stamp.epoch < newest.epoch {
            self.skipped(&stamp, message.offset);
        } else if stamp.epoch == newest.epoch && stamp.seq <= newest.seq {
            let is_known = |(seq, _): &(u64, u64)| *seq == stamp.seq;
            // Of two with one number the first was taken.
            match self.taken.get((stamp.seq % WINDOW) as usize).is_some_and(is_known) {
                true => self.late = None,
                false => self.took(stamp.seq, message),
            }
        }
    }
}

/// Lets appliers remember what stands right below their positions. What cannot be read at once is not remembered.
pub fn recall(cluster: &Cluster, appliers: &mut [&mut PartitionApplier], earliest: &[i64]) -> Result<()> {
    let from = |applier: &PartitionApplier| {
        let place = &applier.position;
        let first = *earliest.get(place.at.partition as usize)?;
        let is_due = place.origin.is_some() && !place.healing && place.next_offset > first;
        is_due.then(|| FetchPosition {
            at: place.at.clone(),
            offset: first.max(place.next_offset - LOOK_BACK),
        })
    };
    let mut at: Vec<FetchPosition> = appliers.iter().filter_map(|applier| from(applier)).collect();
    let mut fetcher = cluster.fetcher();
    while !at.is_empty() {
        let fetched = fetcher.fetch(&at, LONGEST_FETCH)?;
        if !fetched.out_of_range.is_empty() {
            return Ok(());
        }
        let before = at.clone();
        for chunk in &fetched.chunks {
            let applier = appliers.iter_mut().find(|applier| applier.is_at(chunk.at()));
            let place = at.iter_mut().find(|position| position.at == *chunk.at());
            let (Some(applier), Some(place)) = (applier, place) else {
                continue;
            };
            let (end, newest) = (applier.position.next_offset, applier.position.origin.clone());
            for message in chunk
                .records()
                .filter(|message| (place.offset..end).contains(&message.offset))
            {
                newest.iter().for_each(|newest| applier.memory.recall(newest, &message));
            }
            place.offset = place.offset.max(chunk.next_offset());
        }
        let ends = |at: &FetchPosition| {
            appliers
                .iter()
                .find(|applier| applier.is_at(&at.at))
                .map(|applier| applier.position.next_offset)
        };
        let moved = before.iter().zip(&at).any(|(before, at)| before.offset < at.offset);
        at.retain(|at| ends(at).is_some_and(|end| at.offset < end));
        if !moved {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: i64, value: &str) -> Message<'_> {
        Message {
            offset,
            key: b"k",
            value: value.as_bytes(),
        }
    }

    #[test]
    fn a_number_that_comes_again_is_compared_with_the_one_that_was_taken() {
        let mut memory = RecentRecords::default();
        assert!(!memory.took_another(1, &message(0, "a")), "nothing is known");
        for seq in 1..=2000 {
            memory.took(seq, &message(seq as i64, &seq.to_string()));
        }
        assert!(!memory.took_another(2000, &message(9, "2000")) && memory.took_another(2000, &message(9, "2001")));
        assert!(!memory.took_another(977, &message(9, "977")) && memory.took_another(977, &message(9, "x")));
        assert!(!memory.took_another(976, &message(9, "x")), "it is too long ago");
        memory.forget();
        assert!(!memory.took_another(2000, &message(9, "x")));
    }

    #[test]
    fn what_stands_below_a_position_is_remembered_as_it_was_taken() {
        let newest = LastApplied {
            source: "s".into(),
            epoch: 7,
            seq: 3,
            partitions: None,
        };
        let value = |stamp: &str, v: u32| format!("{{\"id\":1,\"v\":{v},\"_ferry\":\"{stamp}\"}}");
        let mut memory = RecentRecords::default();
        let recall = |memory: &mut RecentRecords, records: &[String]| {
            let told = records.iter().enumerate();
            told.for_each(|(at, value)| memory.recall(&newest, &message(at as i64, value)));
        };
        recall(
            &mut memory,
            &[value("s.7.2", 0), value("s.7.3", 1), value("s.7.3", 2), "{}".into()],
        );
        assert!(!memory.took_another(3, &message(9, &value("s.7.3", 1))));
        assert!(memory.took_another(3, &message(9, &value("s.7.3", 2))));
        assert!(memory.late.is_none());
        recall(&mut memory, &[value("other.3.9", 0), value("s.6.9", 0)]);
        assert_eq!(memory.late.map(|late| (late.offset, late.epoch)), Some((1, 6)));
        recall(&mut memory, &[value("s.7.3", 1)]);
        assert!(memory.late.is_none(), "the newer run goes on");
    }
}
