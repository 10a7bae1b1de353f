//! Turns a table's events into numbered records, batched by partition.

use std::sync::Arc;

use crate::broker::{ProduceBatch, partition_for};
use crate::model::{RunHeader, TopicPartition, Value};
use crate::source::{Event, Partitioning, Run, Tracked};
use crate::wire::encode::Encoder;
use crate::wire::names;
use crate::wire::sign::{SignKey, Signer};

/// A row that stays behind, and why.
#[derive(Debug, Clone)]
pub(crate) struct KeptBack {
    pub(crate) key: Vec<Value<'static>>,
    /// The key as JSON.
    pub(crate) text: String,
    pub(crate) reason: String,
}

/// What one batch became.
#[derive(Default)]
pub(crate) struct EncodedBatch {
    /// Records of each partition that has any.
    pub(crate) produce_batches: Vec<ProduceBatch>,
    /// The number of each batch's last record.
    pub(crate) last_seqs: Vec<u64>,
    pub(crate) rows: u64,
    pub(crate) kept_back: Vec<KeptBack>,
}

/// Numbers and batches the records of one table for one run.
pub(crate) struct BatchEncoder {
    topic: Arc<str>,
    id: Arc<str>,
    run: Run,
    partitioning: Partitioning,
    encoder: Encoder,
    /// The full pass that began with the run's first records.
    begun: Option<u64>,
    /// Per partition: the last number given, and what an earlier run had acknowledged.
    sequences: Vec<(u64, Option<(u64, u64)>)>,
    batches: Vec<ProduceBatch>,
    /// Of each partition, where records are signed.
    signers: Vec<Signer>,
    batch: EncodedBatch,
    key: Vec<u8>,
    folded: Vec<u8>,
}

impl BatchEncoder {
    pub(crate) fn new(run: Run, tracked: &Tracked, partitioning: Partitioning, key: Option<&SignKey>) -> Self {
        let partitions = partitioning.partitions;
        let topic: Arc<str> = tracked.topic.as_str().into();
        let id: Arc<str> = tracked.id.as_str().into();
        let sequences = (0..partitions)
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
            batches: (0..partitions)
                .map(|p| ProduceBatch::new(TopicPartition::new(topic.clone(), p)))
                .collect(),
            topic,
            id,
            run,
            partitioning,
            begun: None,
            sequences,
            batch: EncodedBatch::default(),
            key: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// The topic, and how many partitions of it this run knows.
    pub(crate) fn topic_partitions(&self) -> (Arc<str>, i32) {
        (self.topic.clone(), self.partitioning.partitions)
    }

    /// Adds one event to the batch.
    pub(crate) fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Begin { pass, .. } if self.begun == Some(pass) => {}
            Event::Begin { pass, schema } => {
                self.encoder =
                    Encoder::new(schema.clone(), &self.run.source, self.run.epoch).with_table_id(self.id.clone());
                self.open(Some(pass));
            }
            Event::Upsert { key, row } => {
                let (at, seq) = self.place(key);
                let (batch, signer) = (&mut self.batches[at], self.signers.get(at));
                put(batch, signer, &self.key, |out| self.encoder.row(row, seq, out));
                self.batch.rows += 1;
            }
            Event::Delete { key } => {
                let (at, seq) = self.place(key);
                put(&mut self.batches[at], self.signers.get(at), &self.key, |out| {
                    self.encoder.deletion(key, seq, out);
                });
                // A tombstone, for compaction and for others who read the topic.
                self.batches[at].push(&self.key, None);
                self.batch.rows += 1;
            }
            Event::End { pass } => {
                self.note(&names::PASS, |encoder, _, seq, out| encoder.pass_end(pass, seq, out));
            }
            Event::Refused { key, reason } => self.batch.kept_back.push(KeptBack {
                key: key.iter().map(|value| value.borrow().into_owned()).collect(),
                text: self.key_text(key),
                reason: reason.to_owned(),
            }),
        }
    }

    /// The run's first record in every partition, with which a full pass begins where one is due.
    pub(crate) fn fence(&mut self, pass: Option<u64>) -> EncodedBatch {
        self.begun = pass;
        self.open(pass);
        self.take()
    }

    /// The batch so far; the next one starts empty.
    pub(crate) fn take(&mut self) -> EncodedBatch {
        for (partition, batch) in self
            .batches
            .iter_mut()
            .enumerate()
            .filter(|(_, batch)| !batch.is_empty())
        {
            self.batch.produce_batches.push(batch.take());
            self.batch.last_seqs.push(self.sequences[partition].0);
        }
        std::mem::take(&mut self.batch)
    }

    /// The partition and the number of a row's record; its key is left in `self.key`.
    fn place(&mut self, key: &[Value<'_>]) -> (usize, u64) {
        self.key.clear();
        self.encoder.key(key, &mut self.key);
        self.folded.clear();
        let decides = if self.encoder.partition_key(key, &mut self.folded) {
            &self.folded
        } else {
            &self.key
        };
        let at = partition_for(decides, self.sequences.len() as i32) as usize;
        (at, self.next(at))
    }

    fn next(&mut self, at: usize) -> u64 {
        self.sequences[at].0 += 1;
        self.sequences[at].0
    }

    /// The schema record stands in every partition where the run begins, and where a pass does.
    fn open(&mut self, begin: Option<u64>) {
        let first = self.sequences[0].0 == 0;
        let full = begin.is_some();
        let Partitioning {
            partitions,
            repartitioned_at,
        } = self.partitioning;
        self.note(&names::SCHEMA, |encoder, acked, seq, out| {
            let header = first.then_some(RunHeader {
                acked,
                full,
                partitions: Some(partitions),
                repartitioned_at,
            });
            encoder.schema_record(header.as_ref(), begin, seq, out);
        });
    }

    /// A record that speaks of the table, in every partition.
    fn note(&mut self, kind: &names::Member, write: impl Fn(&Encoder, Option<(u64, u64)>, u64, &mut Vec<u8>)) {
        self.key.clear();
        self.encoder.table_key(kind, &mut self.key);
        for at in 0..self.sequences.len() {
            let (seq, acked) = (self.next(at), self.sequences[at].1);
            put(&mut self.batches[at], self.signers.get(at), &self.key, |out| {
                write(&self.encoder, acked, seq, out);
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
fn put(batch: &mut ProduceBatch, signer: Option<&Signer>, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
    batch.arena().extend_from_slice(key);
    batch.close_key();
    let start = batch.arena().len();
    value(batch.arena());
    if let Some(signer) = signer {
        signer.sign(key, start, batch.arena());
    }
    batch.close_value();
}
