//! The outbox of changed keys, and the triggers that fill it. They mention the key and what unique
//! indexes mention, nothing else.

use rusqlite::Connection;

use super::key;
use super::replace_conflicts::row_name;
use crate::model::{TableSchema, Value};
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::quote;
use crate::sqlite::tables::has_table;
use crate::sqlite::values::Bind;

/// All that is ours begins like this.
const PREFIX: &str = "_rowferry_";

/// The triggers of a table: what stands in their names, and when they fire. The last two are there
/// when a REPLACE could push out rows.
const TRIGGERS: [(&str, &str); 5] = [
    ("insert", "AFTER INSERT"),
    ("delete", "AFTER DELETE"),
    ("update", "AFTER UPDATE"),
    ("before_insert", "BEFORE INSERT"),
    ("before_update", "BEFORE UPDATE"),
];

/// The quoted name of a table's outbox.
pub(super) fn outbox(table: &str) -> String {
    quote(&format!("{PREFIX}outbox_{table}"))
}

/// The outbox's key columns.
pub(super) fn outbox_columns(schema: &TableSchema) -> String {
    (1..=key::names(schema).len())
        .map(|i| format!("k{i}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// How the triggers of a table stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TriggerState {
    /// As this version makes them, before all others.
    Current,
    /// As another version made them, or with more than they need.
    Outdated,
    /// Changes may pass them unseen: one is missing, or a trigger of the user's runs before one of
    /// them.
    Bypassed,
}

/// How the triggers stand. SQLite runs the newest trigger first, and one that says RAISE(IGNORE),
/// or fails under OR FAIL, after a change keeps the change and runs no other: so ours have to be
/// newer than all others. Where one that runs before the change does so, nothing changes.
pub(super) fn trigger_state(
    conn: &Connection,
    schema: &TableSchema,
    replace_conflicts: &[String],
) -> SqlResult<TriggerState> {
    let mut statement = conn.prepare_cached(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY rowid DESC",
    )?;
    let found = statement.query_map([&schema.table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = found.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let ours = found.iter().take_while(|(name, _)| is_ours(name));
    let ours: Vec<_> = ours.collect();
    let mut state = if ours.len() == wanted(replace_conflicts).len() {
        TriggerState::Current
    } else {
        TriggerState::Outdated
    };
    for (kind, moment) in wanted(replace_conflicts) {
        let name = trigger(kind, &schema.table);
        match ours.iter().find(|(found, _)| *found == name) {
            None => return Ok(TriggerState::Bypassed),
            Some((_, sql)) if *sql != create(kind, moment, schema, replace_conflicts) => state = TriggerState::Outdated,
            Some(_) => {}
        }
    }
    Ok(state)
}

/// Makes the triggers anew.
pub(super) fn install(conn: &Connection, schema: &TableSchema, replace_conflicts: &[String]) -> SqlResult<()> {
    remove_triggers(conn, &schema.table)?;
    for (kind, moment) in wanted(replace_conflicts) {
        conn.execute_batch(&create(kind, moment, schema, replace_conflicts))?;
    }
    Ok(())
}

fn create(kind: &str, moment: &str, schema: &TableSchema, replace_conflicts: &[String]) -> String {
    let (name, table) = (quote(&trigger(kind, &schema.table)), quote(&schema.table));
    let body = body(kind, schema, replace_conflicts);
    format!("CREATE TRIGGER {name} {moment} ON {table} BEGIN {body}; END")
}

/// Whether a trigger is one of ours, by its name.
pub(super) fn is_ours(trigger: &str) -> bool {
    trigger.starts_with(PREFIX)
}

/// What a trigger does: it writes the keys of the row that comes, of the one that goes, or of those
/// that could be pushed out.
fn body(kind: &str, schema: &TableSchema, replace_conflicts: &[String]) -> String {
    let names: Vec<String> = key::names(schema).iter().map(|name| quote(name)).collect();
    let key_of = |row: &str| {
        names
            .iter()
            .map(|name| format!("{row}{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let into = format!("INSERT INTO {}({})", outbox(&schema.table), outbox_columns(schema));
    let pushed_out = |by: &str| {
        let row = row_name(schema);
        let mut same = same_key(schema, &names, &format!("{row}."), by);
        if by == "NEW." && key::is_rowid(schema) {
            // Before an INSERT that leaves the rowid to SQLite, NEW's is -1: the row that has that
            // number may be another.
            same = format!("{same} AND NEW.{} <> -1", names[0]);
        }
        let other = format!("NOT ({same})");
        let from = format!("{into} SELECT {} FROM {} AS {row}", key_of(""), quote(&schema.table));
        replace_conflicts
            .iter()
            .map(|conflict| format!("{from} WHERE {conflict} AND {other}"))
            .collect::<Vec<_>>()
            .join("; ")
    };
    match kind {
        "insert" => format!("{into} VALUES ({})", key_of("NEW.")),
        "delete" => format!("{into} VALUES ({})", key_of("OLD.")),
        "update" => format!(
            "{into} SELECT {} WHERE NOT ({}); {into} VALUES ({})",
            key_of("OLD."),
            same_key(schema, &names, "OLD.", "NEW."),
            key_of("NEW.")
        ),
        "before_insert" => pushed_out("NEW."),
        _ => pushed_out("OLD."),
    }
}

/// A condition that holds only when two keys are the same to the byte. Reals never count as the
/// same: SQL takes -0.0 for 0.0.
fn same_key(schema: &TableSchema, names: &[String], one: &str, other: &str) -> String {
    let same = |name: &String| {
        if key::is_rowid(schema) {
            format!("{one}{name} IS {other}{name}")
        } else {
            format!(
                "{one}{name} IS {other}{name} COLLATE BINARY AND typeof({one}{name}) = typeof({other}{name}) \
             AND typeof({one}{name}) <> 'real'"
            )
        }
    };
    names.iter().map(same).collect::<Vec<_>>().join(" AND ")
}

/// Notes a key as changed, as a trigger would.
pub(super) fn enqueue(conn: &Connection, schema: &TableSchema, key: &[Value<'_>]) -> SqlResult<()> {
    let places = (1..=key.len()).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ");
    let (outbox, columns) = (outbox(&schema.table), outbox_columns(schema));
    let mut statement = conn.prepare_cached(&format!("INSERT INTO {outbox}({columns}) VALUES ({places})"))?;
    statement.execute(rusqlite::params_from_iter(key.iter().map(Bind)))?;
    Ok(())
}

/// Makes the outbox anew and empty. Its numbers go on: the last one stays in it, as it always does.
pub(super) fn empty_outbox(conn: &Connection, schema: &TableSchema, shipped: i64) -> SqlResult<i64> {
    let outbox = outbox(&schema.table);
    let last = last_number(conn, &schema.table)?.unwrap_or(0).max(shipped);
    conn.execute_batch(&format!(
        "DROP TABLE IF EXISTS {outbox}; {}",
        create_outbox(&schema.table, &outbox_columns(schema))
    ))?;
    conn.execute(&format!("INSERT INTO {outbox}(seq) VALUES (?1)"), [last])?;
    Ok(last)
}

/// Each change has a random tag, so that an outbox with other changes under the same numbers is
/// another one.
pub(super) fn create_outbox(table: &str, columns: &str) -> String {
    format!(
        "CREATE TABLE {}(seq INTEGER PRIMARY KEY, {columns}, tag INTEGER NOT NULL DEFAULT (random()))",
        outbox(table)
    )
}

/// The highest number in a table's outbox; none when there is no outbox.
pub(super) fn last_number(conn: &Connection, table: &str) -> SqlResult<Option<i64>> {
    if !has_table(conn, &format!("{PREFIX}outbox_{table}"))? {
        return Ok(None);
    }
    Ok(conn.query_row(&format!("SELECT max(seq) FROM {}", outbox(table)), [], |row| row.get(0))?)
}

/// Takes out every trigger of ours that stands on the table, or elsewhere under the table's name (a
/// renamed table keeps its triggers).
fn remove_triggers(conn: &Connection, table: &str) -> SqlResult<()> {
    let mut statement = conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '_rowferry_*' AND tbl_name = ?1 COLLATE NOCASE",
    )?;
    let on_table = statement
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    for name in on_table
        .into_iter()
        .chain(TRIGGERS.map(|(kind, _)| trigger(kind, table)))
    {
        conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {}", quote(&name)))?;
    }
    Ok(())
}

fn wanted(replace_conflicts: &[String]) -> &'static [(&'static str, &'static str)] {
    if replace_conflicts.is_empty() {
        &TRIGGERS[..3]
    } else {
        &TRIGGERS
    }
}

fn trigger(kind: &str, table: &str) -> String {
    format!("{PREFIX}{kind}_{table}")
}

/// Takes out every trigger and table of the source's side, and says which those were.
pub(super) fn uninstall(conn: &Connection) -> SqlResult<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT type, name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '_rowferry_*'
         UNION ALL SELECT type, name FROM sqlite_schema WHERE type = 'table' AND (name GLOB '_rowferry_outbox_*' OR name IN
         ('_rowferry_run', '_rowferry_tracked', '_rowferry_acked', '_rowferry_layout', '_rowferry_dead_letters'))",
    )?;
    let ours = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let ours = ours.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    for (kind, name) in &ours {
        conn.execute_batch(&format!("DROP {kind} {}", quote(name)))?;
    }
    Ok(ours.into_iter().map(|(kind, name)| format!("{kind} {name}")).collect())
}
