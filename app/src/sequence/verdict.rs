//! What the sink does with a record, by its number.

use crate::model::{LastApplied, RecordId, RunHeader};

use super::gap::Gap;

/// What the sink does with a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one: apply.
    Apply,
    /// The first one from this partition: apply. `partial`: rows before it are not here.
    FirstContact { partial: bool },
    /// The first of a new run that sends everything though the chain is broken: apply, the pass
    /// heals it.
    Healed(Gap),
    /// Sent twice: skip.
    Resend,
    /// From a run that a newer one has replaced: skip, the newer one sends its rows again.
    Zombie,
    /// Numbered as the first record of a new run, and it does not begin one: no run of ours sent
    /// it.
    Stray,
    /// Stop.
    Gap(Gap),
}

/// Decides by number alone. `header` stands in the first record of an epoch.
pub(crate) fn decide(last_applied: Option<&LastApplied>, id: &RecordId<'_>, header: Option<&RunHeader>) -> Verdict {
    let full = header.is_some_and(|header| header.full);
    let Some(landed) = last_applied else {
        let earlier_rows = header.is_none_or(|header| header.acked.is_some());
        let partial = !full && (id.seq != 1 || earlier_rows);
        return Verdict::FirstContact { partial };
    };
    if landed.source != id.source {
        return Verdict::Gap(Gap::OtherSource {
            landed: landed.source.clone(),
            found: id.source.to_owned(),
        });
    }
    if id.epoch < landed.epoch {
        return Verdict::Zombie;
    }
    if id.epoch == landed.epoch {
        return match id.seq {
            seq if seq <= landed.seq => Verdict::Resend,
            seq if seq - landed.seq == 1 => Verdict::Apply,
            seq => Verdict::Gap(Gap::Missing {
                after: landed.seq,
                found: seq,
            }),
        };
    }
    if id.seq == 1 && header.is_none() {
        return Verdict::Stray;
    }
    let Some(header) = header.filter(|_| id.seq == 1) else {
        return Verdict::Gap(Gap::NoStart {
            epoch: id.epoch,
            found: id.seq,
        });
    };
    let here = (landed.epoch, landed.seq);
    // What landed beyond `acked` the source has read back from the log, whichever of its runs sent
    // it.
    match header.acked.filter(|&acked| here < acked) {
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

    fn decided(landed: Option<LastApplied>, epoch: u64, seq: u64, header: Option<RunHeader>) -> Verdict {
        decide(
            landed.as_ref(),
            &RecordId {
                source: "s",
                epoch,
                seq,
            },
            header.as_ref(),
        )
    }

    fn header(acked: (u64, u64), full: bool) -> Option<RunHeader> {
        Some(RunHeader {
            acked: Some(acked),
            full,
            ..RunHeader::default()
        })
    }

    #[test]
    fn within_an_epoch_only_the_next_number_is_applied() {
        assert_eq!(decided(at(5, 7), 5, 8, None), Verdict::Apply);
        assert_eq!(decided(at(5, 7), 5, 7, None), Verdict::Resend);
        assert_eq!(decided(at(5, 7), 5, 1, header((4, 2), false)), Verdict::Resend);
        assert_eq!(
            decided(at(5, 7), 5, 10, None),
            Verdict::Gap(Gap::Missing { after: 7, found: 10 })
        );
        assert_eq!(decided(at(5, 7), 4, 8, None), Verdict::Zombie);
    }

    #[test]
    fn the_largest_numbers_are_compared_without_harm() {
        let last = i64::MAX as u64;
        assert_eq!(decided(at(5, last), 5, last, None), Verdict::Resend);
        assert_eq!(decided(at(5, last - 1), 5, last, None), Verdict::Apply);
        let gap = Verdict::Gap(Gap::Missing { after: 1, found: last });
        assert_eq!(decided(at(5, 1), 5, last, None), gap);
        assert_eq!(decided(at(5, 1), bounds::LAST_EPOCH, 1, None), Verdict::Stray);
    }

    #[test]
    fn a_new_run_is_taken_when_its_chain_is_whole() {
        assert_eq!(decided(at(5, 7), 6, 1, header((5, 7), false)), Verdict::Apply);
        // Acknowledged, but not noted before the crash.
        assert_eq!(decided(at(5, 7), 6, 1, header((5, 3), false)), Verdict::Apply);
        // A run between them that sent nothing.
        assert_eq!(decided(at(5, 7), 9, 1, header((5, 7), false)), Verdict::Apply);
    }

    #[test]
    fn a_broken_chain_stops_unless_the_whole_table_follows() {
        let lost = Gap::LostEnd {
            acked: (5, 9),
            landed: (5, 7),
        };
        assert_eq!(
            decided(at(5, 7), 6, 1, header((5, 9), false)),
            Verdict::Gap(lost.clone())
        );
        assert_eq!(decided(at(5, 7), 6, 1, header((5, 9), true)), Verdict::Healed(lost));
        assert_eq!(
            decided(at(5, 7), 6, 3, None),
            Verdict::Gap(Gap::NoStart { epoch: 6, found: 3 })
        );
    }

    #[test]
    fn behind_the_first_record_of_a_run_older_ones_are_skipped() {
        assert_eq!(decided(at(9, 7), 6, 1, header((5, 3), true)), Verdict::Zombie);
        assert_eq!(decided(at(9, 7), 8, 70, None), Verdict::Zombie);
    }

    #[test]
    fn first_contact_says_when_rows_before_it_are_missing() {
        let partial = |v| match v {
            Verdict::FirstContact { partial } => partial,
            other => panic!("{other:?}"),
        };
        assert!(partial(decided(None, 5, 2, None)));
        assert!(partial(decided(None, 5, 1, header((4, 1), false))));
        assert!(!partial(decided(None, 5, 1, header((4, 1), true))));
        let nothing_before = Some(RunHeader::default());
        assert!(!partial(decided(None, 5, 1, nothing_before)));
    }

    #[test]
    fn another_source_is_never_mixed_in() {
        let id = RecordId::parse("other.9.1").unwrap();
        let verdict = decide(at(5, 7).as_ref(), &id, Some(&RunHeader::default()));
        assert!(matches!(verdict, Verdict::Gap(Gap::OtherSource { .. })));
    }
}
