//! Giving a table its shape: made new, filled from the old one, put in its place.

use log::{info, warn};
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::model::{Column, TableSchema};
use crate::sqlite::affinity::Affinity;
use crate::sqlite::collation::Collation;
use crate::sqlite::names::{column_named, quote};
use crate::sqlite::values::borrow;
use crate::sqlite::{schema, tables};

use super::ddl;
use super::ddl::GO_ON;
use super::error::cannot;

/// Where a table stands until it takes its place.
const NEW: &str = "_rowferry_new";

/// Makes the table `to`, with the rows of `from` when both have the same key. A column that would
/// convert one of them loses its type.
pub(super) fn reshape(conn: &Connection, from: Option<&TableSchema>, to: &mut TableSchema) -> Result<()> {
    let kept = from.filter(|from| same_key(from, to));
    if let Some(from) = kept {
        let converting = converting(conn, from, to);
        for column in converting.map_err(|e| cannot(e, format!("look through the table {}", from.table)))? {
            loosen(to, column);
        }
    }
    replace(conn, from, kept, to).map_err(|e| cannot(e, format!("make the table {}", to.table)))
}

/// Puts the table `to` in the place of `from`, with the rows of `kept`.
fn replace(
    conn: &Connection,
    from: Option<&TableSchema>,
    kept: Option<&TableSchema>,
    to: &TableSchema,
) -> rusqlite::Result<()> {
    conn.execute_batch(&ddl::create_table(to, NEW))?;
    if let Some(from) = kept {
        conn.execute_batch(&copy(from, to))?;
    }
    let mut theirs = Vec::new();
    if let Some(from) = from {
        theirs = attached(conn, &from.table)?;
        conn.execute_batch(&format!("DROP TABLE {}", quote(&from.table)))?;
    }
    conn.execute_batch(&format!("ALTER TABLE {NEW} RENAME TO {}", quote(&to.table)))?;
    for (name, sql) in theirs {
        if let Err(e) = conn.execute_batch(&sql) {
            warn!("{name} on table {} is gone: it could not be made again: {e}", to.table);
        }
    }
    Ok(())
}

/// Takes the type away from a column, and says so.
pub(super) fn loosen(shape: &mut TableSchema, column: usize) {
    let Column { name, declared, .. } = &shape.columns[column];
    info!(
        "table {}: column {name} keeps values from now on that its type {declared} would convert",
        shape.table
    );
    ddl::loosen(shape, column);
}

/// Whether rows of the one table can be told apart by the key of the other.
fn same_key(from: &TableSchema, to: &TableSchema) -> bool {
    let (a, b) = (from.key_names(), to.key_names());
    let same_names = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.eq_ignore_ascii_case(b));
    same_names && (to.keyed_by_rowid() || !from.keyed_by_rowid())
}

/// The columns of `to` that would convert a value of `from`.
fn converting(conn: &Connection, from: &TableSchema, to: &TableSchema) -> rusqlite::Result<Vec<usize>> {
    let (old, new) = (Affinity::of_columns(from), Affinity::of_columns(to));
    let narrower = |&i: &usize| {
        let before = column_named(from, &to.columns[i].name);
        new[i] != Affinity::Blob && before.is_some_and(|before| old[before] != new[i])
    };
    let suspects: Vec<usize> = (0..to.columns.len()).filter(narrower).collect();
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = suspects.iter().map(|&i| quote(&to.columns[i].name)).collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {GO_ON}()",
        names.join(", "),
        quote(&from.table)
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut converts = vec![false; suspects.len()];
    while let Some(row) = rows.next()? {
        for (place, &i) in suspects.iter().enumerate() {
            converts[place] |= !new[i].keeps(&borrow(row.get_ref(place)?));
        }
    }
    Ok(suspects
        .into_iter()
        .zip(converts)
        .filter_map(|(i, converts)| converts.then_some(i))
        .collect())
}

