//! What each record does: it is applied, skipped, put into the dead letters or a reason to stop.

use std::sync::Arc;

use crate::broker::Message;
use crate::error::{Error, Result};
use crate::land::options::BadRecords;
use crate::model::{RecordId, TableSchema, TopicPartition, Value, recycle};
use crate::sequence::Gap;
use crate::sink::{Binding, Landed, SinkPosition};
use crate::wire::decode::{self, NamedValues, Record, RecordKey};
use crate::wire::names;

use super::context::{ApplyContext, Effect};
use super::{Activity, PartitionApplier};

/// Dead letters that are named one by one; the summary counts the rest.
const WARNINGS: u64 = 10;

impl PartitionApplier {
    /// Takes one message, unless something is to be waited for before it.
    pub(super) fn apply_record<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        read: Result<Record<'a>, String>,
    ) -> Result<Effect> {
        let read = match read {
            Ok(record) => match self.why_refused(context, message.offset, &record)? {
                Some(reason) => Err(reason),
                None if self.waits.has_to_wait(&mut self.position, context, &record)? => return Ok(Effect::Nothing),
                None => Ok(record),
            },
            unreadable => unreadable,
        };
        let effect = match read {
            // It says nothing: the deletion before it, which is signed, was judged in its turn.
            Err(_) if self.is_tombstone(context, message) => Effect::Nothing,
            Err(reason) => {
                if self.is_genuine(context, message) {
                    self.pass_refused(&message);
                }
                self.dead_letter(context, message, &reason)?
            }
            Ok(record) => match record.id() {
                None => self.take_foreign(context, message, record)?,
                Some(id) => self.take_ours(context, message, id, record)?,
            },
        };
        self.position.next_offset = message.offset + 1;
        self.position.reached = None;
        if effect == Effect::Rows {
            self.counts.landed += 1;
            self.counts.bytes += (message.key.len() + message.value.len()) as u64;
        }
        Ok(effect)
    }

    /// Why a record is no row here, whatever it holds.
    fn why_refused(
        &self,
        context: &mut ApplyContext<'_, '_>,
        offset: i64,
        record: &Record<'_>,
    ) -> Result<Option<String>> {
        match self.waits.why_impossible(offset, self.position.at.partition, record) {
            Some(reason) => Ok(Some(reason)),
            None => self.why_misplaced(context, record),
        }
    }

    /// Whether a record is signed, where only what is signed is believed.
    fn is_genuine(&self, context: &ApplyContext<'_, '_>, message: Message<'_>) -> bool {
        let TopicPartition { topic, partition } = &self.position.at;
        let signer = context
            .options
            .sign_key
            .as_ref()
            .map(|key| key.signer(topic, *partition));
        signer.is_none_or(|signer| signer.has_signed(message.key, message.value))
    }

    /// Whether a record without a value stands where a tombstone of ours may, in a log of which
    /// only what is signed is believed.
    fn is_tombstone(&self, context: &ApplyContext<'_, '_>, message: Message<'_>) -> bool {
        context.options.sign_key.is_some()
            && message.value_is_null
            && self.position.last_applied.is_some()
            && (message.offset == self.position.next_offset || self.activity() == Activity::Skipping)
    }

    fn take_ours<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        id: RecordId<'a>,
        record: Record<'a>,
    ) -> Result<Effect> {
        if self.is_of_another_table(context, message.offset, &id, &record)?
            || !self.admit(message, &id, &record, context)?
        {
            return Ok(Effect::Nothing);
        }
        let opens = self.position.last_applied.is_none() && context.landing.binding(&self.position.at.topic)?.is_none();
        self.advance(&id, record.header());
        self.recent.took(id.seq, &message);
        let is_row = matches!(
            &record,
            Record::Row { .. } | Record::Deletion { .. } | Record::RowWithoutSchema { .. }
        );
        if self.schema_refused && is_row {
            return self.dead_letter(context, message, "the schema by which it was written was refused");
        }
        if opens && matches!(record, Record::PassEnd { .. } | Record::Placeholder { .. }) {
            self.bind(context, id.source, None)?;
        }
        let outcome = match record {
            Record::Row { row, .. } => {
                let mut rowid = None;
                if schema_of(&self.position)?.keyed_by_rowid() {
                    rowid = rowid_in(&message);
                    if rowid.is_none() {
                        return self.dead_letter(context, message, "the key names no rowid");
                    }
                }
                let outcome = context.landing.upsert(&self.position, rowid, &row)?;
                self.spare = recycle(row);
                outcome
            }
            Record::Deletion { key, .. } => self.delete(context, key)?,
            Record::RowWithoutSchema { row, .. } => {
                let key = match decode::key(message.opt_key()) {
                    Ok(RecordKey::Object(key)) => key,
                    _ => return self.dead_letter(context, message, "the key is no JSON object"),
                };
                context.landing.foreign_upsert(&self.position.at.topic, &key, &row)?
            }
            Record::Schema {
                schema,
                table_id,
                begin,
                ..
            } => {
                let outcome = context.landing.schema(&mut self.position, &Arc::new(*schema), begin)?;
                self.schema_refused = matches!(outcome, Landed::Unfit(_));
                if let Landed::Unfit(reason) = outcome {
                    if opens {
                        // What does not land decides nothing: whose records these are is as open as
                        // before.
                        self.position.last_applied = None;
                    }
                    return self.dead_letter(context, message, &reason);
                }
                self.bind(context, id.source, table_id)?;
                return Ok(Effect::Nothing);
            }
            Record::PassEnd { pass, .. } => {
                if let Some(removed) = context
                    .landing
                    .pass_end(&mut self.position, pass, &context.topic.partitions)?
                {
                    let topic = &self.position.at.topic;
                    match removed {
                        0 => log::info!("topic \"{topic}\": all of the table has landed"),
                        _ => log::info!(
                            "topic \"{topic}\": all of the table has landed; {removed} rows that the source has no more are removed"
                        ),
                    }
                    return Ok(Effect::FullPass);
                }
                return Ok(Effect::Nothing);
            }
            Record::Placeholder { key, reason, .. } => {
                log::warn!(
                    "{}: the producer kept row {key} back: {reason}",
                    self.place(message.offset)
                );
                self.counts.kept_back += 1;
                return Ok(Effect::Nothing);
            }
            Record::Foreign(_) | Record::Null => unreachable!("a record with an id is ours"),
        };
        if opens {
            match outcome {
                // What does not land decides nothing: whose records these are is as open as before.
                Landed::Unfit(_) => self.position.last_applied = None,
                _ => self.bind(context, id.source, None)?,
            }
        }
        self.landed(outcome, context, message)
    }

    /// A record that others wrote, or a tombstone.
    fn take_foreign<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        record: Record<'a>,
    ) -> Result<Effect> {
        let is_null = matches!(record, Record::Null);
        if is_null && self.source(context)?.is_some() {
            return self.take_tombstone(context, message);
        }
        let key: NamedValues<'a> = match decode::key(message.opt_key()) {
            Err(reason) => return self.dead_letter(context, message, &reason),
            Ok(RecordKey::Object(key)) => key,
            Ok(RecordKey::Bare(value)) => vec![(names::BARE_KEY.into(), value)],
            Ok(RecordKey::None) if is_null => return self.dead_letter(context, message, "neither key nor value"),
            Ok(RecordKey::None) => Vec::new(),
        };
        let topic = &self.position.at.topic;
        let done = match record {
            Record::Foreign(members) => context.landing.foreign_upsert(topic, &key, &members)?,
            _ => context.landing.foreign_delete(topic, &key)?,
        };
        if !is_null && done == Landed::Applied {
            context.landing.bind(topic, Binding::Others)?;
        }
        self.landed(done, context, message)
    }

    /// The tombstone that follows a deletion of ours. It says nothing new, unless compaction took
    /// the deletion away.
    fn take_tombstone(&mut self, context: &mut ApplyContext<'_, '_>, message: Message<'_>) -> Result<Effect> {
        let follows = message.offset == self.position.next_offset;
        // Before the first contact here, what it deletes has not landed.
        if follows
            || self.position.last_applied.is_none()
            || self.activity() == Activity::Skipping
            || !self.passes_gap(message.offset, &Gap::NoDeletion, context.options)?
        {
            return Ok(Effect::Nothing);
        }
        let Ok(RecordKey::Object(key)) = decode::key(message.opt_key()) else {
            return self.dead_letter(context, message, "the key is no JSON object");
        };
        let done = self.delete(context, key)?;
        self.landed(done, context, message)
    }

    fn delete(&self, context: &mut ApplyContext<'_, '_>, key: NamedValues<'_>) -> Result<Landed> {
        if self.position.schema.is_none() {
            return context.landing.foreign_delete(&self.position.at.topic, &key);
        }
        let key: Vec<_> = key.into_iter().map(|(_, value)| value).collect();
        context.landing.delete(&self.position, &key)
    }

    /// Whether the sink's rows changed.
    fn landed(&mut self, landed: Landed, context: &mut ApplyContext<'_, '_>, message: Message<'_>) -> Result<Effect> {
        match landed {
            Landed::Applied => Ok(Effect::Rows),
            Landed::Superseded => {
                self.counts.skipped += 1;
                Ok(Effect::Nothing)
            }
            Landed::Unfit(reason) => self.dead_letter(context, message, &reason),
        }
    }

    /// A record that is no row: a dead letter, or the end.
    pub(super) fn dead_letter(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'_>,
        reason: &str,
    ) -> Result<Effect> {
        let place = self.place(message.offset);
        if context.options.on_bad_record == BadRecords::Stop {
            return Err(Error::failed(format!("{place}: {reason}"))
                .way_out("without --on-bad-record stop it is kept in the sink's table _rowferry_dead_letters and the rest goes on"));
        }
        if self.counts.dead_letters < WARNINGS {
            log::warn!("{place}: put into the dead letters: {reason}");
        }
        let of_record = (message.key, message.value);
        context
            .landing
            .dead_letter(&self.position.at, message.offset, of_record, reason)?;
        self.counts.dead_letters += 1;
        Ok(Effect::Nothing)
    }
}

fn schema_of(position: &SinkPosition) -> Result<&Arc<TableSchema>> {
    position
        .schema
        .as_ref()
        .ok_or_else(|| Error::failed(format!("{}: no schema is known", position.at)))
}

/// The rowid in the key of a keyless table's row.
fn rowid_in(message: &Message<'_>) -> Option<i64> {
    match decode::key(message.opt_key()) {
        Ok(RecordKey::Object(members)) => match members.as_slice() {
            [(_, Value::Integer(rowid))] => Some(*rowid),
            _ => None,
        },
        _ => None,
    }
}
