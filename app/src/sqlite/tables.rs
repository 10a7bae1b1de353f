//! What a database holds: tables, columns, indexes.
//!
//! It is asked by PRAGMA statements of `main`. SQLite's table-valued functions tell the same
//! (`pragma_table_list` and its kin), but a table of the user's can bear such a name, and is read
//! in their place then.

use rusqlite::{Connection, OptionalExtension, Row};

use super::names::quote;

/// What `main` holds under a name that a FROM can name.
pub(crate) struct Listed {
    pub(crate) name: String,
    /// "table", "view", "virtual" or "shadow".
    pub(crate) kind: String,
    pub(crate) without_rowid: bool,
    pub(crate) strict: bool,
}

/// Everything that `main` holds, by name.
pub(crate) fn tables(conn: &Connection) -> rusqlite::Result<Vec<Listed>> {
    let mut tables = ask(conn, "PRAGMA main.table_list", |row| {
        Ok(Listed {
            name: row.get("name")?,
            kind: row.get("type")?,
            without_rowid: row.get("wr")?,
            strict: row.get("strict")?,
        })
    })?;
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// What `main` holds under this name, however it is spelled.
pub(crate) fn table(conn: &Connection, name: &str) -> rusqlite::Result<Option<Listed>> {
    let is_it = |listed: &Listed| listed.name.eq_ignore_ascii_case(name);
    Ok(tables(conn)?.into_iter().find(is_it))
}

/// Whether `main` holds a table of this name, however it is spelled. A view of that name is none.
pub(crate) fn has_table(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .exists([name])
}

/// Whether there is a temporary table of this name.
pub(crate) fn has_temporary_table(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM temp.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .exists([name])
}

/// Whether anything in `main` has this name, so that no table can be made under it: a view or an
/// index too.
pub(crate) fn is_taken(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE")?
        .exists([name])
}

/// The statement that made a table or an index; nothing for an index that came with its table.
pub(crate) fn sql_of(conn: &Connection, kind: &str, name: &str) -> rusqlite::Result<String> {
    let sql: Option<Option<String>> = conn
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE type = ?1 AND name = ?2",
            [kind, name],
            |row| row.get(0),
        )
        .optional()?;
    Ok(sql.flatten().unwrap_or_default())
}

/// A column of a table.
pub(crate) struct Declared {
    pub(crate) cid: i64,
    pub(crate) name: String,
    pub(crate) declared: String,
    pub(crate) not_null: bool,
    /// The text of its default, with the comments that stand in it.
    pub(crate) default: Option<String>,
    /// Its place in the primary key, from 1 on.
    pub(crate) pk: u16,
    /// 1 for a virtual table's hidden column, 2 and 3 for generated ones.
    pub(crate) hidden: u8,
}

/// The columns of a table in their order; none where it is not there.
pub(crate) fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Declared>> {
    ask(conn, &format!("PRAGMA main.table_xinfo({})", quote(table)), |row| {
        Ok(Declared {
            cid: row.get("cid")?,
            name: row.get("name")?,
            declared: row.get("type")?,
            not_null: row.get("notnull")?,
            default: row.get("dflt_value")?,
            pk: row.get("pk")?,
            hidden: row.get("hidden")?,
        })
    })
}

/// An index of a table.
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) unique: bool,
    /// Whether it is the primary key's.
    pub(crate) of_key: bool,
}

/// The indexes of a table, in SQLite's order.
pub(crate) fn indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    ask(conn, &format!("PRAGMA main.index_list({})", quote(table)), |row| {
        Ok(Index {
            name: row.get("name")?,
            unique: row.get("unique")?,
            of_key: row.get::<_, String>("origin")? == "pk",
        })
    })
}

/// One term of an index.
pub(crate) struct Term {
    /// The column's number; below zero for the rowid and for an expression, which have no name.
    pub(crate) cid: i64,
    pub(crate) column: Option<String>,
    pub(crate) collation: String,
}

/// The terms that an index is ordered by.
pub(crate) fn terms(conn: &Connection, index: &str) -> rusqlite::Result<Vec<Term>> {
    let terms = ask(conn, &format!("PRAGMA main.index_xinfo({})", quote(index)), |row| {
        let term = Term {
            cid: row.get("cid")?,
            column: row.get("name")?,
            collation: row.get("coll")?,
        };
        Ok(row.get::<_, bool>("key")?.then_some(term))
    })?;
    Ok(terms.into_iter().flatten().collect())
}

fn ask<T>(
    conn: &Connection,
    pragma: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare(pragma)?.query_map([], read)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_however_it_is_spelled() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t(x); CREATE VIEW v AS SELECT 1; CREATE INDEX i ON t(x); CREATE TEMP TABLE u(x)",
        )
        .unwrap();
        let found = |name: &str| {
            let (is_table, is_temporary) = (has_table(&conn, name), has_temporary_table(&conn, name));
            (is_table.unwrap(), is_temporary.unwrap(), is_taken(&conn, name).unwrap())
        };
        assert_eq!(found("T"), (true, false, true));
        assert_eq!(found("V"), (false, false, true));
        assert_eq!(found("I"), (false, false, true));
        assert_eq!(found("U"), (false, true, false));
        assert_eq!(found("x"), (false, false, false));
    }
}
