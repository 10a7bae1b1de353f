//! The log is read back, and the log is the fence.
//!
//! The file that a run finds may not be the one that the last run left: a crash before a note, a
//! backup put back, a copy, a rewind. What was said stands in the log. So a run
//!
//! 1. reads, in each partition, what stands behind the offset that this file noted as acknowledged,
//!    and takes an epoch above all of its own source's there; that epoch is stored in the file
//!    (`SourceState::begin_run`);
//! 2. sends its first record to each partition: the fence. Behind it every sink skips older epochs;
//! 3. reads the rest up to the fence;
//! 4. puts the keys of its own source's records, all that 1 and 3 found, into the outbox as
//!    changed, and notes the fence as the new place, in one transaction (`SourceState::settle`).
//!    From there on it ships as ever.
//!
//! **Why the sink becomes equal.** All that a sink takes from a partition stands either at or
//! before the noted place, or between it and the fence, or behind the fence. What stands at or
//! before it was read from states of the file that this one descends from: a note is made in a
//! transaction that checks just that (`source::fork`), and later changes are in the outbox. What
//! stands between is sent again as it is now. Behind the fence only this run counts, until a newer
//! one has a fence of its own and does the same.
//!
//! **Why it holds wherever it is cut.** Before 2 nothing was said: the next run finds the same
//! tail. Between 2 and 4, and with fences in some partitions only, the place still is the old one:
//! the next run finds the same records, the fences among them, and takes a higher epoch. 4 is one
//! transaction. After 4 the place is the fence, and the outbox holds what the tail held.
//!
//! **Why it holds beside others.** A paused process of the same file: what it read was in the
//! outbox when this run began, or is in the tail; what it sends behind the fence is skipped, and it
//! stops at its next look at the file. A copy that begins at the same time: of two fences in a
//! partition the later one's run finds the other's in 3, and when that has no smaller epoch it
//! begins again with a higher one. A copy that lives: see `copies`.
//!
//! **When the tail cannot be known** (offsets that are not there any more, numbers that are
//! missing, a pass of it that did not end, another shape of the table, no right to read) the run is
//! a full pass. So it is when the log holds nothing of what the file noted, because it was made
//! anew: so its id says, where the brokers tell it, whatever the log holds. Where it does hold that and only lost its end, a person is to look at the cluster first.

//!
//! - `mod.rs`: the steps
//! - `tail`: what stands behind the noted places; `newest_run`: the same for a source that notes
//!   nothing
//! - `noted_record`: whether a log still holds what was noted

mod newest_run;
mod noted_record;
mod tail;

use std::sync::Arc;

use crate::broker::Cluster;
use crate::broker::log_range::OffsetRange;
use crate::error::{Error, Kind, Result};
use crate::model::{TopicId, topic_id};
use crate::source::{Acked, Noted, SourceState};
use crate::stop::Stop;
use crate::wire::sign::SignKey;

use crate::ship::full_pass_reason::FullPassReason;
use crate::ship::history::History;
use crate::ship::log_reader::{LogPart, read};

/// Keys that are handed to the file's temporary table at one time.
const KEYS: usize = 10_000;

/// What a run finds in one topic behind what its file noted.
pub(crate) struct Readback<'a> {
    cluster: &'a Cluster,
    key: Option<&'a SignKey>,
    noted: &'a Noted,
    topic: Arc<str>,
    /// The topic's id, told before anything of the log was looked at; while none is told that of the
    /// noted records.
    pub(crate) topic_id: Option<TopicId>,
    /// Where each partition began and ended.
    earliest: Vec<i64>,
    ends: Vec<i64>,
    pub(crate) history: History,
    is_at_end: bool,
    stop: &'a Stop,
}

/// When a log that does not hold what was noted is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stops {
    /// All rows are sent anyway.
    Never,
    WhereTheEndIsLost,
    /// Where the topic was made anew, too.
    Always,
}

