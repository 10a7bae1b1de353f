//! The tables that are kept in the source: their layout, and those of earlier versions.

use rusqlite::{Connection, OptionalExtension};

use super::capture;
use crate::error::Error;
use crate::sqlite::error::SqlResult;
use crate::sqlite::pragmas::schema_version;
use crate::sqlite::tables;

/// The layout of the tables; a newer one belongs to a newer Rowferry.
const FORMAT: i64 = 3;

/// What tables of earlier versions lack.
const ADDED: [(&str, &str); 2] = [("id", "TEXT"), ("mark", "INTEGER")];

/// In `_rowferry_tracked`, `shape` is described in the file of that name, `guards` is a JSON array
/// of the SQL conditions of `replace_conflicts`, and `mark` is the tag of `file_tag`. In
/// `_rowferry_acked`, `topic_id` is the topic's id as Kafka's tools show it.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS _rowferry_run(
        format INTEGER, source TEXT, epoch INTEGER, notes INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS _rowferry_tracked(
        name TEXT COLLATE NOCASE PRIMARY KEY, topic TEXT, shape TEXT, guards TEXT, schema_version INTEGER,
        pass INTEGER, pending INTEGER, cursor BLOB, shipped INTEGER, id TEXT, mark INTEGER);
    CREATE TABLE IF NOT EXISTS _rowferry_acked(
        topic TEXT, partition INTEGER, epoch INTEGER, seq INTEGER, offset INTEGER, stood INTEGER, topic_id TEXT,
        PRIMARY KEY (topic, partition));
    CREATE TABLE IF NOT EXISTS _rowferry_layout(topic TEXT PRIMARY KEY, partitions INTEGER, moved INTEGER);
    CREATE TABLE IF NOT EXISTS _rowferry_dead_letters(
        source_table TEXT COLLATE NOCASE, key TEXT, packed BLOB, reason TEXT, at TEXT, PRIMARY KEY (source_table, key));";

/// Makes the tables where they are missing; whether the source has got its id just now.
pub(super) fn make(conn: &Connection) -> SqlResult<bool> {
    let before = schema_version(conn)?;
    conn.execute_batch(TABLES)?;
    let has = |table: &str, name: &str| -> SqlResult<bool> {
        let columns = tables::columns(conn, table)?;
        Ok(columns.iter().any(|column| column.name == name))
    };
    for (column, kind) in ADDED {
        if !has("_rowferry_tracked", column)? {
            conn.execute_batch(&format!("ALTER TABLE _rowferry_tracked ADD COLUMN {column} {kind}"))?;
        }
    }
    if !has("_rowferry_dead_letters", "packed")? {
        return Err(
            Error::failed("this database is also a sink of Rowferry's, which keeps other dead letters")
                .way_out("ship from a database of its own")
                .into(),
        );
    }
    let format = conn
        .query_row("SELECT format FROM _rowferry_run", [], |row| row.get(0))
        .optional()?;
    if format.is_some_and(|format: i64| format > FORMAT) {
        return Err(Error::failed(format!(
            "a newer Rowferry keeps its bookkeeping here (format {})",
            format.unwrap_or(0)
        ))
        .way_out("use that newer version, or take its tables out with its --uninstall")
        .into());
    }
    if format == Some(1) {
        upgrade_from_1(conn)?;
    }
    if format.is_some_and(|format| format < 3) {
        conn.execute_batch(
            "ALTER TABLE _rowferry_acked ADD COLUMN topic_id TEXT; UPDATE _rowferry_run SET format = 3;",
        )?;
    }
    if format.is_none() {
        conn.execute(
            "INSERT INTO _rowferry_run(format, source, epoch) VALUES (?1, lower(hex(randomblob(6))), NULL)",
            [FORMAT],
        )?;
    }
    adopt_version(conn, before)?;
    Ok(format.is_none())
}

/// Brings tables of format 1 to format 2. Their outboxes had no tags.
fn upgrade_from_1(conn: &Connection) -> SqlResult<()> {
    conn.execute_batch(
        "ALTER TABLE _rowferry_run ADD COLUMN notes INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE _rowferry_acked ADD COLUMN stood INTEGER;
         UPDATE _rowferry_run SET format = 2;",
    )?;
    let mut statement = conn.prepare("SELECT name FROM _rowferry_tracked")?;
    let names = statement.query_map([], |row| row.get(0))?;
    for table in names.collect::<rusqlite::Result<Vec<String>>>()? {
        if capture::last_number(conn, &table)?.is_none() {
            continue;
        }
        let outbox = capture::outbox(&table);
        let columns = tables::columns(conn, &format!("_rowferry_outbox_{table}"))?.into_iter();
        let names: Vec<String> = columns.map(|column| column.name).filter(|name| name != "seq").collect();
        let columns = names.join(", ");
        conn.execute_batch(&format!(
            "CREATE TABLE _rowferry_untagged AS SELECT * FROM {outbox}; DROP TABLE {outbox}; {};
             INSERT INTO {outbox}(seq, {columns}) SELECT seq, {columns} FROM _rowferry_untagged ORDER BY seq;
             DROP TABLE _rowferry_untagged;",
            capture::create_outbox(&table, &columns)
        ))?;
    }
    Ok(())
}

/// Our own change of the schema is none to the other tables: they stay as many steps behind as they
/// were.
pub(super) fn adopt_version(conn: &Connection, before: i64) -> SqlResult<()> {
    let ours = schema_version(conn)? - before;
    conn.execute(
        "UPDATE _rowferry_tracked SET schema_version = schema_version + ?1",
        [ours],
    )?;
    Ok(())
}
