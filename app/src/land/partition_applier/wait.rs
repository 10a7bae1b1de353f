//! What a partition waits for before it takes its next record.

use std::time::Instant;

use crate::error::Result;
use crate::model::{LastApplied, RecordId};
use crate::sink::SinkPosition;
use crate::wire::decode::Record;

use super::context::ApplyContext;

pub(crate) enum Wait {
    /// The next record begins a run over other partitions than those before. What other partitions
    /// still hold from before is older.
    Others {
        source: String,
        repartitioned_at: u64,
        others: Vec<i32>,
        /// The first offset and the end of each of the topic's partitions, asked after the wait
        /// began.
        bounds: Option<Vec<(i64, i64)>>,
    },
    /// The next record says that the topic has more partitions than are known: the broker is asked
    /// whether they are there.
    Partitions { claimed: i32, since: Instant },
}

/// What is waited for, and what came of earlier waits.
#[derive(Default)]
pub(crate) struct Waits {
    pub(crate) current: Option<Wait>,
    /// The source and the epoch that moved keys for which the others were last waited for, to the
    /// end.
    waited: Option<(String, u64)>,
    /// How many partitions the broker knew when it was asked about a record that said more, and the
    /// offset of that record.
    denied: Option<(i64, i32)>,
}

impl Waits {
    /// What was waited for has come.
    pub(crate) fn end(&mut self) {
        if let Some(Wait::Others {
            source,
            repartitioned_at,
            ..
        }) = self.current.take()
        {
            self.waited = Some((source, repartitioned_at));
        }
    }

    /// The broker knows no more partitions than these, and the record at this offset said that
    /// there are more.
    pub(crate) fn deny(&mut self, offset: i64, count: i32) {
        self.current = None;
        self.denied = Some((offset, count));
    }

    /// Whether a record that said too much has been met before: the broker is not given time again
    /// then to learn of new partitions.
    pub(crate) fn has_denied(&self) -> bool {
        self.denied.is_some()
    }

    /// The log begins anew: nothing of it has been waited for.
    pub(crate) fn forget(&mut self) {
        self.current = None;
        self.waited = None;
    }

    /// Why a record can be none of a run's beginning at this offset of this partition.
    pub(crate) fn why_impossible(&self, offset: i64, partition: i32, record: &Record<'_>) -> Option<String> {
        let (id, header) = record.id().zip(record.header())?;
        if let Some(reason) = header.why_impossible(id.epoch, partition) {
            return Some(reason);
        }
        let (_, count) = self.denied.filter(|(of, _)| *of == offset)?;
        let claimed = header.partitions?;
        Some(format!(
            "the run is said to send to {claimed} partitions, and the topic has {count}"
        ))
    }

    /// Whether a record begins a run over other partitions, and others have not come to it, or over
    /// more than are known. Waits for them then.
    pub(crate) fn has_to_wait(
        &mut self,
        position: &mut SinkPosition,
        context: &ApplyContext<'_, '_>,
        record: &Record<'_>,
    ) -> Result<bool> {
        let (Some(id), Some(header)) = (record.id(), record.header()) else {
            return Ok(false);
        };
        if !begins_run(position, &id) {
            return Ok(false);
        }
        if let Some(claimed) = header.partitions.filter(|claimed| *claimed > context.topic.count) {
            self.current = Some(Wait::Partitions {
                claimed,
                since: Instant::now(),
            });
            return Ok(true);
        }
        // Runs of another source have nothing to do with those that landed: they are a gap, and
        // wait for nothing.
        let is_of_another = |landed: &LastApplied| landed.source != id.source;
        if position.last_applied.as_ref().is_some_and(is_of_another) {
            return Ok(false);
        }
        let Some(repartitioned_at) = header.repartitioned_at else {
            return Ok(false);
        };
        let has_waited = |(source, epoch): &(String, u64)| source == id.source && *epoch >= repartitioned_at;
        if self.waited.as_ref().is_some_and(has_waited) {
            return Ok(false);
        }
        let own = position.at.partition;
        let others = match header.partitions {
            // One that has only just been added may not be known here yet, and can hold rows that
            // have moved before.
            Some(count) if !context.is_pinned() => header.other_partitions(own, &(0..count).collect::<Vec<_>>()),
            _ => header.other_partitions(own, &context.topic.partitions),
        };
        let landing = &context.landing;
        let behind = landing.partitions_behind(position, id.source, repartitioned_at, &others)?;
        if behind.is_empty() {
            return Ok(false);
        }
        position.reached = Some(id.epoch);
        self.current = Some(Wait::Others {
            source: id.source.to_owned(),
            repartitioned_at,
            others,
            bounds: None,
        });
        Ok(true)
    }
}

/// Whether no record of this run or a later one has landed.
fn begins_run(position: &SinkPosition, id: &RecordId<'_>) -> bool {
    let landed = position.last_applied.as_ref();
    landed.is_none_or(|landed| landed.source != id.source || landed.epoch < id.epoch)
}
