//! Names and values between this program and SQLite, the same way on both ends.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::row::Value;

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
