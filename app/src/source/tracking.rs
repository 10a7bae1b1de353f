//! A shipped table, brought up to date when a run begins or the database's schema changes.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::capture::{self, TriggerState};
use super::full_pass::{self, Found};
use super::own_tables::adopt_version;
use super::progress::Progress;
use super::shape::Shape;
use super::tracked::{self, Remembered};
use super::{replace_conflicts, schema};
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;
use crate::sqlite::pragmas::schema_version;

/// Why a table is brought up to date.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A run begins.
    Run { backfill: bool },
    /// The database's schema changed under a run.
    SchemaChange,
}

/// A table that is up to date.
pub(super) struct Updated {
    /// See `Tracked`.
    pub(super) id: String,
    pub(super) schema: Arc<TableSchema>,
    pub(super) progress: Progress,
}

/// Brings a table up to date inside a write transaction: triggers as they should be, and a new pass
/// where one is due.
pub(super) fn update(conn: &Connection, table: &str, topic: &str, occasion: Occasion) -> SqlResult<Updated> {
    let schema = schema::read(conn, table)?;
    let replace_conflicts = replace_conflicts::read(conn, &schema)?;
    let version = schema_version(conn)?;
    let before = tracked::remembered(conn, &schema.table)?;
    let predecessor = tracked::take_topic(conn, &schema.table, topic)?;
    let id = match (&predecessor, &before) {
        (Some((id, _)), _) => id.clone(),
        (None, Some(Remembered { id: Some(id), .. })) => id.clone(),
        _ => tracked::new_id(conn, &schema.table)?,
    };
    let mut shape = Shape::read(conn, &schema)?;
    let triggers = capture::trigger_state(conn, &schema, &replace_conflicts)?;
    let file_tag = full_pass::file_tag(conn)?;
    let found = Found {
        schema: &schema,
        topic,
        shape: &shape,
        replace_conflicts: &replace_conflicts,
        triggers,
        schema_version: version,
        file_tag,
    };
    let is_due = is_full_pass_due(conn, &found, before.as_ref(), occasion)?;
    if triggers != TriggerState::Current {
        capture::install(conn, &schema, &replace_conflicts)?;
    }
    let mut progress = before.map_or_else(Progress::default, |before| before.progress);
    progress.pass = progress.pass.max(predecessor.map_or(0, |(_, pass)| pass));
    if is_due {
        progress = Progress {
            pass: full_pass::next_pass(conn, progress.pass)?,
            pending: true,
            cursor: None,
            shipped: capture::empty_outbox(conn, &schema, progress.shipped)?,
            schema_version: version,
        };
    }
    adopt_version(conn, version)?;
    progress.schema_version = schema_version(conn)?;
    if progress.schema_version != version {
        // New triggers are part of it; and to drop a table can move another one to its place in the
        // file.
        shape = Shape::read(conn, &schema)?;
    }
    conn.execute(
        "INSERT OR REPLACE INTO _rowferry_tracked(
             name, topic, shape, guards, schema_version, pass, pending, cursor, shipped, id, mark)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            schema.table,
            topic,
            shape.to_json(),
            serde_json::to_string(&replace_conflicts).expect("texts are always JSON"),
            progress.schema_version,
            progress.pass as i64,
            progress.pending,
            progress.cursor,
            progress.shipped,
            id,
            file_tag
        ],
    )?;
    Ok(Updated {
        id,
        schema: Arc::new(schema),
        progress,
    })
}

/// Whether a full pass is to begin; where it is because of what has changed, that is said.
fn is_full_pass_due(
    conn: &Connection,
    found: &Found<'_>,
    before: Option<&Remembered>,
    occasion: Occasion,
) -> SqlResult<bool> {
    let Some(before) = before else {
        return Ok(true);
    };
    let reason = full_pass::reason(conn, found, before)?;
    if let Some(reason) = &reason {
        log::info!(
            "table {:?} has changed: all of its rows are shipped again, because {reason}",
            found.schema.table
        );
    }
    let is_asked_for = match occasion {
        Occasion::Run { backfill } => backfill || before.progress.pending && before.progress.cursor.is_none(),
        Occasion::SchemaChange => false,
    };
    Ok(reason.is_some() || is_asked_for)
}
