//! Reading a part of a topic from one offset to another, as far as the log holds it.

use crate::model::TopicPartition;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::{Cluster, FetchPosition, Message};
use crate::error::{Error, Kind, Result};
use crate::model::RecordId;
use crate::stop::Stop;
use crate::wire::decode;
use crate::wire::fingerprint::fingerprint;
use crate::wire::sign::{SignKey, Signer};

/// The longest that one fetch waits.
const WAIT: Duration = Duration::from_millis(500);

/// Offsets of a partition, the last one not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// What stands at an offset.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Record(Record<'a>),
    /// No record at this offset, nor at those before the next part: expired, compacted, or never records.
    Hole {
        partition: i32,
        offset: i64,
    },
}

#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub partition: i32,
    pub message: Message<'a>,
    /// Who has to have signed it to be believed, if anybody.
    pub signer: Option<&'a Signer>,
}

impl Part<'_> {
    pub fn partition(&self) -> i32 {
        match self {
            Part::Record(record) => record.partition,
            Part::Hole { partition, .. } => *partition,
        }
    }
}

impl<'a> Record<'a> {
    pub fn fingerprint(&self) -> u64 {
        fingerprint(self.message.key, self.message.value)
    }

    /// Its stamp, if one of this source's runs sent it, as far as that can be told.
    pub fn stamp_of(&self, source: &str) -> Option<RecordId<'a>> {
        let Message { key, value, .. } = self.message;
        let stamp = decode::record_id(value).filter(|stamp| stamp.source == source)?;
        let is_genuine = self.signer.is_none_or(|signer| signer.has_signed(key, value));
        is_genuine.then_some(stamp)
    }

    /// Epoch and number, if one of this source's runs sent it.
    pub fn number_of(&self, source: &str) -> Option<(u64, u64)> {
        self.stamp_of(source).map(|stamp| (stamp.epoch, stamp.seq))
    }
}

/// Gives what stands in the spans to `each`, of each partition in order, until all is read or `each` has seen enough (false).
pub fn read(
    cluster: &Cluster,
    key: Option<&SignKey>,
    topic: &Arc<str>,
    mut spans: Vec<Span>,
    stop: &Stop,
    each: &mut dyn FnMut(Part<'_>) -> Result<bool>,
) -> Result<()> {
    spans.retain(|span| span.from < span.to);
    let mut fetcher = cluster.fetcher();
    let mut moved = Instant::now();
    let signer_of = |span: &Span| Some((span.partition, key?.signer(topic, span.partition)));
    let signers: Vec<_> = spans.iter().filter_map(signer_of).collect();
    while !spans.is_empty() {
        stop.check()?;
        let positions: Vec<FetchPosition> = spans
            .iter()
            .map(|span| FetchPosition {
                at: TopicPartition {
                    topic: topic.clone(),
                    partition: span.partition,
                },
                offset: span.from,
            })
            .collect();
        let fetched = fetcher.fetch(&positions, WAIT)?;
        let before = spans.clone();
        for chunk in &fetched.chunks {
            let Some(span) = spans.iter_mut().find(|span| span.partition == chunk.at().partition) else {
                continue;
            };
            let signer = signers.iter().find(|(of, _)| *of == chunk.at().partition);
            let signer = signer.map(|(_, signer)| signer);
            for message in chunk.records() {
                if message.offset >= span.to {
                    break;
                }
                let partition = span.partition;
                let record = Part::Record(Record {
                    partition,
                    message,
                    signer,
                });
                if message.offset >= span.from && !(span.pass_to(message.offset, each)? && each(record)?) {
                    return Ok(());
                }
                span.from = span.from.max(message.offset + 1);
            }
            if !span.pass_to(chunk.next_offset(), each)? {
                return Ok(());
            }
        }
        for out in &fetched.out_of_range {
            let span = spans.iter_mut().find(|span| span.partition == out.at.partition);
            match span {
                Some(span) if out.earliest > span.from => {
                    if !span.pass_to(out.earliest, each)? {
                        return Ok(());
                    }
                }
                _ => return Err(changed(topic, out.at.partition)),
            }
        }
        spans.retain(|span| span.from < span.to);
        if spans != before {
            moved = Instant::now();
        } else if moved.elapsed() > cluster.patience() {
            return Err(changed(topic, spans[0].partition));
        }
    }
    Ok(())
}

impl Span {
    /// Passes over the offsets before `offset`; false when `each` has seen enough.
    fn pass_to(&mut self, offset: i64, each: &mut dyn FnMut(Part<'_>) -> Result<bool>) -> Result<bool> {
        let (hole, to) = (self.from, offset.min(self.to));
        if hole >= to {
            return Ok(true);
        }
        self.from = to;
        each(Part::Hole {
            partition: self.partition,
            offset: hole,
        })
    }
}

fn changed(topic: &str, partition: i32) -> Error {
    Error::new(
        Kind::Forked,
        format!("topic \"{topic}\" partition {partition}: the log lost its end while it was read"),
    )
}
