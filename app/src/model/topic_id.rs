//! The id of a topic: one that is deleted and made anew has another one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Told by brokers of 2.8 and later. Where one of two ids is not known, nothing is known of the
/// topic: a broker that is upgraded gives ids to topics that had none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// The id that an answer names; all zeros are none.
    pub fn of(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The id that a text shows, as it is kept in databases.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?)
    }
}

/// Whether both ids are known, and are not the same.
pub fn is_another(id: Option<TopicId>, other: Option<TopicId>) -> bool {
    id.zip(other).is_some_and(|(id, other)| id != other)
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
    fn an_id_is_shown_as_kafka_shows_it_and_read_back() {
        let mut bytes = [0; 16];
        assert_eq!(TopicId::of(bytes), None);
        bytes[15] = 1;
        let id = TopicId::of(bytes);
        assert_eq!(id.unwrap().to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAAAQ"), id);
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAQ==",
            "AAAA",
            "no id",
        ] {
            assert_eq!(TopicId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_known_ids_differ() {
        let [one, other] = [1, 2].map(|byte| TopicId::of([byte; 16]));
        assert!(is_another(one, other) && !is_another(one, one));
        assert!(!is_another(one, None) && !is_another(None, other) && !is_another(None, None));
    }
}
