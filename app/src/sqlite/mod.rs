//! Names, values and the look of tables between this program and SQLite, the same way on both ends.
//!
//! What a table looks like is asked by PRAGMA statements of `main`. SQLite's table-valued functions tell the same (`pragma_table_list` and
//! its kin), but a table of the user's can bear such a name, and is read in their place then.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};

use crate::model::Value;

/// Writes a name so that SQL takes it for nothing but a name.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Lends a value out of a row of SQLite's.
pub fn value(from: ValueRef<'_>) -> Value<'_> {
    match from {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(t.into()),
        ValueRef::Blob(b) => Value::Blob(b.into()),
    }
}

/// A value as a parameter of a statement: text stays text, though it be no UTF-8.
pub struct Bind<'a>(pub &'a Value<'a>);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(i) => ValueRef::Integer(*i),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(t) => ValueRef::Text(t),
            Value::Blob(b) => ValueRef::Blob(b),
        }))
    }
}

/// What `main` holds under a name that a FROM can name.
pub struct Listed {
    pub name: String,
    /// "table", "view", "virtual" or "shadow".
    pub kind: String,
    pub without_rowid: bool,
    pub strict: bool,
}

/// Everything that `main` holds, by name.
pub fn tables(conn: &Connection) -> rusqlite::Result<Vec<Listed>> {
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
pub fn table(conn: &Connection, name: &str) -> rusqlite::Result<Option<Listed>> {
    let is_it = |listed: &Listed| listed.name.eq_ignore_ascii_case(name);
    Ok(tables(conn)?.into_iter().find(is_it))
}

/// A column of a table.
pub struct Declared {
    pub cid: i64,
    pub name: String,
    pub declared: String,
    pub not_null: bool,
    /// The text of its default, with the comments that stand in it.
    pub default: Option<String>,
    /// Its place in the primary key, from 1 on.
    pub pk: u16,
    /// 1 for a virtual table's hidden column, 2 and 3 for generated ones.
    pub hidden: u8,
}

/// The columns of a table in their order; none where it is not there.
pub fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Declared>> {
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
pub struct Index {
    pub name: String,
    pub unique: bool,
    /// Whether it is the primary key's.
    pub of_key: bool,
}

/// The indexes of a table, in SQLite's order.
pub fn indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    ask(conn, &format!("PRAGMA main.index_list({})", quote(table)), |row| {
        Ok(Index {
            name: row.get("name")?,
            unique: row.get("unique")?,
            of_key: row.get::<_, String>("origin")? == "pk",
        })
    })
}

/// One term of an index.
pub struct Term {
    /// The column's number; below zero for the rowid and for an expression, which have no name.
    pub cid: i64,
    pub column: Option<String>,
    pub collation: String,
}

/// The terms that an index is ordered by.
pub fn terms(conn: &Connection, index: &str) -> rusqlite::Result<Vec<Term>> {
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
