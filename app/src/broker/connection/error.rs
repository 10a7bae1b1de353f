//! Why a connection brings no answer.

use std::fmt;
use std::io::{self, ErrorKind};

use super::login_error::LoginError;
use super::tls_error::TlsError;
use crate::broker::error::KafkaError;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ConnectionError {
    /// The address cannot be reached.
    Unreachable(io::Error),
    /// The connection stands, but nothing comes in time.
    TimedOut,
    /// The other side closed the connection.
    Closed(io::Error),
    /// What comes is not Kafka's protocol.
    NotKafka,
    /// The answer has more bytes than are read.
    TooLarge { size: usize, largest: usize },
    /// No TLS connection comes about.
    Tls(TlsError),
    /// The broker does not let us in.
    Login(LoginError),
}

impl ConnectionError {
    /// Whether trying again changes nothing: a setting is wrong here or at the broker.
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Self::Tls(why) => why.is_fatal(),
            Self::Login(why) => why.is_fatal(),
            Self::Unreachable(_) | Self::TimedOut | Self::Closed(_) | Self::NotKafka | Self::TooLarge { .. } => false,
        }
    }

    /// What the user can do, where the error tells.
    pub(crate) fn way_out(&self) -> Option<String> {
        match self {
            Self::Tls(why) => Some(why.way_out().to_string()),
            Self::Login(why) => Some(why.way_out()),
            Self::Unreachable(_) | Self::TimedOut | Self::Closed(_) | Self::NotKafka | Self::TooLarge { .. } => None,
        }
    }
}

impl From<ConnectionError> for KafkaError {
    fn from(why: ConnectionError) -> Self {
        match why.way_out() {
            Some(way_out) if why.is_fatal() => Self::fatal(why.to_string(), way_out),
            Some(way_out) => Self::passing(why.to_string()).or(way_out),
            None => Self::passing(why.to_string()),
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Unreachable(e) => write!(f, "it cannot be reached ({e})"),
            ConnectionError::TimedOut => write!(f, "it takes the connection, but does not answer"),
            ConnectionError::Closed(e) => write!(f, "it closes the connection ({e})"),
            ConnectionError::NotKafka => write!(f, "it does not speak Kafka's protocol"),
            ConnectionError::TooLarge { size, largest } => {
                let [size, largest] = [size, largest].map(|bytes| bytes.div_ceil(1 << 20));
                write!(f, "its answer has {size} MiB, and this client reads up to {largest}")
            }
            ConnectionError::Tls(why) => why.fmt(f),
            ConnectionError::Login(why) => why.fmt(f),
        }
    }
}

/// What a failed read or write means. One that took too long is told by the read timeout that we
/// set.
impl From<io::Error> for ConnectionError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Closed(e),
        }
    }
}
