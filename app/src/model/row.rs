//! The one model of a row, shared by both ends: it knows neither Kafka nor SQLite.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A value in one of the five storage classes. Text is bytes: SQLite keeps what is no UTF-8 too.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, [u8]>),
    Blob(Cow<'a, [u8]>),
}

/// Equal by storage class and by every bit (0.0 is not -0.0, 1 is not 1.0).
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
            (Value::Text(a), Value::Text(b)) | (Value::Blob(a), Value::Blob(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value<'_> {}

impl<'a> Value<'a> {
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Integer(i) => Value::Integer(i),
            Value::Real(r) => Value::Real(r),
            Value::Text(t) => Value::Text(Cow::Owned(t.into_owned())),
            Value::Blob(b) => Value::Blob(Cow::Owned(b.into_owned())),
        }
    }

    /// The same value, borrowed from this one.
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Integer(i) => Value::Integer(*i),
            Value::Real(r) => Value::Real(*r),
            Value::Text(t) => Value::Text(Cow::Borrowed(t)),
            Value::Blob(b) => Value::Blob(Cow::Borrowed(b)),
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

/// Empties a list of values and lends its memory to the next row, whose values live elsewhere.
pub fn recycle<'b>(mut values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.clear();
    values.into_iter().map(|_| unreachable!()).collect()
}

/// One column of a table, as its source declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The declared type as it stands ("" where there is none).
    pub declared: String,
    /// BINARY, NOCASE or RTRIM.
    pub collation: String,
    /// Place in the primary key, from 1; 0 when it is no part of it.
    pub pk: usize,
    /// The collation by which the primary key compares this column.
    pub pk_collation: String,
}

/// What the sink needs to know to make the same table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    pub table: String,
    pub columns: Vec<Column>,
    pub strict: bool,
    pub without_rowid: bool,
    /// The single primary-key column is another name of the rowid.
    pub rowid_alias: bool,
}

/// The name under which the key of a table without a primary key travels.
pub const ROWID: &str = "rowid";

impl TableSchema {
    /// The columns of the primary key in key order, as places in `columns`; none when the rowid is the key.
    pub fn key(&self) -> Vec<usize> {
        let mut key: Vec<usize> = (0..self.columns.len()).filter(|&i| self.columns[i].pk > 0).collect();
        key.sort_by_key(|&i| self.columns[i].pk);
        key
    }

    /// Whether the table has no primary key of its own.
    pub fn keyed_by_rowid(&self) -> bool {
        self.columns.iter().all(|c| c.pk == 0)
    }

    /// The names of the key's members.
    pub fn key_names(&self) -> Vec<&str> {
        match self.keyed_by_rowid() {
            true => vec![ROWID],
            false => self.key().into_iter().map(|i| self.columns[i].name.as_str()).collect(),
        }
    }
}

/// So many schemas are known at most; what is beyond is only not told to be the same.
const MOST_SCHEMAS: usize = 256;

/// The schemas in use, each once, so that equal ones are the same. What nothing uses any more is forgotten: whoever writes to a topic may
/// send as many as they like.
#[derive(Debug, Clone, Default)]
pub struct Schemas(Arc<Mutex<Vec<Weak<TableSchema>>>>);

impl Schemas {
    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        let known = self.0.lock().unwrap();
        known.iter().filter(|known| known.strong_count() > 0).count()
    }

    pub fn shared(&self, schema: TableSchema) -> Arc<TableSchema> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same = None;
        known.retain(|known| match known.upgrade() {
            Some(known) if same.is_none() && *known == schema => {
                same = Some(known);
                true
            }
            known => known.is_some(),
        });
        same.unwrap_or_else(|| {
            let schema = Arc::new(schema);
            if known.len() == MOST_SCHEMAS {
                known.remove(0);
            }
            known.push(Arc::downgrade(&schema));
            schema
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(table: String) -> TableSchema {
        TableSchema {
            table,
            columns: Vec::new(),
            strict: false,
            without_rowid: false,
            rowid_alias: false,
        }
    }

    #[test]
    fn schemas_are_the_same_while_they_are_used_and_forgotten_then() {
        let schemas = Schemas::default();
        let known = |schemas: &Schemas| schemas.0.lock().unwrap().len();
        let first = schemas.shared(schema("t".into()));
        for i in 0..10_000 {
            schemas.shared(schema(format!("t{i}")));
        }
        assert!(Arc::ptr_eq(&first, &schemas.shared(schema("t".into()))));
        assert_eq!(known(&schemas), 1);
        let used: Vec<_> = (0..2000).map(|i| schemas.shared(schema(format!("t{i}")))).collect();
        assert_eq!((used.len(), known(&schemas)), (2000, MOST_SCHEMAS));
    }
}
