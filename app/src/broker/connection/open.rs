//! A connection from its first packet to where requests can be sent: reached, made private by TLS,
//! logged in.

use std::time::{Duration, Instant};

use super::Connection;
use super::address;
use super::error::ConnectionError;
use super::security::Security;
use super::stream::{Stream, TlsStream};

/// How long TLS and login may take together: a broker that has just begun is slow at both.
pub(crate) const SECURE_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    /// Connects, and does all that `security` asks for.
    pub(crate) fn open(
        host: &str,
        client_id: &str,
        security: &Security,
        limit: Duration,
    ) -> Result<Self, ConnectionError> {
        Self::connect(host, client_id, limit)?.secure(host, security, SECURE_TIMEOUT)
    }

    /// Connects, and no more.
    pub(crate) fn connect(host: &str, client_id: &str, limit: Duration) -> Result<Self, ConnectionError> {
        let tcp = address::connect(host, limit).map_err(ConnectionError::Unreachable)?;
        Ok(Self::new(Stream::Plain(tcp), client_id))
    }

    /// Does what `security` asks for, on a connection over which nothing has gone yet.
    pub(crate) fn secure(mut self, host: &str, security: &Security, limit: Duration) -> Result<Self, ConnectionError> {
        let end = Instant::now() + limit;
        if let Some(settings) = &security.tls
            && let Stream::Plain(tcp) = self.stream
        {
            let tls = TlsStream::open(tcp, address::name_of(host), settings, end)?;
            self.stream = Stream::Tls(Box::new(tls));
        }
        if let Some(credentials) = &security.login {
            self.log_in(credentials, end)?;
        }
        Ok(self)
    }
}
