//! What to ship next: the rows of a full pass first, then the changes in the order in which they
//! were made.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::checkpoint::{Checkpoint, Step};
use super::event::Event;
use super::event_buffer::EventBuffer;
use super::file::SourceFile;
use super::file_times::FileTimes;
use super::fork::{LastChange, RunState};
use super::progress::Progress;
use super::run::Run;
use super::scan::Scan;
use super::tracked::{self, Tracked};
use super::tracking::{self, Occasion, Updated};
use super::{Capture, snapshot, utf16};
use crate::error::{Error, Result};
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;
use crate::sqlite::pragmas::{data_version, schema_version};
use crate::sqlite::tables;
use crate::stop::Stop;

/// The time after which the files are asked again while nothing happens.
const POLL: Duration = Duration::from_millis(3);

/// Reads one table. It may be ahead of what the source state has noted; a new reader begins where
/// the source state stands.
pub(crate) struct ChangeReader {
    file: SourceFile,
    /// Whether the database keeps its text as UTF-16.
    in_utf16: bool,
    capture: Capture,
    run: RunState,
    /// Waits for a table that is gone to come again; otherwise that is an error.
    follow: bool,
    table: Arc<str>,
    topic: Arc<str>,
    schema: Arc<TableSchema>,
    progress: Progress,
    scan: Scan,
    changes: Changes,
    buffer: EventBuffer,
    times: FileTimes,
    /// `PRAGMA data_version` as of the last read.
    seen: i64,
    /// The last change that the outbox held at the last read: a later state of the file holds it
    /// still.
    last_change: Option<LastChange>,
    gone: bool,
}

impl ChangeReader {
    pub(crate) fn open(
        path: &Path,
        capture: Capture,
        run: &Run,
        tracked: &Tracked,
        follow: bool,
        stop: Stop,
    ) -> Result<ChangeReader> {
        let file = SourceFile::open(path, capture == Capture::Triggers, &stop)?;
        let in_utf16 = utf16::prepare(&file.conn).map_err(|e| file.error(e))?;
        Ok(ChangeReader {
            times: FileTimes::new(file.path()),
            file,
            in_utf16,
            capture,
            run: run.state.clone(),
            follow,
            table: tracked.table.as_str().into(),
            topic: tracked.topic.as_str().into(),
            scan: Scan::new(&tracked.schema, in_utf16),
            changes: Changes::new(&tracked.schema, in_utf16),
            buffer: EventBuffer::default(),
            schema: tracked.schema.clone(),
            progress: tracked.progress.clone(),
            seen: 0,
            last_change: None,
            gone: false,
        })
    }

