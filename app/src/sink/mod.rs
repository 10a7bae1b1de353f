//! The sink database: everything that is written there, and nothing about Kafka.
//!
//! - `binding`, `bindings`: whose records a topic carries and of which table, and how that is
//!   decided
//! - `cache`: what is remembered between transactions
//! - `catalog`: the sink's own tables
//! - `ddl`: the SQL for a table
//! - `error`: the sink's errors
//! - `file`: whether the file is still there
//! - `foreign`: records without a schema
//! - `landing`: one transaction of rows, positions and dead letters
//! - `members`: the consumers that land here
//! - `open`: the file and its settings
//! - `passes`: schema records and full passes
//! - `position`, `positions`: how far each partition has landed, and how that is stored
//! - `reshape`: giving a table its shape
//! - `stored_schema`: schemas as they are stored
//! - `sweep`: a full pass begins in a table, and removes at its end what it did not touch
//! - `table`: a landed table in memory
//! - `unvisited`: the keys that the running pass has not touched
//! - `write_turn`: sharing the file with other consumers

mod binding;
mod bindings;
mod cache;
mod catalog;
mod ddl;
mod error;
mod file;
mod foreign;
mod landing;
mod members;
mod open;
mod passes;
mod position;
mod positions;
mod reshape;
mod stored_schema;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod unvisited;
mod write_turn;

use std::path::Path;

use rusqlite::Connection;

use crate::error::Result;
use crate::model::Schemas;
use crate::stop::Stop;

pub(crate) use binding::{Binding, Conflict};
pub use landing::{Landed, Landing};
pub use position::{LastTaken, SinkPosition};

use cache::Cache;
use error::{cannot, stopped_or};
use file::OpenFile;
use write_turn::WriteTurns;

/// The sink database.
pub struct Sink {
    conn: Connection,
    id: String,
    file: OpenFile,
    cache: Cache,
    /// Tables that the user lets be landed in though they are not ours.
    adopted: Vec<String>,
    write_turns: WriteTurns,
    stop: Stop,
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
            cache: Cache::default(),
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

    /// What distinguishes this sink from others: random, made once.
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
        self.cache.schemas.clone()
    }

    /// Every position of a topic that has landed, by partition.
    pub fn positions(&self, topic: &str) -> Result<Vec<SinkPosition>> {
        self.stop.check()?;
        positions::all(&self.conn, &self.cache.schemas, topic)
    }

    /// Which of `partitions` have not come to the run `repartitioned_at` of a source yet, for which
    /// this position waits: none when it may go on.
    pub fn partitions_behind(
        &self,
        position: &SinkPosition,
        source: &str,
        repartitioned_at: u64,
        partitions: &[i32],
    ) -> Result<Vec<i32>> {
        self.stop.check()?;
        positions::behind(&self.conn, position, source, repartitioned_at, partitions)
    }

    /// Begins a transaction; waits for its turn and for the lock of another process, until asked to
    /// stop.
    pub fn begin(&mut self) -> Result<Landing<'_>> {
        self.stop.check()?;
        let failed = |e| stopped_or(e, &self.stop, "begin a transaction in the sink");
        let turn = self.write_turns.take(&self.stop)?;
        write_turn::shorten_log(&self.conn, open::LOG_PAGES, &self.stop)?;
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        drop(turn);
        let landing = Landing {
            conn: &self.conn,
            cache: &mut self.cache,
            adopted: &self.adopted,
            statements: Vec::new(),
            file: &self.file,
            stop: &self.stop,
            open: true,
        };
        landing.cache.notice_other_writers(landing.conn)?;
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
