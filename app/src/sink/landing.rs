//! One transaction of the sink: rows, positions and dead letters land together or not at all.

use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::model::{TableSchema, TopicPartition, Value};
use crate::stop::Stop;

use super::cache::Cache;
use super::error::{cannot, stopped_or};
use super::file::OpenFile;
use super::position::SinkPosition;
use super::table::{LandedTable, Misfit, Statements, bind, prepared};
use super::unvisited::{unvisit, visit};
use super::{catalog, ddl, positions, reshape};

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landed {
    /// It is in the table.
    Applied,
    /// The table has a newer shape that this partition has not reached; the full pass that comes
    /// with it brings the row again.
    Superseded,
    /// The record cannot be a row of the table, for this reason; nothing of it was stored.
    Unfit(String),
}

/// A transaction that rolls back unless it is committed.
pub struct Landing<'a> {
    pub(super) conn: &'a Connection,
    pub(super) cache: &'a mut Cache,
    pub(super) adopted: &'a [String],
    /// One for each table in the cache.
    pub(super) statements: Vec<Statements<'a>>,
    pub(super) file: &'a OpenFile,
    pub(super) stop: &'a Stop,
    pub(super) open: bool,
}

impl<'a> Landing<'a> {
    /// Inserts or updates a row, its values in the order of the columns of `position.schema`.
    pub fn upsert(&mut self, position: &SinkPosition, rowid: Option<i64>, row: &[Value<'_>]) -> Result<Landed> {
        match self.current(position)? {
            Some(table) => self.store(table, rowid, row, position.pass),
            None => Ok(Landed::Superseded),
        }
    }

    /// Deletes the row whose key is the same to the last bit, if it is there.
    pub fn delete(&mut self, position: &SinkPosition, key: &[Value<'_>]) -> Result<Landed> {
        match self.current(position)? {
            Some(table) => self.remove(table, key),
            None => Ok(Landed::Superseded),
        }
    }

    /// Keeps a record that is no row, as it came, with the reason.
    pub fn dead_letter(
        &mut self,
        at: &TopicPartition,
        offset: i64,
        (key, value): (&[u8], &[u8]),
        reason: &str,
    ) -> Result<()> {
        catalog::dead_letter(self.conn, at, offset, (key, value), reason)
            .map_err(|e| cannot(e, format!("keep the dead letter of {at}, offset {offset}")))
    }

    /// Moves a position from the offset at which it was read (none on first contact) to where it is
    /// now.
    pub fn move_position(&mut self, position: &SinkPosition, expected: Option<i64>) -> Result<()> {
        let moved = positions::advance(self.conn, position, expected);
        self.check_moved(position, moved, expected)
    }

    /// Notes that the first record of a run stands at this position, which does not move, and waits
    /// for the other partitions. The note lasts until `move_position` writes the position's own
    /// `reached`.
    pub fn wait_at(&mut self, position: &SinkPosition, epoch: u64) -> Result<()> {
        let noted = positions::wait_at(self.conn, position, epoch);
        self.check_moved(position, noted, Some(position.next_offset))
    }

    /// Which of `partitions` have not come to the run `repartitioned_at` of a source yet, as this
    /// transaction sees it: none when the position may go on.
    pub fn partitions_behind(
        &self,
        position: &SinkPosition,
        source: &str,
        repartitioned_at: u64,
        partitions: &[i32],
    ) -> Result<Vec<i32>> {
        positions::behind(self.conn, position, source, repartitioned_at, partitions)
    }

    /// An error unless a position was where it should be.
    fn check_moved(&self, position: &SinkPosition, moved: rusqlite::Result<bool>, expected: Option<i64>) -> Result<()> {
        let at = &position.at;
        let failed = |e| cannot(e, format!("note the position of {at}"));
        if moved.map_err(failed)? {
            return Ok(());
        }
        let found = positions::next_offset(self.conn, at).map_err(failed)?;
        let (expected, found) = (Offset(expected), Offset(found));
        Err(Error::new(
            Kind::Rival,
            format!("another consumer lands in this sink: {at} should be {expected} and is {found}"),
        )
        .way_out("consumers that share a sink need the same --group, or --partitions that do not overlap; or name another file with --sink"))
    }

    /// Makes all of it last. An error also where it was made so in a file that is gone by then.
    pub fn commit(mut self) -> Result<()> {
        self.file.check()?;
        for table in self.cache.tables.iter_mut().filter(|t| t.unvisited_moved) {
            catalog::note_unvisited(self.conn, table)
                .map_err(|e| cannot(e, format!("note the pass of table {}", table.shape.table)))?;
            table.unvisited_moved = false;
        }
        self.conn
            .execute_batch("COMMIT")
            .map_err(|e| stopped_or(e, self.stop, "commit to the sink"))?;
        self.open = false;
        self.file.check()
    }

    /// What ends a long statement when the user wants to stop is no failure.
    pub(super) fn unless_stopped(&self, error: Error) -> Error {
        if self.stop.requested() { Error::stopped() } else { error }
    }

    /// The place of the table that a topic lands in, once there is one.
    pub(super) fn table(&mut self, topic: &Arc<str>) -> Result<Option<usize>> {
        let same = |t: &LandedTable| Arc::ptr_eq(&t.topic, topic) || t.topic == *topic;
        let place = match self.cache.tables.iter().position(same) {
            Some(place) => place,
            None => match catalog::table(self.conn, &self.cache.schemas, topic)? {
                Some(table) => self.remember(table),
                None => return Ok(None),
            },
        };
        self.statements
            .resize_with(self.cache.tables.len(), Statements::default);
        Ok(Some(place))
    }

    pub(super) fn remember(&mut self, table: LandedTable) -> usize {
        self.cache.tables.push(table);
        self.statements
            .resize_with(self.cache.tables.len(), Statements::default);
        self.cache.tables.len() - 1
    }

    /// The table of a position; none when it has another schema by now than the partition has
    /// reached.
    fn current(&mut self, position: &SinkPosition) -> Result<Option<usize>> {
        let topic = &position.at.topic;
        let (Some(schema), Some(place)) = (&position.schema, self.table(topic)?) else {
            return Err(
                Error::failed(format!("no table is known for the rows of topic {topic}"))
                    .way_out("send them again with `producer --backfill`"),
            );
        };
        let same = |known: &Arc<TableSchema>| Arc::ptr_eq(known, schema) || known == schema;
        Ok(self.cache.tables[place]
            .schema
            .as_ref()
            .is_some_and(same)
            .then_some(place))
    }

    /// Writes a row whose values are in the order of the table's columns.
    pub(super) fn store(&mut self, place: usize, rowid: Option<i64>, row: &[Value<'_>], pass: u64) -> Result<Landed> {
        match self.cache.tables[place].misfit(rowid, row) {
            None => {}
            Some(Misfit::Unfit(reason)) => return Ok(Landed::Unfit(reason)),
            Some(Misfit::Converts(columns)) => self.loosen(place, &columns).map_err(|e| self.unless_stopped(e))?,
        }
        let stored = self.write(place, rowid, row, pass);
        stored.map_err(|e| {
            cannot(
                e,
                format!("store a row in table {}", self.cache.tables[place].shape.table),
            )
        })?;
        Ok(Landed::Applied)
    }

    fn write(&mut self, place: usize, rowid: Option<i64>, row: &[Value<'_>], pass: u64) -> rusqlite::Result<()> {
        let table = &mut self.cache.tables[place];
        let statements = &mut self.statements[place];
        let upsert = prepared(&mut statements.upsert, self.conn, || ddl::upsert(&table.shape))?;
        let mut next = 1;
        if table.key.is_empty() {
            upsert.raw_bind_parameter(next, rowid)?;
            next += 1;
        }
        bind(upsert, next, row)?;
        upsert.raw_execute()?;
        match table.unvisited {
            Some(1..) if pass == table.pass => visit(table, statements, self.conn, &table.key_of(rowid, row)),
            Some(_) if pass != table.pass => {
                let rowid = rowid.or_else(|| Some(self.conn.last_insert_rowid()));
                unvisit(table, statements, self.conn, &table.key_of(rowid, row))
            }
            _ => Ok(()),
        }
    }

    /// Deletes by a key in key order.
    pub(super) fn remove(&mut self, place: usize, key: &[Value<'_>]) -> Result<Landed> {
        let table = &self.cache.tables[place];
        let wanted = table.key.len().max(1);
        if key.len() != wanted {
            let (name, found) = (&table.shape.table, key.len());
            return Ok(Landed::Unfit(format!(
                "the key has {found} members, the primary key of {name} has {wanted}"
            )));
        }
        let deleted = self.erase(place, key);
        deleted.map_err(|e| {
            cannot(
                e,
                format!("delete a row of table {}", self.cache.tables[place].shape.table),
            )
        })?;
        Ok(Landed::Applied)
    }

    fn erase(&mut self, place: usize, key: &[Value<'_>]) -> rusqlite::Result<()> {
        let table = &mut self.cache.tables[place];
        let statements = &mut self.statements[place];
        let delete = prepared(&mut statements.delete, self.conn, || ddl::delete(&table.shape))?;
        bind(delete, 1, key)?;
        delete.raw_execute()?;
        match table.unvisited {
            Some(1..) => visit(table, statements, self.conn, key),
            _ => Ok(()),
        }
    }

    /// Takes their types away from columns that would convert a value.
    fn loosen(&mut self, place: usize, columns: &[usize]) -> Result<()> {
        let mut shape = self.cache.tables[place].shape.clone();
        for &column in columns {
            reshape::loosen(&mut shape, column);
        }
        self.rebuild(place, shape)
    }

    /// Gives a table another shape, keeping its rows where the key is the same.
    pub(super) fn rebuild(&mut self, place: usize, mut shape: TableSchema) -> Result<()> {
        self.statements[place] = Statements::default();
        let table = &mut self.cache.tables[place];
        let there = reshape::is_taken(self.conn, &table.shape.table)?;
        reshape::reshape(self.conn, there.then_some(&table.shape), &mut shape)?;
        table.reshape(shape);
        catalog::note_table(self.conn, table)
            .map_err(|e| cannot(e, format!("note the shape of table {}", table.shape.table)))
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if self.open {
            // A failed statement may have rolled back already: then there is nothing left to undo.
            let _ = self.conn.execute_batch("ROLLBACK");
            self.cache.forget();
        }
    }
}

/// An offset as a person reads it.
struct Offset(Option<i64>);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(f, "at offset {offset}"),
            None => f.write_str("new here"),
        }
    }
}
