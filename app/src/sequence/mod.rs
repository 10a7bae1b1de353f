//! Once and in order, on brokers that know no idempotence: what a record's number means to the sink.

mod repartitioning;

use std::fmt;

use crate::model::{LastApplied, RecordId, RunHeader};

pub use repartitioning::{RunProgress, epoch_at, is_through};

/// What the sink does with a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next one: apply.
    Apply,
    /// The first one from this partition: apply. `partial`: rows before it are not here.
    FirstContact { partial: bool },
    /// The first of a new run that sends everything though the chain is broken: apply, the pass heals it.
    Healed(Gap),
    /// Sent twice: skip.
    Resend,
    /// From a run that a newer one has replaced: skip, the newer one sends its rows again.
    Zombie,
    /// Numbered as the first record of a new run, and it does not begin one: no run of ours sent it.
    Stray,
    /// Stop.
    Gap(Gap),
}

/// Why the records before this one cannot all have landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// Records of this epoch are missing from the log.
    Missing { after: u64, found: u64 },
    /// A new epoch does not start with its first record.
    NoStart { epoch: u64, found: u64 },
    /// A number came twice, with other contents: the sink may have taken the one that the source did not send.
    Changed { seq: u64 },
    /// The newest run has only begun, and an older one, whose records are skipped, goes on behind it.
    Silent { newest: u64, goes_on: u64 },
    /// A tombstone stands alone: the deletion before it is missing.
    NoDeletion,
    /// The source remembers that the broker acknowledged more than ever landed here.
    LostEnd { acked: (u64, u64), landed: (u64, u64) },
    /// The topic has another number of partitions, and this sink lands only some of them: rows have moved to other sinks.
    Moved { partitions: i32 },
    /// The records come from another database than those before.
    OtherSource { landed: String, found: String },
}

impl Gap {
    /// Holes that compaction makes too, so that a user can allow them.
    pub fn is_hole(&self) -> bool {
        matches!(
            self,
            Gap::Missing { .. } | Gap::NoStart { .. } | Gap::NoDeletion | Gap::LostEnd { .. }
        )
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Missing { after, found } => {
                let count = found - after - 1;
                write!(
                    f,
                    "{count} records are missing before this one (number {found} follows {after})"
                )
            }
            Gap::NoStart { epoch, found } => {
                let count = found - 1;
                write!(f, "the first {count} records of run {epoch} are missing")
            }
            Gap::Changed { seq } => write!(
                f,
                "another record with number {seq} of this run was taken before: one of the two is not of this source, or two copies of it wrote them"
            ),
            Gap::Silent { newest, goes_on } => write!(
                f,
                "this record of run {goes_on} was skipped, because run {newest} is newer; but all that is there of run {newest} is its beginning"
            ),
            Gap::NoDeletion => f.write_str("records are missing before this tombstone, its deletion among them"),
            Gap::LostEnd { acked, landed } => write!(
                f,
                "records that the broker had acknowledged are gone: up to {}.{} were sent, up to {}.{} landed{}",
                acked.0,
                acked.1,
                landed.0,
                landed.1,
                match acked.0 == landed.0 {
                    true => format!(" ({} records are missing)", acked.1 - landed.1),
                    false => String::new(),
                }
            ),
            Gap::Moved { partitions } => write!(
                f,
                "the topic has {partitions} partitions from here on, so that rows have moved between them, and this sink lands only some"
            ),
            Gap::OtherSource { landed, found } => write!(
                f,
                "this record comes from another source database ({found}) than those before it ({landed})"
            ),
        }
    }
}

