//! When a topic gets more partitions, keys move between them: a row's newer state stands in its new
//! partition, and older ones may still wait in its old one. So no partition goes on into the run
//! that moved keys, or a later one, before the others have come to it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::RunHeader;

/// The epoch of a run that begins at this time.
pub(crate) fn epoch_at(time: SystemTime) -> u64 {
    // Microseconds, so that two copies of one source do not begin runs of one epoch.
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Where a partition stands in the sink, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RunProgress {
    /// Source and epoch of the last record of ours that landed.
    pub landed: Option<(String, u64)>,
    /// The epoch whose first record comes next, while it waits for the others.
    pub reached: Option<u64>,
}

impl RunProgress {
    /// Whether nothing from before the epoch `repartitioned_at` of `source` is still to come.
    pub(crate) fn has_come_to(&self, source: &str, repartitioned_at: u64) -> bool {
        let of_it = |(of, _): &&(String, u64)| of == source;
        // Runs of two sources have nothing to do with one another: each numbers its own.
        match self.landed.as_ref() {
            Some(landed) if !of_it(&landed) => false,
            landed => landed
                .map(|(_, epoch)| *epoch)
                .max(self.reached)
                .is_some_and(|epoch| epoch >= repartitioned_at),
        }
    }
}

/// Whether the sink has landed all that a partition's log held, by its next offset there and the
/// log's first offset and end; none for a partition that is not there. Asked of the broker after a
/// wait began, it tells that nothing older than the run that moved keys is still to come: what was
/// sent before that run began lies before that end. What a process sends later that was paused and
/// replaced is sent again by its source, which reads the log back when a run begins. No clock is
/// asked.
pub(crate) fn is_through(next: Option<i64>, bounds: Option<(i64, i64)>) -> bool {
    let lands = |end: i64| next.is_some_and(|next| next >= end);
    bounds.is_none_or(|(first, end)| first >= end || lands(end))
}

impl RunHeader {
    /// Why no run of this epoch can have sent this header in this partition. Keys moved at a run's
    /// own epoch or an older one: of partitions that wait for one another, one can always go on.
    pub fn why_impossible(&self, epoch: u64, partition: i32) -> Option<String> {
        if let Some((acked, _)) = self.acked.filter(|(acked, _)| *acked >= epoch) {
            return Some(format!(
                "run {epoch} cannot follow its own record or one of run {acked}"
            ));
        }
        if let Some(moved) = self.repartitioned_at.filter(|at| *at > epoch) {
            return Some(format!(
                "run {moved}, where keys are said to have moved, comes after run {epoch}"
            ));
        }
        let count = self.partitions.filter(|count| *count <= partition)?;
        Some(format!(
            "the run is said to send to {count} partitions, and this is partition {partition}"
        ))
    }

    /// Those of the partitions that a sink lands to which the run sends its beginning too, beside
    /// the one where this header stands.
    pub fn other_partitions(&self, own: i32, landed: &[i32]) -> Vec<i32> {
        let spreads_over = |p: &i32| self.partitions.is_none_or(|count| *p < count);
        let others = landed.iter().copied().filter(|p| *p != own);
        others.filter(spreads_over).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(source: &str, epoch: u64) -> RunProgress {
        RunProgress {
            landed: Some((source.to_owned(), epoch)),
            reached: None,
        }
    }

    fn waits(landed: RunProgress, epoch: u64) -> RunProgress {
        let reached = Some(epoch);
        RunProgress { reached, ..landed }
    }

    #[test]
    fn a_partition_has_come_to_a_run_when_a_record_of_it_or_of_a_later_one_has_landed() {
        assert!(!landed("s", 6).has_come_to("s", 7));
        assert!(landed("s", 7).has_come_to("s", 7));
        assert!(landed("s", 8).has_come_to("s", 7));
        assert!(!landed("other", 8).has_come_to("s", 7));
    }

    #[test]
    fn a_partition_has_come_to_a_run_when_it_waits_before_it_or_before_a_later_one() {
        assert!(waits(landed("s", 6), 7).has_come_to("s", 7));
        assert!(waits(RunProgress::default(), 7).has_come_to("s", 7));
        // Run 7 was cut off and sent nothing to this partition.
        assert!(waits(landed("s", 6), 9).has_come_to("s", 7));
        // It waits for an earlier move.
        assert!(!waits(landed("s", 5), 6).has_come_to("s", 7));
    }

    #[test]
    fn runs_of_two_sources_are_not_compared() {
        assert!(!waits(landed("other", 6), 9).has_come_to("s", 7));
        assert!(waits(RunProgress::default(), 9).has_come_to("s", 7));
    }

    #[test]
    fn a_partition_is_through_when_all_of_its_log_has_landed_or_there_is_nothing_in_it() {
        assert!(!is_through(None, Some((0, 5))) && !is_through(Some(4), Some((0, 5))));
        assert!(is_through(Some(5), Some((0, 5))) && is_through(Some(6), Some((0, 5))));
        for nothing in [Some((0, 0)), Some((5, 5)), None] {
            assert!(is_through(None, nothing) && is_through(Some(0), nothing), "{nothing:?}");
        }
        // Met while it was empty: it has filled since, and is not through.
        assert!(!is_through(Some(0), Some((0, 5))));
    }

    #[test]
    fn of_partitions_that_wait_for_one_another_the_one_before_the_oldest_run_goes_on() {
        // Run 7 was cut off when it had begun in the first partition only; run 8 has begun in both,
        // and both say that they moved keys.
        let (first, second) = (waits(landed("s", 6), 7), waits(landed("s", 6), 8));
        assert!(second.has_come_to("s", 7), "the first goes on into run 7");
        assert!(!first.has_come_to("s", 8), "the second waits");
        let first = waits(landed("s", 7), 8);
        assert!(
            second.has_come_to("s", 8) && first.has_come_to("s", 8),
            "both go on into run 8"
        );
    }

    #[test]
    fn a_header_that_no_run_can_have_sent_is_told() {
        let is_impossible = |acked, repartitioned_at, partitions| {
            let header = RunHeader {
                acked,
                full: false,
                partitions,
                repartitioned_at,
            };
            header.why_impossible(7, 2).is_some()
        };
        assert!(!is_impossible(Some((6, 9)), Some(7), Some(3)) && !is_impossible(None, None, None));
        assert!(is_impossible(Some((7, 1)), None, None) && is_impossible(None, Some(8), None));
        assert!(is_impossible(None, None, Some(2)) && is_impossible(None, None, Some(-1)));
    }

    #[test]
    fn the_others_are_the_sinks_partitions_to_which_the_run_sends() {
        let others = |partitions, own, landed: &[i32]| {
            let header = RunHeader {
                partitions,
                ..RunHeader::default()
            };
            header.other_partitions(own, landed)
        };
        assert_eq!(others(Some(5), 3, &[0, 1, 2, 3, 4]), [0, 1, 2, 4]);
        assert_eq!(others(Some(5), 3, &[1, 3]), [1]);
        assert_eq!(others(Some(2), 0, &[0, 1, 2]), [1]);
        assert_eq!(others(None, 0, &[0, 1, 2]), [1, 2]);
    }
}