impl<'a> Readback<'a> {
    /// Step 1 for a source that notes what was acknowledged. What stops a run is no hindrance to
    /// one that sends all rows anyway.
    pub(crate) fn start(
        cluster: &'a Cluster,
        key: Option<&'a SignKey>,
        state: &SourceState,
        noted: &'a Noted,
        (topic, partitions): (&str, i32),
        stops: Stops,
        stop: &'a Stop,
    ) -> Result<Self> {
        let (acked, noted_id) = (state.acked(topic)?, state.topic_id(topic)?);
        let told = cluster.topic_id(topic, noted_id.as_slice())?;
        let mut readback = Self {
            history: History::new(&noted.source, partitions, state.last_pass(topic)?),
            cluster,
            key,
            noted,
            topic: topic.into(),
            topic_id: told.or(noted_id),
            earliest: vec![0; partitions as usize],
            ends: vec![0; partitions as usize],
            is_at_end: false,
            stop,
        };
        let is_another = topic_id::is_another(noted_id, told);
        match readback.read_tail(state, acked, is_another, stops) {
            Err(error) if error.kind() == Kind::Denied => readback.history.needs_full_pass(FullPassReason::Denied),
            done => done?,
        }
        Ok(readback)
    }

    /// Step 3: the rest up to the fences. An error when another run of this source has begun
    /// meanwhile that is not older, or the fences stand in another log than the one that was read.
    pub(crate) fn finish(&mut self, state: &SourceState, epoch: u64, fences: &[Acked]) -> Result<()> {
        check_topic(self.cluster, &self.topic, self.topic_id)?;
        if self.history.why() == Some(&FullPassReason::Denied) {
            return Ok(());
        }
        let ranges = fences.iter().map(|fence| OffsetRange {
            partition: fence.partition,
            from: self.ends[fence.partition as usize],
            to: fence.offset,
        });
        let mut rival = false;
        self.read_ranges(state, ranges.collect(), &mut |part, _| {
            if let LogPart::Record(record) = part {
                let fence = fences.iter().find(|fence| fence.partition == record.partition);
                // The fence itself may have been sent twice.
                let is_fence = fence.is_some_and(|fence| fence.stood == Some(record.fingerprint()));
                rival |= !is_fence
                    && record
                        .number_of(&self.noted.source)
                        .is_some_and(|(found, _)| found >= epoch);
                return !is_fence;
            }
            true
        })?;
        if rival {
            return Err(Error::new(
                Kind::Forked,
                format!(
                    "topic \"{}\": another run of this source began at the same time",
                    self.topic
                ),
            ));
        }
        Ok(())
    }

    /// Whether the log ends where the file's note does.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Reads ranges into the history, but for the parts that `wanted` does not want.
    fn read_ranges(
        &mut self,
        state: &SourceState,
        ranges: Vec<OffsetRange>,
        wanted: &mut dyn FnMut(&LogPart<'_>, &mut History) -> bool,
    ) -> Result<()> {
        let (topic, history) = (&self.topic, &mut self.history);
        read(self.cluster, self.key, topic, ranges, self.stop, &mut |part| {
            if wanted(&part, history) {
                history.take(&part);
            }
            if history.keys.len() >= KEYS {
                state.keep_keys(topic, &history.take_keys())?;
            }
            Ok(true)
        })?;
        if history.keys.is_empty() {
            return Ok(());
        }
        state.keep_keys(topic, &history.take_keys())
    }
}

/// An error where a topic has another id by now than at the beginning of the run.
pub(crate) fn check_topic(cluster: &Cluster, topic: &str, known: Option<TopicId>) -> Result<()> {
    if known.is_some() && topic_id::is_another(cluster.topic_id(topic, known.as_slice())?, known) {
        let what = format!("topic \"{topic}\" has another id than a moment ago: the topic was made anew");
        return Err(Error::new(Kind::Forked, what));
    }
    Ok(())
}

/// The numbers of the partitions that were counted. An error where the topic has fewer by now.
fn first_of(mut offsets: Vec<i64>, partitions: usize, topic: &str) -> Result<Vec<i64>> {
    if offsets.len() < partitions {
        return Err(Error::new(
            Kind::Forked,
            format!("topic \"{topic}\" has fewer partitions than a moment ago"),
        ));
    }
    offsets.truncate(partitions);
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_the_partitions_that_were_counted() {
        assert_eq!(first_of(vec![1, 2, 3], 2, "t").unwrap(), [1, 2]);
        assert_eq!(first_of(vec![1], 2, "t").unwrap_err().kind(), Kind::Forked);
    }
}
