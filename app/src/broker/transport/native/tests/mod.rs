//! The client against a broker of a script, on a socket.
//!
//! - `server`: the broker; `answers`: what it says
//! - `fetching`, `producing`, `listing`: the requests
//! - `versions`: what is known of brokers beyond one client
//! - `hostile`: answers that no broker gives

mod answers;
mod fetching;
mod hostile;
mod listing;
mod producing;
mod server;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use crate::broker::config::{ClientConfig, ClusterOptions, Compression};
use crate::broker::deadline::Deadline;
use crate::broker::fetched_partition::FetchPosition;
use crate::broker::hosts::Hosts;
use crate::broker::transport::native::client::Client;
use crate::broker::transport::native::memory::PartitionMemory;
use crate::broker::transport::requests::{FetchRequest, IsolationLevel};
use crate::model::TopicPartition;
use crate::stop::Stop;

use server::Broker;

/// How long a request may take.
const LIMIT: Duration = Duration::from_millis(500);

fn client(broker: &Broker) -> Client {
    client_with(broker, Compression::None)
}

fn client_with(broker: &Broker, compression: Compression) -> Client {
    client_of(&config(broker, compression))
}

fn config(broker: &Broker, compression: Compression) -> Arc<ClientConfig> {
    let options = ClusterOptions {
        request_timeout: LIMIT,
        compression,
        ..ClusterOptions::for_tests()
    };
    let hosts = Hosts::new(vec![broker.address.clone()]);
    Arc::new(ClientConfig::new(options, hosts, Stop::default()))
}

fn client_of(config: &Arc<ClientConfig>) -> Client {
    Client::connect(config.clone(), Deadline::within(LIMIT), PartitionMemory::default())
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

/// A Fetch of these positions, by partition and offset.
fn request(positions: &[(i32, i64)]) -> FetchRequest {
    let position = |&(partition, offset): &(i32, i64)| FetchPosition {
        at: at(partition),
        offset,
    };
    FetchRequest {
        positions: positions.iter().map(position).collect(),
        max_wait: Duration::from_millis(10),
        partition_bytes: 1 << 20,
        total_bytes: 4 << 20,
        isolation: IsolationLevel::ReadCommitted,
    }
}
