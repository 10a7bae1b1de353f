//! One connection to each broker that a client talks to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::broker::config::ClientConfig;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;

use super::versions::{Negotiated, OLD_BROKER, Versions};

/// The longest that a broker is believed to read nothing because a quota is used up. It is eleven
/// seconds unless the broker is set up otherwise (quota.window.num, quota.window.size.seconds).
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);

/// A broker that answered.
struct Peer {
    connection: Connection,
    versions: Arc<Versions>,
    /// Until then it reads nothing (KIP-219): that is no time that it takes for an answer.
    muted_until: Instant,
}

impl Peer {
    fn new(connection: Connection, versions: Arc<Versions>) -> Self {
        Self {
            connection,
            versions,
            muted_until: Instant::now(),
        }
    }
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

    /// Asks a broker in the newest version that both know, which `request` gets. The answer may
    /// take `limit`, and so many bytes.
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
        let peer = self.peers.remove(host);
        let asked = self.ask_peer(host, peer, limit, largest, request);
        let known = &self.config.native_versions;
        match asked {
            Ok((answer, peer)) => {
                known.remember(host, &peer.versions);
                self.peers.insert(host.to_string(), peer);
                Ok(answer)
            }
            Err(error) => {
                known.forget(host);
                Err(error)
            }
        }
    }

    fn ask_peer<Q, R>(
        &self,
        host: &str,
        peer: Option<Peer>,
        limit: Duration,
        largest: usize,
        request: impl FnOnce(i16) -> Result<Q, KafkaError>,
    ) -> Result<(R, Peer), KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Negotiated,
    {
        let mut peer = match peer {
            Some(peer) if !peer.connection.is_to_be_renewed() => peer,
            Some(_) => {
                log::debug!("{host}: the session is about to end, and a new one begins");
                self.open(host)?
            }
            None => self.open(host)?,
        };
        let version = peer.versions.choose::<R>().map_err(|error| error.at(host))?;
        let request = request(version)?;
        let limit = limit + peer.muted_until.saturating_duration_since(Instant::now());
        self.deadline.begin(limit)?;
        let answer: Result<R, _> = peer.connection.ask_in(version, &request, largest, limit);
        let answer = answer.map_err(|why| error(why).at(host))?;
        let throttle = Duration::from_millis(answer.throttle_time_ms().try_into().unwrap_or(0));
        peer.muted_until = Instant::now() + throttle.min(LONGEST_THROTTLE);
        Ok((answer, peer))
    }

    fn open(&self, host: &str) -> Result<Peer, KafkaError> {
        self.deadline.begin(self.config.open_timeout())?;
        let connection = self.config.open(host).map_err(|why| error(why).at(host))?;
        self.meet(host, connection)
    }

    /// Asks a broker for what it speaks, where that is not known.
    fn meet(&self, host: &str, mut connection: Connection) -> Result<Peer, KafkaError> {
        if let Some(versions) = self.config.native_versions.of(host) {
            return Ok(Peer::new(connection, versions));
        }
        // One of 0.9 does not answer what is asked of it next.
        let versions = self.config.versions.get();
        if versions.is_some_and(|versions| !versions.tell_batch_headers()) {
            let what = "the broker is older than 0.11, and the native client does not speak to such";
            return Err(KafkaError::fatal(what, OLD_BROKER).at(host));
        }
        let limit = self.config.limit;
        self.deadline.begin(limit)?;
        let answer: ApiVersionsResponse = connection
            .ask(&ApiVersionsRequest::default(), limit)
            .map_err(|why| error(why).at(host))?;
        let versions = Versions::of(&answer).map_err(|error| error.at(host))?;
        Ok(Peer::new(connection, Arc::new(versions)))
    }
}

/// A connection that was closed while it was idle is no news when the next one stands at once.
fn error(why: ConnectionError) -> KafkaError {
    match why {
        ConnectionError::Closed(_) => KafkaError::from(why).broken(),
        why => KafkaError::from(why),
    }
}
