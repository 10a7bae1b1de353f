//! What one broker can be asked.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::{
    ApiVersionsResponse, FetchResponse, ListOffsetsResponse, MetadataResponse, ProduceResponse,
};

use crate::broker::connection::bounds::Answer;
use crate::broker::error::KafkaError;

/// An answer, and the versions of it that this client reads.
pub(super) trait Negotiated: Answer {
    const OURS: RangeInclusive<i16>;

    /// For how many milliseconds the broker takes nothing more from this client, whose quota is
    /// used up.
    fn throttle_time_ms(&self) -> i32;
}

/// 4 is the first that can forbid a broker to make the topic that is asked for, 13 the first with
/// an error of the whole answer.
impl Negotiated for MetadataResponse {
    const OURS: RangeInclusive<i16> = 4..=12;

    fn throttle_time_ms(&self) -> i32 {
        self.throttle_time_ms
    }
}

/// 3 is the first with today's record batches; 13 names topics by their ids.
impl Negotiated for ProduceResponse {
    const OURS: RangeInclusive<i16> = 3..=12;

    fn throttle_time_ms(&self) -> i32 {
        self.throttle_time_ms
    }
}

/// 4 is the first with today's record batches; 13 names topics by their ids.
impl Negotiated for FetchResponse {
    const OURS: RangeInclusive<i16> = 4..=12;

    fn throttle_time_ms(&self) -> i32 {
        self.throttle_time_ms
    }
}

/// 1 is the first that answers one offset, 8 the first that knows what is not in remote storage.
impl Negotiated for ListOffsetsResponse {
    const OURS: RangeInclusive<i16> = 1..=8;

    fn throttle_time_ms(&self) -> i32 {
        self.throttle_time_ms
    }
}

/// What brokers can be asked, by their addresses: each of them is asked for it once, not on every
/// connection. A broker that comes back in another version closes its connections, and it closes
/// those on which it is asked in a version that it does not speak. So whatever goes wrong with a
/// broker makes it forgotten.
#[derive(Debug, Clone, Default)]
pub(crate) struct VersionsByBroker(Arc<Mutex<HashMap<String, Arc<Versions>>>>);

impl VersionsByBroker {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Versions>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, host: &str) -> Option<Arc<Versions>> {
        self.lock().get(host).cloned()
    }

    pub(super) fn remember(&self, host: &str, versions: &Arc<Versions>) {
        self.lock().insert(host.to_string(), versions.clone());
    }

    pub(super) fn forget(&self, host: &str) {
        self.lock().remove(host);
    }
}

/// The way out where the broker is too old.
pub(super) const OLD_BROKER: &str =
    "use --client kafka, without TLS, a login, lz4 and zstd; or a broker of 0.11 or later";

/// What a broker says of itself: the oldest and the newest version of each request.
#[derive(Debug)]
pub(crate) struct Versions(HashMap<i16, (i16, i16)>);

impl Versions {
    pub(super) fn of(answer: &ApiVersionsResponse) -> Result<Self, KafkaError> {
        if answer.error_code != 0 {
            return Err(KafkaError::code(answer.error_code));
        }
        let ranges = answer.api_keys.iter();
        Ok(Self(
            ranges
                .map(|api| (api.api_key, (api.min_version, api.max_version)))
                .collect(),
        ))
    }

    /// The newest version that both sides know. A broker that names none can be too old or too new,
    /// or not itself yet.
    pub(super) fn choose<R: Negotiated>(&self) -> Result<i16, KafkaError> {
        let api = R::API;
        let (least, most) = (R::OURS.start(), R::OURS.end());
        let Some((oldest, newest)) = self.0.get(&(api as i16)) else {
            return Err(KafkaError::passing(format!(
                "the broker does not know {api:?} requests"
            )));
        };
        if newest < least {
            return Err(KafkaError::fatal(
                format!("the broker speaks {api:?} up to version {newest}, and the native client from {least} on"),
                OLD_BROKER,
            ));
        }
        if oldest > most {
            return Err(KafkaError::fatal(
                format!("the broker speaks {api:?} from version {oldest} on, and the native client up to {most}"),
                "use a newer version of this program",
            ));
        }
        Ok(*newest.min(most))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    use super::*;

    fn versions(api: ApiKey, (min, max): (i16, i16)) -> Versions {
        let api = ApiVersion::default()
            .with_api_key(api as i16)
            .with_min_version(min)
            .with_max_version(max);
        Versions::of(&ApiVersionsResponse::default().with_api_keys(vec![api])).unwrap()
    }

    #[test]
    fn the_newest_version_that_both_know_is_chosen() {
        let fetch = |range| versions(ApiKey::Fetch, range).choose::<FetchResponse>();
        assert_eq!(fetch((0, 11)).unwrap(), 11);
        assert_eq!(fetch((4, 18)).unwrap(), 12);
        assert_eq!(fetch((0, 4)).unwrap(), 4);
        for (range, text) in [((0, 3), "up to version 3"), ((13, 18), "from version 13 on")] {
            let error = fetch(range).unwrap_err();
            assert!(error.is_fatal() && error.to_string().contains(text), "{error}");
        }
        let error = versions(ApiKey::Fetch, (4, 17))
            .choose::<ProduceResponse>()
            .unwrap_err();
        assert!(!error.is_fatal(), "a broker that starts names few");
    }

    #[test]
    fn a_broker_that_lists_what_it_refuses_is_asked_for_what_it_takes() {
        let produce = versions(ApiKey::Produce, (0, 13)).choose::<ProduceResponse>();
        assert_eq!(produce.unwrap(), 12);
    }

    #[test]
    fn an_error_tells_no_versions() {
        assert!(Versions::of(&ApiVersionsResponse::default().with_error_code(35)).is_err());
    }
}
