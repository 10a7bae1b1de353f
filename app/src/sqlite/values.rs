//! Values in and out, and when two are exactly equal.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::model::Value;

/// The SQL function that tells whether two values are exactly equal.
pub(crate) const EXACTLY: &str = "_rowferry_exactly";

/// Borrows a value from a row of SQLite's.
pub(crate) fn borrow(from: ValueRef<'_>) -> Value<'_> {
    match from {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(t.into()),
        ValueRef::Blob(b) => Value::Blob(b.into()),
    }
}

/// A value as a parameter of a statement: text stays text, though it be no UTF-8.
pub(crate) struct Bind<'a>(pub &'a Value<'a>);

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

/// Equal by storage class and by every bit, as values of the model are.
pub(crate) fn exactly(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    borrow(a) == borrow(b)
}

/// Lets SQL ask for `exactly`.
pub(crate) fn add_exactly(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function(EXACTLY, 2, flags, |values| {
        Ok(exactly(values.get_raw(0), values.get_raw(1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_class_with_the_same_bits_is_exactly_equal() {
        let conn = Connection::open_in_memory().unwrap();
        add_exactly(&conn).unwrap();
        let values = [
            ValueRef::Null,
            ValueRef::Integer(0),
            ValueRef::Integer(1),
            ValueRef::Real(0.0),
            ValueRef::Real(-0.0),
            ValueRef::Real(1.0),
            ValueRef::Text(b"a"),
            ValueRef::Text(b"A"),
            ValueRef::Text(b"a\0"),
            ValueRef::Text(b"a\xff"),
            ValueRef::Blob(b"a"),
            ValueRef::Blob(b""),
        ];
        let mut statement = conn.prepare(&format!("SELECT {EXACTLY}(?1, ?2)")).unwrap();
        for (i, a) in values.into_iter().enumerate() {
            for (j, b) in values.into_iter().enumerate() {
                let pair = [a, b].map(ToSqlOutput::Borrowed);
                let in_sql: bool = statement.query_row(pair, |row| row.get(0)).unwrap();
                assert_eq!((exactly(a, b), in_sql), (i == j, i == j), "{a:?} and {b:?}");
            }
        }
    }
}
