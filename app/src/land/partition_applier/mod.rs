//! One partition's way into the sink.
//!
//! - `mod.rs`: the partition, where it stands and what it is doing
//! - `context`: what it works with while a round lands, and what comes of that
//! - `apply`: what each record does
//! - `admit`: whether a record of ours is its turn: gaps, and the way past them
//! - `binding`: whether a record belongs into its topic
//! - `wait`: what is waited for before the next record is taken

mod admit;
mod apply;
mod binding;
mod context;
mod wait;

use std::ops::Range;

use crate::broker::{FetchPosition, FetchedPartition, Message};
use crate::error::Result;
use crate::model::{Schemas, TopicId, Value};
use crate::sink::{Landing, LastTaken, SinkPosition};
use crate::wire::decode::Record;
use crate::wire::fingerprint::fingerprint;
use crate::wire::rows::{DecodedRows, Reader};
use crate::wire::sign::SignKey;

pub(crate) use self::context::{Applied, ApplyContext};
pub(crate) use self::wait::Wait;

use self::context::Effect;
use self::wait::Waits;
use super::prefetch::FetchStart;
use super::print;
use super::recent_records::RecentRecords;
use super::summary::Counts;

/// A partition and where it stands.
pub(crate) struct PartitionApplier {
    pub(crate) position: SinkPosition,
    /// What the sink had for `next_offset` when it was read or written last.
    pub(crate) noted: Option<i64>,
    /// Whether the log held nothing more when it was asked last.
    pub(crate) at_end: bool,
    pub(crate) counts: Counts,
    pub(crate) waits: Waits,
    pub(crate) recent: RecentRecords,
    /// The rows that come were written by a schema that was refused.
    schema_refused: bool,
    /// What the sink had for `reached` and `topic_id` when it was read or written last.
    noted_reached: Option<u64>,
    noted_topic_id: Option<TopicId>,
    /// The memory of the last row, for the next one.
    spare: Vec<Value<'static>>,
}

/// What a partition is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Its records are applied.
    Applying,
    /// They are passed over up to the next full pass, which heals a gap. The sink remembers it, as
    /// `SinkPosition::healing`.
    Skipping,
    /// None is taken before what is waited for has come. It is applied or passed over then, as
    /// before.
    Waiting,
}

impl PartitionApplier {
    pub(crate) fn new(position: SinkPosition, known: bool) -> Self {
        Self {
            noted: known.then_some(position.next_offset),
            at_end: false,
            counts: Counts::default(),
            waits: Waits::default(),
            recent: RecentRecords::default(),
            schema_refused: false,
            noted_reached: position.reached.filter(|_| known),
            noted_topic_id: position.topic_id.filter(|_| known),
            spare: Vec::new(),
            position,
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        match self.waits.current {
            Some(_) => Activity::Waiting,
            None if self.position.healing => Activity::Skipping,
            None => Activity::Applying,
        }
    }

    /// Where to fetch from first, by which schema to read, and which key has to have signed what is
    /// read.
    pub(crate) fn fetch_start(&self, schemas: Schemas, key: Option<&SignKey>) -> FetchStart {
        let SinkPosition {
            at,
            next_offset,
            schema,
            ..
        } = &self.position;
        FetchStart {
            position: FetchPosition {
                at: at.clone(),
                offset: *next_offset,
            },
            reader: Reader::new(schema.clone(), schemas).signed_by(key.map(|key| key.signer(&at.topic, at.partition))),
        }
    }

    /// The place of a record, as all messages name it.
    fn place(&self, offset: i64) -> String {
        format!("{} offset {offset}", self.position.at)
    }

    /// Applies some of the records that were fetched, up to one before which something is waited
    /// for.
    pub(crate) fn apply(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        fetched: &FetchedPartition,
        rows: &DecodedRows,
        records: Range<usize>,
        applied: &mut Applied,
    ) -> Result<()> {
        if self.activity() == Activity::Waiting {
            return Ok(());
        }
        let is_all = records.end == fetched.len();
        for (at, message) in records.clone().zip(fetched.records_at(records)) {
            if message.offset < self.position.next_offset {
                continue;
            }
            let (schema, spare) = (self.position.schema.as_ref(), std::mem::take(&mut self.spare));
            let read = rows.record(at, message.opt_value(), schema, spare);
            self.apply_message(context, message, read, applied)?;
            if self.activity() == Activity::Waiting {
                return Ok(());
            }
        }
        if is_all {
            // Behind the last record there can be offsets that hold none.
            self.position.next_offset = self.position.next_offset.max(fetched.next_offset());
        }
        Ok(())
    }

    fn apply_message<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        read: Result<Record<'a>, String>,
        applied: &mut Applied,
    ) -> Result<()> {
        match self.apply_record(context, message, read)? {
            Effect::Rows if context.options.print => print::line(&self.position, message, &mut applied.prints),
            Effect::FullPass => applied.full_passes.push(self.position.at.topic.clone()),
            Effect::Rows | Effect::Nothing => {}
        }
        Ok(())
    }

    /// Remembers the last record that was taken, where this answer holds it.
    pub(crate) fn remember_last(&mut self, fetched: &FetchedPartition) {
        if let Some(last) = fetched.last_below(self.position.next_offset) {
            self.position.last = Some(LastTaken {
                offset: last.offset,
                fingerprint: fingerprint(last.key, last.value),
            });
        }
    }

    /// Begins anew where the log of this topic does. Records with numbers say by themselves where all is whole
    /// again: they are passed over up to the next full pass. Others' records only go on.
    pub(crate) fn set_back(&mut self, first: i64, topic_id: Option<TopicId>) {
        self.position.next_offset = first;
        self.position.topic_id = topic_id;
        self.position.last = None;
        self.position.reached = None;
        self.position.healing = self.position.last_applied.is_some();
        self.at_end = false;
        self.waits.forget();
        self.recent.forget();
    }

    /// Whether the sink has another place for it, or another topic.
    pub(crate) fn has_moved(&self) -> bool {
        self.noted != Some(self.position.next_offset) || self.noted_topic_id != self.position.topic_id
    }

    /// Moves the sink's position to where this partition is.
    pub(crate) fn note(&mut self, landing: &mut Landing<'_>) -> Result<()> {
        match self.position.reached {
            _ if self.has_moved() => landing.move_position(&self.position, self.noted),
            Some(epoch) if self.noted_reached != Some(epoch) => landing.wait_at(&self.position, epoch),
            _ => Ok(()),
        }
    }

    /// What was noted has been committed.
    pub(crate) fn is_noted(&mut self) {
        self.noted = Some(self.position.next_offset);
        self.noted_reached = self.position.reached;
        self.noted_topic_id = self.position.topic_id;
    }
}
