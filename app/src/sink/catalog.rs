//! The sink's own tables: landed tables, passes and dead letters; `positions` and `bindings` have
//! the rest.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::model::{Schemas, TableSchema, TopicPartition};

use super::error::cannot;
use super::position::SinkPosition;
use super::table::LandedTable;
use super::{reshape, stored_schema};

/// The version of the tables below.
const FORMAT: i64 = 5;

/// What each format brought that those before it lack.
const UPGRADES: [(i64, &str); 4] = [
    (
        2,
        "ALTER TABLE _rowferry_positions ADD COLUMN reached INTEGER;
    ALTER TABLE _rowferry_positions ADD COLUMN partitions INTEGER;
    ALTER TABLE _rowferry_sink ADD COLUMN id TEXT;
    UPDATE _rowferry_sink SET id = lower(hex(randomblob(6)));
    CREATE TABLE _rowferry_members (
        group_name TEXT NOT NULL, member TEXT NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL, began TEXT NOT NULL,
        PRIMARY KEY (member, host, process)) WITHOUT ROWID;",
    ),
    // Format 2 noted times by this machine's clock as `reached`, which say nothing to a source on
    // another one.
    (
        3,
        "ALTER TABLE _rowferry_positions ADD COLUMN last_offset INTEGER;
    ALTER TABLE _rowferry_positions ADD COLUMN last_fingerprint INTEGER;
    ALTER TABLE _rowferry_positions DROP COLUMN prev;
    UPDATE _rowferry_positions SET reached = NULL;
    ALTER TABLE _rowferry_tables ADD COLUMN source TEXT;
    ALTER TABLE _rowferry_tables ADD COLUMN id TEXT;",
    ),
    // Whose records had landed: those of the source that told its table, or of the one whose run is
    // the newest; where no record had a stamp, those from which a table was guessed are others'.
    (
        4,
        "CREATE TABLE _rowferry_topics (topic TEXT NOT NULL PRIMARY KEY, source TEXT, id TEXT) WITHOUT ROWID;
    INSERT INTO _rowferry_topics SELECT topic, source, id FROM _rowferry_tables WHERE source IS NOT NULL;
    INSERT OR IGNORE INTO _rowferry_topics
        SELECT topic, source, NULL FROM _rowferry_positions WHERE source IS NOT NULL ORDER BY epoch DESC;
    INSERT OR IGNORE INTO _rowferry_topics SELECT topic, NULL, NULL FROM _rowferry_tables WHERE schema IS NULL;
    ALTER TABLE _rowferry_tables DROP COLUMN source;
    ALTER TABLE _rowferry_tables DROP COLUMN id;",
    ),
    (5, "ALTER TABLE _rowferry_positions ADD COLUMN topic_id TEXT;"),
];

const TABLES: &str = r#"
    CREATE TABLE _rowferry_sink (format INTEGER NOT NULL, id TEXT);
    -- last_: the last record that was taken, below next_offset; none while not known. topic_id: as Kafka's tools show it.
    CREATE TABLE _rowferry_positions (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        source TEXT, epoch INTEGER, seq INTEGER, healing INTEGER NOT NULL, partial INTEGER NOT NULL,
        reached INTEGER, partitions INTEGER, last_offset INTEGER, last_fingerprint INTEGER, topic_id TEXT,
        PRIMARY KEY (topic, partition)) WITHOUT ROWID;
    -- The schema in force for a partition's records, the last pass begun there, and the last one ended.
    CREATE TABLE _rowferry_passes (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, schema TEXT NOT NULL, pass INTEGER NOT NULL, ended INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)) WITHOUT ROWID;
    -- Whose records a topic carries: a source's, with the identity of its table where it is told; others' where source is null.
    CREATE TABLE _rowferry_topics (topic TEXT NOT NULL PRIMARY KEY, source TEXT, id TEXT) WITHOUT ROWID;
    -- schema: as the source tells it, none while only guessed; shape: as the table stands here; unseen: keys that the running pass has not touched.
    CREATE TABLE _rowferry_tables (
        topic TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, schema TEXT, shape TEXT NOT NULL,
        pass INTEGER NOT NULL, unseen INTEGER) WITHOUT ROWID;
    -- Consumers that land here, and their processes; the group of those in none has no name.
    CREATE TABLE _rowferry_members (
        group_name TEXT NOT NULL, member TEXT NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL, began TEXT NOT NULL,
        PRIMARY KEY (member, host, process)) WITHOUT ROWID;
    CREATE TABLE _rowferry_dead_letters (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
        key BLOB NOT NULL, value BLOB NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL);
"#;

/// Makes the sink's own tables where they are missing, brings older ones up to date, and refuses
/// those of a newer program.
pub(super) fn prepare(conn: &Connection) -> Result<()> {
    if format(conn)? == Some(FORMAT) {
        return Ok(());
    }
    let failed = |e| cannot(e, "make the sink's own tables");
    conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    // Another consumer may have made them while this one waited.
    let made = format(conn).and_then(|there| match there {
        Some(format) => upgrade(conn, format),
        None => make(conn),
    });
    conn.execute_batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .map_err(failed)?;
    made
}

fn make(conn: &Connection) -> Result<()> {
    if reshape::is_taken(conn, "_rowferry_dead_letters")? {
        return Err(
            Error::failed("this database is the source of a ferry already").way_out("name another file with --sink")
        );
    }
    conn.execute_batch(TABLES)
        .and_then(|()| {
            conn.execute(
                "INSERT INTO _rowferry_sink VALUES (?1, lower(hex(randomblob(6))))",
                [FORMAT],
            )
        })
        .map_err(|e| cannot(e, "make the sink's own tables"))?;
    Ok(())
}

