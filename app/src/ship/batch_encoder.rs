//! Turns a table's events into numbered records, bundled by partition.

use crate::model::TopicPartition;
use std::sync::Arc;

use crate::broker::{ProduceBatch, partition_for};
use crate::model::RunHeader;
use crate::model::Value;
use crate::source::{Event, Partitioning, Run, Tracked};
use crate::wire::encode::Encoder;
use crate::wire::names;
use crate::wire::sign::{SignKey, Signer};

/// A row that stays behind, and why.
#[derive(Debug, Clone)]
pub struct KeptBack {
    pub key: Vec<Value<'static>>,
    /// The key as JSON.
    pub text: String,
    pub reason: String,
}

/// What one batch became.
#[derive(Default)]
pub struct EncodedBatch {
    /// Records of each partition that has any.
    pub bundles: Vec<ProduceBatch>,
    /// The number of each bundle's last record.
    pub last_seqs: Vec<u64>,
    pub rows: u64,
    pub kept_back: Vec<KeptBack>,
}

/// Numbers and bundles the records of one table for one run.
pub struct BatchEncoder {
    topic: Arc<str>,
    id: Arc<str>,
    run: Run,
    spread: Partitioning,
    encoder: Encoder,
    /// The full pass that began with the run's first records.
    begun: Option<u64>,
    /// Per partition: the last number given, and what an earlier run had acknowledged.
    lanes: Vec<(u64, Option<(u64, u64)>)>,
    bundles: Vec<ProduceBatch>,
    /// Of each partition, where records are signed.
    signers: Vec<Signer>,
    load: EncodedBatch,
    key: Vec<u8>,
    folded: Vec<u8>,
}

impl BatchEncoder {
    pub fn new(run: Run, tracked: &Tracked, spread: Partitioning, key: Option<&SignKey>) -> Self {
        let partitions = spread.partitions;
        let topic: Arc<str> = tracked.topic.as_str().into();
        let id: Arc<str> = tracked.id.as_str().into();
        let lanes = (0..partitions)
            .map(|p| {
                let noted = tracked.acked.iter().find(|a| a.partition == p);
                (0, noted.map(|a| (a.epoch, a.seq)))
            })
            .collect();
        Self {
            encoder: Encoder::new(tracked.schema.clone(), &run.source, run.epoch).with_table_id(id.clone()),
            signers: key.map_or(Vec::new(), |key| {
                (0..partitions).map(|p| key.signer(&topic, p)).collect()
            }),
            bundles: (0..partitions)
                .map(|p| ProduceBatch::new(TopicPartition::new(topic.clone(), p)))
                .collect(),
            topic,
            id,
            run,
            spread,
            begun: None,
            lanes,
            load: EncodedBatch::default(),
            key: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// The topic, and how many partitions of it this run knows.
    pub fn spreads_over(&self) -> (Arc<str>, i32) {
        (self.topic.clone(), self.spread.partitions)
    }

    /// Adds one event to the load.
    pub fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Begin { pass, .. } if self.begun == Some(pass) => {}
            Event::Begin { pass, schema } => {
                self.encoder =
                    Encoder::new(schema.clone(), &self.run.source, self.run.epoch).with_table_id(self.id.clone());
                self.open(Some(pass));
            }
            Event::Upsert { key, row } => {
                let (at, seq) = self.place(key);
                let (bundle, signer) = (&mut self.bundles[at], self.signers.get(at));
                put(bundle, signer, &self.key, |out| self.encoder.row(row, seq, out));
                self.load.rows += 1;
            }
            Event::Delete { key } => {
                let (at, seq) = self.place(key);
                put(&mut self.bundles[at], self.signers.get(at), &self.key, |out| {
                    self.encoder.deletion(key, seq, out);
                });
                // A tombstone, for compaction and for others who read the topic.
                self.bundles[at].push(&self.key, None);
                self.load.rows += 1;
            }
            Event::End { pass } => {
                self.note(&names::PASS, |encoder, _, seq, out| encoder.pass_end(pass, seq, out));
            }
            Event::Refused { key, reason } => self.load.kept_back.push(KeptBack {
                key: key.iter().map(|value| value.borrow().into_owned()).collect(),
                text: self.key_text(key),
                reason: reason.to_owned(),
            }),
        }
    }

    /// The run's first record in every partition, with which a full pass begins where one is due.
    pub fn fence(&mut self, pass: Option<u64>) -> EncodedBatch {
        self.begun = pass;
        self.open(pass);
        self.take()
    }

    /// The load so far; the next one starts empty.
    pub fn take(&mut self) -> EncodedBatch {
        for (partition, bundle) in self
            .bundles
            .iter_mut()
            .enumerate()
            .filter(|(_, bundle)| !bundle.is_empty())
        {
            self.load.bundles.push(bundle.take());
            self.load.last_seqs.push(self.lanes[partition].0);
        }
        std::mem::take(&mut self.load)
    }

    /// The partition and the number of a row's record; its key is left in `self.key`.
    fn place(&mut self, key: &[Value<'_>]) -> (usize, u64) {
        self.key.clear();
        self.encoder.key(key, &mut self.key);
        self.folded.clear();
        let decides = match self.encoder.partition_key(key, &mut self.folded) {
            true => &self.folded,
            false => &self.key,
        };
        let at = partition_for(decides, self.lanes.len() as i32) as usize;
        (at, self.next(at))
    }

    fn next(&mut self, at: usize) -> u64 {
        self.lanes[at].0 += 1;
        self.lanes[at].0
    }

    /// The schema record stands in every partition where the run begins, and where a pass does.
    fn open(&mut self, begin: Option<u64>) {
        let first = self.lanes[0].0 == 0;
        let full = begin.is_some();
        let Partitioning { partitions, moved } = self.spread;
        self.note(&names::SCHEMA, |encoder, acked, seq, out| {
            let link = first.then_some(RunHeader {
                acked,
                full,
                partitions: Some(partitions),
                moved,
            });
            encoder.schema_record(link.as_ref(), begin, seq, out);
        });
    }

    /// A record that speaks of the table, in every partition.
    fn note(&mut self, kind: &names::Member, write: impl Fn(&Encoder, Option<(u64, u64)>, u64, &mut Vec<u8>)) {
        self.key.clear();
        self.encoder.table_key(kind, &mut self.key);
        for at in 0..self.lanes.len() {
            let (seq, acked) = (self.next(at), self.lanes[at].1);
            put(&mut self.bundles[at], self.signers.get(at), &self.key, |out| {
                write(&self.encoder, acked, seq, out)
            });
        }
    }

    fn key_text(&self, key: &[Value<'_>]) -> String {
        let mut out = Vec::new();
        self.encoder.key(key, &mut out);
        String::from_utf8(out).expect("keys are written as JSON")
    }
}

/// Writes a record in its place: nothing is copied but the key.
fn put(bundle: &mut ProduceBatch, signer: Option<&Signer>, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
    bundle.arena().extend_from_slice(key);
    bundle.close_key();
    let start = bundle.arena().len();
    value(bundle.arena());
    if let Some(signer) = signer {
        signer.sign(key, start, bundle.arena());
    }
    bundle.close_value();
}
