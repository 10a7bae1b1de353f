//! Which tables can be shipped, and what they look like.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::model::TableSchema;
use crate::sqlite::collation::Collation;
use crate::sqlite::names::{MOST_COLUMNS, quote, rowid_name};
use crate::sqlite::tables::{self, Listed};
use crate::wire::names::RESERVED;

/// Reads the schema of the table that SQLite finds under `table`; it carries the name's real
/// spelling.
pub fn read(conn: &Connection, table: &str) -> Result<TableSchema> {
    let found = find(conn, table)?;
    let name = found.name.clone();
    let schema = crate::sqlite::schema::read(conn, found).map_err(|e| unreadable(&name, &e))?;
    check(&schema)?;
    Ok(schema)
}

/// Finds a table that can be shipped.
fn find(conn: &Connection, table: &str) -> Result<Listed> {
    if is_internal(table) {
        return Err(
            Error::failed(format!("table {table:?} is internal and cannot be shipped"))
                .way_out("name a table of your own with --table"),
        );
    }
    let found = tables::table(conn, table).map_err(|e| unreadable(table, &e))?;
    let Some(found) = found else {
        let there = user_tables(conn)?;
        let way_out = if there.is_empty() {
            "it has no tables yet; --fake N makes the demo table users".to_string()
        } else {
            format!("--table takes one of: {}", there.join(", "))
        };
        return Err(Error::failed(format!("there is no table {table:?} in this database")).way_out(way_out));
    };
    let Listed { name, kind, .. } = &found;
    match kind.as_str() {
        "table" => Ok(found),
        "view" => Err(Error::failed(format!("{name:?} is a view, not a table"))
            .way_out("name the tables behind the view with --table")),
        _ => Err(
            Error::failed(format!("{name:?} is a {kind} table, whose rows SQLite cannot watch"))
                .way_out("name an ordinary table with --table"),
        ),
    }
}

/// The ordinary tables of the database that are the user's own.
pub fn user_tables(conn: &Connection) -> Result<Vec<String>> {
    let tables = tables::tables(conn).map_err(|e| Error::failed(format!("cannot list the tables: {e}")))?;
    let is_theirs = |table: &Listed| table.kind == "table" && !is_internal(&table.name);
    Ok(tables.into_iter().filter(is_theirs).map(|table| table.name).collect())
}

/// Tables that are SQLite's or ours.
fn is_internal(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sqlite_") || name.starts_with("_rowferry_")
}

/// Refuses what could not be shipped truthfully.
fn check(schema: &TableSchema) -> Result<()> {
    let table = &schema.table;
    for column in &schema.columns {
        let name = &column.name;
        if RESERVED.contains(&name.as_str()) {
            return Err(Error::failed(format!(
                "table {table:?}: the column name {name:?} is reserved in records"
            ))
            .way_out(format!(
                "ALTER TABLE {} RENAME COLUMN {} TO another name",
                quote(table),
                quote(name)
            )));
        }
        for collation in [&column.collation, &column.pk_collation] {
            if Collation::named(collation).is_none() {
                return Err(Error::failed(format!(
                    "table {table:?}: the key column {name:?} uses the collation {collation}, which is not part of SQLite"
                ))
                .way_out("declare the key with BINARY, NOCASE or RTRIM"));
            }
        }
    }
    if schema.keyed_by_rowid() && schema.columns.len() >= MOST_COLUMNS {
        return Err(Error::failed(format!(
            "table {table:?} has {} columns and no primary key: with its rowid, which is its key, that is more than SQLite can store at once",
            schema.columns.len()
        ))
        .way_out("give the table a primary key, or one column less"));
    }
    if !schema.without_rowid && rowid_name(schema).is_none() {
        return Err(Error::failed(format!(
            "table {table:?}: its rows cannot be told apart, because columns named rowid, _rowid_ and oid hide the rowid"
        ))
        .way_out("rename one of the three columns, or give the table an INTEGER PRIMARY KEY"));
    }
    Ok(())
}

fn unreadable(table: &str, error: &rusqlite::Error) -> Error {
    Error::failed(format!("cannot read the schema of table {table:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(sql: &str, table: &str) -> Result<TableSchema> {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(sql).unwrap();
        read(&conn, table)
    }

    #[test]
    fn what_cannot_be_shipped_is_refused_by_name() {
        let refused = |sql: &str, table: &str, reason: &str| {
            let error = schema(sql, table).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("way out"), "{error}");
        };
        refused(
            "CREATE TABLE b(x); CREATE TABLE a(x)",
            "t",
            "--table takes one of: a, b",
        );
        refused("", "t", "no tables yet");
        refused("CREATE TABLE t(rowid, _rowid_, oid)", "t", "hide the rowid");
        refused("CREATE VIEW v AS SELECT 1", "v", "is a view");
        refused("CREATE VIRTUAL TABLE v USING fts5(x)", "v", "is a virtual table");
        refused("CREATE VIRTUAL TABLE v USING fts5(x)", "v_data", "is a shadow table");
        refused("CREATE TABLE _rowferry_x(a)", "_rowferry_x", "is internal");
        refused("CREATE TABLE t(a)", "sqlite_schema", "is internal");
        refused("CREATE TABLE t(a)", "SQLITE_MASTER", "is internal");
        for name in RESERVED {
            let sql = format!("CREATE TABLE t(a, {name})");
            refused(&sql, "t", "is reserved");
        }
    }
}
