//! What is remembered of a shipped table, and when all of its rows are due.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::capture::TriggerState;
use super::schema;
use super::shape::Shape;
use super::{Acked, Checkpoint, Step, capture, replace_conflicts, resend};
use crate::error::{Error, Result};
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::{quote, rowid_name};
use crate::sqlite::pragmas::schema_version;
use crate::sqlite::tables;

/// The layout of our tables; a newer one belongs to a newer Rowferry.
const FORMAT: i64 = 2;

/// What tables of earlier versions lack.
const ADDED: [(&str, &str); 2] = [("id", "TEXT"), ("mark", "INTEGER")];

/// `shape` is described where it is made; `guards` is a JSON array of the SQL conditions of `replace_conflicts`.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS _rowferry_run(
        format INTEGER, source TEXT, epoch INTEGER, notes INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS _rowferry_tracked(
        name TEXT COLLATE NOCASE PRIMARY KEY, topic TEXT, shape TEXT, guards TEXT, schema_version INTEGER,
        pass INTEGER, pending INTEGER, cursor BLOB, shipped INTEGER, id TEXT, mark INTEGER);
    CREATE TABLE IF NOT EXISTS _rowferry_acked(
        topic TEXT, partition INTEGER, epoch INTEGER, seq INTEGER, offset INTEGER, stood INTEGER,
        PRIMARY KEY (topic, partition));
    CREATE TABLE IF NOT EXISTS _rowferry_layout(topic TEXT PRIMARY KEY, partitions INTEGER, moved INTEGER);
    CREATE TABLE IF NOT EXISTS _rowferry_dead_letters(
        source_table TEXT COLLATE NOCASE, key TEXT, packed BLOB, reason TEXT, at TEXT, PRIMARY KEY (source_table, key));";

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
    /// Whether rows of a full pass are still to come, from its beginning or from where it was interrupted.
    pub pass_pending: bool,
    /// Whether that pass begins now, so that this run ships the whole table.
    pub full: bool,
    /// Rows that were kept as dead letters and are tried again now.
    pub dead_letters_requeued: u64,
    /// About how many rows wait: those of the pass and those in the outbox.
    pub rows_waiting: u64,
    pub(super) place: Place,
}

impl Tracked {
    /// The full pass that is under way, or the last one.
    pub fn pass(&self) -> u64 {
        self.place.pass
    }
}

/// How far a table is shipped.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The full pass that is under way, or the last one.
    pub pass: u64,
    pub pending: bool,
    /// The packed key up to which the pass has come; none before anything of it is shipped.
    pub cursor: Option<Vec<u8>>,
    /// The outbox is shipped up to this number.
    pub shipped: i64,
    /// The database's schema version when the table was last looked at.
    pub version: i64,
}

/// A table as it was last looked at.
struct Remembered {
    topic: String,
    id: Option<String>,
    shape: String,
    replace_conflicts: Vec<String>,
    place: Place,
    mark: Option<i64>,
}

/// Why a table is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A run begins.
    Start { backfill: bool },
    /// The database's schema changed under a run.
    Change,
}

