//! What a row costs in each room, without Kafka: `cargo bench --bench micro`.

use std::borrow::Cow;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use kafka_protocol::records::{
    Compression, Record as ProtocolRecord, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use rowferry::fuzzing::{decode_batches, encode_batch};
use rowferry::model::{Column, Schemas, TableSchema, Value};
use rowferry::sink::{Sink, SinkPosition};
use rowferry::stop::Stop;
use rowferry::wire::decode::Record;
use rowferry::wire::encode::Encoder;
use rowferry::wire::rows::Reader;

const ROWS: usize = 10_000;

fn main() {
    divan::main();
}

fn schema() -> Arc<TableSchema> {
    let column = |(name, declared): &(&str, &str)| Column {
        name: name.to_string(),
        declared: declared.to_string(),
        collation: "BINARY".into(),
        pk: usize::from(*name == "id"),
        pk_collation: "BINARY".into(),
    };
    let columns = [
        ("id", "INTEGER"),
        ("name", "TEXT"),
        ("email", "TEXT"),
        ("age", "INTEGER"),
        ("balance", "REAL"),
    ];
    Arc::new(TableSchema {
        table: "users".into(),
        columns: columns.iter().map(column).collect(),
        strict: false,
        without_rowid: false,
        rowid_alias: true,
    })
}

fn text(text: String) -> Value<'static> {
    Value::Text(Cow::Owned(text.into_bytes()))
}

fn rows() -> Vec<Vec<Value<'static>>> {
    let row = |id: i64| {
        vec![
            Value::Integer(id),
            text(format!("Somebody with the number {id}")),
            text(format!("somebody.{id}@example.com")),
            Value::Integer(id % 90),
            Value::Real(id as f64 / 7.0),
        ]
    };
    (1..=ROWS as i64).map(row).collect()
}

fn records() -> Vec<Vec<u8>> {
    let encoder = Encoder::new(schema(), "0123456789ab", 1_800_000_000_000_000);
    let record = |(i, row): (usize, Vec<Value<'_>>)| {
        let mut out = Vec::new();
        encoder.row(&row, i as u64 + 2, &mut out);
        out
    };
    rows().into_iter().enumerate().map(record).collect()
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (encoder, rows, mut out) = (Encoder::new(schema(), "0123456789ab", 1), rows(), Vec::new());
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        out.clear();
        for (seq, row) in (1..).zip(&rows) {
            encoder.row(row, seq, &mut out);
        }
        black_box(out.len())
    });
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let (schemas, records) = (Schemas::default(), records());
    let schema = schemas.shared(TableSchema::clone(&schema()));
    let mut reader = Reader::new(Some(schema.clone()), schemas);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut spare = Vec::new();
        let mut room = usize::MAX;
        let rows = reader.read(records.iter().map(|record| (&[][..], record.as_slice())), &mut room);
        for (at, record) in records.iter().enumerate() {
            let Ok(Record::Row { row, .. }) = rows.record(at, Some(record), Some(&schema), std::mem::take(&mut spare))
            else {
                panic!("not read as a row");
            };
            spare = rowferry::model::recycle(black_box(row));
        }
    });
}

/// Rows that are new to the table, then the same ones again.
#[divan::bench(args = ["insert", "update"])]
fn apply(bencher: Bencher<'_, '_>, what: &str) {
    let (schema, rows) = (schema(), rows());
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| {
            let mut scene = Scene::new();
            if what == "update" {
                scene.apply(&schema, &rows);
            }
            scene
        })
        .bench_local_refs(|scene| scene.apply(&schema, &rows));
}

/// A sink in a folder that goes when the round ends.
struct Scene {
    folder: PathBuf,
    sink: Sink,
    position: SinkPosition,
}

impl Scene {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("rowferry-micro-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let position = SinkPosition::new(rowferry::model::TopicPartition::new("users", 0), 0);
        let sink = Sink::open(&folder.join("sink.db"), Stop::default()).expect("a sink can be made");
        Self { folder, sink, position }
    }

    fn apply(&mut self, schema: &Arc<TableSchema>, rows: &[Vec<Value<'_>>]) {
        let mut landing = self.sink.begin().expect("begins");
        landing
            .schema(&mut self.position, schema, None)
            .expect("the table is made");
        for row in rows {
            landing.upsert(&self.position, None, row).expect("lands");
        }
        landing.commit().expect("commits");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Rows as they go into a batch.
fn pairs(records: &[Vec<u8>]) -> impl Iterator<Item = (Option<&[u8]>, Option<&[u8]>)> {
    records.iter().map(|record| (Some(&record[..8]), Some(&record[..])))
}

fn batch(codec: &str) -> Bytes {
    let mut out = Vec::new();
    let number = CODECS.iter().position(|name| *name == codec).expect("a codec");
    encode_batch(number, pairs(&records()), &mut out);
    out.into()
}

#[divan::bench(args = CODECS)]
fn write_batch(bencher: Bencher<'_, '_>, codec: &str) {
    let (records, mut out) = (records(), Vec::new());
    let number = CODECS.iter().position(|name| *name == codec).expect("a codec");
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        out.clear();
        encode_batch(number, pairs(&records), &mut out);
        black_box(out.len())
    });
}

#[divan::bench(args = CODECS)]
fn read_batch(bencher: Bencher<'_, '_>, codec: &str) {
    let answer = batch(codec);
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| black_box(decode_batches(&answer)));
}

/// The same, uncompressed, by the crate kafka-protocol.
#[divan::bench]
fn write_batch_kafka_protocol(bencher: Bencher<'_, '_>) {
    let records: Vec<Bytes> = records().into_iter().map(Bytes::from).collect();
    let record = |(i, value): (usize, &Bytes)| ProtocolRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: i as i64,
        sequence: -1,
        timestamp: -1,
        key: Some(value.slice(..8)),
        value: Some(value.clone()),
        headers: Default::default(),
    };
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let records: Vec<ProtocolRecord> = records.iter().enumerate().map(record).collect();
        let mut out = BytesMut::new();
        RecordBatchEncoder::encode(&mut out, &records, &options).expect("encodes");
        black_box(out.len())
    });
}

#[divan::bench]
fn read_batch_kafka_protocol(bencher: Bencher<'_, '_>) {
    let answer = batch("none");
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let sets = RecordBatchDecoder::decode_all(&mut answer.clone()).expect("decodes");
        black_box(sets.iter().map(|set| set.records.len()).sum::<usize>())
    });
}
