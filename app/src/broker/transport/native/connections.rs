//! One connection to each broker that a client talks to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::broker::config::ClientConfig;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;

use super::versions::{Negotiated, OLD_BROKER, Versions};

/// A broker that answered.
struct Peer {
    connection: Connection,
    versions: Versions,
}

/// By the broker's address. One that failed is not here any more.
pub(super) struct Connections {
    config: Arc<ClientConfig>,
    deadline: Deadline,
    peers: HashMap<String, Peer>,
}

impl Connections {
    pub(super) fn new(config: Arc<ClientConfig>, deadline: Deadline) -> Self {
        Self {
            config,
            deadline,
            peers: HashMap::new(),
        }
    }

    /// The address of a broker that can be asked at once.
    pub(super) fn any(&mut self) -> Result<String, KafkaError> {
        if let Some(host) = self.peers.keys().next() {
            return Ok(host.clone());
        }
        self.deadline.begin(self.config.open_any_timeout())?;
        let (host, connection) = self.config.open_any()?;
        let peer = self.meet(&host, connection)?;
        self.peers.insert(host.clone(), peer);
        Ok(host)
    }

    /// Asks a broker in the newest version that both know, which `request` gets. The answer may take
    /// `limit`, and so many bytes.
    pub(super) fn ask<Q, R>(
        &mut self,
        host: &str,
        limit: Duration,
        largest: usize,
        request: impl FnOnce(i16) -> Result<Q, KafkaError>,
    ) -> Result<R, KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Negotiated,
    {
        // What fails, or is overtaken by a panic, is not put back.
        let mut peer = match self.peers.remove(host) {
            Some(peer) if !peer.connection.is_to_be_renewed() => peer,
            Some(_) => {
                log::debug!("{host}: the session is about to end, and a new one begins");
                self.open(host)?
            }
            None => self.open(host)?,
        };
        let version = peer.versions.choose::<R>().map_err(|error| error.at(host))?;
        let request = request(version)?;
        self.deadline.begin(limit)?;
        let answer = peer.connection.ask_in(version, &request, largest, limit);
        let answer = answer.map_err(|why| error(why).at(host))?;
        self.peers.insert(host.to_string(), peer);
        Ok(answer)
    }

    fn open(&self, host: &str) -> Result<Peer, KafkaError> {
        // One of 0.9 does not answer what is asked of it next.
        let versions = self.config.versions.get();
        if versions.is_some_and(|versions| !versions.tell_batch_headers()) {
            let what = "the broker is older than 0.11, and the native client does not speak to such";
            return Err(KafkaError::fatal(what, OLD_BROKER).at(host));
        }
        self.deadline.begin(self.config.open_timeout())?;
        let connection = self.config.open(host).map_err(|why| error(why).at(host))?;
        self.meet(host, connection)
    }

    /// Asks a broker for what it speaks.
    fn meet(&self, host: &str, mut connection: Connection) -> Result<Peer, KafkaError> {
        let limit = self.config.limit;
        self.deadline.begin(limit)?;
        let answer: ApiVersionsResponse = connection
            .ask(&ApiVersionsRequest::default(), limit)
            .map_err(|why| error(why).at(host))?;
        let versions = Versions::of(&answer).map_err(|error| error.at(host))?;
        Ok(Peer { connection, versions })
    }
}

/// A connection that was closed while it was idle is no news when the next one stands at once.
fn error(why: ConnectionError) -> KafkaError {
    match why {
        ConnectionError::Closed(_) => KafkaError::from(why).broken(),
        why => KafkaError::from(why),
    }
}
