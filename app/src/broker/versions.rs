//! What the brokers can be asked, by what they say of themselves.

use std::sync::{Arc, OnceLock};

use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, FetchResponse, ListOffsetsResponse};

use crate::broker::connection::bounds::Answer;

/// The newest versions of what we ask for beside the old protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokerVersions {
    /// The oldest and the newest.
    fetch: (i16, i16),
    list_offsets: i16,
    metadata: i16,
}

impl BrokerVersions {
    /// Those of a broker that does not tell them.
    pub(crate) const OF_0_9: Self = Self {
        fetch: (0, 1),
        list_offsets: 0,
        metadata: 0,
    };

    /// Those of a broker that answers these versions of Fetch.
    #[cfg(test)]
    pub(crate) fn of_fetch(oldest: i16, newest: i16) -> Self {
        Self {
            fetch: (oldest, newest),
            list_offsets: 0,
            metadata: 0,
        }
    }

    /// What a broker's answer says. One that does not speak of fetching says nothing yet.
    pub(crate) fn of(answer: &ApiVersionsResponse) -> Option<Self> {
        let find = |key: ApiKey| answer.api_keys.iter().find(|api| api.api_key == key as i16);
        let fetch = find(ApiKey::Fetch).filter(|_| answer.error_code == 0)?;
        Some(Self {
            fetch: (fetch.min_version, fetch.max_version),
            list_offsets: find(ApiKey::ListOffsets).map_or(0, |api| api.max_version),
            metadata: find(ApiKey::Metadata).map_or(0, |api| api.max_version),
        })
    }

    /// Whether they no longer speak our protocol. Fetch tells, not Produce: 4.x names version 0 for
    /// that, and refuses it all the same.
    pub(crate) fn are_too_new(&self) -> bool {
        self.fetch.0 > 0
    }

    /// Whether they answer a Fetch in the version by which the header of a batch is read.
    pub(crate) fn tell_batch_headers(&self) -> bool {
        self.fetch.1 >= FetchResponse::VERSION
    }

    /// The version of Metadata by which a topic's id is read, where they know it.
    pub(crate) fn that_tells_topic_ids(&self) -> Option<i16> {
        const FIRST: i16 = 10;
        (self.metadata >= FIRST).then_some(FIRST)
    }

    /// Whether a leader says that it does not know its high watermark yet.
    pub(crate) fn tell_unknown_high_watermark(&self) -> bool {
        self.list_offsets >= ListOffsetsResponse::VERSION
    }
}

/// What the brokers speak, as soon as one has told it.
pub(crate) type KnownVersions = Arc<OnceLock<BrokerVersions>>;

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    use super::*;

    fn answer(fetch: Option<(i16, i16)>) -> ApiVersionsResponse {
        let api = |key: ApiKey, (min, max)| {
            ApiVersion::default()
                .with_api_key(key as i16)
                .with_min_version(min)
                .with_max_version(max)
        };
        let mut keys = vec![api(ApiKey::Produce, (0, 12)), api(ApiKey::ListOffsets, (0, 5))];
        keys.extend(fetch.map(|versions| api(ApiKey::Fetch, versions)));
        ApiVersionsResponse::default().with_api_keys(keys)
    }

    #[test]
    fn a_broker_is_too_new_by_what_it_names_for_fetch() {
        let versions = |fetch| BrokerVersions::of(&answer(Some(fetch))).unwrap();
        assert!(versions((4, 17)).are_too_new());
        assert!(!versions((0, 17)).are_too_new() && versions((0, 17)).tell_batch_headers());
        assert!(!versions((0, 3)).are_too_new() && !versions((0, 3)).tell_batch_headers());
        assert!(
            versions((0, 3)).tell_unknown_high_watermark() && !BrokerVersions::OF_0_9.tell_unknown_high_watermark()
        );
    }

    #[test]
    fn half_an_answer_says_nothing_of_versions() {
        assert_eq!(BrokerVersions::of(&answer(None)), None);
        assert_eq!(BrokerVersions::of(&answer(Some((4, 17))).with_error_code(35)), None);
    }
}
