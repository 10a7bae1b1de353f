//! Fetched records of one partition, as they lie in the answer that brought them: nothing is copied.

use crate::model::TopicPartition;
use std::ops::Range;
use std::sync::Arc;

use kafka::client::fetch::{self, Response};

use crate::broker::produce_batch::FRAME;

/// A record. A null key or value reads as an empty one: the `kafka` crate does not tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub offset: i64,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// What a partition answered: its records from the offset that was asked for, and how far the log goes.
#[derive(Debug)]
pub struct FetchedPartition {
    at: TopicPartition,
    asked: i64,
    /// Up to where there are no records, when none came.
    passed: i64,
    high_water: i64,
    records: Records,
}

/// Where the records lie.
#[derive(Debug)]
enum Records {
    /// In a response, and where in it the partition stands: topic, partition.
    Response(Arc<Response>, (usize, usize)),
    #[cfg(test)]
    Made(&'static [fetch::Message<'static>]),
}

/// What a response holds for a partition.
pub(super) enum PartitionAnswer {
    Records(FetchedPartition),
    Code(i16),
    /// What a broker does not do.
    Wrong(&'static str),
}

const LEFT_OUT: &str = "leaves it out of its answer";

/// Whether the offsets rise from the one that was asked for on, and another can come behind them: all that is done with them builds on it.
fn follow(messages: &[fetch::Message<'_>], asked: i64) -> bool {
    let mut least = asked.max(0);
    messages.iter().all(|message| {
        let follows = message.offset >= least && message.offset < i64::MAX;
        least = message.offset.saturating_add(1);
        follows
    })
}

impl FetchedPartition {
    /// Finds a partition's part in an answer.
    pub(super) fn find(response: &Arc<Response>, at: &TopicPartition, asked: i64) -> PartitionAnswer {
        let Some((t, found)) = response
            .topics()
            .iter()
            .enumerate()
            .find(|(_, t)| *t.topic() == *at.topic)
        else {
            return PartitionAnswer::Wrong(LEFT_OUT);
        };
        let Some(p) = found.partitions().iter().position(|p| p.partition() == at.partition) else {
            return PartitionAnswer::Wrong(LEFT_OUT);
        };
        match found.partitions()[p].data() {
            Ok(data) if !follow(data.messages(), asked) => {
                PartitionAnswer::Wrong("sends offsets that are not those of a log")
            }
            Ok(data) => PartitionAnswer::Records(Self {
                at: at.clone(),
                asked,
                passed: asked,
                high_water: data.highwatermark_offset(),
                records: Records::Response(response.clone(), (t, p)),
            }),
            Err(e) => match *e {
                kafka::Error::Kafka(code) => PartitionAnswer::Code(code as i16),
                _ => PartitionAnswer::Code(-1),
            },
        }
    }

    /// What a partition answered by the word of a test: records by offset, key and value, then nothing up to `next`.
    #[cfg(test)]
    pub(crate) fn made(
        at: TopicPartition,
        asked: i64,
        next: i64,
        high_water: i64,
        records: &[(i64, &str, &str)],
    ) -> Self {
        let leak = |text: &str| &*Box::leak(text.as_bytes().to_vec().into_boxed_slice());
        let made = records.iter().map(|(offset, key, value)| fetch::Message {
            offset: *offset,
            key: leak(key),
            value: leak(value),
        });
        Self {
            at,
            asked,
            passed: next,
            high_water,
            records: Records::Made(Box::leak(made.collect())),
        }
    }

    pub fn at(&self) -> &TopicPartition {
        &self.at
    }

    /// The offset that was asked for.
    pub fn asked(&self) -> i64 {
        self.asked
    }

    /// The offset that the partition's next record will get.
    pub fn high_water(&self) -> i64 {
        self.high_water
    }

    /// The records, in order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        self.messages().iter().map(message)
    }

    /// Some of the records, by their places.
    pub fn records_at(&self, places: Range<usize>) -> impl Iterator<Item = Message<'_>> {
        self.messages()[places].iter().map(message)
    }

    /// The last record below an offset that has a value: tombstones of one key are all alike.
    pub fn last_below(&self, offset: i64) -> Option<Message<'_>> {
        let messages = self.messages();
        let below = messages.partition_point(|message| message.offset < offset);
        let last = messages[..below]
            .iter()
            .rposition(|message| !message.value.is_empty())?;
        Some(message(&messages[last]))
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.messages().len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages().is_empty()
    }

    /// The offset to ask for next.
    pub fn next_offset(&self) -> i64 {
        self.messages().last().map_or(self.passed, |last| last.offset + 1)
    }

    /// The offsets between the one that was asked for and the last that the log does not hold: taken out by compaction, or never
    /// records (a transaction's marks). That they are not only hidden has been checked.
    pub fn holes(&self) -> impl Iterator<Item = Range<i64>> {
        let mut expected = self.asked;
        let offsets = self.messages().iter().map(|message| message.offset);
        let end = self.is_empty().then_some(self.passed);
        offsets.chain(end).filter_map(move |offset| {
            let hole = expected..offset;
            expected = offset + 1;
            (!hole.is_empty()).then_some(hole)
        })
    }

    /// Bytes that the records take on the wire, uncompressed.
    pub(super) fn wire_size(&self) -> usize {
        let size = |message: &fetch::Message<'_>| message.key.len() + message.value.len() + FRAME;
        self.messages().iter().map(size).sum()
    }

    /// Whether the partition is read on where it was read before.
    pub fn stands_still(&self) -> bool {
        self.next_offset() == self.asked
    }

    /// The same chunk without records, now known to hold none up to `passed`.
    pub(super) fn passing(self, passed: i64) -> Self {
        Self { passed, ..self }
    }

    /// Whether the first record is not the one that was asked for.
    pub(super) fn begins_with_hole(&self) -> bool {
        self.first_offset() > self.asked
    }

    /// The offset of the first record, or the one that was asked for.
    pub(super) fn first_offset(&self) -> i64 {
        self.messages().first().map_or(self.asked, |first| first.offset)
    }

    fn messages(&self) -> &[fetch::Message<'_>] {
        match &self.records {
            Records::Response(response, (topic, partition)) => {
                let data = response.topics()[*topic].partitions()[*partition].data();
                data.map_or(&[], |data| data.messages())
            }
            #[cfg(test)]
            Records::Made(made) => made,
        }
    }
}

fn message<'a>(message: &fetch::Message<'a>) -> Message<'a> {
    Message {
        offset: message.offset,
        key: message.key,
        value: message.value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_that_rise_from_where_was_asked_are_those_of_a_log() {
        let follow = |offsets: &[i64], asked| {
            let message = |&offset| fetch::Message {
                offset,
                key: &[],
                value: &[],
            };
            super::follow(&offsets.iter().map(message).collect::<Vec<_>>(), asked)
        };
        assert!(follow(&[], 0) && follow(&[5, 6, 9], 5) && follow(&[7], 5) && follow(&[i64::MAX - 1], 0));
        for odd in [&[4, 5][..], &[5, 5], &[6, 5], &[i64::MAX], &[i64::MAX, i64::MIN], &[-1]] {
            assert!(!follow(odd, 5), "{odd:?}");
        }
        assert!(!follow(&[-1], -1));
    }
}
