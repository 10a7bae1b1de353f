//! One partition's way into the sink: each record is judged, then applied, skipped, put aside or a reason to stop.

mod binding;

use crate::model::TopicPartition;
use std::iter::Sum;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::{self, FetchedPartition, Message};
use crate::error::{Error, Result};
use crate::model::{LastApplied, RecordId, RunHeader};
use crate::model::{Schemas, TableSchema, Value, recycle};
use crate::sequence::{Gap, Verdict, judge};
use crate::sink::{Binding, Landed, Landing, LastTaken, SinkPosition};
use crate::wire::decode::{self, NamedValues, Record, RecordKey};
use crate::wire::fingerprint::fingerprint;
use crate::wire::names::BARE_KEY;
use crate::wire::rows::{Reader, Rows};
use crate::wire::sign::SignKey;

use super::prefetch::FetchStart;
use super::recent_records::RecentRecords;
use super::{BadRecords, Options, print};

/// Dead letters that are named one by one; the summary counts the rest.
const WARNINGS: u64 = 10;

/// What became of the records, for the summary.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Records applied.
    pub landed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sent twice, by a run that was replaced, or older than the table's new shape.
    pub skipped: u64,
    /// Put into the dead letters.
    pub dead_letters: u64,
    /// Rows that the producer had to keep back.
    pub kept_back: u64,
    /// Holes that `--allow-gaps` let pass.
    pub gaps: u64,
    /// Passed over by `--heal`.
    pub passed_over: u64,
}

impl<'a> Sum<&'a Counts> for Counts {
    fn sum<I: Iterator<Item = &'a Counts>>(counts: I) -> Counts {
        counts.fold(Counts::default(), |sum, one| Counts {
            landed: sum.landed + one.landed,
            bytes: sum.bytes + one.bytes,
            skipped: sum.skipped + one.skipped,
            dead_letters: sum.dead_letters + one.dead_letters,
            kept_back: sum.kept_back + one.kept_back,
            gaps: sum.gaps + one.gaps,
            passed_over: sum.passed_over + one.passed_over,
        })
    }
}

/// What an applier works with while one transaction is open.
pub struct ApplyContext<'a, 'c> {
    pub landing: &'a mut Landing<'c>,
    pub options: &'a Options,
    /// The partitions of the topic that this sink lands.
    pub partitions: &'a [i32],
    /// Whether they are not all of them, by the user's wish.
    pub pinned: bool,
    /// How many partitions the topic is known to have.
    pub count: i32,
}

/// What is waited for before the next record may be taken.
pub enum Wait {
    /// It begins a run over other partitions than those before. What other partitions still hold from before is older.
    Others {
        source: String,
        moved: u64,
        others: Vec<i32>,
        /// The first offset and the end of each of the topic's partitions, asked after the wait began.
        bounds: Option<Vec<(i64, i64)>>,
    },
    /// It says that the topic has more partitions than are known: the broker is asked whether they are there.
    Partitions { claimed: i32, since: Instant },
}

/// A partition and where it stands.
pub struct PartitionApplier {
    pub position: SinkPosition,
    /// What the sink had for `next_offset` when it was read or written last.
    pub noted: Option<i64>,
    /// Whether the log held nothing more when it was asked last.
    pub at_end: bool,
    /// Whether a full pass of the topic was completed here, until that is told to the topic's other appliers.
    pub pass_landed: bool,
    pub counts: Counts,
    /// What is waited for before the next record may be taken.
    pub waits: Option<Wait>,
    pub memory: RecentRecords,
    /// How many partitions the broker knew when it was asked about a record that said more, and the offset of that record.
    denied: Option<(i64, i32)>,
    /// The rows that come were written by a schema that was refused.
    schema_refused: bool,
    /// The source and the run that moved keys for which the others were last waited for, to the end.
    waited: Option<(String, u64)>,
    /// What the sink had for `reached` when it was read or written last.
    noted_reached: Option<u64>,
    /// The memory of the last row, for the next one.
    spare: Vec<Value<'static>>,
}

impl PartitionApplier {
    pub fn new(position: SinkPosition, known: bool) -> Self {
        Self {
            noted: known.then_some(position.next_offset),
            at_end: false,
            pass_landed: false,
            counts: Counts::default(),
            waits: None,
            memory: RecentRecords::default(),
            denied: None,
            schema_refused: false,
            waited: None,
            noted_reached: position.reached.filter(|_| known),
            spare: Vec::new(),
            position,
        }
    }

