//! What a cluster says of a topic: asked over a plain connection, because the `kafka` crate forgets
//! the error codes.
//!
//! A broker that has just begun knows no brokers, or no topics, or not all partitions until it is
//! told of them. So what would be final is taken from a cluster only when it names brokers and each
//! of them, asked by itself, says the same.

use std::collections::HashMap;
use std::fmt;
use std::thread;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::config::ClientConfig;
use crate::broker::connection::bounds::Answer;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::error::KafkaError;
use crate::broker::error_codes;
use crate::broker::hosts::MOST_HOSTS;
#[cfg(test)]
use crate::broker::transport::kind::TransportKind;
use crate::broker::versions::BrokerVersions;
use crate::model::{TopicId, topic_id};

pub(crate) fn every_topic() -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(Vec::new()))
}

/// A topic that is named is made by brokers that are set up so.
fn one_topic(topic: &str) -> MetadataRequest {
    let name = StrBytes::from_string(topic.to_string()).into();
    MetadataRequest::default().with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
}

/// What the cluster says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicState {
    /// It is not there, and `other` topics are or not.
    Missing { other: bool },
    /// It has this many partitions, and each has a leader.
    Ready(i32),
    /// It is there, or soon will be, but cannot be used yet.
    Unready(String),
    /// The broker refuses it with this code.
    Refused(i16),
}

impl TopicState {
    /// Whether it is less than what is known of the topic, `known` partitions: so a broker answers
    /// that has not been told yet.
    pub(crate) fn falls_short(&self, known: i32) -> bool {
        match self {
            TopicState::Missing { .. } => true,
            TopicState::Ready(n) => *n < known,
            TopicState::Unready(_) | TopicState::Refused(_) => false,
        }
    }
}

impl fmt::Display for TopicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicState::Missing { .. } => f.write_str("is not there"),
            TopicState::Ready(n) => write!(f, "has {n} partitions"),
            TopicState::Unready(why) => f.write_str(why),
            TopicState::Refused(code) => write!(f, "is refused with {}", error_codes::name(*code)),
        }
    }
}

/// Asks the cluster for a topic; `create` lets a broker make it. What falls short of the `known`
/// partitions is asked of each broker, or of the first hundred.
pub(crate) fn topic_state(
    config: &ClientConfig,
    topic: &str,
    create: bool,
    known: i32,
) -> Result<TopicState, KafkaError> {
    #[cfg(test)]
    if let TransportKind::Fake(cluster) = &config.transport.get() {
        return Ok(match cluster.partitions(topic) {
            0 => TopicState::Missing { other: false },
            partitions => TopicState::Ready(partitions),
        });
    }
    let request = if create { one_topic(topic) } else { every_topic() };
    let answer = metadata(config, &request)?;
    let state = state_in(&answer, topic);
    if !state.falls_short(known) {
        return Ok(state);
    }
    if answer.brokers.is_empty() {
        return Ok(TopicState::Unready("the broker knows of no broker yet".to_string()));
    }
    if matches!(state, TopicState::Missing { .. })
        && let Some(found) = named_topic(config, topic)?
        && error_codes::is_denial(found.error_code)
    {
        return Ok(TopicState::Refused(found.error_code));
    }
    let others = ask_each(&answer, |host| state_at(host, config, &request, topic))?;
    Ok(match others.into_iter().find(|(_, other)| *other != state) {
        Some((host, _)) => TopicState::Unready(format!("{host} says otherwise than another broker")),
        None => state,
    })
}

/// Asks each broker that an answer names, all at once.
fn ask_each<T: Send>(
    answer: &MetadataResponse,
    ask: impl Fn(&str) -> Result<T, KafkaError> + Sync,
) -> Result<Vec<(String, T)>, KafkaError> {
    let ask = &ask;
    thread::scope(|scope| {
        let asked: Vec<_> = answer
            .brokers
            .iter()
            .take(MOST_HOSTS)
            .map(|broker| format!("{}:{}", broker.host.as_str(), broker.port))
            .map(|host| scope.spawn(move || ask(&host).map(|said| (host, said))))
            .collect();
        let join = |asked: thread::ScopedJoinHandle<'_, _>| {
            asked
                .join()
                .unwrap_or_else(|_| Err(KafkaError::passing("the call broke off")))
        };
        asked.into_iter().map(join).collect()
    })
}

