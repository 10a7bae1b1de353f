//! The keys that the running full pass has not touched: at its end their rows are removed. They are
//! in a table beside the one that they are of.

use rusqlite::{CachedStatement, Connection};

use crate::model::Value;
use crate::sqlite::names::quote;

use super::table::{LandedTable, Statements, bind, prepared};

/// Takes a key out of those that the running pass has not touched.
pub(super) fn visit<'a>(
    table: &mut LandedTable,
    statements: &mut Statements<'a>,
    conn: &'a Connection,
    key: &[Value<'_>],
) -> rusqlite::Result<()> {
    let sql = || {
        let parts: Vec<_> = (1..=key.len()).map(|i| format!("k{i} = ?{i}")).collect();
        format!(
            "DELETE FROM {} WHERE {}",
            quote(&table.unvisited_name()),
            parts.join(" AND ")
        )
    };
    let visit = prepared(&mut statements.visit, conn, sql)?;
    count(table, visit, key, u64::saturating_sub)
}

/// Puts a key back among those that the running pass has not touched.
pub(super) fn unvisit<'a>(
    table: &mut LandedTable,
    statements: &mut Statements<'a>,
    conn: &'a Connection,
    key: &[Value<'_>],
) -> rusqlite::Result<()> {
    let sql = || {
        let values: Vec<_> = (1..=key.len()).map(|i| format!("?{i}")).collect();
        format!(
            "INSERT OR IGNORE INTO {} VALUES ({})",
            quote(&table.unvisited_name()),
            values.join(", ")
        )
    };
    let unvisit = prepared(&mut statements.unvisit, conn, sql)?;
    count(table, unvisit, key, |unvisited, added| unvisited + added)
}

/// Runs the statement for a key, and keeps the number of keys with what it changed.
fn count(
    table: &mut LandedTable,
    statement: &mut CachedStatement<'_>,
    key: &[Value<'_>],
    changed: impl FnOnce(u64, u64) -> u64,
) -> rusqlite::Result<()> {
    bind(statement, 1, key)?;
    let keys = statement.raw_execute()? as u64;
    table.unvisited = table.unvisited.map(|unvisited| changed(unvisited, keys));
    table.unvisited_moved |= keys > 0;
    Ok(())
}
