//! How connections to the brokers of a cluster are opened, and how long that may take.
//!
//! An address has a short time of its own to take the connection. What comes then is a step like
//! any request: the TLS handshake and each answer of a login may take as long as the answer to one.

use std::time::Duration;

use crate::broker::config::ClientConfig;
use crate::broker::connection::open::CONNECT_TIMEOUT;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::error::KafkaError;

impl ClientConfig {
    /// Opens a connection to a broker.
    pub(super) fn open(&self, host: &str) -> Result<Connection, ConnectionError> {
        Connection::open(host, &self.client_id, &self.security, self.limit)
    }

    /// Opens one to the first broker that takes it, and tells to which.
    pub(super) fn open_any(&self) -> Result<(String, Connection), KafkaError> {
        let mut why = Vec::new();
        for host in self.hosts.all() {
            match self.open(&host) {
                Ok(connection) => return Ok((host, connection)),
                Err(ConnectionError::Unreachable(e)) => why.push(format!("{host}: {e}")),
                // The next call begins with another address.
                Err(error) => return Err(KafkaError::from(error).at(&host)),
            }
        }
        Err(KafkaError::passing(format!(
            "no broker can be reached ({})",
            why.join("; ")
        )))
    }

    /// The longest that `open` takes.
    pub(super) fn open_timeout(&self) -> Duration {
        CONNECT_TIMEOUT + self.limit * self.security.steps()
    }

    /// The longest that `open_any` takes; an address may have been learnt meanwhile.
    pub(super) fn open_any_timeout(&self) -> Duration {
        self.open_timeout() + CONNECT_TIMEOUT * self.hosts.count() as u32
    }
}
