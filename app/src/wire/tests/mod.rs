//! What one end writes the other reads.
//!
//! - `rows`: rows, deletions and what decides their partition
//! - `table_records`: records that speak of the table
//! - `others`: others' records and keys, and what is no record
//! - `random`: rows made of chance

mod others;
mod random;
mod rows;
mod table_records;

use crate::model::{Column, RunHeader, TableSchema, Value};
use crate::wire::decode::{self, Record, RecordKey};
use crate::wire::encode::{Encoder, placeholder};

fn column(name: &str, declared: &str, pk: usize, pk_collation: &str) -> Column {
    Column {
        name: name.into(),
        declared: declared.into(),
        collation: "BINARY".into(),
        pk,
        pk_collation: pk_collation.into(),
    }
}

fn schema() -> TableSchema {
    TableSchema {
        table: "us\"ers".into(),
        columns: vec![
            column("id", "TEXT", 2, "NOCASE"),
            column("a \"b\"", "", 0, "BINARY"),
            column("n", "INT", 1, "BINARY"),
        ],
        strict: false,
        without_rowid: false,
        rowid_alias: false,
    }
}

fn encoder() -> Encoder {
    Encoder::new(schema().into(), "s0", 7)
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.as_bytes().into())
}

fn written(write: impl FnOnce(&Encoder, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&encoder(), &mut out);
    String::from_utf8(out).unwrap()
}

fn reason(value: &[u8], schema: Option<&TableSchema>) -> String {
    match decode::record(value, schema, Vec::new()) {
        Err(reason) => reason,
        Ok(_) => panic!("{} was read", String::from_utf8_lossy(value)),
    }
}
