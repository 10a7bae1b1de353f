//! Why a call to a broker did not bring what it should have.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Kind};

use crate::broker::error_codes::{self, RetryClass};
use crate::model::TopicPartition;

/// What lies behind an error, where it matters to those who hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// No more than what its sentence says.
    Other,
    /// A broker does not allow it.
    Denied,
    /// The answer came, but what is in it can't be read.
    Unreadable,
    /// The connection broke, or leads to a broker that is the wrong one by now: a new one may be
    /// all that it takes.
    Broken,
    /// A partition's leader does not know yet how far its log goes.
    UnknownHighWatermark,
    /// The cluster takes nothing because of it, which errors of single brokers before it may not
    /// have told.
    TooFewReplicas,
}

/// A sentence for a person, and what it means for another try.
#[derive(Debug)]
pub(super) struct KafkaError {
    what: String,
    class: RetryClass,
    cause: Cause,
    /// What the user can do.
    way_out: Option<String>,
    /// What the crate `kafka` cannot do, and our own client can.
    beyond_the_crate: Option<&'static str>,
}

impl KafkaError {
    /// An error that may pass.
    pub(super) fn passing(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            class: RetryClass::Retry,
            cause: Cause::Other,
            way_out: None,
            beyond_the_crate: None,
        }
    }

    /// An error that trying again does not mend.
    pub(super) fn fatal(what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            class: RetryClass::Fatal,
            ..Self::passing(what).or(way_out)
        }
    }

    /// A partition's leader does not know yet how far its log goes.
    pub(super) fn unknown_high_watermark(at: &TopicPartition) -> Self {
        Self {
            cause: Cause::UnknownHighWatermark,
            ..Self::passing(format!("{at}: its new leader does not know yet how far the log goes"))
        }
    }

    /// No error, but the user's wish to stop.
    pub(super) fn stopped() -> Self {
        Self {
            class: RetryClass::Stopped,
            ..Self::passing("stopped as asked")
        }
    }

    /// No answer has come in time.
    pub(super) fn overdue(limit: Duration) -> Self {
        Self::passing(format!("no answer within {} s", limit.as_secs()))
    }

    /// What the user can do when it does not pass.
    pub(super) fn or(self, way_out: impl Into<String>) -> Self {
        Self {
            way_out: Some(way_out.into()),
            ..self
        }
    }

    /// The same after it has lasted for so many seconds.
    pub(super) fn after(mut self, seconds: u64) -> Self {
        self.what = format!("{}; so it has been for {seconds} s", self.what);
        self
    }

    /// An error code that a broker answers.
    pub(super) fn code(code: i16) -> Self {
        let class = error_codes::retry_class(code);
        let cause = if error_codes::is_denial(code) {
            Cause::Denied
        } else if error_codes::has_moved(code) {
            // A coordinator that moved is no news when the next one answers at once.
            Cause::Broken
        } else if error_codes::lacks_replicas(code) {
            Cause::TooFewReplicas
        } else {
            Cause::Other
        };
        Self {
            class,
            cause,
            way_out: (class == RetryClass::Fatal).then(|| error_codes::way_out(code).to_string()),
            beyond_the_crate: error_codes::asks_for_zstd(code).then_some("records are compressed with zstd"),
            ..Self::passing(format!("the broker answers {}", error_codes::name(code)))
        }
    }

    /// Names the user to whom it is not allowed, where that is what it is.
    pub(super) fn denied_to(mut self, user: &str) -> Self {
        if self.cause == Cause::Denied {
            self.what = format!("{} to {user}", self.what);
        }
        self
    }

    /// Puts the place where it happened before the sentence.
    pub(super) fn at(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// The same, because of what is in an answer that came.
    pub(super) fn unreadable(self) -> Self {
        Self {
            cause: Cause::Unreadable,
            ..self
        }
    }

    /// The same, because of something that the crate `kafka` cannot do, and our own client can.
    pub(super) fn beyond_the_crate(self, what: &'static str) -> Self {
        Self {
            beyond_the_crate: Some(what),
            ..self
        }
    }

    /// The same, because the connection broke.
    pub(super) fn broken(self) -> Self {
        Self {
            cause: Cause::Broken,
            ..self
        }
    }

    /// What it means for another try.
    pub(super) fn class(&self) -> RetryClass {
        self.class
    }

    /// Whether trying again changes nothing.
    pub(super) fn is_fatal(&self) -> bool {
        self.class == RetryClass::Fatal
    }

    /// Whether an answer came that can't be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.cause == Cause::Unreadable
    }

    /// What the crate `kafka` cannot do, where that is the reason.
    pub(super) fn is_beyond_the_crate(&self) -> Option<&'static str> {
        self.beyond_the_crate
    }

    /// Whether a new connection may be all that it takes.
    pub(super) fn is_broken(&self) -> bool {
        self.cause == Cause::Broken
    }

    /// Whether the next try, at once, may find nothing of it: a connection that broke while it was
    /// idle, or a new leader that hears from its replicas within a moment.
    pub(super) fn may_pass_at_once(&self) -> bool {
        matches!(self.cause, Cause::Broken | Cause::UnknownHighWatermark)
    }

    /// Whether a leader does not know yet how far its log goes.
    pub(super) fn is_unknown_high_watermark(&self) -> bool {
        self.cause == Cause::UnknownHighWatermark
    }

    /// Whether it tells why the cluster takes nothing.
    pub(super) fn explains(&self) -> bool {
        self.cause == Cause::TooFewReplicas
    }

    /// Of two failures the one that trying again does not mend, or the later one.
    pub(super) fn worse(before: Option<Self>, after: Option<Self>) -> Option<Self> {
        match (before, after) {
            (Some(before), Some(after)) if before.is_fatal() && !after.is_fatal() => Some(before),
            (before, after) => after.or(before),
        }
    }

    /// The error that it is when it is not tried again.
    pub(super) fn into_error(self) -> Error {
        let kind = match (self.class, self.cause) {
            (RetryClass::Stopped, _) => return Error::stopped(),
            (_, Cause::Denied) => Kind::Denied,
            _ => Kind::Failed,
        };
        Error::new(kind, self.what).way_out(self.way_out.as_deref().unwrap_or(WAY_OUT))
    }
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

const WAY_OUT: &str = "see that the brokers run (sh server_up.sh starts the project's own), then run the same command again: it goes on where it stood";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_of_one_class_and_a_stop_is_no_error() {
        let class = |code| KafkaError::code(code).class();
        assert_eq!(
            [6, 10, 1, 29].map(class),
            [
                RetryClass::Retry,
                RetryClass::TooLarge,
                RetryClass::OutOfRange,
                RetryClass::Fatal
            ]
        );
        let denied = KafkaError::code(29)
            .denied_to("the user 'alice'")
            .at("topic t")
            .into_error();
        let text = "topic t: the broker answers TopicAuthorizationFailed (code 29) to the user 'alice'";
        assert_eq!(denied.kind(), Kind::Denied);
        assert!(denied.to_string().starts_with(text), "{denied}");
        assert!(
            !KafkaError::passing("x")
                .denied_to("the user 'alice'")
                .to_string()
                .contains("alice")
        );
        assert!(KafkaError::code(16).is_broken() && KafkaError::code(19).explains());
        assert_eq!(KafkaError::stopped().at("topic t").into_error().kind(), Kind::Stopped);
    }
}
