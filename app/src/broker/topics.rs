//! What answers at an address, and what a cluster says of a topic: asked over a plain connection, because the `kafka` crate
//! waits without a limit for the first and forgets the error codes of the second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;

use crate::error::{Error, Result};

use super::hosts::{CONNECT, Hosts};
use super::peek;
use super::plain::{Plain, Unanswered};
use super::trouble::Trouble;

/// How long a broker may take for one of these small answers.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a broker that answers questions may take for that of its versions; one of 0.9 never answers it.
const VERSIONS: Duration = Duration::from_secs(1);

/// How long the check of all addresses may take.
const CHECK: Duration = Duration::from_secs(5);

/// A broker of the cluster that speaks our protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker {
    /// It also knows the newer way to fetch that `peek` needs.
    pub newer_fetch: bool,
}

/// Finds a broker that speaks our protocol among the addresses, or says what is there instead.
pub fn check(hosts: &Hosts, client_id: &str) -> Result<Speaker> {
    let end = Instant::now() + CHECK;
    let mut why = Vec::new();
    for host in hosts.all() {
        match check_one(&host, client_id, end) {
            Ok(Some(speaker)) => return Ok(speaker),
            Ok(None) => {
                return Err(Error::failed(format!(
                    "the broker at {host} is too new: this client speaks the 0.9-3.9 protocol"
                ))
                .way_out(
                    "run a broker of version 0.9 to 3.9 (sh server_up.sh starts 2.8.1), and name it with --brokers",
                ));
            }
            Err(unanswered) => why.push((host, unanswered)),
        }
    }
    Err(nobody(&why))
}

/// Checks one address; none when its broker no longer speaks our protocol.
fn check_one(host: &str, client_id: &str, end: Instant) -> Result<Option<Speaker>, Unanswered> {
    let limit = |most: Duration| {
        most.min(end.saturating_duration_since(Instant::now()))
            .max(Duration::from_millis(100))
    };
    let open = || Plain::open(host, client_id, limit(CONNECT));
    let _: MetadataResponse = open()?.ask(ApiKey::Metadata, 0, &every_topic(), limit(ANSWER))?;
    let versions = open()?.ask(ApiKey::ApiVersions, 0, &ApiVersionsRequest::default(), limit(VERSIONS));
    Ok(match versions {
        Ok(versions) => speaker(&versions),
        // A broker of 0.9 answers questions, but not this one.
        Err(_) => Some(Speaker { newer_fetch: false }),
    })
}

/// Judges by Fetch, not by Produce: 4.x names version 0 for that, and refuses it all the same.
fn speaker(versions: &ApiVersionsResponse) -> Option<Speaker> {
    let fetch = versions
        .api_keys
        .iter()
        .find(|api| api.api_key == ApiKey::Fetch as i16)?;
    (fetch.min_version == 0).then_some(Speaker {
        newer_fetch: fetch.max_version >= peek::VERSION,
    })
}

fn nobody(why: &[(String, Unanswered)]) -> Error {
    let list = why.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>().join(", ");
    let reasons = why
        .iter()
        .map(|(host, why)| format!("{host}: {why}"))
        .collect::<Vec<_>>()
        .join("; ");
    let foreign = why
        .iter()
        .find(|(_, why)| matches!(why, Unanswered::Gibberish | Unanswered::Closed(_)));
    match foreign {
        Some((host, why)) => Error::failed(format!("what answers at {host} is no Kafka broker: {why}")).way_out(
            "name the plaintext listener of a broker with --brokers HOST:PORT (this client speaks neither TLS nor SASL)",
        ),
        None => Error::failed(format!("no Kafka broker answers at {list} ({reasons})"))
            .way_out("start one with `sh server_up.sh`, or name another with --brokers HOST:PORT"),
    }
}

fn every_topic() -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(Vec::new()))
}

/// What the cluster says of a topic.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not there.
    Missing,
    /// It has this many partitions, and each has a leader.
    Ready(i32),
    /// It is there, or soon will be, but cannot be used yet.
    Unready(String),
    /// The broker refuses it with this code.
    Refused(i16),
}

/// Asks the cluster for a topic; `create` lets a broker make it.
pub fn standing(hosts: &Hosts, client_id: &str, topic: &str, create: bool) -> Result<Standing, Trouble> {
    let request = match create {
        true => {
            let name = StrBytes::from_string(topic.to_string()).into();
            MetadataRequest::default().with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        }
        false => every_topic(),
    };
    Ok(judge(&metadata(hosts, client_id, &request)?, topic))
}

/// Asks the cluster for all topics: how many partitions each has.
pub fn counts(hosts: &Hosts, client_id: &str) -> Result<HashMap<String, i32>, Trouble> {
    let answer = metadata(hosts, client_id, &every_topic())?;
    let counted = answer
        .topics
        .into_iter()
        .filter(|topic| topic.error_code == 0)
        .filter_map(|topic| Some((topic.name?.to_string(), topic.partitions.len() as i32)));
    Ok(counted.collect())
}

