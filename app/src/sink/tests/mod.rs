//! Tests of the sink against real database files.

mod bindings;
mod conversions;
mod foreign;
mod landing;
mod open;
mod passes;
mod reached;
mod shapes;
mod types;
mod write_turn;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use super::{Landed, LastTaken, Sink, SinkPosition};
use crate::model::{Column, LastApplied, TableSchema, TopicId, TopicPartition, Value};
use crate::sqlite::names::quote;
use crate::sqlite::values::borrow;
use crate::stop::Stop;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rowferry-sink-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn sink_path(&self) -> PathBuf {
        self.0.join("sink.db")
    }

    fn sink(&self) -> Sink {
        Sink::open(&self.sink_path(), Stop::default()).unwrap()
    }

    /// Someone else's connection to the sink's file.
    fn user(&self) -> Connection {
        Connection::open(self.sink_path()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A table with these columns: name, declared type, place in the key.
fn schema(table: &str, columns: &[(&str, &str, usize)]) -> TableSchema {
    let column = |(name, declared, pk): &(&str, &str, usize)| Column {
        name: name.to_string(),
        declared: declared.to_string(),
        collation: "BINARY".into(),
        pk: *pk,
        pk_collation: "BINARY".into(),
    };
    let keys: Vec<_> = columns.iter().filter(|c| c.2 > 0).collect();
    TableSchema {
        table: table.into(),
        columns: columns.iter().map(column).collect(),
        strict: false,
        without_rowid: false,
        rowid_alias: keys.len() == 1 && keys[0].1 == "INTEGER",
    }
}

/// The position of a partition at its first record.
fn position(partition: i32) -> SinkPosition {
    SinkPosition::new(TopicPartition::new("topic", partition), 0)
}

fn int(i: i64) -> Value<'static> {
    Value::Integer(i)
}

fn real(r: f64) -> Value<'static> {
    Value::Real(r)
}

fn text(t: &str) -> Value<'static> {
    Value::Text(Cow::Owned(t.as_bytes().to_vec()))
}

fn bytes(b: &[u8]) -> Value<'static> {
    Value::Text(Cow::Owned(b.to_vec()))
}

fn blob(b: &[u8]) -> Value<'static> {
    Value::Blob(Cow::Owned(b.to_vec()))
}

/// What a query finds, by class and bits.
fn query(conn: &Connection, sql: &str) -> Vec<Vec<Value<'static>>> {
    let mut statement = conn.prepare(sql).unwrap();
    let width = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        found.push(
            (0..width)
                .map(|i| borrow(row.get_ref(i).unwrap()).into_owned())
                .collect(),
        );
    }
    found
}

/// Lands rows in partition 0 in a transaction of their own, after the schema.
fn land(sink: &mut Sink, schema: &TableSchema, rows: &[Vec<Value<'static>>]) -> Vec<Landed> {
    let mut position = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut position, &Arc::new(schema.clone()), None).unwrap();
    let landed = rows
        .iter()
        .map(|row| landing.upsert(&position, None, row).unwrap())
        .collect();
    landing.commit().unwrap();
    landed
}

fn sql_of(conn: &Connection, table: &str) -> String {
    conn.query_row("SELECT sql FROM sqlite_master WHERE name = ?1", [table], |r| r.get(0))
        .unwrap()
}

fn open_error(path: &Path) -> String {
    match Sink::open(path, Stop::default()) {
        Ok(_) => panic!("{} opened", path.display()),
        Err(e) => e.to_string(),
    }
}