/// What one broker says of the topic.
fn state_at(
    host: &str,
    config: &ClientConfig,
    request: &MetadataRequest,
    topic: &str,
) -> Result<TopicState, KafkaError> {
    let answer = config
        .open(host)
        .and_then(|mut broker| broker.ask(request, config.limit));
    let answer = answer.map_err(|why| KafkaError::from(why).at(host))?;
    Ok(state_in(&answer, topic))
}

/// The longest that `topic_state` takes: one broker that can be reached is asked, and once more for
/// the topic by its name, then all others at once.
pub(crate) fn topic_state_timeout(config: &ClientConfig) -> Duration {
    config.open_any_timeout() * 2 + config.open_timeout() + config.limit * 3
}

/// Asks the cluster for all topics: how many partitions each has.
pub(crate) fn partition_counts(config: &ClientConfig) -> Result<HashMap<String, i32>, KafkaError> {
    let answer = metadata(config, &every_topic())?;
    let counted = answer
        .topics
        .into_iter()
        .filter(|topic| topic.error_code == 0)
        .filter_map(|topic| Some((topic.name?.to_string(), topic.partitions.len() as i32)));
    Ok(counted.collect())
}

/// The id of a topic; none of one that is not there, and where a broker knows of no ids. One that
/// is not the `known` one is believed when no broker tells another: one that has not been told of a
/// new topic still tells the old one's.
pub(crate) fn topic_id(config: &ClientConfig, topic: &str, known: &[TopicId]) -> Result<Option<TopicId>, KafkaError> {
    #[cfg(test)]
    if let TransportKind::Fake(cluster) = &config.transport.get() {
        return Ok(cluster.state().topic_ids.get(topic).copied());
    }
    let Some((_, answer)) = metadata_by_name(config, topic)? else {
        return Ok(None);
    };
    let id = topic_id_in(&answer);
    if known.iter().all(|known| !topic_id::is_another(id, Some(*known))) {
        return Ok(id);
    }
    let id_at = |host: &str| {
        let broker = config.open(host).map_err(|why| KafkaError::from(why).at(host))?;
        let answer = ask_by_name(host, broker, config, topic)?;
        Ok(answer.as_ref().and_then(topic_id_in))
    };
    let others = ask_each(&answer, id_at)?;
    match others.into_iter().find(|(_, other)| topic_id::is_another(id, *other)) {
        Some((host, _)) => Err(KafkaError::passing(format!(
            "{host} tells another id than another broker"
        ))),
        None => Ok(id),
    }
}

/// The id of the one topic that was asked for.
fn topic_id_in(answer: &MetadataResponse) -> Option<TopicId> {
    let found = answer.topics.iter().find(|found| found.error_code == 0)?;
    TopicId::of(found.topic_id.into_bytes())
}

/// What the cluster says of a topic that is named, and not made by that; none where the brokers are
/// too old to be asked so. Among all topics they leave out what a user may not see.
fn named_topic(config: &ClientConfig, topic: &str) -> Result<Option<MetadataResponseTopic>, KafkaError> {
    let answer = metadata_by_name(config, topic)?;
    Ok(answer.and_then(|(_, answer)| answer.topics.into_iter().next()))
}

/// The same with all that a broker says beside it, and which one that is.
fn metadata_by_name(config: &ClientConfig, topic: &str) -> Result<Option<(String, MetadataResponse)>, KafkaError> {
    let versions = config.versions.get();
    if versions.and_then(BrokerVersions::that_tells_topic_ids).is_none() {
        return Ok(None);
    }
    let (host, broker) = config.open_any()?;
    let answer = ask_by_name(&host, broker, config, topic)?;
    Ok(answer.map(|answer| (host, answer)))
}

