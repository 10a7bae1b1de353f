//! Fetching. An answer of the crate can be too little, can hide records, or can be unreadable as a
//! whole: it is asked for again, with other windows, until what came is what the log holds.

use std::sync::Arc;
use std::time::Duration;

use kafka::client::FetchPartition;
use kafka::client::fetch::Response;

use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchPosition, FetchedPartition};
use crate::broker::transport::crate_kafka::client::Client;
use crate::broker::transport::crate_kafka::errors::kafka_error;
use crate::broker::transport::crate_kafka::readers::Reader;
use crate::broker::transport::crate_kafka::records::Answered;
use crate::broker::transport::crate_kafka::unpack;
use crate::broker::transport::records::Records;
use crate::broker::transport::requests::{FetchRequest, PartitionAnswer};

/// A position and the window to ask for it with.
#[derive(Debug, Clone)]
pub(super) struct PartitionFetch {
    pub position: FetchPosition,
    pub window: i32,
}

/// What came of a partition.
enum Outcome {
    Answer(Result<FetchedPartition, KafkaError>),
    /// Nothing, for its window was too small.
    Grown,
}

impl Client {
    /// Has our own client take over where the answer takes one.
    pub(crate) fn fetch(&mut self, host: &str, request: &FetchRequest) -> Result<Vec<PartitionAnswer>, KafkaError> {
        let answers = self.fetch_in_turn(host, request);
        let errors = answers
            .iter()
            .flatten()
            .filter_map(|answer| answer.outcome.as_ref().err());
        if errors.chain(answers.as_ref().err()).any(|error| self.hands_over(error)) {
            // The next client is another one, and asks again.
            return Err(KafkaError::passing("the other client takes over").broken());
        }
        answers
    }

    /// What the crate is not to see takes turns with what it reads, as the positions do: of each kind
    /// there is more than one answer brings.
    fn fetch_in_turn(&mut self, host: &str, request: &FetchRequest) -> Result<Vec<PartitionAnswer>, KafkaError> {
        let readers = self.readers(host, &request.positions)?;
        let Some(&first) = readers.first() else {
            return Ok(Vec::new());
        };
        let mut of_first = request.clone();
        let mut reader = readers.iter();
        of_first.positions.retain(|_| reader.next() == Some(&first));
        if of_first.positions.len() < request.positions.len() {
            of_first.max_wait = Duration::ZERO;
        }
        match first {
            Reader::Own => self.read_ourselves(host, &of_first),
            Reader::Crate => self.fetch_by_crate(host, &of_first),
        }
    }

    fn fetch_by_crate(&mut self, host: &str, request: &FetchRequest) -> Result<Vec<PartitionAnswer>, KafkaError> {
        self.expect_leader(host, request.positions.iter().map(|position| &position.at))?;
        loop {
            let asks = self.asks(request);
            // Partitions that are left out must not wait for those that are asked.
            let is_whole = asks.len() == request.positions.len();
            let wait = if is_whole { request.max_wait } else { Duration::ZERO };
            let response = match self.request(&asks, wait) {
                Ok(response) => response,
                Err(error) if error.is_beyond_the_crate().is_some() && self.config.can_go_native() => {
                    return Err(error);
                }
                Err(error) if error.is_unreadable() => match self.unreadable(host, asks, error)? {
                    Some(answer) => return Ok(vec![answer]),
                    None => continue,
                },
                Err(error) => return Err(error),
            };
            let mut answers = Vec::new();
            let mut has_grown = false;
            for ask in asks {
                match self.judge(host, &response, &ask, request.partition_bytes) {
                    Outcome::Answer(outcome) => answers.push(PartitionAnswer {
                        position: ask.position,
                        outcome,
                    }),
                    Outcome::Grown => has_grown = true,
                }
            }
            if !(answers.is_empty() && has_grown) {
                return Ok(answers);
            }
        }
    }

    /// Whether our own client takes over, because the crate cannot do what this is about.
    fn hands_over(&self, error: &KafkaError) -> bool {
        error
            .is_beyond_the_crate()
            .is_some_and(|why| self.config.go_native(why))
    }

    /// As many of the positions as go into one request, one at least; one that is to be asked
    /// alone, alone.
    fn asks(&self, request: &FetchRequest) -> Vec<PartitionFetch> {
        let mut asks: Vec<PartitionFetch> = Vec::with_capacity(request.positions.len());
        let mut bytes = 0_i32;
        for position in &request.positions {
            let window = self.windows.size(&position.at, request.partition_bytes);
            bytes = bytes.saturating_add(window);
            let is_alone = self.windows.is_alone(&position.at);
            if !asks.is_empty() && (is_alone || bytes > request.total_bytes) {
                break;
            }
            let position = position.clone();
            asks.push(PartitionFetch { position, window });
            if is_alone {
                break;
            }
        }
        asks
    }

