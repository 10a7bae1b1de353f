//! How to talk to a cluster: what the user chose, and what every client is made of.

use std::time::Duration;

use crate::broker::bootstrap::KnownVersions;
use crate::broker::hosts::Hosts;
use crate::stop::Stop;

/// How records are compressed on their way and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses as the user wrote them: HOST or HOST:PORT, also several with commas between.
    pub brokers: Vec<String>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long to wait for brokers that went away.
    pub patience: Duration,
    pub client_id: String,
    pub compression: Compression,
}

/// What every client of a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub hosts: Hosts,
    pub versions: KnownVersions,
    pub client_id: String,
    pub compression: Compression,
    /// How long one request may take.
    pub limit: Duration,
    pub stop: Stop,
}
