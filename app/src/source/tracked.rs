//! What is remembered of a shipped table.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::acked::Acked;
use super::capture;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;
use crate::sqlite::tables;

/// What is known of a table that is shipped.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// The table's real name.
    pub table: String,
    pub topic: String,
    /// What tells the table from others of its source, whatever it is called.
    pub id: String,
    pub schema: Arc<TableSchema>,
    /// The last acknowledged record of each partition of the topic, as far as noted.
    pub acked: Vec<Acked>,
    /// Whether rows of a full pass are still to come, from its beginning or from where it was
    /// interrupted.
    pub pass_pending: bool,
    /// Whether that pass begins now, so that this run ships the whole table.
    pub full: bool,
    /// Rows that were kept as dead letters and are tried again now.
    pub dead_letters_requeued: u64,
    /// About how many rows wait: those of the pass and those in the outbox.
    pub rows_waiting: u64,
    pub(super) progress: Progress,
}

impl Tracked {
    /// The full pass that is under way, or the last one.
    pub fn pass(&self) -> u64 {
        self.progress.pass
    }
}

/// A table as it was when it was last brought up to date.
pub(super) struct Remembered {
    pub topic: String,
    pub id: Option<String>,
    pub shape: String,
    pub replace_conflicts: Vec<String>,
    pub progress: Progress,
    /// None where an earlier version has kept it.
    pub file_tag: Option<i64>,
}

/// The tables that are shipped from a database, as far as it remembers.
pub(crate) fn tracked_tables(conn: &Connection) -> Result<Vec<String>> {
    let read = || {
        if !tables::has_table(conn, "_rowferry_tracked")? {
            return Ok(Vec::new());
        }
        let mut statement = conn.prepare("SELECT name FROM _rowferry_tracked ORDER BY name")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    read().map_err(|e: rusqlite::Error| Error::failed(format!("cannot list the shipped tables: {e}")))
}

/// What is remembered of a table; none when it was not shipped before.
pub(super) fn remembered(conn: &Connection, table: &str) -> SqlResult<Option<Remembered>> {
    let row = conn.query_row(
        "SELECT topic, shape, guards, schema_version, pass, pending, cursor, shipped, id, mark
         FROM _rowferry_tracked WHERE name = ?1",
        [table],
        |row| {
            Ok(Remembered {
                topic: row.get(0)?,
                id: row.get(8)?,
                shape: row.get(1)?,
                replace_conflicts: serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default(),
                progress: Progress {
                    schema_version: row.get(3)?,
                    pass: row.get::<_, i64>(4)? as u64,
                    pending: row.get(5)?,
                    cursor: row.get(6)?,
                    shipped: row.get(7)?,
                },
                file_tag: row.get(9)?,
            })
        },
    );
    Ok(row.optional()?)
}

/// What is remembered of the table's schema version; none when nothing is.
pub(super) fn seen_version(conn: &Connection, table: &str) -> SqlResult<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT schema_version FROM _rowferry_tracked WHERE name = ?1")?;
    Ok(statement.query_row([table], |row| row.get(0)).optional()?)
}

/// Sees to it that a topic carries one table of the source only. One that is gone, or has another
/// name by now, leaves the topic to this table: its id and the last pass that was begun there, so
/// that a sink takes this one for the other.
pub(super) fn take_topic(conn: &Connection, table: &str, topic: &str) -> SqlResult<Option<(String, u64)>> {
    let sql = "SELECT name, ifnull(id, name), pass FROM _rowferry_tracked WHERE topic = ?1 AND name <> ?2";
    let other = conn.query_row(sql, [topic, table], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?))
    });
    let Some((other, id, pass)) = other.optional()? else {
        return Ok(None);
    };
    if tables::has_table(conn, &other)? {
        return Err(Error::failed(format!(
            "topic {topic:?} carries table {other:?} of this source already, and a topic is for one table"
        ))
        .way_out(format!(
            "give table {table:?} a topic of its own with --topic (and a name that its sink has no other table of), or go on with --table {other}"
        ))
        .into());
    }
    conn.execute("DELETE FROM _rowferry_tracked WHERE name = ?1", [&other])?;
    conn.execute_batch(&format!("DROP TABLE IF EXISTS {}", capture::outbox(&other)))?;
    Ok(Some((id, pass as u64)))
}

/// An id for a table that has none: its name, as long as no other table has that for an id, so that
/// a source which was put back makes the same one again.
pub(super) fn new_id(conn: &Connection, table: &str) -> SqlResult<String> {
    let taken = conn
        .prepare("SELECT 1 FROM _rowferry_tracked WHERE id = ?1 COLLATE NOCASE AND name <> ?1")?
        .exists([table])?;
    let sql = "SELECT iif(?2, ?1 || '-' || lower(hex(randomblob(4))), ?1)";
    Ok(conn.query_row(sql, params![table, taken], |row| row.get(0))?)
}