fn upgrade(conn: &Connection, from: i64) -> Result<()> {
    let due = UPGRADES.iter().filter(|(format, _)| *format > from);
    let changes: String = due.map(|(_, change)| *change).collect();
    conn.execute_batch(&format!("{changes} UPDATE _rowferry_sink SET format = {FORMAT}"))
        .map_err(|e| cannot(e, format!("bring the sink's own tables from format {from} to {FORMAT}")))
}

/// The format of the tables, where they are there; an error when this program does not know it.
fn format(conn: &Connection) -> Result<Option<i64>> {
    if !reshape::is_taken(conn, "_rowferry_sink")? {
        return Ok(None);
    }
    let format: i64 = conn
        .query_row("SELECT format FROM _rowferry_sink", [], |r| r.get(0))
        .map_err(|e| cannot(e, "read the sink's format"))?;
    if format > FORMAT {
        return Err(Error::failed(format!(
            "the sink was written by a newer Rowferry (format {format}, this one knows up to {FORMAT})"
        ))
        .way_out("use that version, or name another file with --sink"));
    }
    Ok(Some(format))
}

/// The sink's id.
pub(super) fn id(conn: &Connection) -> Result<String> {
    conn.query_row("SELECT id FROM _rowferry_sink", [], |r| r.get(0))
        .map_err(|e| cannot(e, "read the sink's id"))
}

/// A schema as it is kept here.
pub(super) fn schema(schemas: &Schemas, json: Option<String>) -> Result<Option<Arc<TableSchema>>> {
    json.map(|json| Ok(schemas.shared(stored_schema::read(&json)?)))
        .transpose()
}

/// What is known of the table that a topic lands in.
pub(super) fn table(conn: &Connection, schemas: &Schemas, topic: &Arc<str>) -> Result<Option<LandedTable>> {
    let read = |r: &Row<'_>| {
        let numbers = (r.get::<_, i64>(2)?, r.get::<_, Option<i64>>(3)?);
        Ok((r.get::<_, Option<String>>(0)?, r.get::<_, String>(1)?, numbers))
    };
    let found = conn
        .prepare_cached("SELECT schema, shape, pass, unseen FROM _rowferry_tables WHERE topic = ?1")
        .and_then(|mut s| s.query_row([&**topic], read).optional())
        .map_err(|e| cannot(e, "read the tables of the sink"))?;
    let Some((schema, shape, (pass, unvisited))) = found else {
        return Ok(None);
    };
    let mut table = LandedTable::new(
        topic.clone(),
        self::schema(schemas, schema)?,
        stored_schema::read(&shape)?,
    );
    table.pass = pass as u64;
    table.unvisited = unvisited.map(|n| n as u64);
    Ok(Some(table))
}

/// Notes everything about a table.
pub(super) fn note_table(conn: &Connection, table: &LandedTable) -> rusqlite::Result<()> {
    let schema = table.schema.as_ref().map(|schema| stored_schema::write(schema));
    let unvisited = table.unvisited.map(|n| n as i64);
    conn.prepare_cached(
        "INSERT INTO _rowferry_tables (topic, name, schema, shape, pass, unseen) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (topic)
         DO UPDATE SET name = ?2, schema = ?3, shape = ?4, pass = ?5, unseen = ?6",
    )?
    .execute(params![
        &*table.topic,
        table.shape.table,
        schema,
        stored_schema::write(&table.shape),
        table.pass as i64,
        unvisited
    ])?;
    Ok(())
}

/// Notes how many keys the running pass has not touched yet.
pub(super) fn note_unvisited(conn: &Connection, table: &LandedTable) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE _rowferry_tables SET unseen = ?2 WHERE topic = ?1")?
        .execute(params![&*table.topic, table.unvisited.map(|n| n as i64)])?;
    Ok(())
}

/// The other topic that lands in a table of this name, if there is one.
pub(super) fn other_topic(conn: &Connection, topic: &str, table: &str) -> rusqlite::Result<Option<String>> {
    conn.query_row(
        "SELECT topic FROM _rowferry_tables WHERE name = ?1 AND topic <> ?2",
        params![table, topic],
        |r| r.get(0),
    )
    .optional()
}

/// Notes the schema in force for a partition and the last pass begun there.
pub(super) fn note_schema(conn: &Connection, position: &SinkPosition, schema: &TableSchema) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO _rowferry_passes VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT (topic, partition) DO UPDATE SET schema = ?3, pass = ?4",
    )?
    .execute(params![&*position.at.topic, position.at.partition, stored_schema::write(schema), position.pass as i64])?;
    Ok(())
}

/// Notes the end mark of a pass, and tells in which partitions it has come in.
pub(super) fn note_end(conn: &Connection, topic: &str, partition: i32, pass: u64) -> rusqlite::Result<Vec<i32>> {
    conn.prepare_cached("UPDATE _rowferry_passes SET ended = ?3 WHERE topic = ?1 AND partition = ?2")?
        .execute(params![topic, partition, pass as i64])?;
    conn.prepare_cached("SELECT partition FROM _rowferry_passes WHERE topic = ?1 AND ended = ?2")?
        .query_map(params![topic, pass as i64], |r| r.get(0))?
        .collect()
}

/// Keeps a record that is no row.
pub(super) fn dead_letter(
    conn: &Connection,
    at: &TopicPartition,
    offset: i64,
    (key, value): (&[u8], &[u8]),
    reason: &str,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        r#"INSERT INTO _rowferry_dead_letters (topic, partition, "offset", key, value, reason, at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"#,
    )?
    .execute(params![&*at.topic, at.partition, offset, key, value, reason])?;
    Ok(())
}