fn metadata(hosts: &Hosts, client_id: &str, request: &MetadataRequest) -> Result<MetadataResponse, Trouble> {
    let host = hosts.reachable().map_err(Trouble::passing)?;
    let at = |e: Unanswered| Trouble::passing(format!("{host}: {e}"));
    let mut broker = Plain::open(&host, client_id, CONNECT).map_err(at)?;
    broker.ask(ApiKey::Metadata, 0, request, ANSWER).map_err(at)
}

fn judge(answer: &MetadataResponse, topic: &str) -> Standing {
    const UNKNOWN_TOPIC: i16 = 3;
    const LEADER_NOT_AVAILABLE: i16 = 5;
    let named =
        |name: &Option<kafka_protocol::messages::TopicName>| name.as_ref().is_some_and(|name| name.as_str() == topic);
    let Some(found) = answer.topics.iter().find(|t| named(&t.name)) else {
        return Standing::Missing;
    };
    match found.error_code {
        0 => {}
        UNKNOWN_TOPIC => return Standing::Missing,
        LEADER_NOT_AVAILABLE => return Standing::Unready("it has no leader yet".to_string()),
        code => return Standing::Refused(code),
    }
    let mut ids: Vec<i32> = found.partitions.iter().map(|p| p.partition_index).collect();
    ids.sort_unstable();
    if ids.is_empty() || !ids.iter().copied().eq(0..ids.len() as i32) {
        return Standing::Unready(format!("its partitions are {ids:?}"));
    }
    let known = |id: i32| answer.brokers.iter().any(|broker| broker.node_id.0 == id);
    match found.partitions.iter().find(|p| !known(p.leader_id.0)) {
        Some(p) => Standing::Unready(format!("partition {} has no leader", p.partition_index)),
        None => Standing::Ready(ids.len() as i32),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::ApiVersion;
    use kafka_protocol::messages::metadata_response::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };

    use super::*;

    fn versions(fetch: (i16, i16)) -> ApiVersionsResponse {
        let api = |key: ApiKey, (min, max)| {
            ApiVersion::default()
                .with_api_key(key as i16)
                .with_min_version(min)
                .with_max_version(max)
        };
        let keys = vec![api(ApiKey::Produce, (0, 12)), api(ApiKey::Fetch, fetch)];
        ApiVersionsResponse::default().with_api_keys(keys)
    }

    #[test]
    fn a_broker_is_too_new_by_what_it_names_for_fetch() {
        assert_eq!(speaker(&versions((4, 17))), None);
        assert_eq!(speaker(&versions((0, 17))), Some(Speaker { newer_fetch: true }));
        assert_eq!(speaker(&versions((0, 3))), Some(Speaker { newer_fetch: false }));
    }

    fn answer(error: i16, leaders: &[i32]) -> MetadataResponse {
        let partitions = leaders.iter().enumerate().map(|(i, &leader)| {
            MetadataResponsePartition::default()
                .with_partition_index(i as i32)
                .with_leader_id(leader.into())
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(StrBytes::from_static_str("t").into()))
            .with_error_code(error)
            .with_partitions(partitions.collect());
        MetadataResponse::default()
            .with_brokers(vec![MetadataResponseBroker::default().with_node_id(1.into())])
            .with_topics(vec![topic])
    }

    #[test]
    fn a_topic_is_ready_when_each_partition_has_a_leader_that_is_there() {
        assert_eq!(judge(&answer(0, &[1, 1, 1]), "t"), Standing::Ready(3));
        assert_eq!(judge(&answer(0, &[1]), "other"), Standing::Missing);
        assert_eq!(judge(&answer(3, &[]), "t"), Standing::Missing);
        assert_eq!(judge(&answer(29, &[]), "t"), Standing::Refused(29));
        for unready in [answer(5, &[]), answer(0, &[]), answer(0, &[1, -1]), answer(0, &[1, 2])] {
            assert!(matches!(judge(&unready, "t"), Standing::Unready(_)), "{unready:?}");
        }
    }

    #[test]
    fn what_is_no_broker_is_told_from_what_is_not_there() {
        let silent = nobody(&[("a:1".to_string(), Unanswered::Silent)]).to_string();
        assert!(
            silent.contains("no Kafka broker answers at a:1") && silent.contains("server_up.sh"),
            "{silent}"
        );
        let other = nobody(&[
            ("a:1".to_string(), Unanswered::Silent),
            ("b:2".to_string(), Unanswered::Gibberish),
        ])
        .to_string();
        assert!(other.contains("what answers at b:2 is no Kafka broker"), "{other}");
    }
}