    /// Gives the next batch's events, all of one read transaction, to `each` (which must not wait
    /// for anything), and returns the batch's checkpoint, which is to be noted even when there were
    /// no events; none when there is nothing to ship now.
    pub(crate) fn read(
        &mut self,
        max_rows: usize,
        max_bytes: usize,
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Option<Checkpoint>> {
        let limits = (max_rows.max(1), max_bytes);
        if self.capture == Capture::None {
            return self.read_unwatched(limits, each);
        }
        self.file.check_place()?;
        loop {
            // Where readers hold up writers, the transaction ends before anything else is done with
            // what was read.
            let is_buffered = self.file.holds_up_writers()?;
            let (before, mut buffer) = (self.progress.clone(), std::mem::take(&mut self.buffer));
            let noted = self.run.notes();
            self.begin()?;
            let read = if is_buffered {
                self.read_batch(noted, limits, &mut |event| {
                    buffer.add(event);
                    Ok(())
                })
            } else {
                self.read_batch(noted, limits, each)
            };
            self.end()?;
            let read = read.map_err(|e| self.file.error(e))?;
            if let Err(error) = buffer.replay(each) {
                self.progress = before;
                return Err(error);
            }
            self.buffer = buffer;
            match read {
                Batch::Read(step) => return Ok(step.map(|step| self.checkpoint(step))),
                Batch::Changed if self.follow_schema()? => {}
                Batch::Changed => return Ok(None),
            }
        }
    }

    /// Waits until something may have changed, at most `limit`; whether it may have.
    pub(crate) fn wait(&mut self, limit: Duration, stop: &Stop) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            stop.check()?;
            if self.capture == Capture::Triggers && self.times.is_due() {
                self.times.remember();
                if data_version(&self.file.conn).map_err(|e| self.file.error(e))? != self.seen {
                    return Ok(true);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "milliseconds, and the wish to stop is looked at each time"
            )]
            thread::sleep(left.min(POLL));
        }
    }

    /// A batch of one read transaction; the reader's progress moves only when all of it was taken.
    fn read_batch(
        &mut self,
        noted: u64,
        limits: (usize, usize),
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> SqlResult<Batch> {
        let conn = &self.file.conn;
        self.times.remember();
        self.seen = data_version(conn)?;
        self.run.check(conn, noted)?;
        if let Some(last) = &self.last_change {
            last.check(conn, &self.table)?;
        }
        let version = schema_version(conn)?;
        if version != self.progress.schema_version {
            if tracked::seen_version(conn, &self.table)? != Some(version) {
                return Ok(Batch::Changed);
            }
            self.progress.schema_version = version;
        }
        self.last_change = LastChange::read(conn, &self.table)?;
        if self.progress.pending {
            return Ok(Batch::Read(Some(self.read_pass(limits, each)?)));
        }
        let upto = self.changes.read(conn, self.progress.shipped, limits, each)?;
        self.progress.shipped = upto.unwrap_or(self.progress.shipped);
        Ok(Batch::Read(upto.map(Step::Outbox)))
    }

    /// The next rows of the full pass, with its beginning and its end where they are due.
    fn read_pass(&mut self, limits: (usize, usize), each: &mut dyn FnMut(Event<'_>) -> Result<()>) -> SqlResult<Step> {
        let pass = self.progress.pass;
        if self.progress.cursor.is_none() {
            each(Event::Begin {
                pass,
                schema: &self.schema,
            })?;
        }
        let cursor = self
            .scan
            .read(&self.file.conn, self.progress.cursor.as_deref(), limits, each)?;
        self.progress.cursor.clone_from(&cursor);
        Ok(match cursor {
            Some(cursor) => Step::Scanned(cursor),
            None => {
                each(Event::End { pass })?;
                self.progress.pending = false;
                Step::Complete
            }
        })
    }

    /// The whole pass is of one moment, since nobody tells what changes meanwhile.
    fn read_unwatched(
        &mut self,
        limits: (usize, usize),
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Option<Checkpoint>> {
        if !self.progress.pending {
            return Ok(None);
        }
        if self.progress.cursor.is_none() {
            if self.file.holds_up_writers()? {
                snapshot::copy(&mut self.file, &self.schema)?;
                self.scan = Scan::of_copy(&self.schema, self.in_utf16);
            } else {
                self.begin()?;
            }
        }
        let step = self.read_pass(limits, each).map_err(|e| self.file.error(e))?;
        if let Step::Complete = step {
            self.end()?;
            self.file.check_unchanged()?;
        }
        Ok(Some(self.checkpoint(step)))
    }

    /// The schema has changed: mends the triggers, and begins a new pass where one is due. False
    /// while the table is gone.
    fn follow_schema(&mut self) -> Result<bool> {
        let (table, topic, run) = (self.table.clone(), self.topic.clone(), self.run.clone());
        let (found, notes) = self.file.write(|tx| {
            run.check(tx, run.notes())?;
            let found = match tables::table(tx, &table)? {
                Some(_) => Some(tracking::update(tx, &table, &topic, Occasion::SchemaChange)?),
                None => None,
            };
            Ok((found, run.renew(tx)?))
        })?;
        run.confirm(notes);
        let Some(Updated { schema, progress, .. }) = found else {
            if !self.follow {
                return Err(
                    Error::failed(format!("table {table:?} was dropped or renamed while it was shipped"))
                        .way_out("name a table that is there with --table"),
                );
            }
            if !self.gone {
                log::warn!("table {table:?} is gone: waiting for it to be made again");
            }
            self.gone = true;
            return Ok(false);
        };
        self.gone = false;
        if progress.pass == self.progress.pass {
            self.progress.schema_version = progress.schema_version;
            return Ok(true);
        }
        self.scan = Scan::new(&schema, self.in_utf16);
        self.changes = Changes::new(&schema, self.in_utf16);
        (self.schema, self.progress) = (schema, progress);
        // The outbox was made anew.
        self.last_change = None;
        Ok(true)
    }

    fn begin(&self) -> Result<()> {
        self.file.conn.execute_batch("BEGIN").map_err(|e| self.file.error(e))
    }

    fn end(&self) -> Result<()> {
        // Some errors have ended the transaction already.
        if self.file.conn.is_autocommit() {
            return Ok(());
        }
        self.file.conn.execute_batch("ROLLBACK").map_err(|e| self.file.error(e))
    }

    /// Whether the table was gone when it was looked for last.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    fn checkpoint(&self, step: Step) -> Checkpoint {
        Checkpoint {
            table: self.table.clone(),
            topic: self.topic.clone(),
            pass: self.progress.pass,
            step,
            last_change: self.last_change,
        }
    }
}

/// What came of reading a batch.
enum Batch {
    /// A batch, or none when there is nothing to ship.
    Read(Option<Step>),
    /// The database's schema is not the one that the reader knows.
    Changed,
}
