//! Why all rows of a table are due again.

use rusqlite::Connection;

use super::capture::TriggerState;
use super::progress::Progress;
use super::resend;
use super::shape::Shape;
use super::tracked::Remembered;
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;

/// A table as it is now.
pub(super) struct Found<'a> {
    pub(super) schema: &'a TableSchema,
    pub(super) topic: &'a str,
    pub(super) shape: &'a Shape,
    pub(super) replace_conflicts: &'a [String],
    pub(super) triggers: TriggerState,
    pub(super) schema_version: i64,
    pub(super) file_tag: i64,
}

/// Why all rows of a table that was shipped before are due again; none when all of its changes were
/// seen.
pub(super) fn reason(conn: &Connection, found: &Found<'_>, before: &Remembered) -> SqlResult<Option<String>> {
    let (schema, topic, progress) = (found.schema, found.topic, &before.progress);
    let steps = if is_continued_copy(conn, found, progress)? {
        0
    } else {
        found.schema_version - progress.schema_version
    };
    if before.topic != topic {
        return Ok(Some(format!("it went to topic {} so far", before.topic)));
    }
    // A VACUUM of this file is one step, and looked through like any other.
    if before.file_tag.is_some_and(|before| before != found.file_tag) && steps != 1 {
        return Ok(Some("the file was built anew, as from a dump".into()));
    }
    if let Some(doubt) = found.shape.doubt(&before.shape, steps) {
        return Ok(Some(doubt));
    }
    let by_rowid = schema.keyed_by_rowid() || progress.pending && !schema.without_rowid && !schema.rowid_alias;
    if steps != 0 && by_rowid {
        return Ok(Some("a VACUUM may have given its rows other rowids".into()));
    }
    if found.triggers == TriggerState::Bypassed {
        return Ok(Some("its triggers did not stand before all others".into()));
    }
    // Those of another version may have known less of what a unique index pushes out.
    let is_new = |conflict: &String| !before.replace_conflicts.contains(conflict);
    if found.replace_conflicts.iter().any(is_new) {
        return Ok(Some(
            "its triggers did not know all that its unique indexes can push out".into(),
        ));
    }
    Ok(None)
}

/// What a file loses when it is built anew from a dump, or by VACUUM: the rowid of our one row in a
/// table without a key. Whatever its schema's version says, such a file has no history in common
/// with the one before it. One that has lost it gets another.
pub(super) fn file_tag(conn: &Connection) -> SqlResult<i64> {
    const LEAST: i64 = 1 << 32;
    let tag: i64 = conn.query_row("SELECT rowid FROM _rowferry_run", [], |row| row.get(0))?;
    if tag >= LEAST {
        return Ok(tag);
    }
    let sql = "UPDATE _rowferry_run SET rowid = ?1 + (random() & 0x3fffffffffffffff) RETURNING rowid";
    Ok(conn.query_row(sql, [LEAST], |row| row.get(0))?)
}

/// Whether the file is a copy that SQLite's backup made, of a state in which nothing had changed
/// the schema unseen. Such a copy counts its schema's version from 1 again, so that the version
/// itself tells nothing. But where the log holds a key that does not wait in the copy's outbox, the
/// original was read after the copy had been made; that read would have found a change, and begun a
/// full pass.
fn is_continued_copy(conn: &Connection, found: &Found<'_>, progress: &Progress) -> SqlResult<bool> {
    Ok(found.schema_version == 1
        && progress.schema_version > 1
        && !progress.pending
        && resend::tells_of_later_reads(conn, found.topic, found.schema, progress.shipped)?)
}

/// A pass id above the last one, and above all that the run's epoch is above.
pub(super) fn next_pass(conn: &Connection, last: u64) -> SqlResult<u64> {
    let epoch: Option<i64> = conn.query_row("SELECT epoch FROM _rowferry_run", [], |row| row.get(0))?;
    Ok((last + 1).max(epoch.unwrap_or(0) as u64))
}
