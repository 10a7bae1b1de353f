//! How to talk to a cluster: what the user chose, and what every client is made of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::broker::connection::Security;
use crate::broker::hosts::Hosts;
use crate::broker::retry::{OutageLog, RetryBudget};
#[cfg(test)]
use crate::broker::transport::fake;
use crate::broker::transport::kind::{CurrentTransport, TransportKind};
use crate::broker::transport::native::versions::VersionsByBroker;
use crate::broker::versions::{BrokerVersions, KnownVersions};
use crate::stop::Stop;

/// How records are compressed on their way and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[allow(missing_docs)] // --help would show them
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Which client speaks to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ClientChoice {
    /// The crate `kafka` where it can do what is asked, and otherwise our own.
    #[default]
    Auto,
    /// The crate `kafka`: brokers of 0.9 to 3.9, no TLS, no login, neither lz4 nor zstd.
    Kafka,
    /// Our own: brokers of 0.11 and later.
    Native,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Addresses as the user wrote them: HOST or HOST:PORT, also several with commas between.
    pub brokers: Vec<String>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long to wait for brokers that went away.
    pub patience: Duration,
    /// How the client calls itself at the brokers.
    pub client_id: String,
    /// How records are compressed.
    pub compression: Compression,
    /// What connections are secured by.
    pub security: Security,
    /// Which client speaks to the brokers.
    pub client: ClientChoice,
}

#[cfg(test)]
impl ClusterOptions {
    pub(super) fn for_tests() -> Self {
        Self {
            brokers: Vec::new(),
            request_timeout: Duration::from_millis(400),
            patience: Duration::ZERO,
            client_id: "test".to_string(),
            compression: Compression::None,
            security: Security::default(),
            client: ClientChoice::Auto,
        }
    }
}

/// What every client of a cluster is made of, and what all of them know.
#[derive(Debug, Clone)]
pub(super) struct ClientConfig {
    pub hosts: Hosts,
    pub versions: KnownVersions,
    /// What the native client knows of each broker.
    pub native_versions: VersionsByBroker,
    pub client_id: String,
    pub compression: Compression,
    /// What connections are secured by; those of the crate `kafka` are not.
    pub security: Security,
    /// How long one request may take.
    pub limit: Duration,
    /// How long to wait for brokers that went away.
    pub patience: Duration,
    pub stop: Stop,
    /// What the user wants; `transport` is what comes of it.
    pub client: ClientChoice,
    pub transport: CurrentTransport,
    pub partition_counts: PartitionCounts,
    outage_log: OutageLog,
}

impl ClientConfig {
    pub(super) fn new(options: ClusterOptions, hosts: Hosts, stop: Stop) -> Self {
        Self {
            hosts,
            versions: KnownVersions::default(),
            native_versions: VersionsByBroker::default(),
            client_id: options.client_id,
            compression: options.compression,
            security: options.security,
            limit: options.request_timeout,
            patience: options.patience,
            stop,
            transport: CurrentTransport::new(TransportKind::Crate),
            client: options.client,
            partition_counts: PartitionCounts::default(),
            outage_log: OutageLog::default(),
        }
    }

    /// Clients of a scripted cluster.
    #[cfg(test)]
    pub(super) fn fake(cluster: &fake::Cluster, patience: Duration, stop: &Stop) -> Arc<Self> {
        let options = ClusterOptions {
            patience,
            ..ClusterOptions::for_tests()
        };
        Arc::new(Self {
            transport: CurrentTransport::new(TransportKind::Fake(cluster.clone())),
            ..Self::new(options, Hosts::new(Vec::new()), stop.clone())
        })
    }

    /// The same for a part of the work that ends with another stop.
    pub(super) fn until(&self, stop: &Stop) -> Self {
        Self {
            stop: stop.clone(),
            ..self.clone()
        }
    }

    /// Whether our own client can take over from the crate: the choice is ours, and the brokers know
    /// its requests.
    pub(super) fn can_go_native(&self) -> bool {
        let is_known = || self.versions.get().is_some_and(BrokerVersions::tell_batch_headers);
        self.client == ClientChoice::Auto && self.transport.is_crate() && is_known()
    }

    /// Has our own client take over, because something came that the crate cannot do. Whether the
    /// next client is our own.
    pub(super) fn go_native(&self, why: &str) -> bool {
        if self.can_go_native() {
            self.transport.change_to_native(why);
        }
        !self.transport.is_crate()
    }

    /// For one series of tries.
    pub(super) fn retry_budget(&self) -> RetryBudget {
        let budget = RetryBudget::new(self.patience, self.stop.clone(), self.outage_log.clone());
        budget.of_user(self.security.user())
    }
}

/// How many partitions each topic has, as far as it is known: a broker that tells of fewer has not
/// been told yet.
#[derive(Debug, Clone, Default)]
pub(super) struct PartitionCounts(Arc<Mutex<HashMap<String, i32>>>);

impl PartitionCounts {
    pub(super) fn note(&self, topic: &str, partitions: i32) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(topic.to_string(), partitions);
    }

    /// How many partitions the topic had when the cluster was asked last; one, where it never was.
    pub(super) fn of(&self, topic: &str) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(topic).map_or(1, |n| *n as usize)
    }
}
