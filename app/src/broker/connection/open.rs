//! A connection from its first packet to where requests can be sent: reached, made private by TLS,
//! logged in.

use std::time::{Duration, Instant};

use super::Connection;
use super::address;
use super::error::ConnectionError;
use super::security::Security;
use super::stream::{Stream, TlsStream};

/// How long we wait for a connection to be taken.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

impl Connection {
    /// Connects, and does all that `security` asks for, each step of it within `limit`.
    pub(crate) fn open(
        host: &str,
        client_id: &str,
        security: &Security,
        limit: Duration,
    ) -> Result<Self, ConnectionError> {
        Self::connect(host, client_id, CONNECT_TIMEOUT)?.secure(host, security, limit)
    }

    /// Connects, and no more.
    pub(crate) fn connect(host: &str, client_id: &str, limit: Duration) -> Result<Self, ConnectionError> {
        let tcp = address::connect(host, limit).map_err(ConnectionError::Unreachable)?;
        Ok(Self::new(Stream::Plain(tcp), client_id))
    }

    /// Does what `security` asks for, on a connection over which nothing has gone yet. Each step
    /// may take as long as any other answer of a broker: one that has just begun is slow at all of
    /// them.
    pub(crate) fn secure(mut self, host: &str, security: &Security, limit: Duration) -> Result<Self, ConnectionError> {
        if let Some(settings) = &security.tls
            && let Stream::Plain(tcp) = self.stream
        {
            let tls = TlsStream::open(tcp, address::name_of(host), settings, Instant::now() + limit)?;
            self.stream = Stream::Tls(Box::new(tls));
        }
        if let Some(credentials) = &security.login {
            let lifetime = self.log_in(credentials, limit)?;
            self.set_lifetime(lifetime);
            let (user, mechanism) = (&credentials.user, credentials.mechanism);
            // Zero is for ever.
            let millis = lifetime.as_millis();
            log::debug!("{host}: '{user}' has logged in with {mechanism}, for a session of {millis} ms");
        }
        Ok(self)
    }
}