    /// `topic "users" partition 0`
    pub fn name(&self) -> String {
        format!(
            "topic \"{}\" partition {}",
            self.position.at.topic, self.position.at.partition
        )
    }

    /// Where to fetch from first, by which schema to read, and which key has to have signed what is read.
    pub fn berthed(&self, schemas: Schemas, key: Option<&SignKey>) -> FetchStart {
        let SinkPosition {
            at: TopicPartition { topic, partition },
            next_offset,
            schema,
            ..
        } = &self.position;
        FetchStart {
            position: broker::FetchPosition {
                at: TopicPartition {
                    topic: topic.clone(),
                    partition: *partition,
                },
                offset: *next_offset,
            },
            reader: Reader::new(schema.clone(), schemas).signed_by(key.map(|key| key.signer(topic, *partition))),
        }
    }

    /// The place of a record, as all messages name it.
    fn place(&self, offset: i64) -> String {
        format!("{} offset {offset}", self.name())
    }

    pub fn is_at(&self, at: &TopicPartition) -> bool {
        self.position.at == *at
    }

    /// Takes some of what was fetched; what landed is added to `prints` when it is to be printed.
    pub fn take_chunk(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        chunk: &FetchedPartition,
        rows: &Rows,
        records: Range<usize>,
        prints: &mut Vec<u8>,
    ) -> Result<()> {
        let is_all = records.end == chunk.len();
        for (at, message) in records.clone().zip(chunk.records_at(records)) {
            if message.offset < self.position.next_offset {
                continue;
            }
            let (schema, spare) = (self.position.schema.as_ref(), std::mem::take(&mut self.spare));
            let read = rows.record(at, message.value, schema, spare);
            if self.take(context, message, read)? && context.options.print {
                print::line(&self.position, message, prints);
            }
            if self.waits.is_some() {
                return Ok(());
            }
        }
        if is_all {
            // Behind the last record there can be offsets that hold none.
            self.position.next_offset = self.position.next_offset.max(chunk.next_offset());
        }
        Ok(())
    }

    /// Remembers the last record that was taken, where a chunk of this round holds it.
    pub fn remember_last(&mut self, chunk: &FetchedPartition) {
        if let Some(last) = chunk.last_below(self.position.next_offset) {
            self.position.last = Some(LastTaken {
                offset: last.offset,
                fingerprint: fingerprint(last.key, last.value),
            });
        }
    }

    /// Begins anew where the log does. Records with numbers say by themselves where all is whole again: they are passed over up to the
    /// next full pass. Others' records only go on.
    pub fn set_back(&mut self, first: i64) {
        self.position.next_offset = first;
        self.position.last = None;
        self.position.reached = None;
        self.position.healing = self.position.origin.is_some();
        self.at_end = false;
        self.waits = None;
        self.waited = None;
        self.memory.forget();
    }

    /// The others have come so far that the next record may be taken.
    pub fn wait_is_over(&mut self) {
        if let Some(Wait::Others { source, moved, .. }) = self.waits.take() {
            self.waited = Some((source, moved));
        }
    }

    /// The broker knows no more partitions than these, and the next record said that there are more.
    pub fn deny(&mut self, count: i32) {
        self.waits = None;
        self.denied = Some((self.position.next_offset, count));
    }

    /// Whether a record that said too much has been met before: the broker is not given time again then to learn of new partitions.
    pub fn has_denied(&self) -> bool {
        self.denied.is_some()
    }

    /// The run that goes on though a newer one has replaced it, and the newer one, where nothing of that follows: its records are skipped.
    pub fn goes_on(&self) -> Option<(u64, u64)> {
        let late = self.memory.late.filter(|_| !self.position.healing)?;
        Some((late.epoch, self.position.origin.as_ref()?.epoch))
    }

    /// An error when the log has ended for so long with records of a run that was replaced, while the newer one has said no more here than
    /// that it begins: behind it there may be no run at all.
    pub fn check_late(&self, quiet: Duration) -> Result<()> {
        let (Some(late), Some((goes_on, newest))) = (&self.memory.late, self.goes_on()) else {
            return Ok(());
        };
        let is_silent = self.position.origin.as_ref().is_some_and(|origin| origin.seq == 1);
        match is_silent && late.since.elapsed() >= quiet {
            true => Err(self.gap_error(late.offset, &Gap::Silent { newest, goes_on })),
            false => Ok(()),
        }
    }

