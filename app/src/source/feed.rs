//! What to ship next: the rows of a full pass first, then the changes in the order in which they were made.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use super::changes::Changes;
use super::file::{File, Tried};
use super::ledger::check_epoch;
use super::scan::Scan;
use super::tracking::{self, Look, Place, Tracked};
use super::{Capture, Event, Mark, Run, Step, utf16};
use crate::error::{Error, Result};
use crate::row::TableSchema;
use crate::stop::Stop;

/// The time between two looks at the file while nothing happens.
const LOOK: Duration = Duration::from_millis(3);

/// Reads one table. It may be ahead of what the ledger has noted; a new feed begins where the ledger stands.
pub struct Feed {
    file: File,
    /// Whether the database keeps its text as UTF-16.
    in_utf16: bool,
    capture: Capture,
    epoch: u64,
    /// Waits for a table that is gone to come again; otherwise that is an error.
    follow: bool,
    table: Arc<str>,
    topic: Arc<str>,
    schema: Arc<TableSchema>,
    place: Place,
    scan: Scan,
    changes: Changes,
    /// `PRAGMA data_version` as of the last read.
    seen: i64,
    gone: bool,
}

impl Feed {
    pub fn open(path: &Path, capture: Capture, run: &Run, tracked: &Tracked, follow: bool, stop: Stop) -> Result<Feed> {
        let file = File::open(path, capture == Capture::Triggers, &stop)?;
        let in_utf16 = utf16::prepare(&file.conn).map_err(|e| file.error(e))?;
        Ok(Feed {
            file,
            in_utf16,
            capture,
            epoch: run.epoch,
            follow,
            table: tracked.table.as_str().into(),
            topic: tracked.topic.as_str().into(),
            scan: Scan::new(&tracked.schema, in_utf16),
            changes: Changes::new(&tracked.schema, in_utf16),
            schema: tracked.schema.clone(),
            place: tracked.place.clone(),
            seen: 0,
            gone: false,
        })
    }

    /// Gives the next batch's events to `each`, inside one read transaction (so it must not wait for anything), and returns the batch's
    /// mark, which is to be noted even when there were no events; none when there is nothing to ship now.
    pub fn read(
        &mut self,
        max_rows: usize,
        max_bytes: usize,
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Option<Mark>> {
        let limits = (max_rows.max(1), max_bytes);
        if self.capture == Capture::None {
            return self.read_unwatched(limits, each);
        }
        loop {
            self.begin()?;
            let read = self.read_batch(limits, each);
            self.end()?;
            match read.map_err(|e| self.file.error(e))? {
                Batch::Read(step) => return Ok(step.map(|step| self.mark(step))),
                Batch::Changed if self.look_again()? => {}
                Batch::Changed => return Ok(None),
            }
        }
    }

    /// Waits until something may have changed, at most `limit`; whether it may have.
    pub fn wait(&mut self, limit: Duration, stop: &Stop) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            stop.check()?;
            if self.capture == Capture::Triggers
                && data_version(&self.file.conn).map_err(|e| self.file.error(e))? != self.seen
            {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// A batch of one read transaction; the feed's place moves only when all of it was taken.
    fn read_batch(&mut self, limits: (usize, usize), each: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Tried<Batch> {
        let conn = &self.file.conn;
        self.seen = data_version(conn)?;
        let version = tracking::schema_version(conn)?;
        if version != self.place.version {
            if tracking::seen_version(conn, &self.table)? != Some(version) {
                return Ok(Batch::Changed);
            }
            self.place.version = version;
        }
        check_epoch(conn, self.epoch)?;
        if self.place.pending {
            return Ok(Batch::Read(Some(self.read_pass(limits, each)?)));
        }
        let upto = self.changes.read(conn, self.place.shipped, limits, each)?;
        self.place.shipped = upto.unwrap_or(self.place.shipped);
        Ok(Batch::Read(upto.map(Step::Outbox)))
    }

    /// The next rows of the full pass, with its beginning and its end where they are due.
    fn read_pass(&mut self, limits: (usize, usize), each: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Tried<Step> {
        let pass = self.place.pass;
        if self.place.cursor.is_none() {
            each(Event::Begin {
                pass,
                schema: &self.schema,
            })?;
        }
        let cursor = self
            .scan
            .read(&self.file.conn, self.place.cursor.as_deref(), limits, each)?;
        self.place.cursor.clone_from(&cursor);
        Ok(match cursor {
            Some(cursor) => Step::Scanned(cursor),
            None => {
                each(Event::End { pass })?;
                self.place.pending = false;
                Step::Complete
            }
        })
    }

    /// One read transaction for the whole pass, since nobody tells what changes meanwhile.
    fn read_unwatched(
        &mut self,
        limits: (usize, usize),
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Option<Mark>> {
        if !self.place.pending {
            return Ok(None);
        }
        if self.file.conn.is_autocommit() {
            self.begin()?;
        }
        let step = self.read_pass(limits, each).map_err(|e| self.file.error(e))?;
        if let Step::Complete = step {
            self.end()?;
            self.file.check_unchanged()?;
        }
        Ok(Some(self.mark(step)))
    }

    /// The schema has changed: mends the triggers, and begins a new pass where one is due. False while the table is gone.
    fn look_again(&mut self) -> Result<bool> {
        let (table, topic, epoch) = (self.table.clone(), self.topic.clone(), self.epoch);
        let found = self.file.write(|tx| {
            check_epoch(tx, epoch)?;
            match is_there(tx, &table)? {
                true => tracking::look(tx, &table, &topic, Look::Change).map(Some),
                false => Ok(None),
            }
        })?;
        let Some((schema, place)) = found else {
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
        if place.pass == self.place.pass {
            self.place.version = place.version;
            return Ok(true);
        }
        self.scan = Scan::new(&schema, self.in_utf16);
        self.changes = Changes::new(&schema, self.in_utf16);
        (self.schema, self.place) = (schema, place);
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
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// A mark that moves nothing, for records that carry no row.
    pub fn standing(&self) -> Mark {
        self.mark(Step::Outbox(self.place.shipped))
    }

    fn mark(&self, step: Step) -> Mark {
        Mark {
            table: self.table.clone(),
            topic: self.topic.clone(),
            pass: self.place.pass,
            step,
        }
    }
}

/// What came of reading a batch.
enum Batch {
    /// A batch, or none when there is nothing to ship.
    Read(Option<Step>),
    /// The database's schema is not the one that the feed knows.
    Changed,
}

fn is_there(conn: &Connection, table: &str) -> Tried<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
    Ok(conn.query_row(sql, [table], |_| Ok(())).optional()?.is_some())
}

/// A number that changes whenever another connection has committed something.
fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}