/// None where this broker is of an older version than others.
fn ask_by_name(
    host: &str,
    mut broker: Connection,
    config: &ClientConfig,
    topic: &str,
) -> Result<Option<MetadataResponse>, KafkaError> {
    let failed = |why: ConnectionError| KafkaError::from(why).at(host);
    let limit = config.limit;
    let versions: ApiVersionsResponse = broker.ask(&ApiVersionsRequest::default(), limit).map_err(failed)?;
    let versions = BrokerVersions::of(&versions);
    let Some(version) = versions.as_ref().and_then(BrokerVersions::that_tells_topic_ids) else {
        return Ok(None);
    };
    let request = one_topic(topic).with_allow_auto_topic_creation(false);
    let answer = broker.ask_in(version, &request, MetadataResponse::LARGEST, limit);
    answer.map(Some).map_err(failed)
}

fn metadata(config: &ClientConfig, request: &MetadataRequest) -> Result<MetadataResponse, KafkaError> {
    let (host, mut broker) = config.open_any()?;
    let answer = broker.ask(request, config.limit);
    answer.map_err(|why| KafkaError::from(why).at(&host))
}

/// What an answer says of the topic.
fn state_in(answer: &MetadataResponse, topic: &str) -> TopicState {
    const UNKNOWN_TOPIC: i16 = 3;
    const LEADER_NOT_AVAILABLE: i16 = 5;
    let named =
        |name: &Option<kafka_protocol::messages::TopicName>| name.as_ref().is_some_and(|name| name.as_str() == topic);
    let missing = TopicState::Missing {
        other: answer.topics.iter().any(|t| !named(&t.name)),
    };
    let Some(found) = answer.topics.iter().find(|t| named(&t.name)) else {
        return missing;
    };
    match found.error_code {
        0 => {}
        UNKNOWN_TOPIC => return missing,
        LEADER_NOT_AVAILABLE => return TopicState::Unready("it has no leader yet".to_string()),
        code => return TopicState::Refused(code),
    }
    let mut ids: Vec<i32> = found.partitions.iter().map(|p| p.partition_index).collect();
    ids.sort_unstable();
    if ids.is_empty() || !ids.iter().copied().eq(0..ids.len() as i32) {
        return TopicState::Unready(format!("its partitions are {ids:?}"));
    }
    let known = |id: i32| answer.brokers.iter().any(|broker| broker.node_id.0 == id);
    match found.partitions.iter().find(|p| !known(p.leader_id.0)) {
        Some(p) => TopicState::Unready(format!("partition {} has no leader", p.partition_index)),
        None => TopicState::Ready(ids.len() as i32),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition};

    use super::*;

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
        assert_eq!(state_in(&answer(0, &[1, 1, 1]), "t"), TopicState::Ready(3));
        assert_eq!(state_in(&answer(0, &[1]), "other"), TopicState::Missing { other: true });
        assert_eq!(state_in(&answer(3, &[]), "t"), TopicState::Missing { other: false });
        assert_eq!(state_in(&answer(29, &[]), "t"), TopicState::Refused(29));
        for unready in [answer(5, &[]), answer(0, &[]), answer(0, &[1, -1]), answer(0, &[1, 2])] {
            assert!(matches!(state_in(&unready, "t"), TopicState::Unready(_)), "{unready:?}");
        }
    }

    #[test]
    fn less_than_is_known_falls_short() {
        let ready = |known| TopicState::Ready(3).falls_short(known);
        assert!(!ready(0) && !ready(3) && ready(4));
        assert!(TopicState::Missing { other: true }.falls_short(0));
        assert!(!TopicState::Refused(38).falls_short(9) && !TopicState::Unready(String::new()).falls_short(9));
    }
}
