//! What a listener that closes the connection would have: it is asked for that.
//!
//! Brokers that start or stop close connections too. So only an answer counts, and then waiting
//! changes nothing. No password is sent meanwhile.

use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::Connection;
use super::error::ConnectionError;
use super::login_error::LoginError;
use super::open::CONNECT_TIMEOUT;
use super::security::Security;
use super::tls_error::TlsError;

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(3);

/// What lies behind a failure, where the listener tells; otherwise the failure.
pub(crate) fn explained(why: ConnectionError, host: &str, client_id: &str, security: &Security) -> ConnectionError {
    match why {
        ConnectionError::Tls(TlsError::ClosedInHandshake) if answers_without_tls(host, client_id) => {
            ConnectionError::Tls(TlsError::NotTls)
        }
        ConnectionError::Closed(_) if security.login.is_none() => match mechanisms(host, client_id, security) {
            Some(offered) => ConnectionError::Login(LoginError::Wanted { offered }),
            None => why,
        },
        why => why,
    }
}

fn answers_without_tls(host: &str, client_id: &str) -> bool {
    let answer = Connection::connect(host, client_id, CONNECT_TIMEOUT)
        .and_then(|mut broker| broker.ask::<_, ApiVersionsResponse>(&ApiVersionsRequest::default(), LIMIT));
    answer.is_ok()
}

fn mechanisms(host: &str, client_id: &str, security: &Security) -> Option<Vec<String>> {
    Connection::open(host, client_id, security, LIMIT)
        .ok()?
        .mechanisms(LIMIT)
}
