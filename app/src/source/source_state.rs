//! What a source remembers of what was shipped.

use std::path::Path;
use std::sync::Arc;

use super::acked::{self, Acked};
use super::checkpoint::Checkpoint;
use super::file::SourceFile;
use super::fork::{self, FileState};
use super::partitioning::{self, Partitioning};
use super::progress::{self, Progress};
use super::run::{Noted, Run, id_from_place};
use super::tracked::Tracked;
use super::tracking::{self, Occasion, Updated};
use super::{Capture, capture, dead_letters, own_tables, resend, schema};
use crate::error::{Error, Result};
use crate::model::{TopicId, Value};
use crate::stop::Stop;

/// What a source remembers of what was shipped. All that it writes, it writes in short
/// transactions.
pub struct SourceState {
    file: SourceFile,
    capture: Capture,
    run: Option<Run>,
    /// The state of the file when it was read before the run.
    read_state: Option<FileState>,
    /// How this run spreads its rows over each topic, until that is noted.
    partitionings: Vec<(String, Partitioning)>,
    /// Dead letters of a source that is only read, and so cannot keep them.
    unkept_dead_letters: u64,
}

impl SourceState {
    /// Opens what the source remembers of its shipping.
    pub fn open(path: &Path, capture: Capture, stop: Stop) -> Result<SourceState> {
        let file = SourceFile::open(path, capture == Capture::Triggers, &stop)?;
        Ok(SourceState {
            file,
            capture,
            run: None,
            read_state: None,
            partitionings: Vec::new(),
            unkept_dead_letters: 0,
        })
    }

    /// What the file remembers of the runs before. Makes our tables where they are missing.
    pub fn noted(&mut self) -> Result<Noted> {
        if self.capture == Capture::None {
            return Ok(Noted {
                source: id_from_place(self.file.path()),
                is_new: false,
            });
        }
        let (noted, state) = self.file.write(|tx| {
            let is_new = own_tables::make(tx)?;
            let source = tx.query_row("SELECT source FROM _rowferry_run", [], |row| row.get(0))?;
            Ok((Noted { source, is_new }, fork::state(tx)?))
        })?;
        self.read_state = state;
        Ok(noted)
    }

    /// The last acknowledged record of each partition of a topic, as far as the file remembers.
    pub fn acked(&self, topic: &str) -> Result<Vec<Acked>> {
        match self.capture {
            Capture::Triggers => self.file.read(|conn| acked::noted(conn, topic)),
            Capture::None => Ok(Vec::new()),
        }
    }

    /// The id of the topic in which those stand, where it is known.
    pub fn topic_id(&self, topic: &str) -> Result<Option<TopicId>> {
        match self.capture {
            Capture::Triggers => self.file.read(|conn| acked::topic_id(conn, topic)),
            Capture::None => Ok(None),
        }
    }

    /// Takes a new epoch, larger than `above` and than all epochs and passes that the file knows.
    /// It is stored before anything is sent under it. An error when the file is another one than
    /// `noted` read, or than the last run of ours has left.
    pub fn begin_run(&mut self, above: u64) -> Result<Run> {
        let ours = self.run.take();
        let run = match self.capture {
            Capture::Triggers => {
                if self.read_state.is_none() {
                    self.noted()?;
                }
                let read = self.read_state;
                self.file.write(|tx| Run::begin(tx, above, read, ours.as_ref()))?
            }
            Capture::None => Run::unnoted(self.file.path(), above)?,
        };
        self.run = Some(run.clone());
        self.partitionings.clear();
        Ok(run)
    }

    /// The last full pass that the file remembers for a topic, 0 for none.
    pub fn last_pass(&self, topic: &str) -> Result<u64> {
        let sql = "SELECT max(pass) FROM _rowferry_tracked WHERE topic = ?1";
        let pass: Option<i64> = self
            .file
            .read(|conn| Ok(conn.query_row(sql, [topic], |row| row.get(0))?))?;
        Ok(pass.unwrap_or(0) as u64)
    }

    /// Whether the next run sends all rows to a topic anyway.
    pub fn is_full_due(&self, topic: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM _rowferry_tracked WHERE topic = ?1 AND pending AND cursor IS NULL";
        match self.capture {
            Capture::Triggers => self.file.read(|conn| Ok(conn.prepare(sql)?.exists([topic])?)),
            Capture::None => Ok(true),
        }
    }