/// The statement that brings the rows over.
fn copy(from: &TableSchema, to: &TableSchema) -> String {
    let common: Vec<_> = to
        .columns
        .iter()
        .filter(|c| column_named(from, &c.name).is_some())
        .map(|c| quote(&c.name))
        .collect();
    let (mut targets, mut sources, mut only) = (common.clone(), common, "");
    if to.keyed_by_rowid() {
        targets.insert(0, ddl::key_expressions(to)[0].clone());
        sources.insert(0, ddl::key_expressions(from)[0].clone());
        if !from.keyed_by_rowid() {
            // The rowid came as a member that could hold anything.
            only = " AND typeof(\"rowid\") = 'integer'";
        }
    }
    // Two keys can become one under another collation: one of their rows is out of date.
    format!(
        "INSERT OR IGNORE INTO {NEW} ({}) SELECT {} FROM {} WHERE {GO_ON}(){only}",
        targets.join(", "),
        sources.join(", "),
        quote(&from.table)
    )
}

/// The indexes and triggers that someone made on a table, each with its statement.
fn attached(conn: &Connection, table: &str) -> rusqlite::Result<Vec<(String, String)>> {
    conn.prepare("SELECT type || ' ' || name, sql FROM sqlite_master WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL")?
        .query_map([table], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect()
}

/// Whether the name is taken, so that no table can be made under it.
pub(super) fn is_taken(conn: &Connection, name: &str) -> Result<bool> {
    tables::is_taken(conn, name).map_err(|e| cannot(e, "read the database"))
}

/// An error unless a table that someone made in the sink is empty, or has rows that `wanted` can
/// hold.
pub(super) fn check_fit(conn: &Connection, found: &TableSchema, wanted: &TableSchema) -> Result<()> {
    let name = &found.table;
    let has_rows = |which: &str| {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {which})", quote(name));
        conn.query_row(&sql, [], |r| r.get::<_, bool>(0))
            .map_err(|e| cannot(e, format!("read the table {name} of the sink")))
    };
    let fits = || -> Result<bool> {
        let known = found.columns.iter().all(|c| column_named(wanted, &c.name).is_some());
        let nulls: Vec<_> = ddl::key_expressions(found)
            .iter()
            .map(|k| format!("{k} IS NULL"))
            .collect();
        Ok(known && same_key(found, wanted) && !has_rows(&nulls.join(" OR "))?)
    };
    if has_rows("true")? && !fits()? {
        return Err(Error::failed(format!(
            "the sink has a table {name} already, with rows that do not fit the columns or the key of the source's"
        ))
        .way_out("rename or drop that table, or name another file with --sink"));
    }
    info!("table {name} was there already and is adopted: it takes the shape of the source's table");
    Ok(())
}

/// Adds the columns that a table which was there already has and the first record lacks.
pub(super) fn adopt_columns(conn: &Connection, name: &str, columns: &mut Vec<Column>) -> Result<()> {
    for found in theirs(conn, name)?.map_or(Vec::new(), |t| t.columns) {
        if !columns.iter().any(|c| c.name.eq_ignore_ascii_case(&found.name)) {
            columns.push(untyped(found.name, 0));
        }
    }
    Ok(())
}

/// Reads the columns and the key of a table that is not ours.
pub(super) fn theirs(conn: &Connection, name: &str) -> Result<Option<TableSchema>> {
    let failed = |e| cannot(e, format!("read the table {name} of the sink"));
    let Some(found) = tables::table(conn, name).map_err(failed)? else {
        return Ok(None);
    };
    let kind = &found.kind;
    if kind != "table" {
        return Err(
            Error::failed(format!("{name} is a {kind} in the sink: rows cannot land in it"))
                .way_out(format!("rename or drop that {kind}, or name another file with --sink")),
        );
    }
    // What its types and collations are is looked through value by value.
    let mut theirs = schema::read(conn, found).map_err(failed)?;
    let columns = theirs.columns.into_iter();
    theirs.columns = columns.map(|column| untyped(column.name, column.pk)).collect();
    (theirs.strict, theirs.rowid_alias) = (false, false);
    Ok(Some(theirs))
}

/// A column that keeps everything as it is.
pub(super) fn untyped(name: String, pk: usize) -> Column {
    Column {
        name,
        declared: String::new(),
        collation: Collation::BINARY.into(),
        pk,
        pk_collation: Collation::BINARY.into(),
    }
}
