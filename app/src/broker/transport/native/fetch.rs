//! Fetch. A broker answers the first batch of the first partition that has any, however large, and
//! of the others what the limits leave room for (KIP-74).

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest as KafkaFetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::connection::bounds::Answer;
use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchPosition, FetchedPartition};
use crate::broker::transport::records::Records;
use crate::broker::transport::requests::{FetchRequest, PartitionAnswer};
use crate::model::TopicPartition;

use super::answer::{Answered, read};
use super::client::Client;
use super::memory::PartitionMemory;

/// Nobody's: the one who asks is no replica.
const CONSUMER: i32 = -1;

/// Each request says all that it asks for, and no session is made for it.
const NO_SESSION: i32 = -1;

const READ_COMMITTED: i8 = 1;

/// Between two looks at leaders none of which knows how far its log goes.
const LOOK: Duration = Duration::from_millis(50);

/// What is said of each partition, by topic and number.
type ByPartition = HashMap<(String, i32), PartitionData>;

impl Client {
    pub(crate) fn fetch(&mut self, host: &str, request: &FetchRequest) -> Result<Vec<PartitionAnswer>, KafkaError> {
        let (min_bytes, max_wait) = self.round.wait(request.max_wait);
        let mut answer = self.ask_for_records(host, request, min_bytes, max_wait)?;
        let bytes = answer
            .values()
            .map(|data| data.records.as_ref().map_or(0, bytes::Bytes::len));
        self.round.note_answer(bytes.sum());
        self.decoder.begin_answer();
        let mut answers = Vec::with_capacity(request.positions.len());
        let mut has_unknown = false;
        for (place, position) in request.positions.iter().enumerate() {
            let at = &position.at;
            let Some(data) = answer.remove(&(at.topic.to_string(), at.partition)) else {
                continue;
            };
            let outcome = match read(&mut self.decoder, position, data) {
                Answered::Records { sets, end } => {
                    let epoch = (sets.iter().next_back())
                        .filter(|record| record.offset + 1 == sets.next_offset)
                        .and_then(|_| sets.batches.last())
                        .map(|batch| batch.leader_epoch);
                    if sets.next_offset > position.offset {
                        self.memory.note_read(at, sets.next_offset, epoch);
                    }
                    let (position, next_offset) = (position.clone(), sets.next_offset);
                    Ok(FetchedPartition::new(position, next_offset, end, Records::Native(sets)))
                }
                // The others took all the room, but not the first one's.
                Answered::Nothing { .. } | Answered::Incomplete if place > 0 => continue,
                Answered::Incomplete => {
                    let FetchPosition { at, offset } = position;
                    Err(KafkaError::passing(format!("{at}: no whole batch comes at offset {offset}")).unreadable())
                }
                Answered::Nothing { .. } => match self.look_alone(host, position, request)? {
                    Some(answer) => answer,
                    None => continue,
                },
                Answered::UnknownHighWatermark => {
                    has_unknown = true;
                    continue;
                }
                Answered::CutBack(error) => {
                    self.memory.note_read(at, position.offset, None);
                    Err(error)
                }
                Answered::Failed(error) => Err(error),
            };
            let position = position.clone();
            answers.push(PartitionAnswer { position, outcome });
        }
        if answers.is_empty() && has_unknown {
            let pause = LOOK.min(request.max_wait);
            self.config.stop.sleep(pause).map_err(|_| KafkaError::stopped())?;
        }
        Ok(answers)
    }

    /// The log goes on behind a position, but nothing came of it, though it was asked first. When
    /// nothing comes of it alone either, there are no records up to the end: compaction took the
    /// last ones out. None where it is not so any more.
    fn look_alone(
        &mut self,
        host: &str,
        position: &FetchPosition,
        request: &FetchRequest,
    ) -> Result<Option<Result<FetchedPartition, KafkaError>>, KafkaError> {
        let alone = FetchRequest {
            positions: vec![position.clone()],
            ..request.clone()
        };
        let FetchPosition { at, .. } = position;
        let mut answer = self.ask_for_records(host, &alone, 1, Duration::ZERO)?;
        let Some(data) = answer.remove(&(at.topic.to_string(), at.partition)) else {
            return Ok(None);
        };
        self.decoder.begin_answer();
        Ok(match read(&mut self.decoder, position, data) {
            Answered::Nothing { sets, end } => Some(Ok(FetchedPartition::new(
                position.clone(),
                end,
                end,
                Records::Native(sets),
            ))),
            _ => None,
        })
    }

    fn ask_for_records(
        &mut self,
        host: &str,
        request: &FetchRequest,
        min_bytes: i32,
        max_wait: Duration,
    ) -> Result<ByPartition, KafkaError> {
        let largest = FetchResponse::LARGEST + usize::try_from(request.total_bytes).unwrap_or(0);
        let limit = self.config.limit + max_wait;
        let memory = &self.memory;
        let answer: FetchResponse = self.connections.ask(host, limit, largest, |version| {
            Ok(kafka_request(request, version, min_bytes, max_wait, memory))
        })?;
        if answer.error_code != 0 {
            return Err(KafkaError::code(answer.error_code).at(host));
        }
        let partitions = answer.responses.into_iter().flat_map(|topic| {
            let name = topic.topic;
            topic
                .partitions
                .into_iter()
                .map(move |data| ((name.to_string(), data.partition_index), data))
        });
        Ok(partitions.collect())
    }
}

fn kafka_request(
    request: &FetchRequest,
    version: i16,
    min_bytes: i32,
    max_wait: Duration,
    memory: &PartitionMemory,
) -> KafkaFetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for position in &request.positions {
        let TopicPartition { topic, partition } = &position.at;
        let mut asked = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(position.offset)
            .with_partition_max_bytes(request.partition_bytes);
        if version >= 9 {
            asked = asked.with_current_leader_epoch(memory.leader_epoch(&position.at));
        }
        if version >= 12 {
            asked = asked.with_last_fetched_epoch(memory.epoch_before(position));
        }
        match topics.iter_mut().find(|asked| asked.topic.as_str() == &**topic) {
            Some(topic) => topic.partitions.push(asked),
            None => topics.push(
                FetchTopic::default()
                    .with_topic(TopicName(StrBytes::from_string(topic.to_string())))
                    .with_partitions(vec![asked]),
            ),
        }
    }
    KafkaFetchRequest::default()
        .with_replica_id(CONSUMER.into())
        .with_max_wait_ms(max_wait.as_millis().try_into().unwrap_or(i32::MAX))
        .with_min_bytes(min_bytes)
        .with_max_bytes(request.total_bytes)
        .with_isolation_level(READ_COMMITTED)
        .with_session_epoch(NO_SESSION)
        .with_topics(topics)
}
