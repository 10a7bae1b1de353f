//! What an applier took last: whether a record that comes again is the same, and whether a run that
//! was replaced goes on all the same.
//!
//! A producer sends a batch again unchanged. So a number that comes twice with other contents is no
//! resend: one of the two records was sent by somebody else, and the sink may have taken that one.
//! What is compared are the last `WINDOW` numbers of the newest run that this process took, and
//! after a start those of them that stand among the last `LOOK_BACK` records below the position.
//! Older ones are only counted; yet who takes numbers from a source that lives is found when the
//! source has come up to within the window.
//!
//! A run that was replaced stops soon, and the newer one has sent all of its rows again: its last
//! records are skipped. Behind an id that nobody sent there is no such run. From here both look the
//! same, but for one thing: nothing of the newer run follows. Where that one has sent no more than
//! its beginning, it is a loss until something follows; else it is told at the end. The producer
//! whose records are skipped finds it in any case: its answer's offset does not follow its last
//! one, so that it looks at what came between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::log_range::{self, LogEntry, OffsetRange};
use crate::broker::{Cluster, Message};
use crate::error::Result;
use crate::model::{LastApplied, RecordId};
use crate::sink::SinkPosition;
use crate::wire::decode;
use crate::wire::fingerprint::quick;

const WINDOW: u64 = 1024;
const LOOK_BACK: i64 = 64;

/// What was taken, and what was not.
#[derive(Default)]
pub(crate) struct RecentRecords {
    /// Numbers of the newest run and what came with them, each in its place; 0 is no number.
    taken: Vec<(u64, u64)>,
    pub(crate) late: Option<Late>,
}

/// A record of an older run, behind which nothing of the newer one has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Late {
    pub(crate) offset: i64,
    pub(crate) epoch: u64,
    pub(crate) since: Instant,
}

impl RecentRecords {
    /// A record of the newest run was taken.
    pub(crate) fn took(&mut self, seq: u64, message: &Message<'_>) {
        self.late = None;
        if self.taken.is_empty() {
            self.taken.resize(WINDOW as usize, (0, 0));
        }
        self.taken[(seq % WINDOW) as usize] = (seq, quick(message.key, message.value));
    }

    /// Whether another record was taken with this number, as far as is remembered.
    pub(crate) fn took_another(&self, seq: u64, message: &Message<'_>) -> bool {
        let taken = self.taken.get((seq % WINDOW) as usize);
        taken.is_some_and(|(taken, was)| *taken == seq && *was != quick(message.key, message.value))
    }

    /// A record of an older run was skipped.
    pub(crate) fn skipped(&mut self, id: &RecordId<'_>, offset: i64) {
        self.late = Some(Late {
            offset,
            epoch: id.epoch,
            since: Instant::now(),
        });
    }

    /// Another run begins.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Remembers a record below the position, from which all was taken that comes before `newest`;
    /// they are told in their order.
    fn recall(&mut self, newest: &LastApplied, message: &Message<'_>) {
        let Some(id) = decode::record_id(message.value).filter(|id| id.source == newest.source) else {
            return;
        };
        if id.epoch < newest.epoch {
            self.skipped(&id, message.offset);
        } else if id.epoch == newest.epoch && id.seq <= newest.seq {
            let is_known = |(seq, _): &(u64, u64)| *seq == id.seq;
            // Of two with one number the first was taken.
            if self.taken.get((id.seq % WINDOW) as usize).is_some_and(is_known) {
                self.late = None;
            } else {
                self.took(id.seq, message);
            }
        }
    }
}

/// Lets partitions of a topic remember what stands right below their positions. What cannot be read
/// at once is not remembered.
pub(crate) fn recall(
    cluster: &Cluster,
    topic: &Arc<str>,
    partitions: &mut [(SinkPosition, &mut RecentRecords)],
    earliest: &[i64],
    goes_on: &dyn Fn(),
) -> Result<()> {
    let range = |position: &SinkPosition| {
        let first = *earliest.get(position.at.partition as usize)?;
        let is_due = position.last_applied.is_some() && !position.healing;
        is_due.then(|| OffsetRange {
            partition: position.at.partition,
            from: first.max(position.next_offset - LOOK_BACK),
            to: position.next_offset,
        })
    };
    let ranges = partitions.iter().filter_map(|(position, _)| range(position)).collect();
    log_range::read(
        cluster,
        topic,
        ranges,
        Duration::ZERO,
        goes_on,
        &mut |partition, found| {
            let message = match found {
                LogEntry::Record(message) => message,
                LogEntry::Expired(_) => return Ok(false),
                LogEntry::Hole(_) | LogEntry::EndOfLog(_) => return Ok(true),
            };
            let mut all = partitions.iter_mut();
            if let Some((position, recent)) = all.find(|(position, _)| position.at.partition == partition)
                && let Some(newest) = &position.last_applied
            {
                recent.recall(newest, &message);
            }
            Ok(true)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: i64, value: &str) -> Message<'_> {
        Message {
            offset,
            key: b"k",
            value: value.as_bytes(),
            key_is_null: false,
            value_is_null: false,
        }
    }

    #[test]
    fn a_number_that_comes_again_is_compared_with_the_one_that_was_taken() {
        let mut recent = RecentRecords::default();
        assert!(!recent.took_another(1, &message(0, "a")), "nothing is known");
        for seq in 1..=2000 {
            recent.took(seq, &message(seq as i64, &seq.to_string()));
        }
        assert!(!recent.took_another(2000, &message(9, "2000")) && recent.took_another(2000, &message(9, "2001")));
        assert!(!recent.took_another(977, &message(9, "977")) && recent.took_another(977, &message(9, "x")));
        assert!(!recent.took_another(976, &message(9, "x")), "it is too long ago");
        recent.forget();
        assert!(!recent.took_another(2000, &message(9, "x")));
    }

    #[test]
    fn what_stands_below_a_position_is_remembered_as_it_was_taken() {
        let newest = LastApplied {
            source: "s".into(),
            epoch: 7,
            seq: 3,
            partitions: None,
        };
        let value = |id: &str, v: u32| format!("{{\"id\":1,\"v\":{v},\"_ferry\":\"{id}\"}}");
        let mut recent = RecentRecords::default();
        let recall = |recent: &mut RecentRecords, records: &[String]| {
            let told = records.iter().enumerate();
            told.for_each(|(at, value)| recent.recall(&newest, &message(at as i64, value)));
        };
        recall(
            &mut recent,
            &[value("s.7.2", 0), value("s.7.3", 1), value("s.7.3", 2), "{}".into()],
        );
        assert!(!recent.took_another(3, &message(9, &value("s.7.3", 1))));
        assert!(recent.took_another(3, &message(9, &value("s.7.3", 2))));
        assert!(recent.late.is_none());
        recall(&mut recent, &[value("other.3.9", 0), value("s.6.9", 0)]);
        assert_eq!(recent.late.map(|late| (late.offset, late.epoch)), Some((1, 6)));
        recall(&mut recent, &[value("s.7.3", 1)]);
        assert!(recent.late.is_none(), "the newer run goes on");
    }
}