    /// Asks the leader of the positions.
    pub(super) fn request(&mut self, asks: &[PartitionFetch], wait: Duration) -> Result<Arc<Response>, KafkaError> {
        self.ask(self.config.limit + wait, |kafka| {
            kafka.set_fetch_max_wait_time(wait).map_err(|e| kafka_error(&e))?;
            let asks = asks.iter().map(|PartitionFetch { position, window }| {
                FetchPartition::new(&position.at.topic, position.at.partition, position.offset).with_max_bytes(*window)
            });
            let mut responses = unpack::guarded(|| kafka.fetch_messages(asks).map_err(|e| kafka_error(&e)))?;
            match (responses.pop(), responses.is_empty()) {
                (Some(response), true) => Ok(Arc::new(response)),
                _ => Err(KafkaError::passing("the partitions have moved to another leader")),
            }
        })
    }

    /// An answer could not be read. Of several partitions each is asked alone then, to tell which
    /// it is. Of one, what lies before the unreadable batch is answered first.
    fn unreadable(
        &mut self,
        host: &str,
        mut asks: Vec<PartitionFetch>,
        error: KafkaError,
    ) -> Result<Option<PartitionAnswer>, KafkaError> {
        if asks.len() > 1 {
            self.windows.ask_alone(asks.iter().map(|ask| &ask.position.at));
            return Ok(None);
        }
        let ask = asks.swap_remove(0);
        let before = if error.is_fatal() {
            self.before_unreadable(host, &ask)
        } else {
            None
        };
        let FetchPosition { at, offset } = &ask.position;
        let outcome = before.ok_or_else(|| error.at(&format!("{at}, offset {offset} (at {host})")));
        Ok(Some(PartitionAnswer {
            position: ask.position,
            outcome,
        }))
    }

    /// What lies before a batch that is not to be read: the largest half, quarter and so on of the
    /// window in which it is not. Those records land, and what the position is then is the batch's.
    fn before_unreadable(&mut self, host: &str, ask: &PartitionFetch) -> Option<FetchedPartition> {
        let mut ask = ask.clone();
        while ask.window > 1 {
            ask.window /= 2;
            match self.request(std::slice::from_ref(&ask), Duration::ZERO) {
                Ok(response) => {
                    let found = Answered::find(&response, host, &ask.position.at, ask.position.offset).ok()?;
                    return (!found.is_empty() && !found.begins_with_hole()).then(|| believed(&ask, found));
                }
                Err(error) if error.is_unreadable() => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// What an answer means for one of its partitions.
    fn judge(&mut self, host: &str, response: &Arc<Response>, ask: &PartitionFetch, share: i32) -> Outcome {
        let FetchPosition { at, offset } = &ask.position;
        let found = match Answered::find(response, host, at, *offset) {
            Ok(found) if found.begins_with_hole() => self.look_again(host, ask, found),
            found => found,
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return Outcome::Answer(Err(error)),
        };
        if found.is_empty() && found.high_watermark < *offset {
            return Outcome::Answer(Err(KafkaError::unknown_high_watermark(at)));
        }
        let more = found.next_offset() < found.high_watermark;
        if found.is_empty() && more {
            return match self.behind_no_records(host, ask) {
                Ok(Some(behind)) => {
                    let Answered {
                        records,
                        high_watermark,
                        ..
                    } = found;
                    let position = ask.position.clone();
                    let records = Records::Crate(records);
                    Outcome::Answer(Ok(FetchedPartition::new(position, behind, high_watermark, records)))
                }
                Ok(None) if self.windows.grow(at, share, ask.window) => Outcome::Grown,
                Ok(None) => Outcome::Answer(Err(too_large(ask))),
                Err(error) => Outcome::Answer(Err(error.at(&at.to_string()))),
            };
        }
        self.windows.learn(at, share, found.wire_size(), more);
        Outcome::Answer(Ok(believed(ask, found)))
    }
}

fn believed(ask: &PartitionFetch, found: Answered) -> FetchedPartition {
    let next = found.next_offset();
    let records = Records::Crate(found.records);
    FetchedPartition::new(ask.position.clone(), next, found.high_watermark, records)
}

pub(super) fn too_large(ask: &PartitionFetch) -> KafkaError {
    let FetchPosition { at, offset } = &ask.position;
    KafkaError::fatal(
        format!(
            "{at}: the record at offset {offset} is larger than {} MiB, more than this client reads",
            ask.window >> 20
        ),
        "look at it with kafka-dump-log.sh; kafka-delete-records.sh can remove it, if it may be lost",
    )
}
