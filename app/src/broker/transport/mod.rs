//! The seam between policy and client. Above it there are leaders, rotation, ranges and retries;
//! below it is a way to speak to Kafka, with all that this way needs.
//!
//! - `kind`: which way
//! - `requests`: what is asked and answered
//! - `records`: the records of an answer
//! - `crate_kafka`: the crate `kafka`, and all that its faults need
//! - `native`: our own client
//! - `fake`: a scripted cluster, for the tests of the policies
//!
//! # The contract
//! A `Transport` is one blocking client. It belongs to one thread (`worker`), which others wait
//! for.
//! - An answer covers all that was asked, or the first part of it, which it names; or it is an
//!   error. What an answer does not cover is asked for again.
//! - A hole between the records of an answer, or before them, is a real hole: the log holds nothing
//!   there.
//! - The end of a log is never a high watermark that the leader does not know yet. It is an error
//!   that may pass.
//! - A record larger than what this client can read is an error of its partition, and what lies
//!   before it is answered first.
//! - Before each request to a broker the client says in its `Deadline` how long it may take. Who
//!   waits gives up when that is over, or when the user wants to stop.
//! - A client that failed is dropped and never used again: what it gets next may answer what was
//!   asked before. What is to outlive it is kept in `ClientMemory`.

pub(super) mod crate_kafka;
#[cfg(test)]
pub(crate) mod fake;
pub(super) mod kind;
pub(crate) mod native;
pub(super) mod records;
pub(super) mod requests;

use std::sync::Arc;
use std::time::Duration;

use crate::broker::config::ClientConfig;
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;
use crate::model::TopicPartition;

use kind::TransportKind;
use requests::{FetchRequest, OffsetsRequest, PartitionAnswer, ProduceSlice, SliceAnswer};

/// The id of nobody's replica: the one who asks is none.
const CONSUMER: i32 = -1;

/// How long a new leader may take to learn how far its log goes, where it does not tell that it is
/// learning.
const LEARNING: Duration = Duration::from_secs(5);

/// Time between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// One client.
pub(super) enum Transport {
    Crate(Box<crate_kafka::Client>),
    Native(Box<native::Client>),
    #[cfg(test)]
    Fake(fake::Client),
}

/// What the clients of one fetcher learn of partitions, and hand on.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientMemory {
    windows: crate_kafka::windows::Windows,
    partitions: native::memory::PartitionMemory,
}

impl Transport {
    /// A new client, which knows the cluster as it is now.
    pub(super) fn connect(
        config: &Arc<ClientConfig>,
        deadline: &Deadline,
        memory: &ClientMemory,
    ) -> Result<Self, KafkaError> {
        Ok(match &config.transport.get() {
            TransportKind::Crate => {
                let windows = memory.windows.clone();
                Self::Crate(Box::new(crate_kafka::Client::connect(
                    config.clone(),
                    deadline.clone(),
                    windows,
                )?))
            }
            TransportKind::Native => Self::Native(Box::new(native::Client::connect(
                config.clone(),
                deadline.clone(),
                memory.partitions.clone(),
            ))),
            #[cfg(test)]
            TransportKind::Fake(cluster) => Self::Fake(cluster.connect(deadline, config.limit)?),
        })
    }

    /// Where the leader of each partition listens, as far as there is one.
    pub(super) fn leaders(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<String>>, KafkaError> {
        match self {
            Self::Crate(client) => client.leaders(partitions),
            Self::Native(client) => client.leaders(partitions),
            #[cfg(test)]
            Self::Fake(client) => client.leaders(partitions),
        }
    }

    /// Sends slices, each of another partition, to their leader, which has so long to gather the
    /// replicas' acknowledgements. Answers in the order of the slices.
    pub(super) fn produce(
        &mut self,
        leader: &str,
        slices: &[ProduceSlice],
        ack_limit: Duration,
    ) -> Result<Vec<SliceAnswer>, KafkaError> {
        match self {
            Self::Crate(client) => client.produce(leader, slices, ack_limit),
            Self::Native(client) => client.produce(leader, slices, ack_limit),
            #[cfg(test)]
            Self::Fake(client) => client.produce(leader, slices),
        }
    }

    /// Fetches from the leader of all these positions. Answers in their order.
    pub(super) fn fetch(&mut self, leader: &str, request: &FetchRequest) -> Result<Vec<PartitionAnswer>, KafkaError> {
        match self {
            Self::Crate(client) => client.fetch(leader, request),
            Self::Native(client) => client.fetch(leader, request),
            #[cfg(test)]
            Self::Fake(client) => client.fetch(leader, request),
        }
    }

    /// The offsets of all partitions of a topic, at least as many as are known.
    pub(super) fn offsets(&mut self, request: &OffsetsRequest) -> Result<Vec<i64>, KafkaError> {
        match self {
            Self::Crate(client) => client.offsets(request),
            Self::Native(client) => client.offsets(request),
            #[cfg(test)]
            Self::Fake(client) => client.offsets(request),
        }
    }
}
