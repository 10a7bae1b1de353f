//! Everything that touches Kafka. The rest of the program sees clusters, batches of records to
//! send, and records that were fetched.
//!
//! - `cluster`: a cluster that answered, and what can be asked of it
//! - `config`: what the user chose, and what every client is made of; `hosts`: the brokers'
//!   addresses
//! - `bootstrap`, `metadata`: the first contact; what the cluster says of a topic
//! - `connection`: a plain connection to one broker
//! - `group`: membership of a consumer group, and its offsets
//! - `fetcher`: whom to ask for what, in which turn; `fetched_partition`, `message`: what came
//! - `producer`: what goes to whom in which order; `produce_batch`, `pending_batch`, `sent`: a
//!   batch before, on its way and after; `partitioner`: which partition a key belongs to
//! - `list_offsets`: where logs begin and end
//! - `leader_calls`: one call for each leader, for both of them; `worker`: a thread that owns a
//!   client
//! - `transport`: the seam: ways to speak to Kafka, and their contract
//! - `error`, `error_codes`, `retry`, `deadline`: what an error means, for how long to try again,
//!   how long to wait

mod bootstrap;
mod cluster;
mod config;
mod connect;
mod connection;
mod deadline;
mod error;
mod error_codes;
mod fetched_partition;
mod fetcher;
pub(crate) mod fuzzing;
mod group;
mod hosts;
mod leader_calls;
mod list_offsets;
pub(crate) mod log_range;
mod message;
mod metadata;
mod partitioner;
mod pending_batch;
mod produce_batch;
mod producer;
mod retry;
mod sent;
mod transport;
mod versions;
mod worker;

pub use cluster::Cluster;
pub use config::{ClientChoice, ClusterOptions, Compression};
pub use connection::{Credentials, Mechanism, Password, Security, Tls, TlsFiles};
pub(crate) use fetched_partition::{FetchPosition, FetchedPartition};
pub(crate) use fetcher::{Fetched, Fetcher, OutOfRange, SILENCE};
pub(crate) use group::{Assignment, Committed, Group, GroupConfig, GroupMember, Membership};
pub(crate) use message::Message;
pub(crate) use partitioner::partition_for;
pub(crate) use produce_batch::ProduceBatch;
pub(crate) use producer::{Producer, SendStep};
pub(crate) use sent::{OffsetJump, Placeholder, Sent};
#[cfg(test)]
pub(crate) use transport::fake;
