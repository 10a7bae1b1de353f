//! What is to be shipped, in its order.

use std::sync::Arc;

use crate::model::{TableSchema, Value};

/// What a `ChangeReader` gives, in the order in which it is to be shipped.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A full pass begins: all rows of the table follow, in this schema.
    Begin { pass: u64, schema: &'a Arc<TableSchema> },
    /// A row as it is now, in the order of the schema's columns; the key in key order, or the rowid
    /// alone.
    Upsert { key: &'a [Value<'a>], row: &'a [Value<'a>] },
    /// A row that is gone.
    Delete { key: &'a [Value<'a>] },
    /// A row that cannot travel.
    Refused { key: &'a [Value<'a>], reason: &'a str },
    /// The full pass is complete.
    End { pass: u64 },
}
