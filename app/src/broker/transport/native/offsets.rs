//! Where the logs of a topic begin and end.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::connection::bounds::Answer;
use crate::broker::error::KafkaError;
use crate::broker::transport::requests::{IsolationLevel, Offsets, OffsetsRequest};
use crate::broker::transport::{CONSUMER, LEARNING, LOOK};
use crate::model::TopicPartition;

use super::client::{Client, Leaders, isolation_level};

/// What stands for a time in the request.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const EARLIEST_LOCAL: i64 = -4;

/// The first that knows EARLIEST_LOCAL (KIP-405).
const FIRST_WITH_REMOTE_STORAGE: i16 = 8;

/// From here on a leader says that it does not know yet how far its log goes (KIP-207).
const FIRST_THAT_TELLS_UNKNOWN: i16 = 5;

/// The offsets of which time, and for whom.
#[derive(Clone, Copy)]
struct Asked {
    time: i64,
    isolation: IsolationLevel,
}

impl Asked {
    fn at(time: i64) -> Self {
        let isolation = IsolationLevel::ReadUncommitted;
        Self { time, isolation }
    }
}

/// The offsets by partition, and whether all leaders would have said that they do not know them.
struct Found {
    offsets: Vec<i64>,
    tells_unknown: bool,
}

impl Client {
    /// An end below the one that is known may be of a leader that still learns. One that stays
    /// there is told as it is.
    pub(crate) fn offsets(&mut self, request: &OffsetsRequest) -> Result<Vec<i64>, KafkaError> {
        let known = match &request.which {
            Offsets::Earliest => return Ok(self.list_offsets(request, Asked::at(EARLIEST))?.offsets),
            Offsets::LastStable => {
                let asked = Asked {
                    isolation: IsolationLevel::ReadCommitted,
                    ..Asked::at(LATEST)
                };
                return Ok(self.list_offsets(request, asked)?.offsets);
            }
            Offsets::Latest { known } => known,
        };
        let began = Instant::now();
        loop {
            let found = self.list_offsets(request, Asked::at(LATEST))?;
            let is_short = |(p, at): &(i32, i64)| found.offsets.get(*p as usize).is_some_and(|end| end < at);
            if found.tells_unknown || !known.iter().any(is_short) || began.elapsed() >= LEARNING {
                return Ok(found.offsets);
            }
            self.config.stop.sleep(LOOK).map_err(|_| KafkaError::stopped())?;
        }
    }

    /// The first offset of a partition that is not in remote storage alone. Brokers that know no
    /// such storage tell the first one that they hold.
    pub(super) fn earliest_local(&mut self, host: &str, at: &TopicPartition) -> Result<i64, KafkaError> {
        let place = usize::try_from(at.partition).unwrap_or_default();
        let mut found = Found {
            offsets: vec![-1; place + 1],
            tells_unknown: true,
        };
        let asked = [(at.partition, self.memory.leader_epoch(at))];
        self.ask_for_offsets(host, &at.topic, &asked, Asked::at(EARLIEST_LOCAL), &mut found)?;
        Ok(found.offsets[place])
    }

    /// Asks each leader in turn.
    fn list_offsets(&mut self, request: &OffsetsRequest, asked: Asked) -> Result<Found, KafkaError> {
        let topic = &*request.topic;
        let mut topics = self.find_leaders(HashSet::from([topic]))?;
        let leaders = topics.remove(topic).unwrap_or_default();
        let (n, known) = (leaders.len(), request.partitions);
        if n < known {
            return Err(KafkaError::passing(format!("{n} of {known} partitions are there")));
        }
        let mut found = Found {
            offsets: vec![-1; n],
            tells_unknown: true,
        };
        for (host, partitions) in by_host(&leaders)? {
            self.ask_for_offsets(host, topic, &partitions, asked, &mut found)?;
        }
        match found.offsets.iter().position(|&offset| offset < 0) {
            Some(partition) => Err(KafkaError::passing(format!("partition {partition} does not tell"))),
            None => Ok(found),
        }
    }

    fn ask_for_offsets(
        &mut self,
        host: &str,
        topic: &str,
        partitions: &[(i32, i32)],
        asked: Asked,
        found: &mut Found,
    ) -> Result<(), KafkaError> {
        let (limit, largest) = (self.config.limit, ListOffsetsResponse::LARGEST);
        let tells_unknown = &mut found.tells_unknown;
        let answer: ListOffsetsResponse = self.connections.ask(host, limit, largest, |version| {
            *tells_unknown &= version >= FIRST_THAT_TELLS_UNKNOWN;
            Ok(kafka_request(topic, partitions, asked, version))
        })?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            let code = partition.error_code;
            if code == ResponseError::OffsetNotAvailable.code() {
                return Err(KafkaError::unknown_high_watermark(&TopicPartition::new(topic, index)));
            }
            if code != 0 {
                return Err(KafkaError::code(code).at(&format!("partition {index}")));
            }
            if let Some(offset) = usize::try_from(index).ok().and_then(|p| found.offsets.get_mut(p)) {
                *offset = partition.offset;
            }
        }
        Ok(())
    }
}

/// Number and leader's epoch of each partition, by leader.
type ByHost<'a> = HashMap<&'a str, Vec<(i32, i32)>>;

/// The partitions of each leader. All partitions must have one, and be numbered
/// without a hole.
fn by_host(leaders: &Leaders) -> Result<ByHost<'_>, KafkaError> {
    let mut by_host = ByHost::new();
    for partition in 0..leaders.len() as i32 {
        match leaders.get(&partition) {
            Some(Some(leader)) => by_host.entry(&leader.host).or_default().push((partition, leader.epoch)),
            _ => return Err(KafkaError::passing(format!("partition {partition} does not tell"))),
        }
    }
    Ok(by_host)
}

fn kafka_request(topic: &str, partitions: &[(i32, i32)], wanted: Asked, version: i16) -> ListOffsetsRequest {
    let time = match wanted.time {
        EARLIEST_LOCAL if version < FIRST_WITH_REMOTE_STORAGE => EARLIEST,
        time => time,
    };
    let asked = partitions.iter().map(|(partition, leader_epoch)| {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(*partition)
            .with_timestamp(time);
        if version >= 4 {
            asked.with_current_leader_epoch(*leader_epoch)
        } else {
            asked
        }
    });
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_string())))
        .with_partitions(asked.collect());
    let request = ListOffsetsRequest::default()
        .with_replica_id(CONSUMER.into())
        .with_topics(vec![topic]);
    if version >= 2 {
        request.with_isolation_level(isolation_level(wanted.isolation))
    } else {
        request
    }
}
