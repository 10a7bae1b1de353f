//! The sink database: everything that is written there, and nothing about Kafka.
//!
//! - `landing`: one transaction of rows, positions and dead letters
//! - `bindings`: whose records a topic carries, and of which table
//! - `passes`: schema records and full passes; `foreign`: records without a schema
//! - `table`: a landed table in memory
//! - `ddl`: the SQL for a table; `reshape`: giving a table its shape
//! - `members`: the consumers that land here
//! - `open`: the file and its settings; `file`: whether it is still there; `write_turn`: sharing it with other consumers
//! - `catalog`: the sink's own tables; `positions`: how far each partition has landed;
//!   `stored_schema`: schemas as they are kept there

mod bindings;
mod catalog;
mod ddl;
mod file;
mod foreign;
mod landing;
mod members;
mod open;
mod passes;
mod positions;
mod reshape;
mod stored_schema;
mod table;
#[cfg(test)]
mod tests;
mod write_turn;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::model::{Schemas, TableSchema, TopicPartition};
use crate::sqlite::error::{Database, SqlFault, explain};
use crate::sqlite::pragmas;
use crate::stop::Stop;

pub use bindings::{Binding, Conflict};
pub use foreign::Member;
pub use landing::Landing;

use crate::model::LastApplied;
use file::OpenFile;
use write_turn::WriteTurns;

/// How far a partition has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkPosition {
    pub at: TopicPartition,
    pub next_offset: i64,
    /// The last record of ours that landed.
    pub origin: Option<LastApplied>,
    /// The run whose first record stands at `next_offset`, while it waits for the other partitions (see `sequence::RunProgress`).
    pub reached: Option<u64>,
    /// The last record that was taken: it stands below `next_offset`, in this log and hardly in another. None while not known.
    pub last: Option<LastTaken>,
    /// Records are passed over until the next full pass.
    pub healing: bool,
    /// Rows from before the first contact are missing until a full pass has landed; taken over on the first contact with a source only.
    pub partial: bool,
    /// The schema in force for this partition's records; `Landing::schema` sets it.
    pub schema: Option<Arc<TableSchema>>,
    /// The last full pass begun in this partition, 0 for none; `Landing::schema` sets it.
    pub pass: u64,
}

/// A record that was taken: a position is a number and what stood there, since a log that was made anew has the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTaken {
    pub offset: i64,
    /// See `wire::fingerprint`.
    pub fingerprint: u64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    Applied,
    /// The table has a newer shape that this partition has not reached; the full pass that comes with it brings the row again.
    Superseded,
    /// The record cannot be a row of the table, for this reason; nothing of it was stored.
    Unfit(String),
}

/// The sink database.
pub struct Sink {
    conn: Connection,
    id: String,
    file: OpenFile,
    memory: Memory,
    /// Tables that the user lets be landed in though they are not ours.
    adopted: Vec<String>,
    write_turns: WriteTurns,
    stop: Stop,
}

/// What is remembered between transactions, as long as nobody else writes.
#[derive(Default)]
struct Memory {
    tables: Vec<table::Table>,
    /// Of those topics that are bound.
    bindings: Vec<(Arc<str>, Binding)>,
    schemas: Schemas,
    data_version: i64,
}

impl Memory {
    fn forget(&mut self) {
        self.tables.clear();
        self.bindings.clear();
    }
}

impl Sink {
    /// Opens the database, made when it is missing.
    pub fn open(path: &Path, stop: Stop) -> Result<Self> {
        let (conn, id) = open::open(path, &stop)?;
        let file = OpenFile::of(&conn, path)?;
        Ok(Self {
            conn,
            id,
            file,
            memory: Memory::default(),
            adopted: Vec::new(),
            write_turns: WriteTurns::beside(path),
            stop,
        })
    }

    /// Lets these tables be landed in, though they are not ours.
    pub fn adopting(self, tables: &[String]) -> Self {
        Self {
            adopted: tables.to_vec(),
            ..self
        }
    }

    /// What tells this sink from others: random, made once.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What tells its file from others, a copy of it among them.
    pub fn file(&self) -> String {
        self.file.name()
    }

    /// An error when the file is no longer where it was opened.
    pub fn check_file(&self) -> Result<()> {
        self.file.check()
    }

    /// The schemas that this sink knows.
    pub fn schemas(&self) -> Schemas {
        self.memory.schemas.clone()
    }

    /// Every position of a topic that has landed, by partition.
    pub fn positions(&self, topic: &str) -> Result<Vec<SinkPosition>> {
        self.stop.check()?;
        positions::all(&self.conn, &self.memory.schemas, topic)
    }

    /// Which of `partitions` have not come to run `moved` of a source yet, for which this position waits: none when it may go on.
    pub fn others_have_reached(
        &self,
        position: &SinkPosition,
        source: &str,
        moved: u64,
        partitions: &[i32],
    ) -> Result<Vec<i32>> {
        self.stop.check()?;
        positions::behind(&self.conn, position, source, moved, partitions)
    }

    /// Begins a transaction; waits for its turn and for the lock of another process, until asked to stop.
    pub fn begin(&mut self) -> Result<Landing<'_>> {
        self.stop.check()?;
        let failed = |e| stopped_or(e, &self.stop, "begin a transaction in the sink");
        let turn = self.write_turns.take(&self.stop)?;
        write_turn::shorten_log(&self.conn, open::LOG_PAGES, &self.stop)?;
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        drop(turn);
        let mut landing = Landing {
            conn: &self.conn,
            memory: &mut self.memory,
            adopted: &self.adopted,
            statements: Vec::new(),
            file: &self.file,
            stop: &self.stop,
            open: true,
        };
        landing.notice_other_writers()?;
        Ok(landing)
    }

    /// How many records were kept as dead letters.
    pub fn dead_letters(&self) -> Result<u64> {
        self.conn
            .query_row("SELECT count(*) FROM _rowferry_dead_letters", [], |r| {
                r.get::<_, i64>(0)
            })
            .map(|count| count as u64)
            .map_err(|e| cannot(e, "count the dead letters of the sink"))
    }
}

impl Landing<'_> {
    /// Forgets what is remembered of tables and topics when another connection has written since.
    fn notice_other_writers(&mut self) -> Result<()> {
        let version = pragmas::data_version(self.conn).map_err(|e| cannot(e, "read the sink"))?;
        if version != self.memory.data_version {
            self.memory.data_version = version;
            self.memory.forget();
        }
        Ok(())
    }
}

/// The sentence for what could not be done in the sink.
fn cannot(fault: impl Into<SqlFault>, what: impl fmt::Display) -> Error {
    explain(fault, Database::Sink { what: &what }, None)
}

/// The same for what waits for a lock, which is given up on only when the user wants to stop.
fn stopped_or(fault: impl Into<SqlFault>, stop: &Stop, what: impl fmt::Display) -> Error {
    explain(fault, Database::Sink { what: &what }, Some(stop))
}
