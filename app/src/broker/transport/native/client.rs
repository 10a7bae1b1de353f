//! The client, and who leads partitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::config::ClientConfig;
use crate::broker::connection::bounds::Answer;
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;
use crate::broker::error_codes::{RetryClass, retry_class};
use crate::broker::transport::requests::IsolationLevel;
use crate::model::{TopicId, TopicPartition};

use super::connections::Connections;
use super::memory::PartitionMemory;
use super::record_batch::decode::Decoder;
use super::record_batch::encode::Encoder;
use super::round::Round;

/// As requests write it.
pub(super) fn isolation_level(level: IsolationLevel) -> i8 {
    match level {
        IsolationLevel::ReadUncommitted => 0,
        IsolationLevel::ReadCommitted => 1,
    }
}

/// One client.
pub(crate) struct Client {
    pub(super) config: Arc<ClientConfig>,
    pub(super) connections: Connections,
    pub(super) memory: PartitionMemory,
    pub(super) decoder: Decoder,
    pub(super) round: Round,
    /// Of what is produced, once there is something.
    pub(super) encoder: Option<Encoder>,
}

/// A partition's leader.
pub(super) struct Leader {
    pub host: String,
    pub epoch: i32,
}

/// A topic's partitions, by number; without a leader where there is none now.
pub(super) type Leaders = HashMap<i32, Option<Leader>>;

impl Client {
    /// A client, which opens its connections when there is something to ask.
    pub(crate) fn connect(config: Arc<ClientConfig>, deadline: Deadline, memory: PartitionMemory) -> Self {
        Self {
            connections: Connections::new(config.clone(), deadline),
            config,
            memory,
            decoder: Decoder::new(),
            round: Round::new(),
            encoder: None,
        }
    }

    /// Where the leader of each partition listens, as far as there is one.
    pub(crate) fn leaders(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<String>>, KafkaError> {
        let found = self.find_leaders(partitions.iter().map(|at| &*at.topic).collect())?;
        let leader = |at: &TopicPartition| Some(found.get(&*at.topic)?.get(&at.partition)?.as_ref()?.host.clone());
        Ok(partitions.iter().map(leader).collect())
    }

    /// The leaders of all partitions of these topics; nothing of a topic that is not there. The
    /// answer is of now: who asks has reason to believe that what it knew is old.
    pub(super) fn find_leaders(&mut self, topics: HashSet<&str>) -> Result<HashMap<String, Leaders>, KafkaError> {
        let named = |topic: &str| {
            let name = TopicName(StrBytes::from_string(topic.to_string()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.into_iter().map(named).collect()))
            .with_allow_auto_topic_creation(false);
        let host = self.connections.any()?;
        let limit = self.config.limit;
        let answer: MetadataResponse = self
            .connections
            .ask(&host, limit, MetadataResponse::LARGEST, |_| Ok(request))?;
        let brokers = answer.brokers.iter();
        let brokers: HashMap<i32, String> = brokers
            .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host.as_str(), broker.port)))
            .collect();
        self.config.hosts.learn(brokers.values().map(String::as_str));
        let mut leaders = HashMap::new();
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            if retry_class(topic.error_code) == RetryClass::Fatal {
                let place = format!("topic {}", name.as_str());
                return Err(KafkaError::code(topic.error_code).at(&place));
            }
            leaders.insert(name.to_string(), self.leaders_of(name.as_str(), topic, &brokers));
        }
        Ok(leaders)
    }

    fn leaders_of(&self, name: &str, topic: &MetadataResponseTopic, brokers: &HashMap<i32, String>) -> Leaders {
        let topic_id = TopicId::of(topic.topic_id.into_bytes());
        let name: Arc<str> = name.into();
        let leader = |partition: &MetadataResponsePartition| {
            let host = brokers.get(&partition.leader_id.0)?.clone();
            let at = TopicPartition::new(name.clone(), partition.partition_index);
            self.memory.note_leader(&at, topic_id, partition.leader_epoch);
            let epoch = self.memory.leader_epoch(&at);
            Some(Leader { host, epoch })
        };
        let partitions = topic.partitions.iter();
        partitions
            .map(|partition| (partition.partition_index, leader(partition)))
            .collect()
    }
}