/// Decides by number alone. `link` stands in the first record of an epoch.
pub fn judge(landed: Option<&LastApplied>, stamp: &RecordId<'_>, link: Option<&RunHeader>) -> Verdict {
    let full = link.is_some_and(|l| l.full);
    let Some(landed) = landed else {
        let earlier_rows = link.is_none_or(|l| l.acked.is_some());
        let partial = !full && (stamp.seq != 1 || earlier_rows);
        return Verdict::FirstContact { partial };
    };
    if landed.source != stamp.source {
        return Verdict::Gap(Gap::OtherSource {
            landed: landed.source.clone(),
            found: stamp.source.to_owned(),
        });
    }
    if stamp.epoch < landed.epoch {
        return Verdict::Zombie;
    }
    if stamp.epoch == landed.epoch {
        return match stamp.seq {
            seq if seq <= landed.seq => Verdict::Resend,
            seq if seq - landed.seq == 1 => Verdict::Apply,
            seq => Verdict::Gap(Gap::Missing {
                after: landed.seq,
                found: seq,
            }),
        };
    }
    if stamp.seq == 1 && link.is_none() {
        return Verdict::Stray;
    }
    let Some(link) = link.filter(|_| stamp.seq == 1) else {
        return Verdict::Gap(Gap::NoStart {
            epoch: stamp.epoch,
            found: stamp.seq,
        });
    };
    let here = (landed.epoch, landed.seq);
    // What landed beyond `acked` the source has read back from the log, whichever of its runs sent it.
    match link.acked.filter(|&acked| here < acked) {
        None => Verdict::Apply,
        Some(acked) if full => Verdict::Healed(Gap::LostEnd { acked, landed: here }),
        Some(acked) => Verdict::Gap(Gap::LostEnd { acked, landed: here }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bounds;

    fn at(epoch: u64, seq: u64) -> Option<LastApplied> {
        Some(LastApplied {
            source: "s".into(),
            epoch,
            seq,
            partitions: None,
        })
    }

    fn judged(landed: Option<LastApplied>, epoch: u64, seq: u64, link: Option<RunHeader>) -> Verdict {
        judge(
            landed.as_ref(),
            &RecordId {
                source: "s",
                epoch,
                seq,
            },
            link.as_ref(),
        )
    }

    fn link(acked: (u64, u64), full: bool) -> Option<RunHeader> {
        Some(RunHeader {
            acked: Some(acked),
            full,
            ..RunHeader::default()
        })
    }

    #[test]
    fn within_an_epoch_only_the_next_number_is_applied() {
        assert_eq!(judged(at(5, 7), 5, 8, None), Verdict::Apply);
        assert_eq!(judged(at(5, 7), 5, 7, None), Verdict::Resend);
        assert_eq!(judged(at(5, 7), 5, 1, link((4, 2), false)), Verdict::Resend);
        assert_eq!(
            judged(at(5, 7), 5, 10, None),
            Verdict::Gap(Gap::Missing { after: 7, found: 10 })
        );
        assert_eq!(judged(at(5, 7), 4, 8, None), Verdict::Zombie);
    }

    #[test]
    fn the_largest_numbers_are_compared_without_harm() {
        let last = i64::MAX as u64;
        assert_eq!(judged(at(5, last), 5, last, None), Verdict::Resend);
        assert_eq!(judged(at(5, last - 1), 5, last, None), Verdict::Apply);
        let gap = Verdict::Gap(Gap::Missing { after: 1, found: last });
        assert_eq!(judged(at(5, 1), 5, last, None), gap);
        assert_eq!(judged(at(5, 1), bounds::LAST_EPOCH, 1, None), Verdict::Stray);
    }

    #[test]
    fn a_new_run_is_taken_when_its_chain_is_whole() {
        assert_eq!(judged(at(5, 7), 6, 1, link((5, 7), false)), Verdict::Apply);
        // Acknowledged, but not noted before the crash.
        assert_eq!(judged(at(5, 7), 6, 1, link((5, 3), false)), Verdict::Apply);
        // A run between them that sent nothing.
        assert_eq!(judged(at(5, 7), 9, 1, link((5, 7), false)), Verdict::Apply);
    }

    #[test]
    fn a_broken_chain_stops_unless_the_whole_table_follows() {
        let lost = Gap::LostEnd {
            acked: (5, 9),
            landed: (5, 7),
        };
        assert_eq!(judged(at(5, 7), 6, 1, link((5, 9), false)), Verdict::Gap(lost.clone()));
        assert_eq!(judged(at(5, 7), 6, 1, link((5, 9), true)), Verdict::Healed(lost));
        assert_eq!(
            judged(at(5, 7), 6, 3, None),
            Verdict::Gap(Gap::NoStart { epoch: 6, found: 3 })
        );
    }

    #[test]
    fn behind_the_first_record_of_a_run_older_ones_are_skipped() {
        assert_eq!(judged(at(9, 7), 6, 1, link((5, 3), true)), Verdict::Zombie);
        assert_eq!(judged(at(9, 7), 8, 70, None), Verdict::Zombie);
    }

    #[test]
    fn first_contact_says_when_rows_before_it_are_missing() {
        let partial = |v| match v {
            Verdict::FirstContact { partial } => partial,
            other => panic!("{other:?}"),
        };
        assert!(partial(judged(None, 5, 2, None)));
        assert!(partial(judged(None, 5, 1, link((4, 1), false))));
        assert!(!partial(judged(None, 5, 1, link((4, 1), true))));
        let nothing_before = Some(RunHeader::default());
        assert!(!partial(judged(None, 5, 1, nothing_before)));
    }

    #[test]
    fn another_source_is_never_mixed_in() {
        let stamp = RecordId::parse("other.9.1").unwrap();
        let verdict = judge(at(5, 7).as_ref(), &stamp, Some(&RunHeader::default()));
        assert!(matches!(verdict, Verdict::Gap(Gap::OtherSource { .. })));
    }
}
