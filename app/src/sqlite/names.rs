//! Names in SQL, and those by which the rowid can be reached.

use crate::model::TableSchema;

/// The rowid's own names. A column of such a name hides it.
pub(crate) const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// As many columns as a table or the result of a statement can have, as SQLite is built here.
pub(crate) const MOST_COLUMNS: usize = 2000;

/// Writes a name so that SQL takes it for nothing but a name.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The place of the column of this name. To SQLite the case of ASCII letters makes no difference.
pub(crate) fn column_named(schema: &TableSchema, name: &str) -> Option<usize> {
    schema
        .columns
        .iter()
        .position(|column| column.name.eq_ignore_ascii_case(name))
}

/// The name under which a statement can reach the rowid; none for a WITHOUT ROWID table, or when
/// columns hide all three.
pub(crate) fn rowid_name(schema: &TableSchema) -> Option<&str> {
    if schema.without_rowid {
        return None;
    }
    if schema.rowid_alias {
        return schema.key().first().map(|&i| schema.columns[i].name.as_str());
    }
    ROWID_NAMES
        .into_iter()
        .find(|name| column_named(schema, name).is_none())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::{schema, tables};

    #[test]
    fn the_rowid_goes_by_the_name_that_is_left() {
        let name = |sql: &str| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch(sql).unwrap();
            let schema = schema::read(&conn, tables::table(&conn, "t").unwrap().unwrap()).unwrap();
            rowid_name(&schema).map(str::to_owned)
        };
        assert_eq!(name("CREATE TABLE t(a)").as_deref(), Some("rowid"));
        assert_eq!(name("CREATE TABLE t(RowId, a)").as_deref(), Some("_rowid_"));
        assert_eq!(name("CREATE TABLE t(rowid, _rowid_)").as_deref(), Some("oid"));
        assert_eq!(name("CREATE TABLE t(rowid, _rowid_, oid)"), None);
        assert_eq!(
            name("CREATE TABLE t(rowid, _rowid_, oid, i INTEGER PRIMARY KEY)").as_deref(),
            Some("i")
        );
        assert_eq!(name("CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID"), None);
    }
}
