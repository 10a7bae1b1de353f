//! What a broker's error codes mean for us.

use kafka_protocol::ResponseError;

/// What an error means for another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryClass {
    /// It may pass: the leader moves, a broker starts or is slow.
    Retry,
    /// The record or the request is larger than the broker takes.
    TooLarge,
    /// The offset is not in the log.
    OutOfRange,
    /// Trying again changes nothing.
    Fatal,
    /// The user wants to stop; no code means that.
    Stopped,
}

/// The way out of a code by which a broker forbids something.
pub(super) fn way_out(code: i16) -> &'static str {
    match ResponseError::try_from_code(code) {
        Some(ResponseError::GroupAuthorizationFailed) => ALLOW_GROUP,
        Some(ResponseError::InvalidGroupId) => "name another --group",
        Some(ResponseError::UnsupportedCompressionType) => {
            "choose another --compression; to read a topic of zstd, use --client native"
        }
        Some(ResponseError::InvalidRecord | ResponseError::InvalidTimestamp) => {
            "see what the topic demands of records (kafka-configs.sh --describe), or name another topic"
        }
        _ => "let this client do it (kafka-acls.sh), or name another topic",
    }
}

const ALLOW_GROUP: &str = "let this client use the group (kafka-acls.sh), or name another --group";

/// Judges an error code. A code that is new to us may pass.
pub(super) fn retry_class(code: i16) -> RetryClass {
    match ResponseError::try_from_code(code) {
        Some(ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge) => RetryClass::TooLarge,
        Some(ResponseError::OffsetOutOfRange) => RetryClass::OutOfRange,
        Some(
            ResponseError::InvalidTopicException
            | ResponseError::InvalidRequiredAcks
            | ResponseError::InvalidGroupId
            | ResponseError::InvalidTimestamp
            | ResponseError::UnsupportedVersion
            | ResponseError::UnsupportedCompressionType
            | ResponseError::InvalidRecord
            | ResponseError::PolicyViolation
            | ResponseError::TopicAuthorizationFailed
            | ResponseError::GroupAuthorizationFailed
            | ResponseError::ClusterAuthorizationFailed
            | ResponseError::UnsupportedSaslMechanism
            | ResponseError::IllegalSaslState,
        ) => RetryClass::Fatal,
        _ => RetryClass::Retry,
    }
}

/// Whether a broker has only records that are compressed with zstd, and was asked in a version that
/// is older than that.
pub(super) fn asks_for_zstd(code: i16) -> bool {
    matches!(
        ResponseError::try_from_code(code),
        Some(ResponseError::UnsupportedCompressionType)
    )
}

/// Whether a broker does not allow what was asked.
pub(super) fn is_denial(code: i16) -> bool {
    matches!(
        ResponseError::try_from_code(code),
        Some(
            ResponseError::TopicAuthorizationFailed
                | ResponseError::GroupAuthorizationFailed
                | ResponseError::ClusterAuthorizationFailed
        )
    )
}

/// Whether a leader takes no records because too few of its replicas are in sync.
pub(super) fn lacks_replicas(code: i16) -> bool {
    matches!(
        ResponseError::try_from_code(code),
        Some(ResponseError::NotEnoughReplicas | ResponseError::NotEnoughReplicasAfterAppend)
    )
}

/// Whether a group's coordinator is only about to be there.
pub(super) fn is_settling(code: i16) -> bool {
    matches!(
        ResponseError::try_from_code(code),
        Some(ResponseError::CoordinatorNotAvailable | ResponseError::CoordinatorLoadInProgress)
    )
}

/// Whether a group's coordinator is another broker by now.
pub(super) fn has_moved(code: i16) -> bool {
    matches!(ResponseError::try_from_code(code), Some(ResponseError::NotCoordinator))
}

/// Whether a group has gone on without the member that asks, or is about to.
pub(super) fn must_rejoin(code: i16) -> bool {
    is_unknown_member(code)
        || matches!(
            ResponseError::try_from_code(code),
            Some(ResponseError::IllegalGeneration | ResponseError::RebalanceInProgress)
        )
}

/// Whether a group does not know the member that asks.
pub(super) fn is_unknown_member(code: i16) -> bool {
    matches!(ResponseError::try_from_code(code), Some(ResponseError::UnknownMemberId))
}

/// The way out where a group does not take a member, `session` its session timeout in seconds.
pub(super) fn group_way_out(code: i16, session: u64) -> Option<String> {
    Some(match ResponseError::try_from_code(code)? {
        ResponseError::InconsistentGroupProtocol => {
            "its members are not consumers that know the assignor \"range\": name another --group".to_string()
        }
        ResponseError::InvalidSessionTimeout => format!(
            "the broker does not allow a session timeout of {session} s (its group.min.session.timeout.ms and group.max.session.timeout.ms): choose another --session-timeout"
        ),
        ResponseError::GroupMaxSizeReached => {
            "stop another member, raise the broker's group.max.size, or name another --group".to_string()
        }
        ResponseError::GroupAuthorizationFailed => ALLOW_GROUP.to_string(),
        ResponseError::InvalidGroupId => "name another --group".to_string(),
        _ => return None,
    })
}

/// A code's name, for people.
pub(super) fn name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        Some(ResponseError::UnknownServerError) => {
            "an error code that this client does not know (a topic compressed with zstd is one reason)".to_string()
        }
        Some(error) if lacks_replicas(code) => format!(
            "{error} (code {code}): fewer brokers hold all its records than its min.insync.replicas demands, as others are down or behind"
        ),
        Some(error) => format!("{error} (code {code})"),
        None => "no error".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_judged() {
        // A leader that was fenced, or is not known yet, and a topic made anew, among them.
        for code in [-1, 2, 3, 5, 6, 7, 8, 9, 13, 19, 20, 45, 56, 74, 75, 100, 103, 1000] {
            assert_eq!(retry_class(code), RetryClass::Retry, "{}", name(code));
        }
        for code in [10, 18] {
            assert_eq!(retry_class(code), RetryClass::TooLarge, "{}", name(code));
        }
        for code in [17, 29, 30, 31, 32, 35, 76, 87] {
            assert_eq!(retry_class(code), RetryClass::Fatal, "{}", name(code));
        }
        assert_eq!(retry_class(1), RetryClass::OutOfRange);
    }

    #[test]
    fn what_is_not_allowed_is_told_from_other_fatal_codes() {
        assert!([29, 30, 31].into_iter().all(is_denial) && ![17, 35, 6].into_iter().any(is_denial));
    }

    #[test]
    fn codes_of_groups_are_told_apart() {
        assert!([22, 25, 27].into_iter().all(must_rejoin) && !must_rejoin(16));
        assert!(is_unknown_member(25) && !is_unknown_member(22));
        assert!(is_settling(14) && is_settling(15) && !is_settling(16));
        assert!(has_moved(16) && !has_moved(15));
        assert!(group_way_out(26, 3).unwrap().contains("--session-timeout"));
        assert_eq!(group_way_out(16, 3), None);
    }

    #[test]
    fn codes_have_names() {
        assert_eq!(name(6), "NotLeaderOrFollower (code 6)");
        for code in [19, 20] {
            assert!(name(code).contains("min.insync.replicas"), "{}", name(code));
        }
    }
}
