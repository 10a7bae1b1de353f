//! Who reads at a position: the crate, or we.
//!
//! The crate unpacks a compressed message that lies in another one, and hands out memory that it
//! has given back. Brokers of 0.8 and 0.9 store such a message, in format 0. All later ones refuse
//! it on Produce, in whatever format they keep a log, and whether they take a batch over as it came
//! or write it anew ("Compressed outer record should not have an inner record with a compression
//! attribute set": `LogValidator`, and up to 0.10.1 `ByteBufferMessageSet`). But a log that they
//! took over keeps its old segments as they are, and what asks for format 0 gets them so.
//!
//! Old sets stand before new ones: a topic's format is raised when the last old broker is gone. So
//! where a broker of 0.11 or later shows a batch of format 1 or 2, or the end of its log, nothing
//! of that kind comes behind it, and the crate may read from there on. Before that we read
//! ourselves, as always where a broker cannot be asked for its batches as they lie in the log.
//! Should one come against all this, `unpack` refuses it.

use std::collections::HashMap;
use std::slice;
use std::time::Duration;

use kafka_protocol::messages::fetch_response::PartitionData;

use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::FetchPosition;
use crate::broker::transport::crate_kafka::batch_header;
use crate::broker::transport::crate_kafka::client::Client;
use crate::broker::transport::crate_kafka::fetch::PartitionFetch;
use crate::broker::transport::crate_kafka::own_fetch::Version;
use crate::broker::versions::BrokerVersions;
use crate::model::TopicPartition;

/// Enough for many batches: of each just the format is looked at.
const WINDOW: i32 = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Crate,
    Own,
}

/// From which offset on the crate may read what a leader hands out.
#[derive(Debug, Default)]
pub(super) struct Checked(HashMap<TopicPartition, (String, i64)>);

impl Checked {
    fn covers(&self, host: &str, position: &FetchPosition) -> bool {
        let known = self.0.get(&position.at);
        known.is_some_and(|(leader, from)| leader == host && *from <= position.offset)
    }

    fn note(&mut self, host: &str, position: &FetchPosition) {
        let from = (host.to_string(), position.offset);
        self.0.insert(position.at.clone(), from);
    }
}

/// What an answer shows of a position.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Format0,
    /// A newer format, or the end of the log.
    New,
    /// No batch, though the log goes on: others may have taken all the room.
    Nothing,
    /// An error, or a leader that does not know yet how far its log goes.
    Unknown,
}

impl Client {
    /// Who is to read at each of these positions of a leader.
    pub(super) fn readers(&mut self, host: &str, positions: &[FetchPosition]) -> Result<Vec<Reader>, KafkaError> {
        let versions = self.config.versions.get();
        if !versions.is_some_and(BrokerVersions::tell_batch_headers) {
            return Ok(vec![Reader::Own; positions.len()]);
        }
        let unchecked: Vec<PartitionFetch> = positions
            .iter()
            .filter(|position| !self.checked.covers(host, position))
            .map(|position| PartitionFetch {
                position: position.clone(),
                window: WINDOW,
            })
            .collect();
        if !unchecked.is_empty() {
            self.check(host, &unchecked)?;
        }
        let reader = |position| {
            if self.checked.covers(host, position) {
                Reader::Crate
            } else {
                Reader::Own
            }
        };
        Ok(positions.iter().map(reader).collect())
    }

    /// Notes which of these the crate may read.
    fn check(&mut self, host: &str, unchecked: &[PartitionFetch]) -> Result<(), KafkaError> {
        let all = self.see(host, unchecked)?;
        for (ask, seen) in unchecked.iter().zip(all) {
            let is_new = match seen {
                Seen::New => true,
                // When nothing comes of it alone either, there is nothing up to the end.
                Seen::Nothing => matches!(self.see(host, slice::from_ref(ask))?[..], [Seen::New | Seen::Nothing]),
                Seen::Format0 | Seen::Unknown => false,
            };
            if is_new {
                self.checked.note(host, &ask.position);
            }
        }
        Ok(())
    }

    fn see(&mut self, host: &str, asks: &[PartitionFetch]) -> Result<Vec<Seen>, KafkaError> {
        let mut answer = self.fetch_ourselves(host, Version::V4, asks, Duration::ZERO)?;
        let seen = asks.iter().map(|PartitionFetch { position, .. }| {
            let at = (position.at.topic.to_string(), position.at.partition);
            answer.remove(&at).map_or(Seen::Unknown, |data| seen(&data, position))
        });
        Ok(seen.collect())
    }
}

fn seen(data: &PartitionData, position: &FetchPosition) -> Seen {
    if data.error_code != 0 || data.high_watermark < position.offset {
        return Seen::Unknown;
    }
    match batch_header::format(data.records.as_deref().unwrap_or_default()) {
        Some(0) => Seen::Format0,
        Some(_) => Seen::New,
        None if data.high_watermark == position.offset => Seen::New,
        None => Seen::Nothing,
    }
}
