//! Why a connection brings no answer.

use std::fmt;
use std::io::{self, ErrorKind};

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
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Unreachable(e) => write!(f, "it cannot be reached ({e})"),
            ConnectionError::TimedOut => write!(f, "it takes the connection, but does not answer"),
            ConnectionError::Closed(e) => write!(f, "it closes the connection ({e})"),
            ConnectionError::NotKafka => write!(f, "it does not speak Kafka's protocol"),
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
