//! Produce: one record batch for each slice.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::config::Compression;
use crate::broker::connection::bounds::Answer;
use crate::broker::error::KafkaError;
use crate::broker::transport::requests::{ProduceSlice, SliceAnswer};

use super::client::Client;
use super::record_batch::codec::Codec;
use super::record_batch::encode::{self, Encoder};

/// Records carry no time of their own. One from a wrong clock would rule how long the broker keeps
/// them: of 1970, they would be deleted within minutes; of tomorrow, 4.x refuses them. Without one
/// the broker stamps them itself (message.timestamp.type=LogAppendTime), or goes by the time at which
/// it last wrote to the segment's file: so it does where a segment's largest timestamp is -1, for
/// retention as for compaction. No limit of message.timestamp.*.max.ms holds for it. The crate
/// `kafka` sends none either.
const NO_TIMESTAMP: i64 = -1;

/// All replicas that are in sync.
const ACKS_ALL: i16 = -1;

/// The first version in which brokers take zstd (KIP-110).
const FIRST_WITH_ZSTD: i16 = 7;

impl Client {
    pub(crate) fn produce(
        &mut self,
        host: &str,
        slices: &[ProduceSlice],
        ack_limit: Duration,
    ) -> Result<Vec<SliceAnswer>, KafkaError> {
        let codec = codec(self.config.compression);
        let limit = self.config.limit;
        let encoder = self.encoder.get_or_insert_with(|| Encoder::new(codec));
        let answer: ProduceResponse = self.connections.ask(host, limit, ProduceResponse::LARGEST, |version| {
            if codec == Codec::Zstd && version < FIRST_WITH_ZSTD {
                return Err(no_zstd(host));
            }
            Ok(request(slices, encoder, ack_limit))
        })?;
        let mut answers = HashMap::new();
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                let first_offset = match partition.error_code {
                    0 => Ok(partition.base_offset),
                    code => Err((code, partition.error_message.as_deref())),
                };
                answers.insert((topic.name.as_str(), partition.index), first_offset);
            }
        }
        let answers = slices.iter().map(|slice| {
            let at = &slice.batch.at;
            Some(match answers.get(&(&*at.topic, at.partition))? {
                // The records are written, but where they are is not told.
                Ok(..0) => Err(KafkaError::passing("the broker tells no offset")),
                Ok(first_offset) => Ok(*first_offset),
                Err((code, told)) => Err(refusal(*code, *told)),
            })
        });
        let answers: Option<Vec<SliceAnswer>> = answers.collect();
        // A partition that the answer leaves out may have taken its records, or not.
        answers.ok_or_else(|| KafkaError::passing("the answer leaves out a partition").at(host))
    }
}

/// An error code, with what the broker says beside it; from version 8 on some do.
fn refusal(code: i16, told: Option<&str>) -> KafkaError {
    /// So much of it is shown.
    const LONGEST: usize = 200;
    let error = KafkaError::code(code);
    match told.unwrap_or_default() {
        "" => error,
        told => error.at(&format!("{:?}", told.chars().take(LONGEST).collect::<String>())),
    }
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::None,
        Compression::Gzip => Codec::Gzip,
        Compression::Snappy => Codec::Snappy,
        Compression::Lz4 => Codec::Lz4,
        Compression::Zstd => Codec::Zstd,
    }
}

fn no_zstd(host: &str) -> KafkaError {
    KafkaError::fatal(
        format!("the broker at {host} is too old for zstd, which begins with Kafka 2.1"),
        "choose another --compression",
    )
}

fn request(slices: &[ProduceSlice], encoder: &mut Encoder, ack_limit: Duration) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for slice in slices {
        let at = &slice.batch.at;
        let partition = PartitionProduceData::default()
            .with_index(at.partition)
            .with_records(Some(record_batch(slice, encoder).into()));
        match topics.iter_mut().find(|topic| topic.name.as_str() == &*at.topic) {
            Some(topic) => topic.partition_data.push(partition),
            None => topics.push(
                TopicProduceData::default()
                    .with_name(TopicName(StrBytes::from_string(at.topic.to_string())))
                    .with_partition_data(vec![partition]),
            ),
        }
    }
    ProduceRequest::default()
        .with_acks(ACKS_ALL)
        .with_timeout_ms(ack_limit.as_millis().try_into().unwrap_or(i32::MAX))
        .with_topic_data(topics)
}

fn record_batch(slice: &ProduceSlice, encoder: &mut Encoder) -> Vec<u8> {
    let records = slice.from..slice.to;
    let bytes = records.clone().map(|record| {
        let (key, value) = slice.batch.get(record);
        key.len() + value.map_or(0, <[u8]>::len)
    });
    let mut batch = Vec::with_capacity(encode::largest_size(records.len(), bytes.sum()));
    let records = records.map(|record| {
        let (key, value) = slice.batch.get(record);
        (Some(key), value)
    });
    encoder.encode(records, NO_TIMESTAMP, &mut batch);
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::produce_batch::ProduceBatch;
    use crate::model::TopicPartition;

    fn slice(topic: &str, partition: i32, values: &[Option<&[u8]>]) -> ProduceSlice {
        let mut batch = ProduceBatch::new(TopicPartition::new(topic, partition));
        values.iter().for_each(|value| batch.push(b"k", *value));
        ProduceSlice {
            batch: Arc::new(batch),
            from: 0,
            to: values.len(),
        }
    }

    #[test]
    fn each_slice_is_one_batch_of_its_partition_and_has_no_clock() {
        let slices = [
            slice("a", 0, &[Some(b"1"), None]),
            slice("b", 0, &[Some(b"2")]),
            slice("a", 1, &[Some(b"")]),
        ];
        let request = request(&slices, &mut Encoder::new(Codec::None), Duration::from_secs(3));
        assert_eq!((request.acks, request.timeout_ms), (-1, 3000));
        let partitions: Vec<(&str, i32)> = request
            .topic_data
            .iter()
            .flat_map(|topic| topic.partition_data.iter().map(|p| (topic.name.as_str(), p.index)))
            .collect();
        assert_eq!(partitions, [("a", 0), ("a", 1), ("b", 0)]);
        for topic in &request.topic_data {
            for partition in &topic.partition_data {
                let batch = partition.records.as_ref().unwrap();
                // The first time and the latest.
                assert_eq!(batch[27..43], [0xff; 16]);
            }
        }
    }
}
