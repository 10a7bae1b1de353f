//! Tests of landing, with a real sink and records as they would stand in a log.

mod assignment_run;
mod catch_up;
mod passes;
mod records;
mod topic_ids;
mod waits;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use super::merge_by_key::order;
use super::options::{BadRecords, From, LandOptions, Sharing};
use super::partition_applier::PartitionApplier;
use super::prefetch::Round;
use super::round::{self, LandedRound};
use super::topics::{LandedTopic, LandedTopics};
use crate::broker::FetchedPartition;
use crate::error::Result;
use crate::model::{Column, RunHeader, TableSchema, TopicPartition, Value};
use crate::sink::{Sink, SinkPosition};
use crate::stop::Stop;
use crate::wire::encode::Encoder;
use crate::wire::names;
use crate::wire::rows::DecodedRows;

/// Key and value of a record.
type Record = (String, String);

/// A sink that lands topic "t", whose table is `t(id INTEGER PRIMARY KEY, v INTEGER)`.
struct Consumer {
    folder: PathBuf,
    options: LandOptions,
    sink: Sink,
    topics: LandedTopics,
    appliers: Vec<PartitionApplier>,
}

impl Consumer {
    fn new(partitions: i32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rowferry-land-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let sink = folder.join("sink.db");
        let topic = LandedTopic {
            partitions: (0..partitions).collect(),
            count: partitions,
        };
        Self {
            sink: Sink::open(&sink, Stop::default()).unwrap(),
            folder,
            options: LandOptions {
                sink,
                topics: vec!["t".into()],
                sharing: Sharing::Group {
                    name: "g".into(),
                    session_timeout: std::time::Duration::ZERO,
                    apply_timeout: std::time::Duration::ZERO,
                },
                from: From::Earliest,
                until_caught_up: true,
                print: false,
                on_bad_record: BadRecords::DeadLetter,
                allow_gaps: false,
                heal: false,
                adopt: Vec::new(),
                sign_key: None,
            },
            topics: LandedTopics::from([("t".into(), topic)]),
            appliers: (0..partitions).map(applier).collect(),
        }
    }

    /// Lands records of partitions as one round; they stand in the log from where the partition was
    /// read to.
    fn round(&mut self, parts: &[(i32, &[Record])]) -> Result<LandedRound> {
        let part = |(partition, records): &(i32, &[Record])| {
            let from = self.appliers[*partition as usize].position.next_offset;
            self.part(*partition, from, records)
        };
        let parts = parts.iter().map(part).collect();
        self.land_parts(parts)
    }

    /// Lands what partitions answered as one round.
    fn land_parts(&mut self, parts: Vec<(FetchedPartition, DecodedRows)>) -> Result<LandedRound> {
        let round = Round {
            order: order(&parts),
            parts,
            out_of_range: Vec::new(),
            came_back: Vec::new(),
        };
        round::land(&mut self.sink, &self.options, &self.topics, &mut self.appliers, &round)
    }

    /// Lands records of partition 0, all of them.
    fn land(&mut self, records: &[Record]) {
        let landed = self.round(&[(0, records)]).unwrap();
        assert!(landed.loss.is_none(), "{:?}", landed.loss);
    }

    /// Lands records of partition 0 up to a loss, and tells that.
    fn loss(&mut self, records: &[Record]) -> String {
        self.round(&[(0, records)]).unwrap().loss.expect("a loss").to_string()
    }

    fn part(&self, partition: i32, from: i64, records: &[Record]) -> (FetchedPartition, DecodedRows) {
        let placed = records.iter().enumerate();
        let placed: Vec<_> = placed
            .map(|(i, (key, value))| (from + i as i64, key.as_str(), value.as_str()))
            .collect();
        let end = from + records.len() as i64;
        let fetched = FetchedPartition::made(TopicPartition::new("t", partition), from, end, end, &placed);
        let applier = &self.appliers[partition as usize];
        let mut reader = applier.fetch_start(self.sink.schemas(), None).reader;
        let rows = reader.read(fetched.records().map(|message| (message.key, message.value)), &mut 1000);
        (fetched, rows)
    }

    /// The rows of the table, as `id:v` in order.
    fn rows(&self) -> String {
        let rows = self.query("SELECT group_concat(id || ':' || v, ' ') FROM (SELECT * FROM t ORDER BY id)");
        rows.unwrap_or_default()
    }

    fn query(&self, sql: &str) -> Option<String> {
        let sink = Connection::open(&self.options.sink).unwrap();
        sink.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap()
    }

    fn position(&self, partition: usize) -> SinkPosition {
        self.sink.positions("t").unwrap()[partition].clone()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn applier(partition: i32) -> PartitionApplier {
    let position = SinkPosition::new(TopicPartition::new("t", partition), 0);
    PartitionApplier::new(position, false)
}

/// What a run of source "me" with this epoch sends to a partition.
struct Run(u64);

impl Run {
    fn encoder(&self) -> Encoder {
        let column = |(name, pk): (&str, usize)| Column {
            name: name.into(),
            declared: "INTEGER".into(),
            collation: "BINARY".into(),
            pk,
            pk_collation: "BINARY".into(),
        };
        let schema = TableSchema {
            table: "t".into(),
            columns: [("id", 1), ("v", 0)].map(column).into(),
            strict: false,
            without_rowid: false,
            rowid_alias: true,
        };
        Encoder::new(Arc::new(schema), "me", self.0)
    }

    fn record(
        &self,
        key: &mut dyn FnMut(&Encoder, &mut Vec<u8>),
        value: &mut dyn FnMut(&Encoder, &mut Vec<u8>),
    ) -> Record {
        let encoder = self.encoder();
        let text = |write: &mut dyn FnMut(&Encoder, &mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&encoder, &mut out);
            String::from_utf8(out).unwrap()
        };
        (text(key), text(value))
    }

    /// The run's first record, with what was acknowledged before and the full pass that it begins.
    fn begin(&self, acked: Option<(u64, u64)>, pass: Option<u64>) -> Record {
        self.begin_as(
            RunHeader {
                acked,
                full: pass.is_some(),
                ..RunHeader::default()
            },
            pass,
        )
    }

    fn begin_as(&self, header: RunHeader, pass: Option<u64>) -> Record {
        self.record(
            &mut |encoder, out| encoder.table_key(&names::SCHEMA, out),
            &mut |encoder, out| encoder.schema_record(Some(&header), pass, 1, out),
        )
    }

    fn row(&self, seq: u64, id: i64, v: i64) -> Record {
        self.record(
            &mut |encoder, out| encoder.key(&[Value::Integer(id)], out),
            &mut |encoder, out| encoder.row(&[Value::Integer(id), Value::Integer(v)], seq, out),
        )
    }

    fn deletion(&self, seq: u64, id: i64) -> Record {
        self.record(
            &mut |encoder, out| encoder.key(&[Value::Integer(id)], out),
            &mut |encoder, out| encoder.deletion(&[Value::Integer(id)], seq, out),
        )
    }

    fn pass_end(&self, seq: u64, pass: u64) -> Record {
        self.record(
            &mut |encoder, out| encoder.table_key(&names::PASS, out),
            &mut |encoder, out| encoder.pass_end(pass, seq, out),
        )
    }
}

fn tombstone(id: i64) -> Record {
    (format!("{{\"id\":{id}}}"), String::new())
}

/// The same record, if another source had sent it.
fn of_another((key, value): Record) -> Record {
    (key, value.replace("\"me.", "\"you."))
}
