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
use crate::broker::error_codes::{RetryClass, retry_class};
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

/// After format 0 was seen, so many fetches go by until the next look. To read ourselves for longer
/// than need be does no harm.
const REST: u8 = 8;

/// What the last look at a partition showed.
#[derive(Debug, Clone, Copy)]
enum Log {
    /// From this offset on the crate may read.
    New {
        from: i64,
    },
    Old {
        rest: u8,
    },
}

/// What the looks at partitions showed, and the leader of each.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<TopicPartition, (String, Log)>);

impl Looks {
    /// Who reads at a position; none when it is time for a look.
    fn reader(&self, host: &str, position: &FetchPosition) -> Option<Reader> {
        let (leader, log) = self.0.get(&position.at)?;
        match log {
            _ if leader != host => None,
            Log::New { from } => (*from <= position.offset).then_some(Reader::Crate),
            Log::Old { rest } => (*rest > 0).then_some(Reader::Own),
        }
    }

    fn note(&mut self, host: &str, position: &FetchPosition, log: Log) {
        self.0.insert(position.at.clone(), (host.to_string(), log));
    }

    /// A fetch of a partition begins.
    fn pass(&mut self, at: &TopicPartition) {
        if let Some((_, Log::Old { rest })) = self.0.get_mut(at) {
            *rest = rest.saturating_sub(1);
        }
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
            .filter(|position| self.looks.reader(host, position).is_none())
            .map(|position| PartitionFetch {
                position: position.clone(),
                window: WINDOW,
            })
            .collect();
        if !unchecked.is_empty() {
            self.check(host, &unchecked)?;
        }
        let readers = positions.iter().map(|position| {
            let reader = self.looks.reader(host, position).unwrap_or(Reader::Own);
            self.looks.pass(&position.at);
            reader
        });
        Ok(readers.collect())
    }

    /// Notes what a look at these shows.
    fn check(&mut self, host: &str, unchecked: &[PartitionFetch]) -> Result<(), KafkaError> {
        let all = self.see(host, unchecked)?;
        for (ask, seen) in unchecked.iter().zip(all) {
            let alone = match seen {
                Seen::Nothing => self.see(host, slice::from_ref(ask))?,
                seen => vec![seen],
            };
            let FetchPosition { offset: from, .. } = ask.position;
            let log = match alone[..] {
                // When nothing comes of it alone either, there is nothing up to the end.
                [Seen::New | Seen::Nothing] => Log::New { from },
                [Seen::Format0] => Log::Old { rest: REST },
                _ => continue,
            };
            self.looks.note(host, &ask.position, log);
        }
        Ok(())
    }

    fn see(&mut self, host: &str, asks: &[PartitionFetch]) -> Result<Vec<Seen>, KafkaError> {
        let mut answer = self.fetch_ourselves(host, Version::V4, asks, Duration::ZERO)?;
        // What is refused for good is not asked for again.
        for PartitionFetch { position, .. } in asks {
            let at = (position.at.topic.to_string(), position.at.partition);
            let code = answer.get(&at).map_or(0, |data| data.error_code);
            if code != 0 && retry_class(code) == RetryClass::Fatal {
                return Err(KafkaError::code(code).at(&position.at.to_string()));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: i64) -> FetchPosition {
        let at = TopicPartition::new("t", 0);
        FetchPosition { at, offset }
    }

    #[test]
    fn the_format_is_told_by_the_first_batch_and_the_end_by_the_high_watermark() {
        let message = |format: u8| [&[0; 16][..], &[format]].concat();
        let seen = |records: Vec<u8>, high_watermark, code| {
            let data = PartitionData::default()
                .with_records(Some(records.into()))
                .with_high_watermark(high_watermark)
                .with_error_code(code);
            seen(&data, &position(5))
        };
        for (format, expected) in [(0, Seen::Format0), (1, Seen::New), (2, Seen::New)] {
            assert_eq!(seen(message(format), 9, 0), expected);
            assert_eq!(seen(message(format), 9, 6), Seen::Unknown, "it does not lead");
        }
        assert_eq!(seen(Vec::new(), 5, 0), Seen::New);
        assert_eq!(seen(Vec::new(), 9, 0), Seen::Nothing);
        assert_eq!(seen(vec![0; 16], 9, 0), Seen::Nothing);
        assert_eq!(seen(Vec::new(), 4, 0), Seen::Unknown);
    }

    #[test]
    fn a_look_counts_for_its_leader_and_from_its_offset_on() {
        let (mut looks, at) = (Looks::default(), position(5));
        assert_eq!(looks.reader("a", &at), None);
        looks.note("a", &at, Log::New { from: 5 });
        assert_eq!(looks.reader("a", &position(4)), None);
        assert_eq!(looks.reader("b", &at), None);
        assert_eq!(
            [5, 6].map(|offset| looks.reader("a", &position(offset))),
            [Some(Reader::Crate); 2]
        );
        looks.note("a", &at, Log::Old { rest: REST });
        for _ in 0..REST {
            assert_eq!(looks.reader("a", &at), Some(Reader::Own));
            looks.pass(&at.at);
        }
        assert_eq!(looks.reader("a", &at), None);
    }
}