    /// Moves the sink's position to where this applier is.
    pub fn note(&mut self, landing: &mut Landing<'_>) -> Result<()> {
        match self.position.reached {
            _ if self.noted != Some(self.position.next_offset) => landing.move_position(&self.position, self.noted),
            Some(run) if self.noted_reached != Some(run) => landing.wait_at(&self.position, run),
            _ => Ok(()),
        }
    }

    /// What was noted has been committed.
    pub fn is_noted(&mut self) {
        self.noted = Some(self.position.next_offset);
        self.noted_reached = self.position.reached;
    }

    /// Takes one message; true when it changed the sink's rows.
    fn take<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        read: Result<Record<'a>, String>,
    ) -> Result<bool> {
        let read = read.and_then(|record| match self.trouble(message.offset, &record) {
            Some(reason) => Err(reason),
            None => Ok(record),
        });
        let read = match read {
            Ok(record) => self.in_its_place(context, record)?,
            read => read,
        };
        if let Ok(record) = &read
            && self.has_to_wait(context, record)?
        {
            return Ok(false);
        }
        let landed = match read {
            // It says nothing: the deletion before it, which is signed, was judged in its turn.
            Err(_) if self.is_tombstone(context, message) => false,
            Err(reason) => {
                if self.is_genuine(context, message) {
                    self.pass_refused(&message);
                }
                self.put_aside(context, message, &reason)?
            }
            Ok(record) => match record.id() {
                None => self.take_foreign(context, message, record)?,
                Some(stamp) => self.take_ours(context, message, stamp, record)?,
            },
        };
        self.position.next_offset = message.offset + 1;
        self.position.reached = None;
        if landed {
            self.counts.landed += 1;
            self.counts.bytes += (message.key.len() + message.value.len()) as u64;
        }
        Ok(landed)
    }

    /// Why a record can be none of a run's beginning here.
    fn trouble(&self, offset: i64, record: &Record<'_>) -> Option<String> {
        let (stamp, link) = record.id().zip(record.header())?;
        if let Some(reason) = link.trouble(stamp.epoch, self.position.at.partition) {
            return Some(reason);
        }
        let (_, count) = self.denied.filter(|(of, _)| *of == offset)?;
        let claimed = link.partitions?;
        Some(format!(
            "the run is said to send to {claimed} partitions, and the topic has {count}"
        ))
    }

    /// Whether a record begins a run over other partitions, and others have not come to it, or over more than are known. Waits for them then.
    fn has_to_wait(&mut self, context: &mut ApplyContext<'_, '_>, record: &Record<'_>) -> Result<bool> {
        let (Some(stamp), Some(link)) = (record.id(), record.header()) else {
            return Ok(false);
        };
        if !self.is_before(&stamp) {
            return Ok(false);
        }
        if let Some(claimed) = link.partitions.filter(|claimed| *claimed > context.count) {
            self.waits = Some(Wait::Partitions {
                claimed,
                since: Instant::now(),
            });
            return Ok(true);
        }
        // Runs of another source have nothing to do with those that landed: they are a gap, and wait for nothing.
        let is_of_another = |origin: &LastApplied| origin.source != stamp.source;
        let Some(moved) = link
            .moved
            .filter(|_| !self.position.origin.as_ref().is_some_and(is_of_another))
        else {
            return Ok(false);
        };
        if self
            .waited
            .as_ref()
            .is_some_and(|(source, run)| source == stamp.source && *run >= moved)
        {
            return Ok(false);
        }
        // One that has only just been added may not be known here yet, and can hold rows that have moved before.
        let others = match (context.pinned, link.partitions) {
            (false, Some(count)) => link.others(self.position.at.partition, &(0..count).collect::<Vec<_>>()),
            _ => link.others(self.position.at.partition, context.partitions),
        };
        let behind = context
            .landing
            .others_have_reached(&self.position, stamp.source, moved, &others)?;
        if behind.is_empty() {
            return Ok(false);
        }
        self.position.reached = Some(stamp.epoch);
        self.waits = Some(Wait::Others {
            source: stamp.source.to_owned(),
            moved,
            others,
            bounds: None,
        });
        Ok(true)
    }

    /// Whether no record of this run or a later one has landed.
    fn is_before(&self, stamp: &RecordId<'_>) -> bool {
        let landed = self.position.origin.as_ref();
        landed.is_none_or(|landed| landed.source != stamp.source || landed.epoch < stamp.epoch)
    }

    /// Whether a record is signed, where only what is signed is believed.
    fn is_genuine(&self, context: &ApplyContext<'_, '_>, message: Message<'_>) -> bool {
        let SinkPosition {
            at: TopicPartition { topic, partition },
            ..
        } = &self.position;
        let signer = context
            .options
            .sign_key
            .as_ref()
            .map(|key| key.signer(topic, *partition));
        signer.is_none_or(|signer| signer.has_signed(message.key, message.value))
    }

    /// Whether a record without a value stands where a tombstone of ours may, in a log of which only what is signed is believed.
    fn is_tombstone(&self, context: &ApplyContext<'_, '_>, message: Message<'_>) -> bool {
        context.options.sign_key.is_some()
            && message.value.is_empty()
            && self.position.origin.is_some()
            && (message.offset == self.position.next_offset || self.position.healing)
    }

    fn take_ours<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        stamp: RecordId<'a>,
        record: Record<'a>,
    ) -> Result<bool> {
        if self.is_of_another_table(context, message.offset, &stamp, &record)?
            || !self.admit(message, &stamp, &record, context)?
        {
            return Ok(false);
        }
        let opens = self.position.origin.is_none() && context.landing.binding(&self.position.at.topic)?.is_none();
        self.advance(&stamp, record.header());
        self.memory.took(stamp.seq, &message);
        let is_row = matches!(
            &record,
            Record::Row { .. } | Record::Deletion { .. } | Record::RowWithoutSchema { .. }
        );
        if self.schema_refused && is_row {
            return self.put_aside(context, message, "the schema by which it was written was refused");
        }
        if opens && matches!(record, Record::PassEnd { .. } | Record::Placeholder { .. }) {
            self.bind(context, stamp.source, None)?;
        }
        let outcome = match record {
            Record::Row { row, .. } => {
                let rowid = match schema_of(&self.position)?.keyed_by_rowid() {
                    true => match rowid(message.key) {
                        None => return self.put_aside(context, message, "the key names no rowid"),
                        rowid => rowid,
                    },
                    false => None,
                };
                let outcome = context.landing.upsert(&self.position, rowid, &row)?;
                self.spare = recycle(row);
                outcome
            }
            Record::Deletion { key, .. } => self.delete(context, key)?,
            Record::RowWithoutSchema { row, .. } => {
                let key = match decode::key(message.key) {
                    Ok(RecordKey::Object(key)) => key,
                    _ => return self.put_aside(context, message, "the key is no JSON object"),
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
                        // What does not land decides nothing: whose records these are is as open as before.
                        self.position.origin = None;
                    }
                    return self.put_aside(context, message, &reason);
                }
                self.bind(context, stamp.source, table_id)?;
                return Ok(false);
            }
            Record::PassEnd { pass, .. } => {
                if let Some(removed) = context.landing.pass_end(&mut self.position, pass, context.partitions)? {
                    let topic = &self.position.at.topic;
                    match removed {
                        0 => log::info!("topic \"{topic}\": all of the table has landed"),
                        _ => log::info!(
                            "topic \"{topic}\": all of the table has landed; {removed} rows that the source has no more are removed"
                        ),
                    }
                    self.pass_landed = true;
                }
                return Ok(false);
            }
            Record::Placeholder { key, reason, .. } => {
                log::warn!(
                    "{}: the producer kept row {key} back: {reason}",
                    self.place(message.offset)
                );
                self.counts.kept_back += 1;
                return Ok(false);
            }
            Record::Foreign(_) | Record::Empty => unreachable!("a record with a stamp is ours"),
        };
        if opens {
            match outcome {
                // What does not land decides nothing: whose records these are is as open as before.
                Landed::Unfit(_) => self.position.origin = None,
                _ => self.bind(context, stamp.source, None)?,
            }
        }
        self.landed(outcome, context, message)
    }

    /// Whether a record of ours is to be applied now, by its number and by the state of healing.
    fn admit(
        &mut self,
        message: Message<'_>,
        stamp: &RecordId<'_>,
        record: &Record<'_>,
        context: &mut ApplyContext<'_, '_>,
    ) -> Result<bool> {
        let offset = message.offset;
        let begin = match record {
            Record::Schema { begin, .. } => *begin,
            _ => None,
        };
        if self.position.healing {
            // Where the log is read again from its start, passes from before the gap stand in it too.
            let known = self
                .position
                .origin
                .as_ref()
                .is_some_and(|origin| origin.source == stamp.source);
            if begin.is_none_or(|pass| known && pass <= self.position.pass) {
                self.counts.passed_over += 1;
                return Ok(false);
            }
            log::info!("{}: a full pass begins here and heals the gap", self.place(offset));
            self.position.healing = false;
            return Ok(true);
        }
        let gap = match judge(self.position.origin.as_ref(), stamp, record.header()) {
            Verdict::Apply => match self.moved_away(record, context.partitions) {
                None => return Ok(true),
                Some(gap) => gap,
            },
            Verdict::Resend if self.memory.took_another(stamp.seq, &message) => Gap::Changed { seq: stamp.seq },
            Verdict::Resend => {
                self.memory.late = None;
                self.counts.skipped += 1;
                return Ok(false);
            }
            Verdict::Zombie => {
                self.memory.skipped(stamp, offset);
                self.counts.skipped += 1;
                return Ok(false);
            }
            Verdict::Stray => {
                let reason = "the number of a run's first record, which would tell the schema";
                return self.put_aside(context, message, reason);
            }
            Verdict::FirstContact { partial } => match self.source(context)? {
                Some(bound) if bound != stamp.source => Gap::OtherSource {
                    landed: bound.to_owned(),
                    found: stamp.source.to_owned(),
                },
                _ => {
                    self.position.partial = partial && begin.is_none();
                    return Ok(true);
                }
            },
            Verdict::Healed(gap) => {
                log::warn!("{}: {gap}; the full pass that begins here heals it", self.place(offset));
                return Ok(true);
            }
            Verdict::Gap(gap) => gap,
        };
        match self.bear(offset, &gap, context.options)? {
            true => Ok(true),
            false => self.admit(message, stamp, record, context),
        }
    }

    /// Rows that landed here go on in partitions that this sink does not land, unless the whole table follows.
    fn moved_away(&self, record: &Record<'_>, landed: &[i32]) -> Option<Gap> {
        let link = record.header()?;
        let crosses = self.position.origin.as_ref()?.epoch < link.moved?;
        let partitions = link.partitions?;
        let lands_all = (0..partitions).all(|p| landed.contains(&p));
        (crosses && !link.full && !lands_all).then_some(Gap::Moved { partitions })
    }

    /// Whether a gap is allowed; if not, all up to the next full pass is passed over, or it is an error.
    fn bear(&mut self, offset: i64, gap: &Gap, options: &Options) -> Result<bool> {
        if options.allow_gaps && gap.is_hole() {
            self.counts.gaps += 1;
            return Ok(true);
        }
        if !options.heal {
            return Err(self.gap_error(offset, gap));
        }
        log::warn!("{}: {gap}; passing over to the next full pass", self.place(offset));
        self.position.healing = true;
        Ok(false)
    }

    fn gap_error(&self, offset: i64, gap: &Gap) -> Error {
        let way_out = match gap {
            Gap::OtherSource { .. } => {
                "a sink follows one source: give this source a topic and a --sink of its own; or, when the old source is \
                 gone for good, run `producer --backfill` on the new one and then `consumer --heal` to follow it"
            }
            Gap::Silent { .. } => {
                "start the producer again, which reads the log back, overtakes every run in it and sends its rows again; then the consumer"
            }
            _ => {
                "run `producer --backfill`, then `consumer --heal`: every row is sent again, and what is gone is removed"
            }
        };
        Error::loss(format!("{}: {gap}", self.place(offset))).way_out(way_out)
    }

    /// A row that was written by a schema which was refused is none of the table as it is, and yet the next one of its run.
    fn pass_refused(&mut self, message: &Message<'_>) {
        if let Some(stamp) = decode::record_id(message.value).filter(|_| self.schema_refused && !self.position.healing)
            && judge(self.position.origin.as_ref(), &stamp, None) == Verdict::Apply
        {
            self.advance(&stamp, None);
            self.memory.took(stamp.seq, message);
        }
    }

    fn advance(&mut self, stamp: &RecordId<'_>, link: Option<&RunHeader>) {
        match &mut self.position.origin {
            Some(origin) if origin.source == stamp.source && origin.epoch == stamp.epoch => origin.seq = stamp.seq,
            origin => {
                self.memory.forget();
                *origin = Some(LastApplied {
                    partitions: link.and_then(|link| link.partitions),
                    ..LastApplied::from(*stamp)
                })
            }
        }
    }

    /// A record that others wrote, or a tombstone.
    fn take_foreign<'a>(
        &mut self,
        context: &mut ApplyContext<'_, '_>,
        message: Message<'a>,
        record: Record<'a>,
    ) -> Result<bool> {
        let empty = matches!(record, Record::Empty);
        if empty && self.source(context)?.is_some() {
            return self.take_tombstone(context, message);
        }
        let key: NamedValues<'a> = match decode::key(message.key) {
            Err(reason) => return self.put_aside(context, message, &reason),
            Ok(RecordKey::Object(key)) => key,
            Ok(RecordKey::Bare(value)) => vec![(BARE_KEY.into(), value)],
            Ok(RecordKey::None) if empty => return self.put_aside(context, message, "neither key nor value"),
            Ok(RecordKey::None) => Vec::new(),
        };
        let topic = &self.position.at.topic;
        let done = match record {
            Record::Foreign(members) => context.landing.foreign_upsert(topic, &key, &members)?,
            _ => context.landing.foreign_delete(topic, &key)?,
        };
        if !empty && done == Landed::Applied {
            context.landing.bind(topic, Binding::Others)?;
        }
        self.landed(done, context, message)
    }

    /// The tombstone that follows a deletion of ours. It says nothing new, unless compaction took the deletion away.
    fn take_tombstone(&mut self, context: &mut ApplyContext<'_, '_>, message: Message<'_>) -> Result<bool> {
        let follows = message.offset == self.position.next_offset;
        // Before the first contact here, what it deletes has not landed.
        if follows
            || self.position.origin.is_none()
            || self.position.healing
            || !self.bear(message.offset, &Gap::NoDeletion, context.options)?
        {
            return Ok(false);
        }
        let Ok(RecordKey::Object(key)) = decode::key(message.key) else {
            return self.put_aside(context, message, "the key is no JSON object");
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
    fn landed(&mut self, landed: Landed, context: &mut ApplyContext<'_, '_>, message: Message<'_>) -> Result<bool> {
        match landed {
            Landed::Applied => Ok(true),
            Landed::Superseded => {
                self.counts.skipped += 1;
                Ok(false)
            }
            Landed::Unfit(reason) => self.put_aside(context, message, &reason),
        }
    }

    /// A record that is no row: a dead letter, or the end.
    fn put_aside(&mut self, context: &mut ApplyContext<'_, '_>, message: Message<'_>, reason: &str) -> Result<bool> {
        let place = self.place(message.offset);
        if context.options.on_bad_record == BadRecords::Stop {
            return Err(Error::failed(format!("{place}: {reason}"))
                .way_out("without --on-bad-record stop it is kept in the sink's table _rowferry_dead_letters and the rest goes on"));
        }
        if self.counts.dead_letters < WARNINGS {
            log::warn!("{place}: put into the dead letters: {reason}");
        }
        let SinkPosition {
            at: TopicPartition { topic, partition },
            ..
        } = &self.position;
        context
            .landing
            .dead_letter(topic, *partition, message.offset, message.key, message.value, reason)?;
        self.counts.dead_letters += 1;
        Ok(false)
    }
}

fn schema_of(position: &SinkPosition) -> Result<&Arc<TableSchema>> {
    position.schema.as_ref().ok_or_else(|| {
        Error::failed(format!(
            "topic \"{}\" partition {}: no schema is known",
            position.at.topic, position.at.partition
        ))
    })
}

/// The rowid in the key of a keyless table's row.
fn rowid(key: &[u8]) -> Option<i64> {
    match decode::key(key) {
        Ok(RecordKey::Object(members)) => match members.as_slice() {
            [(_, Value::Integer(rowid))] => Some(*rowid),
            _ => None,
        },
        _ => None,
    }
}
