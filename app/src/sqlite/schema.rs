//! The schema of a table.

use rusqlite::Connection;

use super::collation::Collation;
use super::tables::{self, Listed};
use crate::model::{Column, TableSchema};

/// Reads the schema of a table that is listed, with all columns that a SELECT can name, generated
/// ones among them.
pub(crate) fn read(conn: &Connection, table: Listed) -> rusqlite::Result<TableSchema> {
    let key_index = tables::indexes(conn, &table.name)?
        .into_iter()
        .find(|index| index.of_key);
    let key_terms = match &key_index {
        Some(index) => tables::terms(conn, &index.name)?,
        None => Vec::new(),
    };
    let mut columns = Vec::new();
    for found in tables::columns(conn, &table.name)? {
        if found.hidden == 1 {
            continue;
        }
        let (_, collation, ..) = conn.column_metadata(Some("main"), table.name.as_str(), found.name.as_str())?;
        let collation = collation.map_or(Collation::BINARY.into(), |c| c.to_string_lossy().to_uppercase());
        let in_key = key_terms.iter().find(|term| term.cid == found.cid);
        // A collation that a program brought along orders values, but does not change them: only a
        // key needs it.
        let is_needed = found.pk > 0 || Collation::named(&collation).is_some();
        columns.push(Column {
            name: found.name,
            declared: found.declared,
            collation: if is_needed { collation } else { Collation::BINARY.into() },
            pk: found.pk.into(),
            pk_collation: in_key.map_or(Collation::BINARY.into(), |term| term.collation.to_uppercase()),
        });
    }
    let mut key: Vec<usize> = (0..columns.len()).filter(|&i| columns[i].pk > 0).collect();
    key.sort_by_key(|&i| columns[i].pk);
    for (place, &i) in key.iter().enumerate() {
        columns[i].pk = place + 1;
    }
    Ok(TableSchema {
        // The rowid and its true aliases have no index of their own.
        rowid_alias: !table.without_rowid && key.len() == 1 && key_index.is_none(),
        table: table.name,
        columns,
        strict: table.strict,
        without_rowid: table.without_rowid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(sql: &str, table: &str) -> TableSchema {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(sql).unwrap();
        read(&conn, tables::table(&conn, table).unwrap().unwrap()).unwrap()
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
        );
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
        let alias = |sql| schema(sql, "t").rowid_alias;
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
        let s = schema("CREATE TABLE t(k ANY PRIMARY KEY, v BLOB) STRICT, WITHOUT ROWID", "t");
        assert!(s.strict && s.without_rowid);
        assert_eq!(columns(&s)[0], ("k", "ANY", "BINARY", 1, "BINARY"));
    }
}
