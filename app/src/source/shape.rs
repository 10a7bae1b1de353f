//! What a table was when it was last brought up to date, and what a change of the schema since then
//! is proved not to have touched.
//!
//! `PRAGMA schema_version` counts the statements that change the schema, one step each. Where it
//! has gone one step, one statement ran, and what has gone and come back, as a column that was
//! dropped and added or a table that was made anew, took two. So one step is looked through, and
//! more are not: rows may have changed in a way that leaves the same schema.
//!
//! In the source it is kept as JSON, in `_rowferry_tracked.shape`:
//!
//! ```text
//! {"v":1,
//!  "sql":CREATE TABLE,
//!  "root":PAGE,
//!  "unique":[[NAME,CREATE INDEX or null,PAGE],...],
//!  "triggers":[[NAME,CREATE TRIGGER],...]}
//! ```
//!
//! That is the table, its unique indexes by name and all triggers on it in the order in which they
//! were made. Anything else there was kept by an earlier version; it says nothing but that the
//! table was known.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::capture;
use crate::model::TableSchema;
use crate::sqlite::error::SqlResult;
use crate::sqlite::tables;

/// The form in which a shape is kept.
const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    v: u32,
    sql: String,
    root: i64,
    unique: Vec<(String, Option<String>, i64)>,
    triggers: Vec<(String, String)>,
}

impl Shape {
    pub(super) fn read(conn: &Connection, schema: &TableSchema) -> SqlResult<Shape> {
        let table = [&schema.table];
        let sql = "SELECT sql, rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let (sql, root) = conn.query_row(sql, table, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut unique = Vec::new();
        for index in tables::indexes(conn, &schema.table)?
            .into_iter()
            .filter(|index| index.unique)
        {
            let sql = "SELECT name, sql, rootpage FROM sqlite_schema WHERE type = 'index' AND name = ?1";
            let index = conn.query_row(sql, [index.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            unique.extend(index.optional()?); // the key of a WITHOUT ROWID table is the table itself
        }
        unique.sort();
        let triggers = conn
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY rowid")?
            .query_map(table, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Shape {
            v: VERSION,
            sql,
            root,
            unique,
            triggers,
        })
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a shape is always JSON")
    }

    /// Why changes of the rows may have passed unseen since the shape `before` was kept, so many
    /// steps of the schema's version ago; none when it is proved that all were seen. What has gone
    /// hides nothing: an index pushes no row out any more, a trigger that ran before ours does so
    /// no more.
    pub(super) fn doubt(&self, before: &str, steps: i64) -> Option<String> {
        let before = serde_json::from_str::<Shape>(before)
            .ok()
            .filter(|shape| shape.v == VERSION);
        let Some(before) = before else {
            return (steps != 0).then(|| "an earlier version has kept too little to tell what changed".into());
        };
        match steps {
            0 | 1 => {}
            2.. => {
                return Some(format!(
                    "the schema has gone {steps} steps, of which only one can be looked through"
                ));
            }
            _ => return Some("the schema's version has gone back".into()),
        }
        if self.sql != before.sql {
            return Some("its definition is another one".into());
        }
        if self.root != before.root {
            return Some("it lies elsewhere in the file, as after a VACUUM".into());
        }
        if let Some((new, ..)) = self.unique.iter().find(|index| !before.unique.contains(index)) {
            return Some(format!("its unique index {new:?} may have pushed out rows unseen"));
        }
        if let Some((new, _)) = self.triggers.iter().find(|trigger| !before.triggers.contains(trigger)) {
            return Some(format!(
                "its trigger {new:?} may have run before ours and hidden changes"
            ));
        }
        let gone = |trigger: &&(String, String)| capture::is_ours(&trigger.0) && !self.triggers.contains(trigger);
        let (gone, _) = before.triggers.iter().find(gone)?;
        Some(format!("the trigger {gone:?} was taken away"))
    }
}