/// Makes our tables where they are missing; whether the source has got its id just now.
pub fn make_tables(conn: &Connection) -> SqlResult<bool> {
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
        upgrade(conn)?;
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

/// Brings tables of format 1 up to date. Their outboxes had no tags.
fn upgrade(conn: &Connection) -> SqlResult<()> {
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

/// The tables that are shipped from a database, as far as it remembers.
pub fn tracked_tables(conn: &Connection) -> Result<Vec<String>> {
    let read = || {
        if !tables::has_table(conn, "_rowferry_tracked")? {
            return Ok(Vec::new());
        }
        let mut statement = conn.prepare("SELECT name FROM _rowferry_tracked ORDER BY name")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    read().map_err(|e: rusqlite::Error| Error::failed(format!("cannot list the shipped tables: {e}")))
}

/// Looks at a table inside a write transaction: triggers as they should be, and a new pass where one is due.
pub fn look(conn: &Connection, table: &str, topic: &str, look: Look) -> SqlResult<(Arc<TableSchema>, Place)> {
    let schema = schema::read(conn, table)?;
    let replace_conflicts = replace_conflicts::read(conn, &schema)?;
    let version = schema_version(conn)?;
    let before = remembered(conn, &schema.table)?;
    let heir_of = take_topic(conn, &schema.table, topic)?;
    let id = match (&heir_of, &before) {
        (Some((id, _)), _) => id.clone(),
        (None, Some(Remembered { id: Some(id), .. })) => id.clone(),
        _ => new_id(conn, &schema.table)?,
    };
    let standing = capture::standing(conn, &schema, &replace_conflicts)?;
    let mark = file_mark(conn)?;
    let due = match &before {
        None => true,
        Some(before) => {
            let again = reason(
                conn,
                &schema,
                before,
                topic,
                (&replace_conflicts, standing),
                (version, mark),
            )?;
            if let Some(reason) = &again {
                log::info!(
                    "table {:?} has changed: all of its rows are shipped again, because {reason}",
                    schema.table
                );
            }
            let asked = match look {
                Look::Start { backfill } => backfill || before.place.pending && before.place.cursor.is_none(),
                Look::Change => false,
            };
            again.is_some() || asked
        }
    };
    if standing != TriggerState::Well {
        capture::install(conn, &schema, &replace_conflicts)?;
    }
    let mut place = before.map_or_else(Place::default, |before| before.place);
    place.pass = place.pass.max(heir_of.map_or(0, |(_, pass)| pass));
    if due {
        place = Place {
            pass: next_pass(conn, place.pass)?,
            pending: true,
            cursor: None,
            shipped: capture::empty_outbox(conn, &schema, place.shipped)?,
            version,
        };
    }
    adopt_version(conn, version)?;
    place.version = schema_version(conn)?;
    conn.execute(
        "INSERT OR REPLACE INTO _rowferry_tracked(name, topic, shape, guards, schema_version, pass, pending, cursor, shipped, id, mark)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            schema.table,
            topic,
            Shape::read(conn, &schema)?.to_json(),
            serde_json::to_string(&replace_conflicts).expect("texts are always JSON"),
            place.version,
            place.pass as i64,
            place.pending,
            place.cursor,
            place.shipped,
            id,
            mark
        ],
    )?;
    Ok((Arc::new(schema), place))
}

/// Sees to it that a topic carries one table of the source only. One that is gone, or has another name by now, leaves the topic to this
/// table: its id and the last pass that was begun there, so that a sink takes this one for the other.
fn take_topic(conn: &Connection, table: &str, topic: &str) -> SqlResult<Option<(String, u64)>> {
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

/// An id for a table that has none: its name, as long as no other table has that for an id, so that a source which was put back makes
/// the same one again.
fn new_id(conn: &Connection, table: &str) -> SqlResult<String> {
    let taken = conn
        .prepare("SELECT 1 FROM _rowferry_tracked WHERE id = ?1 COLLATE NOCASE AND name <> ?1")?
        .exists([table])?;
    let sql = "SELECT iif(?2, ?1 || '-' || lower(hex(randomblob(4))), ?1)";
    Ok(conn.query_row(sql, params![table, taken], |row| row.get(0))?)
}

/// The id of a table that was looked at.
pub fn id(conn: &Connection, table: &str) -> SqlResult<String> {
    Ok(
        conn.query_row("SELECT id FROM _rowferry_tracked WHERE name = ?1", [table], |row| {
            row.get(0)
        })?,
    )
}

/// Why all rows of a table that was shipped before are due again; none when all of its changes were seen.
fn reason(
    conn: &Connection,
    schema: &TableSchema,
    before: &Remembered,
    topic: &str,
    (replace_conflicts, standing): (&[String], TriggerState),
    (version, mark): (i64, i64),
) -> SqlResult<Option<String>> {
    let Remembered { place, shape, .. } = before;
    let steps = match is_continued_copy(conn, schema, place, topic, version)? {
        true => 0,
        false => version - place.version,
    };
    if before.topic != topic {
        return Ok(Some(format!("it went to topic {} so far", before.topic)));
    }
    // A VACUUM of this file is one step, and looked through like any other.
    if before.mark.is_some_and(|before| before != mark) && steps != 1 {
        return Ok(Some("the file was built anew, as from a dump".into()));
    }
    if let Some(doubt) = Shape::read(conn, schema)?.doubt(shape, steps) {
        return Ok(Some(doubt));
    }
    let by_rowid = schema.keyed_by_rowid() || place.pending && !schema.without_rowid && !schema.rowid_alias;
    if steps != 0 && by_rowid {
        return Ok(Some("a VACUUM may have given its rows other rowids".into()));
    }
    if standing == TriggerState::Passed {
        return Ok(Some("its triggers did not stand before all others".into()));
    }
    // Those of another version may have known less of what a unique index pushes out.
    if replace_conflicts
        .iter()
        .any(|guard| !before.replace_conflicts.contains(guard))
    {
        return Ok(Some(
            "its triggers did not know all that its unique indexes can push out".into(),
        ));
    }
    Ok(None)
}

/// What a file loses when it is built anew from a dump, or by VACUUM: the rowid of our one row in a table without a key. Whatever its
/// schema's version says, such a file has no history in common with the one before it. One that has lost it gets another.
fn file_mark(conn: &Connection) -> SqlResult<i64> {
    const LEAST: i64 = 1 << 32;
    let mark: i64 = conn.query_row("SELECT rowid FROM _rowferry_run", [], |row| row.get(0))?;
    if mark >= LEAST {
        return Ok(mark);
    }
    let sql = "UPDATE _rowferry_run SET rowid = ?1 + (random() & 0x3fffffffffffffff) RETURNING rowid";
    Ok(conn.query_row(sql, [LEAST], |row| row.get(0))?)
}

/// Whether the file is a copy that SQLite's backup made, of a state in which nothing had changed the schema unseen. Such a copy counts its
/// schema's version from 1 again, so that the version itself tells nothing. But where the log holds a key that does not wait in the
/// copy's outbox, the original was read after the copy had been made; that read would have found a change, and begun a full pass.
fn is_continued_copy(
    conn: &Connection,
    schema: &TableSchema,
    place: &Place,
    topic: &str,
    version: i64,
) -> SqlResult<bool> {
    Ok(version == 1
        && place.version > 1
        && !place.pending
        && resend::tells_of_later_reads(conn, topic, schema, place.shipped)?)
}

/// What is remembered of the table's schema version; none when nothing is.
pub fn seen_version(conn: &Connection, table: &str) -> SqlResult<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT schema_version FROM _rowferry_tracked WHERE name = ?1")?;
    Ok(statement.query_row([table], |row| row.get(0)).optional()?)
}

/// Moves a table's place as far as a mark says. A mark of a pass that has been replaced by a newer one moves nothing: all is sent again.
pub fn advance(conn: &Connection, mark: &Checkpoint) -> SqlResult<()> {
    let (table, pass) = (&mark.table, mark.pass as i64);
    let now = conn
        .prepare_cached("SELECT pass FROM _rowferry_tracked WHERE name = ?1")?
        .query_row([table], |row| row.get::<_, i64>(0))
        .optional()?;
    if now != Some(pass) {
        return Ok(());
    }
    if let Some(last) = &mark.last_change {
        last.check(conn, table)?;
    }
    match &mark.step {
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

/// How many changes wait in the outbox.
pub fn changes_waiting(conn: &Connection, schema: &TableSchema, place: &Place) -> SqlResult<u64> {
    let last = capture::last_number(conn, &schema.table)?.unwrap_or(0);
    Ok(last.saturating_sub(place.shipped).max(0) as u64)
}

/// About how many rows the full pass still has to send: all of them, or none.
pub fn rows_in_pass(conn: &Connection, schema: &TableSchema, place: &Place) -> SqlResult<u64> {
    if !place.pending {
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

/// A pass id above the last one, and above all that the run's epoch is above.
fn next_pass(conn: &Connection, last: u64) -> SqlResult<u64> {
    let epoch: Option<i64> = conn.query_row("SELECT epoch FROM _rowferry_run", [], |row| row.get(0))?;
    Ok((last + 1).max(epoch.unwrap_or(0) as u64))
}

/// Our own change of the schema is none to the other tables: they stay as many steps behind as they were.
fn adopt_version(conn: &Connection, before: i64) -> SqlResult<()> {
    let ours = schema_version(conn)? - before;
    conn.execute(
        "UPDATE _rowferry_tracked SET schema_version = schema_version + ?1",
        [ours],
    )?;
    Ok(())
}

fn remembered(conn: &Connection, table: &str) -> SqlResult<Option<Remembered>> {
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
                place: Place {
                    version: row.get(3)?,
                    pass: row.get::<_, i64>(4)? as u64,
                    pending: row.get(5)?,
                    cursor: row.get(6)?,
                    shipped: row.get(7)?,
                },
                mark: row.get(9)?,
            })
        },
    );
    Ok(row.optional()?)
}
