//! This room against real SQLite files: what a reader gives is replayed into a model of the
//! sink, which must equal the table.

mod changes;
mod fork;
mod locks;
mod partitioning;
mod random;
mod readonly;
mod reshape;
mod source_state;
mod tables;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::values::packed;
use super::{Acked, Capture, ChangeReader, Checkpoint, Event, Run, SourceState, Tracked, schema};
use crate::error::{Error, Result};
use crate::model::{TableSchema, Value};
use crate::sqlite::names::{quote, rowid_name};
use crate::sqlite::values::borrow;
use crate::stop::Stop;

/// A folder that goes away with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "rowferry-source-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The sink as the events make it: rows by key, both packed.
#[derive(Default)]
struct Model {
    rows: HashMap<Vec<u8>, Vec<u8>>,
    unvisited: HashSet<Vec<u8>>,
    schema: Option<Arc<TableSchema>>,
    begun: u64,
    events: u64,
    refused: Vec<Vec<Value<'static>>>,
}

impl Model {
    fn take(&mut self, event: Event<'_>) -> Result<()> {
        self.events += 1;
        match event {
            Event::Begin { pass, schema } => {
                assert!(pass > self.begun, "a pass begins with a new id");
                self.begun = pass;
                self.schema = Some(schema.clone());
                self.unvisited = self.rows.keys().cloned().collect();
            }
            Event::Upsert { key, row } => {
                assert_eq!(row.len(), self.schema.as_ref().expect("a pass has begun").columns.len());
                let key = packed(key);
                self.unvisited.remove(&key);
                self.rows.insert(key, packed(row));
            }
            Event::Delete { key } => {
                let key = packed(key);
                self.unvisited.remove(&key);
                self.rows.remove(&key);
            }
            Event::Refused { key, .. } => self.refused.push(key.iter().map(|v| v.borrow().into_owned()).collect()),
            Event::End { pass } => {
                assert_eq!(pass, self.begun);
                for key in self.unvisited.drain() {
                    self.rows.remove(&key);
                }
            }
        }
        Ok(())
    }
}

/// A source with one table, its producer's side of this room, and the user's own connection.
struct Ferry {
    path: PathBuf,
    user: Connection,
    state: SourceState,
    changes: ChangeReader,
    tracked: Tracked,
    run: Run,
    model: Model,
    /// Checkpoints of batches that are under way.
    unnoted: VecDeque<Checkpoint>,
    table: String,
    _folder: Folder,
}

impl Ferry {
    /// Makes the source by `sql` and begins a run on its table.
    fn new(table: &str, sql: &str) -> Ferry {
        let folder = Folder::new();
        let path = folder.file("source.db");
        let user = Connection::open(&path).unwrap();
        user.execute_batch("PRAGMA synchronous = OFF").unwrap();
        user.execute_batch(sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
        let (state, run, tracked, changes) = start(&path, table, "topic", false).unwrap();
        Ferry {
            path,
            user,
            state,
            changes,
            tracked,
            run,
            model: Model::default(),
            unnoted: VecDeque::new(),
            table: table.to_owned(),
            _folder: folder,
        }
    }

    fn sql(&self, sql: &str) {
        self.user.execute_batch(sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
    }

    /// Reads one batch; false when there is nothing to ship.
    fn step(&mut self, rows: usize) -> bool {
        let model = &mut self.model;
        let checkpoint = self
            .changes
            .read(rows, 1 << 20, &mut |event| model.take(event))
            .unwrap();
        let more = checkpoint.is_some();
        self.unnoted.extend(checkpoint);
        more
    }

    /// Notes the oldest batch that is under way.
    fn note(&mut self) {
        if let Some(checkpoint) = self.unnoted.pop_front() {
            self.state.note(&[(checkpoint.clone(), vec![])]).unwrap();
        }
    }

    /// Ships all that is there; how many events that took.
    fn drain(&mut self) -> u64 {
        let before = self.model.events;
        while self.step(64) {
            self.note();
        }
        while !self.unnoted.is_empty() {
            self.note();
        }
        self.model.events - before
    }

    /// Ends the run as a crash would, with batches under way, and begins another.
    fn restart(&mut self) {
        self.restart_with(false);
    }

    fn restart_with(&mut self, backfill: bool) {
        self.unnoted.clear();
        let (state, run, tracked, changes) = start(&self.path, &self.table, "topic", backfill).unwrap();
        (self.state, self.run, self.tracked, self.changes) = (state, run, tracked, changes);
    }

    /// What the table holds now, as the model should.
    fn table(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        let schema = schema::read(&self.user, &self.table).unwrap();
        let columns = schema
            .columns
            .iter()
            .map(|c| quote(&c.name))
            .collect::<Vec<_>>()
            .join(", ");
        let rowid = rowid_name(&schema).filter(|_| schema.keyed_by_rowid());
        let lead = rowid.map_or(String::new(), |rowid| format!("{}, ", quote(rowid)));
        let sql = format!("SELECT {lead}{columns} FROM {}", quote(&schema.table));
        let mut statement = self.user.prepare(&sql).unwrap();
        let skip = usize::from(!lead.is_empty());
        let rows = statement.query_map([], |row| {
            let values = (0..skip + schema.columns.len())
                .map(|i| borrow(row.get_ref(i).unwrap()))
                .collect::<Vec<_>>();
            let (rowid, values) = values.split_at(skip);
            let key: Vec<Value<'_>> = if schema.keyed_by_rowid() {
                rowid.to_vec()
            } else {
                schema.key().into_iter().map(|i| values[i].clone()).collect()
            };
            Ok((key.iter().all(|v| !v.is_null()).then(|| packed(&key)), packed(values)))
        });
        rows.unwrap()
            .filter_map(|row| row.map(|(key, row)| Some((key?, row))).unwrap())
            .collect()
    }

    /// Ships all that is there and compares.
    #[track_caller]
    fn assert_equal(&mut self) {
        self.drain();
        let table = self.table();
        let missing = table
            .iter()
            .filter(|(key, _)| !self.model.rows.contains_key(*key))
            .count();
        let extra = self.model.rows.keys().filter(|key| !table.contains_key(*key)).count();
        assert!(
            table == self.model.rows,
            "{} rows; {missing} missing, {extra} extra, or different ones",
            table.len()
        );
    }
}

fn start(path: &Path, table: &str, topic: &str, backfill: bool) -> Result<(SourceState, Run, Tracked, ChangeReader)> {
    start_with(path, table, topic, backfill, Capture::Triggers)
}

fn start_with(
    path: &Path,
    table: &str,
    topic: &str,
    backfill: bool,
    capture: Capture,
) -> Result<(SourceState, Run, Tracked, ChangeReader)> {
    let mut state = SourceState::open(path, capture, Stop::default())?;
    let run = state.begin_run(0)?;
    let tracked = state.track(table, topic, backfill)?;
    let changes = ChangeReader::open(path, capture, &run, &tracked, true, Stop::default())?;
    Ok((state, run, tracked, changes))
}
