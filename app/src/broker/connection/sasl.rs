//! A login by SASL: the requests SaslHandshake and SaslAuthenticate, and what goes back and forth
//! in them (KIP-43, KIP-152).
//!
//! Where a broker ends sessions (`connections.max.reauth.ms`), the answer tells their length, and
//! the connection says when it is to be replaced by a new one. KIP-368 allows a second login on the
//! same connection, too; a new connection needs no state of its own, comes by the way that every
//! start tries, and costs one handshake an hour.

use std::time::Duration;

use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;
use zeroize::Zeroizing;

use super::Connection;
use super::bounds::{Answer, SaslAuthenticateV0};
use super::credentials::{Credentials, Mechanism, Password};
use super::error::ConnectionError;
use super::login_error::LoginError;
use super::scram::{ClientFirst, Hash};

const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const ILLEGAL_SASL_STATE: i16 = 34;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// So many requests a login has at most: for the versions, for the mechanism, and two for what goes
/// back and forth.
pub(super) const LOGIN_STEPS: u32 = 4;

/// So many of the mechanisms that a broker offers are shown.
const MOST_MECHANISMS: usize = 20;

/// So much of what a broker says of a refused login is shown.
const LONGEST_REASON: usize = 200;

impl Connection {
    /// Proves who we are, and that the broker knows it too where the mechanism can. Each step may
    /// take `limit`.
    pub(super) fn log_in(&mut self, credentials: &Credentials, limit: Duration) -> Result<Duration, ConnectionError> {
        let tells_lifetime = self.tells_lifetime(limit)?;
        self.choose(credentials.mechanism, limit)?;
        let mut exchange = Exchange {
            connection: self,
            credentials,
            tells_lifetime,
            limit,
            lifetime: Duration::ZERO,
        };
        match credentials.mechanism {
            Mechanism::Plain => exchange.plain()?,
            Mechanism::ScramSha256 => exchange.scram(Hash::Sha256)?,
            Mechanism::ScramSha512 => exchange.scram(Hash::Sha512)?,
        }
        Ok(exchange.lifetime)
    }

    /// Whether the broker tells how long a session lasts. Its versions are told without a login.
    fn tells_lifetime(&mut self, limit: Duration) -> Result<bool, ConnectionError> {
        let versions: ApiVersionsResponse = self.ask(&ApiVersionsRequest::default(), limit)?;
        if versions.error_code != 0 {
            return Err(code(versions.error_code, String::new()));
        }
        let newest = |key: ApiKey| {
            let api = versions.api_keys.iter().find(|api| api.api_key == key as i16);
            api.map(|api| api.max_version)
        };
        if newest(ApiKey::SaslHandshake).is_none_or(|newest| newest < SaslHandshakeResponse::VERSION) {
            return Err(ConnectionError::Login(LoginError::TooOld));
        }
        match newest(ApiKey::SaslAuthenticate) {
            Some(newest) => Ok(newest >= SaslAuthenticateResponse::VERSION),
            None => Err(ConnectionError::Login(LoginError::TooOld)),
        }
    }

    /// By which mechanisms the listener lets users log in, if it does.
    pub(super) fn mechanisms(&mut self, limit: Duration) -> Option<Vec<String>> {
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(""));
        let answer: SaslHandshakeResponse = self.ask(&request, limit).ok()?;
        (answer.error_code == UNSUPPORTED_SASL_MECHANISM).then(|| offered(&answer))
    }

    fn choose(&mut self, wanted: Mechanism, limit: Duration) -> Result<(), ConnectionError> {
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(wanted.name()));
        let answer: SaslHandshakeResponse = self.ask(&request, limit)?;
        match answer.error_code {
            0 => Ok(()),
            UNSUPPORTED_SASL_MECHANISM => Err(ConnectionError::Login(LoginError::MechanismNotOffered {
                wanted,
                offered: offered(&answer),
            })),
            ILLEGAL_SASL_STATE => Err(ConnectionError::Login(LoginError::NotAskedFor)),
            other => Err(code(other, String::new())),
        }
    }
}

fn offered(answer: &SaslHandshakeResponse) -> Vec<String> {
    let mechanisms = answer.mechanisms.iter().take(MOST_MECHANISMS);
    mechanisms.map(ToString::to_string).collect()
}

/// What goes back and forth once the mechanism is chosen.
struct Exchange<'a> {
    connection: &'a mut Connection,
    credentials: &'a Credentials,
    tells_lifetime: bool,
    limit: Duration,
    /// How long the session lasts, as far as it has been told; zero is for ever.
    lifetime: Duration,
}

impl Exchange<'_> {
    fn plain(&mut self) -> Result<(), ConnectionError> {
        let Credentials { user, password, .. } = self.credentials;
        let token = Zeroizing::new(format!("\0{user}\0{}", password.reveal()));
        self.send(token.as_bytes()).map(drop)
    }

    fn scram(&mut self, hash: Hash) -> Result<(), ConnectionError> {
        let first = ClientFirst::new(hash, &self.credentials.user);
        let server_first = self.send(first.message().as_bytes())?;
        let answered = first.answer(&server_first, self.credentials.password.reveal());
        let (proof, client_final) = answered.map_err(ConnectionError::Login)?;
        let server_final = self.send(proof.as_bytes())?;
        client_final.verify(&server_final).map_err(ConnectionError::Login)
    }

    /// Sends one token and gives the broker's.
    fn send(&mut self, token: &[u8]) -> Result<Vec<u8>, ConnectionError> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(token.to_vec().into());
        let limit = self.limit;
        let answer = if self.tells_lifetime {
            self.connection.ask::<_, SaslAuthenticateResponse>(&request, limit)?
        } else {
            self.connection.ask::<_, SaslAuthenticateV0>(&request, limit)?.0
        };
        let told = answer.error_message.as_deref().unwrap_or_default();
        let told = without_password(told, &self.credentials.password);
        match answer.error_code {
            0 => {
                self.lifetime = Duration::from_millis(answer.session_lifetime_ms.try_into().unwrap_or(0));
                Ok(answer.auth_bytes.to_vec())
            }
            SASL_AUTHENTICATION_FAILED => Err(ConnectionError::Login(LoginError::Refused {
                mechanism: self.credentials.mechanism,
                user: self.credentials.user.clone(),
                told,
            })),
            other => Err(code(other, told)),
        }
    }
}

fn code(code: i16, told: String) -> ConnectionError {
    ConnectionError::Login(LoginError::Code(code, told))
}

/// What the broker says, without the password that it was told: what is shown may end in a log.
fn without_password(told: &str, password: &Password) -> String {
    told.replace(password.reveal(), "***")
        .chars()
        .take(LONGEST_REASON)
        .collect()
}
