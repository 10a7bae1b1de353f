//! Dead letters: the keys of rows that could not travel. Each run tries them again.

use rusqlite::{Connection, params};

use super::utf16::BROKEN_KEY;
use super::values::{packed, unpack};
use super::{capture, key};
use crate::model::{TableSchema, Value};
use crate::sqlite::error::SqlResult;

/// Keeps a key, once.
pub(super) fn keep(conn: &Connection, table: &str, key: &[Value<'_>], text: &str, reason: &str) -> SqlResult<()> {
    conn.execute(
        "INSERT OR REPLACE INTO _rowferry_dead_letters(source_table, key, packed, reason, at)
         VALUES (?1, ?2, ?3, ?4, datetime('now'))",
        params![table, text, packed(key), reason],
    )?;
    Ok(())
}

pub(super) fn count(conn: &Connection) -> SqlResult<u64> {
    let count: i64 = conn.query_row("SELECT count(*) FROM _rowferry_dead_letters", [], |row| row.get(0))?;
    Ok(count as u64)
}

/// Puts the table's dead letters back into its outbox, unless a full pass finds the rows anyway.
/// Says how many are tried again. One whose key cannot be looked up stays until such a pass.
pub(super) fn requeue(conn: &Connection, schema: &TableSchema, full: bool) -> SqlResult<u64> {
    let mut statement = conn
        .prepare("SELECT rowid, packed FROM _rowferry_dead_letters WHERE source_table = ?1 AND (?2 OR reason <> ?3)")?;
    let dead_letters = statement.query_map(params![schema.table, full, BROKEN_KEY], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let dead_letters = dead_letters.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()?;
    let width = key::names(schema).len();
    let mut requeued = 0;
    for (rowid, packed) in dead_letters {
        let mut values = Vec::new();
        let is_key = unpack(&packed, &mut values) && values.len() == width;
        if !full && is_key {
            capture::enqueue(conn, schema, &values)?;
        }
        conn.execute("DELETE FROM _rowferry_dead_letters WHERE rowid = ?1", [rowid])?;
        requeued += 1;
    }
    Ok(requeued)
}
