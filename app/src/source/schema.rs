//! What a table looks like: columns, key, collations, and by which name its rowid can be reached.

use rusqlite::Connection;

use super::scan;
use crate::error::{Error, Result};
use crate::model::{Column, TableSchema};
pub use crate::sqlite::quote;
use crate::sqlite::{self, Listed};
use crate::wire::names::RESERVED;

/// The collations that every SQLite has.
const COLLATIONS: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];

/// Reads the schema of the table that SQLite finds under `table`; it carries the name's real spelling.
pub fn read(conn: &Connection, table: &str) -> Result<TableSchema> {
    let (table, without_rowid, strict) = find(conn, table)?;
    let (pk_index, pk_collations) = primary_key(conn, &table)?;
    let mut columns = columns(conn, &table, &pk_collations)?;
    let mut key: Vec<usize> = (0..columns.len()).filter(|&i| columns[i].pk > 0).collect();
    key.sort_by_key(|&i| columns[i].pk);
    for (place, &i) in key.iter().enumerate() {
        columns[i].pk = place + 1;
    }
    let schema = TableSchema {
        rowid_alias: !without_rowid && key.len() == 1 && !pk_index,
        table,
        columns,
        strict,
        without_rowid,
    };
    check(&schema)?;
    Ok(schema)
}

/// The name under which a statement can reach the rowid; none for a WITHOUT ROWID table, or when columns shadow all three.
pub fn rowid_name(schema: &TableSchema) -> Option<String> {
    if schema.without_rowid {
        return None;
    }
    if schema.rowid_alias {
        return schema.key().first().map(|&i| schema.columns[i].name.clone());
    }
    let shadowed = |name: &&str| schema.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !shadowed(name))
        .map(str::to_string)
}

