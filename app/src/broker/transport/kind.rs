//! Which way to speak to Kafka.

use std::sync::{Arc, Mutex, PoisonError};

use crate::broker::config::{ClientChoice, ClusterOptions, Compression};
use crate::broker::versions::BrokerVersions;

/// A way.
#[derive(Debug, Clone)]
pub(crate) enum TransportKind {
    /// The crate `kafka`.
    Crate,
    /// Our own client.
    Native,
    #[cfg(test)]
    Fake(super::fake::Cluster),
}

impl TransportKind {
    /// The client that can do what is asked, and why it is this one. The crate is taken wherever it
    /// can.
    pub(crate) fn choose(options: &ClusterOptions, versions: Option<&BrokerVersions>) -> (Self, &'static str) {
        match options.client {
            ClientChoice::Kafka => (Self::Crate, "--client kafka"),
            ClientChoice::Native => (Self::Native, "--client native"),
            ClientChoice::Auto => match beyond_the_crate(options, versions) {
                Some(why) => (Self::Native, why),
                None => (Self::Crate, "it can do what is asked here"),
            },
        }
    }

    /// What --client calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Crate => "kafka",
            Self::Native => "native",
            #[cfg(test)]
            Self::Fake(_) => "fake",
        }
    }
}

/// The way of all clients of a cluster that are made from now on. Where the user leaves the choice
/// it changes once, from the crate to our own client: when something comes that the crate cannot do.
#[derive(Debug, Clone)]
pub(crate) struct CurrentTransport(Arc<Mutex<TransportKind>>);

impl CurrentTransport {
    pub(crate) fn new(kind: TransportKind) -> Self {
        Self(Arc::new(Mutex::new(kind)))
    }

    pub(crate) fn get(&self) -> TransportKind {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, kind: TransportKind) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }

    pub(crate) fn is_crate(&self) -> bool {
        matches!(self.get(), TransportKind::Crate)
    }

    /// Changes from the crate to our own client, and says why.
    pub(crate) fn change_to_native(&self, why: &str) {
        let mut kind = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*kind, TransportKind::Crate) {
            *kind = TransportKind::Native;
            log::info!("client: native from here on ({why})");
        }
    }
}

/// What is asked that the crate cannot do.
pub(crate) fn beyond_the_crate(options: &ClusterOptions, versions: Option<&BrokerVersions>) -> Option<&'static str> {
    if options.security.is_given() {
        return Some("TLS or a login");
    }
    match options.compression {
        Compression::Lz4 => return Some("--compression lz4"),
        Compression::Zstd => return Some("--compression zstd"),
        Compression::None | Compression::Gzip | Compression::Snappy => {}
    }
    versions
        .is_some_and(BrokerVersions::are_too_new)
        .then_some("the brokers no longer speak the 0.9-3.9 protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_taken_wherever_it_can_do_what_is_asked() {
        let (old, new) = (BrokerVersions::of_fetch(0, 12), BrokerVersions::of_fetch(4, 17));
        let chosen = |options: &ClusterOptions, versions| TransportKind::choose(options, versions).0.name();
        let mut options = ClusterOptions::for_tests();
        for (versions, kind) in [(None, "kafka"), (Some(&old), "kafka"), (Some(&new), "native")] {
            assert_eq!(chosen(&options, versions), kind);
        }
        for (compression, kind) in [
            (Compression::Gzip, "kafka"),
            (Compression::Snappy, "kafka"),
            (Compression::Lz4, "native"),
            (Compression::Zstd, "native"),
        ] {
            options.compression = compression;
            assert_eq!(chosen(&options, Some(&old)), kind, "{compression:?}");
        }
        options.client = ClientChoice::Kafka;
        assert_eq!(chosen(&options, Some(&new)), "kafka");
        options.client = ClientChoice::Native;
        assert_eq!(chosen(&options, None), "native");
    }
}
