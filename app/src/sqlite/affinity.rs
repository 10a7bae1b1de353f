//! What a column's type does to values: which it stores as they are, and which it would convert.

use crate::model::{Column, TableSchema, Value};

/// What the declared type of a column does to the values that are stored in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// Keeps everything as it is.
    Blob,
    /// Turns numbers into text.
    Text,
    /// Turns text that reads as a number, and whole reals, into numbers.
    Numeric,
    /// Turns integers, and text that reads as a number, into reals.
    Real,
    /// A column of a STRICT table, or the rowid: converts or refuses every other class.
    Only(Class),
}

/// The storage classes that a column can be confined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Integer,
    Real,
    Text,
    Blob,
}

impl Affinity {
    /// What a declared type means, by SQLite's own rules.
    pub(crate) fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if strict {
            return match declared.as_str() {
                "INT" | "INTEGER" => Affinity::Only(Class::Integer),
                "REAL" => Affinity::Only(Class::Real),
                "TEXT" => Affinity::Only(Class::Text),
                "BLOB" => Affinity::Only(Class::Blob),
                _ => Affinity::Blob,
            };
        }
        if has("INT") {
            Affinity::Numeric
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if declared.is_empty() || has("BLOB") {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }

    /// The affinity of each column of a table.
    pub(crate) fn of_columns(shape: &TableSchema) -> Vec<Self> {
        let of_column = |column: &Column| {
            if shape.rowid_alias && column.pk > 0 {
                return Affinity::Only(Class::Integer);
            }
            Affinity::of(&column.declared, shape.strict)
        };
        shape.columns.iter().map(of_column).collect()
    }

    /// The type that a CAST names to convert a value as such a column does; none where it leaves
    /// all alone.
    pub(crate) fn cast(self) -> Option<&'static str> {
        match self {
            Affinity::Blob | Affinity::Only(Class::Blob) => None,
            Affinity::Text | Affinity::Only(Class::Text) => Some("TEXT"),
            Affinity::Numeric | Affinity::Only(Class::Integer) => Some("NUMERIC"),
            Affinity::Real | Affinity::Only(Class::Real) => Some("REAL"),
        }
    }

    /// Whether the value comes back from such a column as it went in.
    pub(crate) fn keeps(self, value: &Value<'_>) -> bool {
        match (self, value) {
            (_, Value::Null) => true,
            (_, Value::Real(r)) if r.is_nan() => false,
            (Affinity::Blob, _) => true,
            (Affinity::Text, Value::Integer(_) | Value::Real(_)) => false,
            (Affinity::Numeric, Value::Real(r)) => !becomes_integer(*r),
            (Affinity::Real, Value::Integer(_)) => false,
            (Affinity::Real | Affinity::Only(Class::Real), Value::Real(r)) => !is_minus_zero(*r),
            (Affinity::Numeric | Affinity::Real, Value::Text(t)) => !reads_as_number(t),
            (Affinity::Only(class), value) => class.is_of(value),
            _ => true,
        }
    }
}

impl Class {
    fn is_of(self, value: &Value<'_>) -> bool {
        matches!(
            (self, value),
            (Class::Integer, Value::Integer(_))
                | (Class::Real, Value::Real(_))
                | (Class::Text, Value::Text(_))
                | (Class::Blob, Value::Blob(_))
        )
    }
}

/// Whether a NUMERIC or INTEGER column stores this real as an integer.
fn becomes_integer(real: f64) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    real > -END && real < END && real.trunc() == real
}

/// A REAL column keeps whole numbers as integers, which know no -0.0.
fn is_minus_zero(real: f64) -> bool {
    real == 0.0 && real.is_sign_negative()
}

/// Whether a column with a numeric affinity stores this text as a number: blanks, sign, digits with
/// a point, exponent, blanks; a zero byte ends it.
fn reads_as_number(text: &[u8]) -> bool {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let signed = |t: &mut &[u8]| {
        if let [b'+' | b'-', rest @ ..] = *t {
            *t = rest;
        }
    };
    let digits = |t: &mut &[u8]| {
        let count = t.iter().take_while(|b| b.is_ascii_digit()).count();
        *t = &t[count..];
        count
    };
    let text = text.split(|b| *b == 0).next().unwrap_or(text);
    let start = text.iter().take_while(|b| blank(b)).count();
    let mut rest = &text[start..];
    signed(&mut rest);
    let mut found = digits(&mut rest);
    if let [b'.', after @ ..] = rest {
        rest = after;
        found += digits(&mut rest);
    }
    if found == 0 {
        return false;
    }
    if let [b'e' | b'E', after @ ..] = rest {
        rest = after;
        signed(&mut rest);
        if digits(&mut rest) == 0 {
            return false;
        }
    }
    rest.iter().all(blank)
}
