//! What a record is held against before anything else: whose records its topic carries, and of
//! which table (see `sink::Binding`).

use crate::error::{Error, Result};
use crate::model::{LastApplied, RecordId, TopicPartition};
use crate::sink::{Binding, Conflict, SinkPosition};
use crate::wire::decode::Record;
use crate::wire::names::RECORD_ID;

use super::context::ApplyContext;
use super::{Activity, PartitionApplier};

impl PartitionApplier {
    /// A topic is either of a source or of others, in all of its partitions: what does not belong
    /// is no row, before it costs or changes anything. A tombstone says nothing of who wrote it.
    pub(super) fn why_misplaced(
        &self,
        context: &mut ApplyContext<'_, '_>,
        record: &Record<'_>,
    ) -> Result<Option<String>> {
        let (topic, last_applied) = (&self.position.at.topic, self.position.last_applied.as_ref());
        Ok(match (record.id(), record) {
            // Where a record of a source has landed, the topic is a source's; numbers say whose.
            (Some(_), _) if last_applied.is_some() => None,
            (Some(id), _) if context.landing.binding(topic)? == Some(&Binding::Others) => {
                let gives_away =
                    matches!(record, Record::Schema { begin: Some(_), .. }) && context.landing.gives_away(topic)?;
                (!gives_away).then(|| {
                    format!(
                        "a record of source {}, and others write topic \"{topic}\": ship to another topic; or give this one and \
                         its table to that source with `producer --backfill` and `consumer --adopt {topic}`",
                        id.source
                    )
                })
            }
            (None, Record::Foreign(_)) => self.source(context)?.map(|source| {
                format!(
                    "no \"{}\" member, in a topic that source {source} ships: others' records need another topic",
                    RECORD_ID.name
                )
            }),
            _ => None,
        })
    }

    /// The source whose records come here, where a source's have come.
    pub(super) fn source<'q>(&'q self, context: &'q mut ApplyContext<'_, '_>) -> Result<Option<&'q str>> {
        let binding = match &self.position.last_applied {
            Some(last_applied) => return Ok(Some(&last_applied.source)),
            None => context.landing.binding(&self.position.at.topic)?,
        };
        Ok(match binding {
            Some(Binding::Source { source, .. }) => Some(source),
            _ => None,
        })
    }

    /// Binds the topic to a source, and to the table with this identity where the source tells it.
    pub(super) fn bind(&self, context: &mut ApplyContext<'_, '_>, source: &str, table: Option<String>) -> Result<()> {
        let topic = &self.position.at.topic;
        let known = match context.landing.binding(topic)? {
            Some(Binding::Source { source: bound, table }) if bound == source => table.clone(),
            _ => None,
        };
        let (source, table) = (source.to_owned(), table.or(known));
        context.landing.bind(topic, Binding::Source { source, table })
    }

    /// Whether a schema is not that of the table which the topic carries: an error, or passed over
    /// up to the next full pass of that one. A source may rename its table, and not into a name
    /// that is taken.
    pub(super) fn is_of_another_table(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        offset: i64,
        id: &RecordId<'_>,
        record: &Record<'_>,
    ) -> Result<bool> {
        let Record::Schema { table_id, schema, .. } = record else {
            return Ok(false);
        };
        let SinkPosition {
            at: TopicPartition { topic, .. },
            last_applied,
            ..
        } = &self.position;
        let has_landed =
            |landed: &LastApplied| landed.source == id.source && (id.epoch, id.seq) <= (landed.epoch, landed.seq);
        if last_applied.as_ref().is_some_and(has_landed) {
            return Ok(false);
        }
        let Some(conflict) = context
            .landing
            .conflict(topic, id.source, table_id.as_deref(), &schema.table)?
        else {
            return Ok(false);
        };
        if context.landing.schema_refusal(schema)?.is_some() {
            return Ok(false); // of no table at all: a dead letter
        }
        let is_other = self.source(context)?.is_some_and(|source| source != id.source);
        let passes_over = context.options.heal || is_other && self.activity() == Activity::Skipping;
        if is_other && !passes_over {
            return Ok(false); // another source is a gap, whatever it ships
        }
        let place = self.place(offset);
        let (carried, what, way_out) = match conflict {
            Conflict::Other { carried } => {
                let of = if is_other { "another source" } else { "the same source" };
                let what = format!(
                    "{place}: this record is of table \"{}\", and the topic carries table \"{carried}\" of {of}",
                    schema.table
                );
                let way_out = format!(
                    "ship \"{}\" to a topic of its own (--topic); then run `producer --table {carried} --topic {topic} --backfill`, and `consumer --heal`",
                    schema.table
                );
                (carried, what, way_out)
            }
            Conflict::NameTaken { carried } => {
                let what = format!(
                    "{place}: the source renames table \"{carried}\" to \"{}\", and the sink has something else of that name",
                    schema.table
                );
                let way_out = "rename or drop what has that name in the sink, and start again; or name another file with --sink, \
                               after `producer --backfill`";
                (carried, what, way_out.to_owned())
            }
        };
        if !passes_over {
            return Err(Error::loss(what).way_out(way_out));
        }
        log::warn!("{what}; passing over to the next full pass of \"{carried}\"");
        self.position.healing = true;
        self.counts.passed_over += 1;
        Ok(true)
    }
}
