//! What secures a connection: TLS, a login, both or nothing.

use std::sync::Arc;

use super::credentials::Credentials;
use super::sasl::LOGIN_STEPS;
use super::tls::Tls;

/// What every connection to the cluster is secured by.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// TLS, unless the connection is in the clear.
    pub tls: Option<Tls>,
    /// The login, where the brokers ask for one.
    pub login: Option<Arc<Credentials>>,
}

impl Security {
    /// At most so many answers are waited for before the first request can be sent, one after the
    /// other: that of the TLS handshake, and those of the login.
    pub(crate) fn steps(&self) -> u32 {
        u32::from(self.tls.is_some()) + if self.login.is_some() { LOGIN_STEPS } else { 0 }
    }

    /// Whom the brokers take us for, where they are told.
    pub(crate) fn user(&self) -> Option<String> {
        match (&self.login, &self.tls) {
            (Some(login), _) => Some(format!("the user '{}'", login.user)),
            (None, Some(tls)) if tls.has_certificate() => Some("the user of the certificate in --tls-cert".to_string()),
            _ => None,
        }
    }

    /// Whether there is anything of it.
    pub(crate) fn is_given(&self) -> bool {
        self.tls.is_some() || self.login.is_some()
    }

    /// What the user can do where a broker closes the connection or is silent before its first
    /// answer: a listener that wants another kind of connection often says no more than that.
    pub(crate) fn way_out_of_silence(&self) -> &'static str {
        match (&self.tls, &self.login) {
            (None, None) => {
                "start a broker with `sh server_up.sh`, or name the plaintext listener of another with --brokers \
                 HOST:PORT; if this is a listener for TLS, add --tls, and if it asks for a login, add --sasl"
            }
            (None, Some(_)) => {
                "see that the broker runs; if this is a listener for TLS, add --tls, and if it has no login, leave \
                 --sasl out"
            }
            (Some(_), None) => {
                "see that the broker runs; if it asks for a login, add --sasl, and if it asks for a client \
                 certificate, add --tls-cert FILE --tls-key FILE"
            }
            (Some(_), Some(_)) => {
                "see that the broker runs; if it asks for a client certificate, add --tls-cert FILE --tls-key FILE"
            }
        }
    }
}
