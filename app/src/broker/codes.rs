//! What a broker's error codes mean for us.

use kafka_protocol::ResponseError;

/// What to do after an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass: the leader moves, a broker starts or is slow.
    Retry,
    /// The record or the request is larger than the broker takes.
    TooLarge,
    /// The offset is not in the log.
    OutOfRange,
    /// Trying again changes nothing.
    Fatal,
}

/// The way out of a code by which a broker forbids something.
pub const ALLOW: &str = "let this client do it (kafka-acls.sh), or name another topic";

/// Judges an error code. A code that is new to us may pass.
pub fn verdict(code: i16) -> Verdict {
    match ResponseError::try_from_code(code) {
        Some(ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge) => Verdict::TooLarge,
        Some(ResponseError::OffsetOutOfRange) => Verdict::OutOfRange,
        Some(
            ResponseError::InvalidTopicException
            | ResponseError::InvalidRequiredAcks
            | ResponseError::InvalidGroupId
            | ResponseError::InvalidTimestamp
            | ResponseError::UnsupportedVersion
            | ResponseError::PolicyViolation
            | ResponseError::TopicAuthorizationFailed
            | ResponseError::GroupAuthorizationFailed
            | ResponseError::ClusterAuthorizationFailed
            | ResponseError::UnsupportedSaslMechanism
            | ResponseError::IllegalSaslState,
        ) => Verdict::Fatal,
        _ => Verdict::Retry,
    }
}

/// A code's name, for people.
pub fn name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        Some(ResponseError::UnknownServerError) => {
            "an error code that this client does not know (a topic compressed with zstd is one reason)".to_string()
        }
        Some(error) => format!("{error} (code {code})"),
        None => "no error".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_judged() {
        for code in [-1, 2, 3, 5, 6, 7, 8, 9, 13, 19, 20, 56, 1000] {
            assert_eq!(verdict(code), Verdict::Retry, "{}", name(code));
        }
        for code in [10, 18] {
            assert_eq!(verdict(code), Verdict::TooLarge, "{}", name(code));
        }
        for code in [17, 29, 30, 31, 35] {
            assert_eq!(verdict(code), Verdict::Fatal, "{}", name(code));
        }
        assert_eq!(verdict(1), Verdict::OutOfRange);
    }

    #[test]
    fn codes_have_names() {
        assert_eq!(name(6), "NotLeaderOrFollower (code 6)");
    }
}
