//! Why a call to a broker did not bring what it should have.

use std::fmt;

use crate::error::{Error, Kind};

use crate::broker::error_codes::{self, RetryClass};

/// A sentence for a person, and whether it may pass.
#[derive(Debug)]
pub struct KafkaError {
    what: String,
    /// Trying again changes nothing.
    fatal: bool,
    /// What the user can do.
    way_out: Option<String>,
    /// A broker does not allow it.
    denied: bool,
    /// The answer came, but what is in it can't be read.
    pub unreadable: bool,
    /// The connection broke.
    pub broken: bool,
    /// It tells why the cluster takes nothing, which trouble with single brokers before it may not have told.
    pub explains: bool,
}

impl KafkaError {
    /// KafkaError that may pass.
    pub fn passing(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fatal: false,
            way_out: None,
            denied: false,
            unreadable: false,
            broken: false,
            explains: false,
        }
    }

    /// KafkaError that trying again does not mend.
    pub fn fatal(what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            fatal: true,
            ..Self::passing(what).or(way_out)
        }
    }

    /// What the user can do when it does not pass.
    pub fn or(self, way_out: impl Into<String>) -> Self {
        Self {
            way_out: Some(way_out.into()),
            ..self
        }
    }

    /// The same after it has been borne for so many seconds.
    pub fn borne(mut self, seconds: u64) -> Self {
        self.what = format!("{}; so it has been for {seconds} s", self.what);
        self
    }

    /// An error code that a broker answers.
    pub fn code(code: i16) -> Self {
        let what = format!("the broker answers {}", error_codes::name(code));
        match error_codes::retry_class(code) {
            RetryClass::Fatal => Self {
                denied: error_codes::is_denial(code),
                ..Self::fatal(what, error_codes::way_out(code))
            },
            _ => Self {
                // A coordinator that moved is no news when the next one answers at once.
                broken: error_codes::has_moved(code),
                explains: error_codes::lacks_replicas(code),
                ..Self::passing(what)
            },
        }
    }

    /// Puts the place where it happened before the sentence.
    pub fn at(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Whether trying again changes nothing.
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The same, because of what is in an answer that came.
    pub fn unreadable(self) -> Self {
        Self {
            unreadable: true,
            ..self
        }
    }

    /// The same, because the connection broke.
    pub fn broken(self) -> Self {
        Self { broken: true, ..self }
    }

    /// The error that it is when it is not to be borne.
    pub fn into_error(self) -> Error {
        let kind = if self.denied { Kind::Denied } else { Kind::Failed };
        Error::new(kind, self.what).way_out(self.way_out.as_deref().unwrap_or(WAY_OUT))
    }
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

const WAY_OUT: &str = "see that the brokers run (sh server_up.sh starts the project's own), then run the same command again: it goes on where it stood";
