//! How far a table is shipped.

use rusqlite::{Connection, OptionalExtension, params};

use super::capture;
use super::checkpoint::{Checkpoint, Step};
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::{quote, rowid_name};

/// How far a table is shipped.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The full pass that is under way, or the last one.
    pub(super) pass: u64,
    pub(super) pending: bool,
    /// The packed key up to which the pass has come; none before anything of it is shipped.
    pub(super) cursor: Option<Vec<u8>>,
    /// The outbox is shipped up to this number.
    pub(super) shipped: i64,
    /// The database's schema version when the table was last brought up to date.
    pub(super) schema_version: i64,
}

impl Progress {
    /// How many changes wait in the outbox.
    pub(super) fn changes_waiting(&self, conn: &Connection, schema: &TableSchema) -> SqlResult<u64> {
        let last = capture::last_number(conn, &schema.table)?.unwrap_or(0);
        Ok(last.saturating_sub(self.shipped).max(0) as u64)
    }

    /// About how many rows the full pass still has to send: all of them, or none.
    pub(super) fn rows_in_pass(&self, conn: &Connection, schema: &TableSchema) -> SqlResult<u64> {
        if !self.pending {
            return Ok(0);
        }
        let table = quote(&schema.table);
        let Some(rowid) = rowid_name(schema) else {
            let count: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
            return Ok(count as u64);
        };
        // Both ends of the rowids are found at once, however large the table is.
        let end = |end: &str| format!("(SELECT {end}({}) FROM {table})", quote(rowid));
        let sql = format!("SELECT {}, {}", end("min"), end("max"));
        let ends: (Option<i64>, Option<i64>) = conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(match ends {
            (Some(first), Some(last)) => last.abs_diff(first).saturating_add(1),
            _ => 0,
        })
    }
}

/// Moves a table's progress as far as a checkpoint says. A checkpoint of a pass that has been
/// replaced by a newer one moves nothing: all is sent again.
pub(super) fn advance(conn: &Connection, checkpoint: &Checkpoint) -> SqlResult<()> {
    let (table, pass) = (&checkpoint.table, checkpoint.pass as i64);
    let now = conn
        .prepare_cached("SELECT pass FROM _rowferry_tracked WHERE name = ?1")?
        .query_row([table], |row| row.get::<_, i64>(0))
        .optional()?;
    if now != Some(pass) {
        return Ok(());
    }
    if let Some(last) = &checkpoint.last_change {
        last.check(conn, table)?;
    }
    match &checkpoint.step {
        Step::Scanned(cursor) => conn
            .prepare_cached("UPDATE _rowferry_tracked SET cursor = ?3 WHERE name = ?1 AND pass = ?2 AND pending")?
            .execute(params![table, pass, cursor])?,
        Step::Complete => conn
            .prepare_cached("UPDATE _rowferry_tracked SET cursor = NULL, pending = 0 WHERE name = ?1 AND pass = ?2")?
            .execute(params![table, pass])?,
        Step::Outbox(number) => {
            // The last row stays, so that SQLite goes on counting from it.
            let sql = format!("DELETE FROM {} WHERE seq < ?1", capture::outbox(table));
            conn.prepare_cached(&sql)?.execute([number])?;
            conn.prepare_cached("UPDATE _rowferry_tracked SET shipped = max(shipped, ?2) WHERE name = ?1")?
                .execute(params![table, number])?
        }
    };
    Ok(())
}
