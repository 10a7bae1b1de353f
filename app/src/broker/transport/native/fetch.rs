//! Fetch. A broker answers the first batch of the first partition that has any, however large, and
//! of the others what the limits leave room for (KIP-74).

use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest as KafkaFetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::connection::bounds::Answer;
use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchPosition, FetchedPartition};
use crate::broker::transport::CONSUMER;
use crate::broker::transport::records::Records;
use crate::broker::transport::requests::{FetchRequest, IsolationLevel, PartitionAnswer};
use crate::model::TopicPartition;

use super::answer::{Answered, ByPartition, by_partition, read};
use super::client::{Client, isolation_level};
use super::memory::PartitionMemory;
use super::record_batch::first_batch;
use super::record_batch::records::RecordSets;

/// Each request says all that it asks for, and no session is made for it.
const NO_SESSION: i32 = -1;

/// What a broker says to a question for records.
enum Asked {
    Answer(ByPartition),
    /// Nothing, for it has answered too much lately.
    Throttled(Duration),
}

/// How much a broker is to answer, and how long it may wait for that.
struct Limits {
    min_bytes: i32,
    max_wait: Duration,
    partition_bytes: i32,
    total_bytes: i32,
}

impl Client {
    pub(crate) fn fetch(&mut self, host: &str, request: &FetchRequest) -> Result<Vec<PartitionAnswer>, KafkaError> {
        let (min_bytes, max_wait) = self.round.wait(request.max_wait);
        let mut answer = match self.ask_for_records(host, request, min_bytes, max_wait)? {
            Asked::Answer(answer) => answer,
            Asked::Throttled(time) => {
                let pause = time.min(request.max_wait);
                self.config.stop.sleep(pause).map_err(|_| KafkaError::stopped())?;
                return Ok(Vec::new());
            }
        };
        let records = answer.values().filter_map(|data| data.records.as_ref());
        let bytes = records.map(bytes::Bytes::len).sum();
        self.decoder.begin_answer();
        let mut answers = Vec::with_capacity(request.positions.len());
        for (place, position) in request.positions.iter().enumerate() {
            let at = &position.at;
            let outcome = match answer.remove(&(at.topic.to_string(), at.partition)) {
                None => Err(KafkaError::passing(format!(
                    "{at}: the leader left it out of its answer"
                ))),
                Some(data) => match read(&mut self.decoder, position, request.isolation, data) {
                    Answered::Records { sets, end } => Ok(self.taken(position, sets, end)),
                    // The others took all the room, but not the first one's.
                    Answered::Nothing { .. } | Answered::Incomplete if place > 0 => continue,
                    Answered::Incomplete => Err(no_batch(position)),
                    Answered::Nothing { end } if self.is_hole(host, position, end, request)? => {
                        Ok(self.taken(position, RecordSets::hole(end), end))
                    }
                    Answered::Nothing { .. } => Err(no_batch(position)),
                    Answered::UnknownHighWatermark => Err(KafkaError::unknown_high_watermark(at)),
                    Answered::CutBack(error) => {
                        self.memory.note_read(at, position.offset, None);
                        Err(error)
                    }
                    Answered::Failed(error) => Err(error),
                },
            };
            let position = position.clone();
            answers.push(PartitionAnswer { position, outcome });
        }
        self.round.note_answer(bytes, self.decoder.unpacked());
        Ok(answers)
    }

    /// The records of a partition. The leader's epoch of the last one goes with the next question,
    /// so that a log that was cut back in between is told.
    fn taken(&self, position: &FetchPosition, sets: RecordSets, end: i64) -> FetchedPartition {
        let next_offset = sets.next_offset;
        let epoch = (sets.iter().next_back())
            .filter(|record| record.offset + 1 == next_offset)
            .and_then(|_| sets.batches.last())
            .map(|batch| batch.leader_epoch);
        if next_offset > position.offset {
            self.memory.note_read(&position.at, next_offset, epoch);
        }
        FetchedPartition::new(position.clone(), next_offset, end, Records::Native(sets))
    }

    /// Not a byte comes of a position that was asked first, though the log goes on to `end`.
    /// Compaction may have taken all of it, and then the position moves on. But a broker answers the
    /// same while it does not bring what lies in remote storage (KIP-405, KIP-956), and that is no
    /// hole. What proves one: the next batch of all, committed or not, begins at or behind the end;
    /// or there is none, and the position is not in remote storage. Compacted topics never are.
    fn is_hole(
        &mut self,
        host: &str,
        position: &FetchPosition,
        end: i64,
        request: &FetchRequest,
    ) -> Result<bool, KafkaError> {
        let FetchPosition { at, offset } = position;
        let alone = FetchRequest {
            positions: vec![position.clone()],
            isolation: IsolationLevel::ReadUncommitted,
            ..request.clone()
        };
        let Asked::Answer(mut answer) = self.ask_for_records(host, &alone, 1, Duration::ZERO)? else {
            return Ok(false);
        };
        let data = answer.remove(&(at.topic.to_string(), at.partition));
        let Some(data) = data.filter(|data| data.error_code == 0) else {
            return Ok(false);
        };
        match data.records.as_deref().unwrap_or_default() {
            [] => Ok(self.earliest_local(host, at)? <= *offset),
            records => Ok(first_batch(records).is_some_and(|base| base >= end)),
        }
    }

    fn ask_for_records(
        &mut self,
        host: &str,
        request: &FetchRequest,
        min_bytes: i32,
        max_wait: Duration,
    ) -> Result<Asked, KafkaError> {
        let largest = FetchResponse::LARGEST + usize::try_from(request.total_bytes).unwrap_or(0);
        let limit = self.config.limit + max_wait;
        let memory = &self.memory;
        let limits = Limits {
            min_bytes,
            max_wait,
            partition_bytes: self.round.on_the_wire(request.partition_bytes),
            total_bytes: self.round.on_the_wire(request.total_bytes),
        };
        let answer: FetchResponse = self.connections.ask(host, limit, largest, |version| {
            Ok(kafka_request(request, version, &limits, memory))
        })?;
        if answer.error_code != 0 {
            return Err(KafkaError::code(answer.error_code).at(host));
        }
        // So does a broker answer one who is over its quota.
        if answer.responses.is_empty() && answer.throttle_time_ms > 0 {
            let time = u64::try_from(answer.throttle_time_ms).unwrap_or_default();
            return Ok(Asked::Throttled(Duration::from_millis(time)));
        }
        Ok(Asked::Answer(by_partition(answer)))
    }
}

fn no_batch(position: &FetchPosition) -> KafkaError {
    let FetchPosition { at, offset } = position;
    KafkaError::passing(format!("{at}: no whole batch comes at offset {offset}")).unreadable()
}

fn kafka_request(request: &FetchRequest, version: i16, limits: &Limits, memory: &PartitionMemory) -> KafkaFetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for position in &request.positions {
        let TopicPartition { topic, partition } = &position.at;
        let mut asked = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(position.offset)
            .with_partition_max_bytes(limits.partition_bytes);
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
        .with_max_wait_ms(limits.max_wait.as_millis().try_into().unwrap_or(i32::MAX))
        .with_min_bytes(limits.min_bytes)
        .with_max_bytes(limits.total_bytes)
        .with_isolation_level(isolation_level(request.isolation))
        .with_session_epoch(NO_SESSION)
        .with_topics(topics)
}
