//! The id of a topic: one that is deleted and made anew has another one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Told by brokers of 2.8 and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// The id that an answer names; all zeros are none.
    pub(super) fn of(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

/// As Kafka's tools show it.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_as_kafka_shows_it() {
        let mut bytes = [0; 16];
        assert_eq!(TopicId::of(bytes), None);
        bytes[15] = 1;
        assert_eq!(TopicId::of(bytes).unwrap().to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }
}