/// Finds a table that can be shipped: its real name, whether it is WITHOUT ROWID, whether it is STRICT.
fn find(conn: &Connection, table: &str) -> Result<(String, bool, bool)> {
    if is_internal(table) {
        return Err(
            Error::failed(format!("table {table:?} is internal and cannot be shipped"))
                .way_out("name a table of your own with --table"),
        );
    }
    let found = sqlite::table(conn, table).map_err(|e| unreadable(table, &e))?;
    let Some(Listed {
        name,
        kind,
        without_rowid,
        strict,
    }) = found
    else {
        let there = user_tables(conn)?;
        return Err(
            Error::failed(format!("there is no table {table:?} in this database")).way_out(match there.is_empty() {
                true => "it has no tables yet; --fake N makes the demo table users".to_string(),
                false => format!("--table takes one of: {}", there.join(", ")),
            }),
        );
    };
    match kind.as_str() {
        "table" => Ok((name, without_rowid, strict)),
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
    let tables = sqlite::tables(conn).map_err(|e| Error::failed(format!("cannot list the tables: {e}")))?;
    let is_theirs = |table: &Listed| table.kind == "table" && !is_internal(&table.name);
    Ok(tables.into_iter().filter(is_theirs).map(|table| table.name).collect())
}

/// Tables that are SQLite's or ours.
fn is_internal(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("sqlite_") || name.starts_with("_rowferry_")
}

/// Whether the primary key has an index of its own (the rowid and its true aliases have none), and its collation by column.
fn primary_key(conn: &Connection, table: &str) -> Result<(bool, Vec<(i64, String)>)> {
    let read = || {
        let Some(index) = sqlite::indexes(conn, table)?.into_iter().find(|index| index.of_key) else {
            return Ok((false, Vec::new()));
        };
        let terms = sqlite::terms(conn, &index.name)?.into_iter();
        Ok((true, terms.map(|term| (term.cid, term.collation)).collect()))
    };
    read().map_err(|e: rusqlite::Error| unreadable(table, &e))
}

/// All columns that a SELECT can name, generated ones among them.
fn columns(conn: &Connection, table: &str, pk_collations: &[(i64, String)]) -> Result<Vec<Column>> {
    let read = || {
        let mut columns = Vec::new();
        for found in sqlite::columns(conn, table)?
            .into_iter()
            .filter(|column| column.hidden != 1)
        {
            let sqlite::Declared { cid, name, .. } = found;
            let (_, collation, ..) = conn.column_metadata(Some("main"), table, name.as_str())?;
            let collation = collation.map_or("BINARY".into(), |c| c.to_string_lossy().to_uppercase());
            let pk_collation = pk_collations.iter().find(|(column, _)| *column == cid);
            columns.push(Column {
                name,
                declared: found.declared,
                collation,
                pk: found.pk.into(),
                pk_collation: pk_collation.map_or("BINARY".into(), |(_, collation)| collation.to_uppercase()),
            });
        }
        Ok(columns)
    };
    let mut columns: Vec<Column> = read().map_err(|e: rusqlite::Error| unreadable(table, &e))?;
    for column in &mut columns {
        // A collation that a program brought along orders values, but does not change them: only a key needs it.
        if !COLLATIONS.contains(&column.collation.as_str()) && column.pk == 0 {
            column.collation = "BINARY".into();
        }
    }
    Ok(columns)
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
            if !COLLATIONS.contains(&collation.as_str()) {
                return Err(Error::failed(format!(
                    "table {table:?}: the key column {name:?} uses the collation {collation}, which is not part of SQLite"
                ))
                .way_out("declare the key with BINARY, NOCASE or RTRIM"));
            }
        }
    }
    if schema.keyed_by_rowid() && schema.columns.len() >= scan::MOST_COLUMNS {
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

    fn columns(schema: &TableSchema) -> Vec<(&str, &str, &str, usize, &str)> {
        let columns = schema.columns.iter();
        columns
            .map(|c| (&*c.name, &*c.declared, &*c.collation, c.pk, &*c.pk_collation))
            .collect()
    }

    #[test]
    fn a_table_is_read_as_it_is_declared() {
        let s = schema(
            "CREATE TABLE \"Ta\"\"ble\"(b VARCHAR(10) COLLATE nocase, \"größe\" , \"select\" BIGINT NOT NULL,
             g INT GENERATED ALWAYS AS (b || 1), h TEXT AS (b) STORED, PRIMARY KEY(\"select\" DESC, b COLLATE rtrim))",
            "tA\"BLE",
        )
        .unwrap();
        assert_eq!(s.table, "Ta\"ble");
        assert_eq!(
            columns(&s),
            [
                ("b", "VARCHAR(10)", "NOCASE", 2, "RTRIM"),
                ("größe", "", "BINARY", 0, "BINARY"),
                ("select", "BIGINT", "BINARY", 1, "BINARY"),
                ("g", "INT", "BINARY", 0, "BINARY"),
                ("h", "TEXT", "BINARY", 0, "BINARY"),
            ]
        );
        assert!(!s.strict && !s.without_rowid && !s.rowid_alias && !s.keyed_by_rowid());
    }

    #[test]
    fn only_a_true_alias_of_the_rowid_is_one() {
        let alias = |sql| schema(sql, "t").unwrap().rowid_alias;
        assert!(alias("CREATE TABLE t(id INTEGER PRIMARY KEY, v)"));
        assert!(alias("CREATE TABLE t(id INTEGER, v, PRIMARY KEY(id DESC))"));
        assert!(!alias("CREATE TABLE t(id INTEGER PRIMARY KEY DESC, v)"));
        assert!(!alias("CREATE TABLE t(id INT PRIMARY KEY, v)"));
        assert!(!alias("CREATE TABLE t(id INTEGER PRIMARY KEY, v) WITHOUT ROWID"));
        assert!(!alias("CREATE TABLE t(id INTEGER, v INTEGER, PRIMARY KEY(id, v))"));
        assert!(!alias("CREATE TABLE t(id INTEGER, v)"));
    }

    #[test]
    fn strict_and_without_rowid_are_seen() {
        let s = schema("CREATE TABLE t(k ANY PRIMARY KEY, v BLOB) STRICT, WITHOUT ROWID", "t").unwrap();
        assert!(s.strict && s.without_rowid);
        assert_eq!(columns(&s)[0], ("k", "ANY", "BINARY", 1, "BINARY"));
    }

    #[test]
    fn the_rowid_goes_by_the_name_that_is_left() {
        let name = |sql| rowid_name(&schema(sql, "t").unwrap());
        assert_eq!(name("CREATE TABLE t(a)").as_deref(), Some("rowid"));
        assert_eq!(name("CREATE TABLE t(RowId, a)").as_deref(), Some("_rowid_"));
        assert_eq!(name("CREATE TABLE t(rowid, _rowid_)").as_deref(), Some("oid"));
        assert_eq!(
            name("CREATE TABLE t(rowid, _rowid_, oid, i INTEGER PRIMARY KEY)").as_deref(),
            Some("i")
        );
        assert_eq!(name("CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID"), None);
        let error = schema("CREATE TABLE t(rowid, _rowid_, oid)", "t")
            .unwrap_err()
            .to_string();
        assert!(error.contains("hide the rowid") && error.contains("way out"), "{error}");
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
