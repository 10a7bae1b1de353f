//! Which way to speak to Kafka.

/// Chosen once, for all clients of a cluster.
#[derive(Debug, Clone)]
pub(crate) enum TransportKind {
    /// The crate `kafka`.
    Crate,
    #[cfg(test)]
    Fake(super::fake::Cluster),
}
