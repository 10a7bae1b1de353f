//! Questions to a connection.

use rusqlite::Connection;
use rusqlite::types::FromSql;

/// "UTF-8", "UTF-16le" or "UTF-16be".
pub(crate) fn encoding(conn: &Connection) -> rusqlite::Result<String> {
    ask(conn, "encoding")
}

/// Whether the database was in WAL mode when it was read last. Asking takes no lock.
pub(crate) fn is_wal(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(ask::<String>(conn, "journal_mode")? == "wal")
}

/// A number that changes whenever another connection has committed something.
pub(crate) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    ask(conn, "data_version")
}

/// A number that every change of the database's schema, and every VACUUM, makes another one.
pub(crate) fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    ask(conn, "schema_version")
}

fn ask<T: FromSql>(conn: &Connection, pragma: &str) -> rusqlite::Result<T> {
    conn.prepare_cached(&format!("PRAGMA {pragma}"))?
        .query_row([], |row| row.get(0))
}
