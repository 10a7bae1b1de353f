//! Keys that the log holds behind what the file remembers. They wait in a temporary table until
//! they can go into the outbox, in the transaction that notes the place up to which the log was
//! read: their rows are sent again, as they are now.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::capture;
use super::values::{pack, packed, unpack};
use crate::model::{TableSchema, Value};
use crate::sqlite::error::SqlResult;
use crate::sqlite::tables::has_temporary_table;
use crate::sqlite::values::borrow;

/// Keeps keys that a topic holds for `enqueue`, each once. The user's file is not touched.
pub(super) fn keep(conn: &Connection, topic: &str, keys: &[Vec<Value<'_>>]) -> SqlResult<()> {
    conn.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS _rowferry_resend(
             topic TEXT, packed BLOB, PRIMARY KEY (topic, packed)) WITHOUT ROWID; SAVEPOINT resend",
    )?;
    let kept = insert(conn, topic, keys);
    conn.execute_batch("RELEASE resend")?;
    kept
}

fn insert(conn: &Connection, topic: &str, keys: &[Vec<Value<'_>>]) -> SqlResult<()> {
    let mut statement = conn.prepare_cached("INSERT OR IGNORE INTO temp._rowferry_resend VALUES (?1, ?2)")?;
    for key in keys {
        statement.execute(params![topic, packed(key)])?;
    }
    Ok(())
}

/// Forgets all keys that were kept.
pub(super) fn forget(conn: &Connection) -> SqlResult<()> {
    Ok(conn.execute_batch("DROP TABLE IF EXISTS temp._rowferry_resend")?)
}

/// Whether a topic holds a key that does not wait in its table's outbox: one that was read after
/// this state of the file.
pub(super) fn tells_of_later_reads(
    conn: &Connection,
    topic: &str,
    schema: &TableSchema,
    shipped: i64,
) -> SqlResult<bool> {
    if !has_temporary_table(conn, "_rowferry_resend")? {
        return Ok(false);
    }
    let (columns, outbox) = (capture::outbox_columns(schema), capture::outbox(&schema.table));
    let mut statement = conn.prepare(&format!("SELECT {columns} FROM {outbox} WHERE seq > ?1"))?;
    let width = statement.column_count();
    let mut rows = statement.query([shipped])?;
    let mut waiting = HashSet::new();
    while let Some(row) = rows.next()? {
        let mut key = Vec::new();
        for i in 0..width {
            pack(&borrow(row.get_ref(i)?), &mut key);
        }
        waiting.insert(key);
    }
    let mut statement = conn.prepare("SELECT packed FROM temp._rowferry_resend WHERE topic = ?1")?;
    let mut kept = statement.query([topic])?;
    while let Some(row) = kept.next()? {
        if !waiting.contains(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts the keys that were kept for a topic into its table's outbox: how many.
pub(super) fn enqueue(conn: &Connection, topic: &str, schema: &TableSchema) -> SqlResult<u64> {
    if !has_temporary_table(conn, "_rowferry_resend")? {
        return Ok(0);
    }
    let mut statement = conn.prepare("SELECT packed FROM temp._rowferry_resend WHERE topic = ?1")?;
    let mut rows = statement.query([topic])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let packed = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let mut key = Vec::new();
        if unpack(packed, &mut key) {
            capture::enqueue(conn, schema, &key)?;
            count += 1;
        }
    }
    Ok(count)
}