    /// Keeps keys that a topic holds and the file may have forgotten; `settle` puts them into the
    /// outbox.
    pub fn keep_keys(&self, topic: &str, keys: &[Vec<Value<'_>>]) -> Result<()> {
        resend::keep(&self.file.conn, topic, keys).map_err(|e| self.file.error(e))
    }

    /// The run's first records are acknowledged, each topic with its id, and the log was read up to
    /// them: notes the new place, and sends the keys again that were kept, in one transaction. How many rows those are.
    /// A full pass finds them anyway.
    pub fn settle(&mut self, tables: &[(&Tracked, Vec<Acked>, Option<TopicId>)]) -> Result<u64> {
        if self.capture == Capture::None {
            return Ok(0);
        }
        let state = self.run()?.state.clone();
        let partitionings = &self.partitionings;
        let (resent, notes) = self.file.write(|tx| {
            state.check(tx, state.notes())?;
            let mut resent = 0;
            for (tracked, acked, topic_id) in tables {
                if !tracked.full {
                    resent += resend::enqueue(tx, &tracked.topic, &tracked.schema)?;
                }
                acked::note(tx, &tracked.topic, acked)?;
                acked::note_topic_id(tx, &tracked.topic, *topic_id)?;
            }
            for (topic, partitioning) in partitionings {
                partitioning::note(tx, topic, *partitioning)?;
            }
            Ok((resent, state.renew(tx)?))
        })?;
        state.confirm(notes);
        self.partitionings.clear();
        resend::forget(&self.file.conn).map_err(|e| self.file.error(e))?;
        Ok(resent)
    }

    /// Sees to it that the table's changes are captured, and finds out what is to be shipped of it.
    /// Comes after `begin_run`.
    pub fn track(&mut self, table: &str, topic: &str, backfill: bool) -> Result<Tracked> {
        if self.capture == Capture::None {
            return self.track_unwatched(table, topic);
        }
        let state = self.run()?.state.clone();
        self.file.write(|tx| {
            state.check(tx, state.notes())?;
            let Updated { id, schema, progress } = tracking::update(tx, table, topic, Occasion::Run { backfill })?;
            let full = progress.pending && progress.cursor.is_none();
            let requeued = dead_letters::requeue(tx, &schema, full)?;
            let in_outbox = progress.changes_waiting(tx, &schema)?;
            let rows_waiting = progress.rows_in_pass(tx, &schema)?.saturating_add(in_outbox);
            Ok(Tracked {
                table: schema.table.clone(),
                topic: topic.to_owned(),
                id,
                acked: acked::noted(tx, topic)?,
                pass_pending: progress.pending,
                full,
                dead_letters_requeued: requeued,
                rows_waiting,
                schema,
                progress,
            })
        })
    }

    /// How this run spreads rows over a topic that has so many partitions now. Comes after
    /// `begin_run`. A source that is only read remembers no other count: there keys may have moved
    /// before every run.
    pub fn partitioning(&mut self, topic: &str, partitions: i32) -> Result<Partitioning> {
        let run = self.run()?.clone();
        if self.capture == Capture::None {
            let repartitioned_at = Some(run.epoch);
            return Ok(Partitioning {
                partitions,
                repartitioned_at,
            });
        }
        let partitioning = self
            .file
            .read(|conn| partitioning::of_run(conn, topic, partitions, &run))?;
        self.partitionings.push((topic.to_owned(), partitioning));
        Ok(partitioning)
    }

    /// Notes that batches are acknowledged, each up to its checkpoint and with its last records, in
    /// one transaction. An error when another producer has begun a run, or the file is not the one
    /// any more that they were read from: then nothing is noted.
    pub fn note(&mut self, batches: &[(Checkpoint, Vec<Acked>)]) -> Result<()> {
        if self.capture == Capture::None || batches.is_empty() {
            return Ok(());
        }
        self.file.check_place()?;
        let state = self.run()?.state.clone();
        // Where anything is acknowledged, so is the beginning of the run, which stands in every
        // partition.
        let begun = |topic: &str| {
            batches
                .iter()
                .any(|(checkpoint, acked)| !acked.is_empty() && *checkpoint.topic == *topic)
        };
        let notes = self.file.write(|tx| {
            state.check(tx, state.notes())?;
            for (checkpoint, acked) in batches {
                progress::advance(tx, checkpoint)?;
                acked::note(tx, &checkpoint.topic, acked)?;
            }
            for (topic, partitioning) in self.partitionings.iter().filter(|(topic, _)| begun(topic)) {
                partitioning::note(tx, topic, *partitioning)?;
            }
            state.renew(tx)
        })?;
        state.confirm(notes);
        self.partitionings.retain(|(topic, _)| !begun(topic));
        Ok(())
    }

    /// An error unless this run is still the file's last: the one of a producer that has taken
    /// over, or of a file that was put back.
    pub fn check(&self) -> Result<()> {
        if self.capture == Capture::None {
            return Ok(());
        }
        self.file.check_place()?;
        let state = &self.run()?.state;
        let notes = state.notes();
        self.file.read(|conn| state.check(conn, notes))
    }

    /// The same without waiting for a lock: false, and nothing is noted, when somebody else is at
    /// the file just now.
    pub fn try_note(&mut self, batches: &[(Checkpoint, Vec<Acked>)]) -> Result<bool> {
        if self.capture == Capture::None {
            return Ok(true);
        }
        self.file.hurry()?;
        let noted = self.note(batches);
        match (self.file.calm()?, noted) {
            (true, Err(_)) => Ok(false),
            (_, noted) => noted.map(|()| true),
        }
    }

    /// Keeps the key of a row that cannot travel, as values and as text for people; the next run
    /// tries the row again.
    pub fn dead_letter(&mut self, table: &str, key: &[Value<'_>], text: &str, reason: &str) -> Result<()> {
        log::warn!("{table}: the row {text} stays behind: {reason}");
        if self.capture == Capture::None {
            self.unkept_dead_letters += 1;
            return Ok(());
        }
        let state = self.run()?.state.clone();
        self.file.write(|tx| {
            state.check(tx, state.notes())?;
            dead_letters::keep(tx, table, key, text, reason)
        })
    }

    /// How many rows stay behind.
    pub fn dead_letters(&self) -> Result<u64> {
        if self.capture == Capture::None {
            return Ok(self.unkept_dead_letters);
        }
        self.file.read(dead_letters::count)
    }

    /// Takes all that is ours out of the source, and says what that was.
    pub fn uninstall(&mut self) -> Result<Vec<String>> {
        self.file.write(|tx| capture::uninstall(tx))
    }

    /// Makes the file a source of its own, which knows nothing of what was shipped under its old
    /// name: the new one.
    pub fn new_identity(&mut self) -> Result<String> {
        self.file.write(|tx| {
            own_tables::make(tx)?;
            tx.execute_batch(
                "UPDATE _rowferry_run SET source = lower(hex(randomblob(6))), epoch = NULL, notes = 0;
                 UPDATE _rowferry_tracked SET pending = 1, cursor = NULL;
                 DELETE FROM _rowferry_acked; DELETE FROM _rowferry_layout;",
            )?;
            Ok(tx.query_row("SELECT source FROM _rowferry_run", [], |row| row.get(0))?)
        })
    }

    fn track_unwatched(&self, table: &str, topic: &str) -> Result<Tracked> {
        let epoch = self.run()?.epoch;
        self.file.read(|conn| {
            let schema = schema::read(conn, table)?;
            let progress = Progress {
                pass: epoch,
                pending: true,
                ..Progress::default()
            };
            Ok(Tracked {
                table: schema.table.clone(),
                topic: topic.to_owned(),
                id: schema.table.clone(),
                acked: Vec::new(),
                pass_pending: true,
                full: true,
                dead_letters_requeued: 0,
                rows_waiting: progress.rows_in_pass(conn, &schema)?,
                schema: Arc::new(schema),
                progress,
            })
        })
    }

    fn run(&self) -> Result<&Run> {
        self.run
            .as_ref()
            .ok_or_else(|| Error::failed("no run has begun on this source"))
    }
}
