//! What one partition answered: records that lie in the crate's answer.

use std::sync::Arc;

use kafka::client::fetch::{self, Response};
use kafka::error::KafkaCode;

use crate::broker::error::KafkaError;
use crate::broker::message::Message;
use crate::broker::produce_batch::FRAME;
use crate::broker::transport::crate_kafka::errors::code_of;
use crate::model::TopicPartition;

#[derive(Debug)]
pub(crate) struct Records {
    response: Arc<Response>,
    /// Where in the response the partition stands.
    topic: usize,
    partition: usize,
}

#[derive(Clone, Copy)]
pub(crate) struct View<'a>(&'a [fetch::Message<'a>]);

/// What an answer holds for a partition, not believed yet.
pub(crate) struct Answered {
    pub records: Records,
    /// The offset that was asked for.
    pub asked: i64,
    pub high_watermark: i64,
}

const LEFT_OUT: &str = "leaves it out of its answer";

impl Answered {
    /// Finds a partition's part in the answer of `host`.
    pub(crate) fn find(
        response: &Arc<Response>,
        host: &str,
        at: &TopicPartition,
        asked: i64,
    ) -> Result<Self, KafkaError> {
        let wrong = |why: &str| KafkaError::passing(format!("{at}: {host} {why}"));
        let topics = response.topics();
        let topic = topics.iter().position(|t| *t.topic() == *at.topic);
        let topic = topic.ok_or_else(|| wrong(LEFT_OUT))?;
        let partitions = topics[topic].partitions();
        let partition = partitions.iter().position(|p| p.partition() == at.partition);
        let partition = partition.ok_or_else(|| wrong(LEFT_OUT))?;
        match partitions[partition].data() {
            Ok(data) if !are_of_a_log(data.messages(), asked) => {
                Err(wrong("sends offsets that are not those of a log"))
            }
            Ok(data) => Ok(Self {
                records: Records {
                    response: response.clone(),
                    topic,
                    partition,
                },
                asked,
                high_watermark: data.highwatermark_offset(),
            }),
            Err(e) => {
                let code = match *e {
                    kafka::Error::Kafka(code) => code,
                    _ => KafkaCode::Unknown,
                };
                Err(code_of(code).at(&at.to_string()))
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.view().len() == 0
    }

    /// The offset of the first record, or the one that was asked for.
    pub(crate) fn first_offset(&self) -> i64 {
        self.records.view().0.first().map_or(self.asked, |first| first.offset)
    }

    /// Whether the first record is not the one that was asked for.
    pub(crate) fn begins_with_hole(&self) -> bool {
        self.first_offset() > self.asked
    }

    /// The offset behind the last record, or the one that was asked for.
    pub(crate) fn next_offset(&self) -> i64 {
        self.records.view().0.last().map_or(self.asked, |last| last.offset + 1)
    }

    /// Bytes that the records take on the wire, uncompressed.
    pub(crate) fn wire_size(&self) -> usize {
        let size = |message: &fetch::Message<'_>| message.key.len() + message.value.len() + FRAME;
        self.records.view().0.iter().map(size).sum()
    }
}

impl Records {
    pub(crate) fn view(&self) -> View<'_> {
        match self.response.topics()[self.topic].partitions()[self.partition].data() {
            Ok(data) => View(data.messages()),
            Err(_) => View(&[]),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(self, place: usize) -> Message<'a> {
        let message = &self.0[place];
        Message {
            offset: message.offset,
            key: message.key,
            value: message.value,
            key_is_null: message.key.is_empty(),
            value_is_null: message.value.is_empty(),
        }
    }
}

/// Whether the offsets rise from the one that was asked for on, and another can come behind them:
/// all that is done with them builds on it.
fn are_of_a_log(messages: &[fetch::Message<'_>], asked: i64) -> bool {
    let mut least = asked.max(0);
    messages.iter().all(|message| {
        let follows = message.offset >= least && message.offset < i64::MAX;
        least = message.offset.saturating_add(1);
        follows
    })
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
            are_of_a_log(&offsets.iter().map(message).collect::<Vec<_>>(), asked)
        };
        assert!(follow(&[], 0) && follow(&[5, 6, 9], 5) && follow(&[7], 5) && follow(&[i64::MAX - 1], 0));
        for odd in [&[4, 5][..], &[5, 5], &[6, 5], &[i64::MAX], &[i64::MAX, i64::MIN], &[-1]] {
            assert!(!follow(odd, 5), "{odd:?}");
        }
        assert!(!follow(&[-1], -1));
    }
}
