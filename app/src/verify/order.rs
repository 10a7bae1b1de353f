//! The order of keys. The merge needs both sides in one and the same order, so what SQL sorts by is
//! written again in Rust.

use std::cmp::Ordering;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

use crate::sqlite::collation::Collation;

/// By what the rows of both sides are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// As SQLite orders values, text by the collation of each key column. An index can give it.
    Native(Vec<Collation>),
    /// By storage class and bytes, whatever the declarations say. SQLite has to sort for it.
    Exact,
}

/// The name under which SQL knows `exact_bytes`.
const EXACT: &str = "_rowferry_exact";

impl Order {
    /// The terms of ORDER BY for these columns, written as SQL names them.
    pub(super) fn terms(&self, columns: &[String]) -> String {
        let terms: Vec<String> = match self {
            Order::Native(collations) => {
                let pairs = columns.iter().zip(collations);
                pairs
                    .map(|(column, collation)| format!("{column} COLLATE {}", collation.name()))
                    .collect()
            }
            Order::Exact => columns.iter().map(|column| format!("{EXACT}({column})")).collect(),
        };
        terms.join(", ")
    }

    /// Compares the value of the key column at `place`.
    pub(super) fn compare(&self, place: usize, a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
        match (self, a, b) {
            (Order::Native(_), ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(&b),
            (Order::Native(collations), a, b) => native(a, b, collations[place]),
            (Order::Exact, a, b) => exact(a, b),
        }
    }
}

/// SQLite's own order: null, numbers by value, text by collation, blobs by bytes.
fn native(a: ValueRef<'_>, b: ValueRef<'_>, collation: Collation) -> Ordering {
    let rank = |value| match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    };
    match (a, b) {
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(&b),
        (ValueRef::Integer(a), ValueRef::Real(b)) => integer_and_real(a, b),
        (ValueRef::Real(a), ValueRef::Integer(b)) => integer_and_real(b, a).reverse(),
        (ValueRef::Real(a), ValueRef::Real(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal), // SQLite keeps no NaN
        (ValueRef::Text(a), ValueRef::Text(b)) => collation.compare(a, b),
        (ValueRef::Blob(a), ValueRef::Blob(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// By value, without the loss that a cast of either to the other's type would bring.
fn integer_and_real(integer: i64, real: f64) -> Ordering {
    const END: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if real >= END {
        return Ordering::Less;
    }
    if real < -END {
        return Ordering::Greater;
    }
    let whole = real.trunc();
    integer
        .cmp(&(whole as i64))
        .then_with(|| whole.partial_cmp(&real).unwrap_or(Ordering::Equal))
}

fn exact(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    match (a, b) {
        (ValueRef::Text(a), ValueRef::Text(b)) | (ValueRef::Blob(a), ValueRef::Blob(b)) => a.cmp(b),
        (a, b) => exact_bytes(a).cmp(&exact_bytes(b)),
    }
}

/// A letter for the class and the value's bytes: the same just when the values are the same by
/// class and bit.
fn exact_bytes(value: ValueRef<'_>) -> Vec<u8> {
    let with = |class: u8, bytes: &[u8]| [&[class], bytes].concat();
    match value {
        ValueRef::Blob(bytes) => with(b'b', bytes),
        ValueRef::Integer(integer) => with(b'i', &integer.to_be_bytes()),
        ValueRef::Null => with(b'n', &[]),
        ValueRef::Real(real) => with(b'r', &real.to_bits().to_be_bytes()),
        ValueRef::Text(bytes) => with(b't', bytes),
    }
}

/// Lets SQL order by `exact_bytes`.
pub(super) fn add_function(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(EXACT, 1, flags, |args| Ok(exact_bytes(args.get_raw(0))))
}

#[cfg(test)]
mod tests {
    use rusqlite::types::{ToSqlOutput, Value};

    use super::*;
    use crate::sqlite::values::exactly;

    const EDGE: i64 = 1 << 53;

    fn values() -> Vec<ValueRef<'static>> {
        let integers = [
            i64::MIN,
            i64::MIN + 1,
            -EDGE - 1,
            -1,
            0,
            1,
            EDGE - 1,
            EDGE,
            EDGE + 1,
            EDGE + 2,
            i64::MAX - 1,
            i64::MAX,
        ];
        let edge = EDGE as f64;
        let end = -(i64::MIN as f64);
        let reals = [
            f64::NEG_INFINITY,
            -end.next_up(),
            -end,
            -edge,
            -0.5,
            -0.0,
            0.0,
            5e-324,
            0.5,
            1.0,
            edge,
            edge + 2.0,
        ];
        let large = [end.next_down(), end, 1e300, f64::INFINITY];
        let bytes: [&[u8]; 16] = [
            b"",
            b" ",
            b"\0",
            b"\0 ",
            b"a",
            b"A",
            b"a ",
            b"a  ",
            b"a\0b",
            b"A\0c",
            b"a\0",
            b"[",
            b"_z",
            b"z",
            b"\xc3\xa9",
            b"\xff",
        ];
        let numbers = integers
            .map(ValueRef::Integer)
            .into_iter()
            .chain(reals.into_iter().chain(large).map(ValueRef::Real));
        numbers
            .chain(bytes.map(ValueRef::Text))
            .chain(bytes.map(ValueRef::Blob))
            .collect()
    }

    #[test]
    fn the_native_order_is_that_of_sqlite() {
        let connection = Connection::open_in_memory().unwrap();
        for collation in Collation::ALL {
            let name = collation.name();
            let compare = format!("SELECT (?1 > ?2 COLLATE {name}) - (?1 < ?2 COLLATE {name})");
            let mut statement = connection.prepare(&compare).unwrap();
            for a in values() {
                for b in values() {
                    let pair = [a, b].map(ToSqlOutput::Borrowed);
                    let theirs: i64 = statement.query_row(pair, |row| row.get(0)).unwrap();
                    assert_eq!(native(a, b, collation) as i64, theirs, "{a:?} and {b:?} by {name}");
                }
            }
        }
    }

    #[test]
    fn the_exact_order_is_that_of_its_function_and_tells_all_apart() {
        let connection = Connection::open_in_memory().unwrap();
        add_function(&connection).unwrap();
        let mut statement = connection.prepare(&format!("SELECT {EXACT}(?1)")).unwrap();
        for (i, a) in values().into_iter().enumerate() {
            let Value::Blob(by_sql) = statement
                .query_row([ToSqlOutput::Borrowed(a)], |row| row.get(0))
                .unwrap()
            else {
                panic!("no blob for {a:?}");
            };
            for (j, b) in values().into_iter().enumerate() {
                assert_eq!(exact(a, b), by_sql.cmp(&exact_bytes(b)), "{a:?} and {b:?}");
                assert_eq!(
                    (exact(a, b).is_eq(), exactly(a, b)),
                    (i == j, i == j),
                    "{a:?} and {b:?}"
                );
            }
        }
    }
}
