//! The first contact: what answers at the addresses that the user gave. Asked over plain connections, because the `kafka` crate waits
//! without a limit.
//!
//! Nothing that a young, busy or dying broker can do is final. An address that nobody listens on is told at once, and so is a complete
//! answer that no broker gives. But a connection that is taken and then closed or left in silence may be a broker's that starts, stops
//! or is slow: that is trouble, which is borne like any other.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchResponse, ListOffsetsResponse, MetadataResponse,
};

use crate::error::{Error, Result};

use crate::broker::config::ClientConfig;
use crate::broker::connection::bounds::Answer;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::hosts::{CONNECT, Hosts};
use crate::broker::metadata::every_topic;

/// How long all addresses may take to let us connect.
const REACH: Duration = Duration::from_secs(4);

/// How long a broker that takes the connection may be silent before the user is told.
const SAY: Duration = Duration::from_secs(3);

/// How long a broker may take at least to tell its versions when it has answered another question; one of 0.9 never does.
const VERSIONS: Duration = Duration::from_secs(1);

const LOOK: Duration = Duration::from_millis(50);

/// The newest versions of what we ask for beside the old protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerVersions {
    /// The oldest and the newest.
    fetch: (i16, i16),
    list_offsets: i16,
}

impl BrokerVersions {
    /// Those of a broker that does not tell them.
    const OF_0_9: Self = Self {
        fetch: (0, 1),
        list_offsets: 0,
    };

    /// What a broker's answer says. One that does not speak of fetching says nothing yet.
    fn of(answer: &ApiVersionsResponse) -> Option<Self> {
        let find = |key: ApiKey| answer.api_keys.iter().find(|api| api.api_key == key as i16);
        let fetch = find(ApiKey::Fetch).filter(|_| answer.error_code == 0)?;
        Some(Self {
            fetch: (fetch.min_version, fetch.max_version),
            list_offsets: find(ApiKey::ListOffsets).map_or(0, |api| api.max_version),
        })
    }

    /// Whether the broker no longer speaks our protocol. Fetch tells, not Produce: 4.x names version 0 for that, and refuses it all the same.
    fn are_too_new(&self) -> bool {
        self.fetch.0 > 0
    }

    /// Whether it knows the way to fetch that `peek` needs.
    pub fn can_peek(&self) -> bool {
        self.fetch.1 >= FetchResponse::VERSION
    }

    /// Whether a leader says that it does not know yet how far its log goes.
    pub fn tell_learning(&self) -> bool {
        self.list_offsets >= ListOffsetsResponse::VERSION
    }
}

/// What the brokers speak, as soon as one has told it.
pub type KnownVersions = Arc<OnceLock<BrokerVersions>>;

/// What came of a look at all addresses.
pub enum Contact {
    Broker,
    /// Nobody takes a connection, or what answers is no broker.
    Nobody(KafkaError),
    /// Something takes connections: it may be a broker that is not itself yet, or no longer.
    Unready(KafkaError),
}

/// What becomes known of one address.
enum News {
    Connected,
    Ended(Result<Option<BrokerVersions>, ConnectionError>),
}

/// Looks at all addresses at once, until the first broker answers or none is left.
pub fn look(config: &ClientConfig) -> Result<Contact> {
    let (post, news) = channel();
    let (hosts, limit) = (config.hosts.all(), config.limit);
    for (at, host) in hosts.iter().enumerate() {
        let (host, client_id, post) = (host.clone(), config.client_id.clone(), post.clone());
        deadline::spawn("kafka-contact", move || {
            let connected = || drop(post.send((at, News::Connected)));
            let ended = ask(&host, &client_id, limit, connected);
            let _ = post.send((at, News::Ended(ended)));
        });
    }
    drop(post);
    let began = Instant::now();
    let mut connected = vec![false; hosts.len()];
    let mut why: Vec<Option<ConnectionError>> = hosts.iter().map(|_| None).collect();
    let mut said = false;
    while why.iter().any(Option::is_none) {
        config.stop.check()?;
        match news.recv_timeout(LOOK) {
            Ok((at, News::Connected)) => connected[at] = true,
            Ok((at, News::Ended(Ok(Some(versions))))) if versions.are_too_new() => return Err(too_new(&hosts[at])),
            Ok((_, News::Ended(Ok(versions)))) => {
                match versions {
                    Some(versions) => drop(config.versions.set(versions)),
                    None => find_out(config),
                }
                return Ok(Contact::Broker);
            }
            Ok((at, News::Ended(Err(unanswered)))) => why[at] = Some(unanswered),
            Err(RecvTimeoutError::Timeout) => {}
            // A thread broke off over what it read.
            Err(RecvTimeoutError::Disconnected) => why.iter_mut().for_each(|why| {
                why.get_or_insert(ConnectionError::Silent);
            }),
        }
        let waits = |at: &usize| why[*at].is_none() && connected[*at];
        if !said
            && began.elapsed() >= SAY
            && let Some(at) = (0..hosts.len()).find(waits)
        {
            said = true;
            log::info!(
                "{} takes the connection, but does not answer yet: waiting for up to {} s",
                hosts[at],
                limit.as_secs()
            );
        }
        if began.elapsed() >= REACH {
            let unreached = why.iter_mut().zip(&connected).filter(|(_, connected)| !**connected);
            for (why, _) in unreached.filter(|(why, _)| why.is_none()) {
                *why = Some(ConnectionError::Nothing(io::Error::from(ErrorKind::TimedOut)));
            }
        }
    }
    Ok(judge(hosts.into_iter().zip(why.into_iter().flatten()).collect()))
}

/// Asks one address for topics and for versions at once, so that the time of one answer tells how long to wait for the other.
fn ask(
    host: &str,
    client_id: &str,
    limit: Duration,
    connected: impl FnOnce(),
) -> Result<Option<BrokerVersions>, ConnectionError> {
    let mut broker = Connection::open(host, client_id, CONNECT)?;
    connected();
    let began = Instant::now();
    let (told, versions) = channel();
    ask_versions(host, client_id, limit, told);
    let answer: Result<MetadataResponse, _> = broker.ask(&every_topic(), limit);
    let versions = match &answer {
        Err(ConnectionError::Silent | ConnectionError::Nothing(_)) => None,
        _ => versions.recv_timeout(VERSIONS.max(began.elapsed() * 3)).ok(),
    };
    match (answer, versions) {
        (Err(_), Some(Some(versions))) if versions.are_too_new() => Ok(Some(versions)),
        (Err(unanswered), _) => Err(unanswered),
        (Ok(_), versions) => Ok(versions.flatten()),
    }
}

/// Asks for versions on a connection and a thread of their own; none come where the broker closes the connection.
fn ask_versions(host: &str, client_id: &str, limit: Duration, told: Sender<Option<BrokerVersions>>) {
    let (host, client_id) = (host.to_string(), client_id.to_string());
    deadline::spawn("kafka-versions", move || {
        let asked = Connection::open(&host, &client_id, CONNECT)
            .and_then(|mut broker| broker.ask(&ApiVersionsRequest::default(), limit));
        if !matches!(asked, Err(ConnectionError::Silent)) {
            let _ = told.send(asked.ok().as_ref().and_then(BrokerVersions::of));
        }
    });
}

/// Finds out what the brokers speak when the first contact did not tell, from a thread of its own: a slow broker of today is not to be
/// taken for one of 0.9 for a whole run. Only one that answers other questions, and not this one for far longer, is.
fn find_out(config: &ClientConfig) {
    let (hosts, client_id, limit, stop) = (
        config.hosts.clone(),
        config.client_id.clone(),
        config.limit,
        config.stop.clone(),
    );
    let told = Arc::downgrade(&config.versions);
    deadline::spawn("kafka-versions", move || {
        while Weak::strong_count(&told) > 0 {
            if let Some(versions) = try_to_find_out(&hosts, &client_id, limit)
                && let Some(told) = told.upgrade()
            {
                let _ = told.set(versions);
                return;
            }
            if stop.sleep(VERSIONS).is_err() {
                return;
            }
        }
    });
}

fn try_to_find_out(hosts: &Hosts, client_id: &str, limit: Duration) -> Option<BrokerVersions> {
    let host = hosts.reachable().ok()?;
    let open = || Connection::open(&host, client_id, CONNECT);
    let began = Instant::now();
    let _: MetadataResponse = open().ok()?.ask(&every_topic(), limit).ok()?;
    let limit = limit.max(began.elapsed() * 4);
    let request = ApiVersionsRequest::default();
    match open().ok()?.ask(&request, limit) {
        Ok(answer) => BrokerVersions::of(&answer),
        Err(ConnectionError::Silent) => Some(BrokerVersions::OF_0_9),
        Err(_) => None,
    }
}

/// The error for brokers that tell late that they are too new.
pub fn check(config: &ClientConfig) -> Result<()> {
    match config.versions.get().is_some_and(BrokerVersions::are_too_new) {
        true => Err(too_new(&config.hosts.to_string())),
        false => Ok(()),
    }
}

fn too_new(host: &str) -> Error {
    Error::failed(format!(
        "the broker at {host} is too new: this client speaks the 0.9-3.9 protocol"
    ))
    .way_out("run a broker of version 0.9 to 3.9 (sh server_up.sh starts 2.8.1), and name it with --brokers")
}

fn judge(why: Vec<(String, ConnectionError)>) -> Contact {
    const WAY_OUT: &str = "start a broker with `sh server_up.sh`, or name the plaintext listener of another with --brokers HOST:PORT (this client speaks neither TLS nor SASL)";
    let list = why.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>().join(", ");
    let reasons: Vec<String> = why.iter().map(|(host, why)| format!("{host}: {why}")).collect();
    let nobody = format!("no Kafka broker answers at {list} ({})", reasons.join("; "));
    let taken =
        |(_, why): &&(String, ConnectionError)| matches!(why, ConnectionError::Silent | ConnectionError::Closed(_));
    if why.iter().find(taken).is_some() {
        let guess = "a broker that starts, stops or is slow, or what answers is no Kafka broker";
        return Contact::Unready(KafkaError::passing(format!("{nobody}: {guess}")).or(WAY_OUT));
    }
    match why.iter().find(|(_, why)| matches!(why, ConnectionError::NotKafka)) {
        Some((host, why)) => {
            let what = format!("what answers at {host} is no Kafka broker: {why}");
            Contact::Nobody(KafkaError::passing(what).or(WAY_OUT))
        }
        None => Contact::Nobody(
            KafkaError::passing(nobody)
                .or("start one with `sh server_up.sh`, or name another with --brokers HOST:PORT"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    use super::*;
    use crate::broker::config::{Compression, Options};
    use crate::stop::Stop;

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
        assert!(!versions((0, 17)).are_too_new() && versions((0, 17)).can_peek());
        assert!(!versions((0, 3)).are_too_new() && !versions((0, 3)).can_peek());
        assert!(versions((0, 3)).tell_learning() && !BrokerVersions::OF_0_9.tell_learning());
    }

    #[test]
    fn half_an_answer_says_nothing_of_versions() {
        assert_eq!(BrokerVersions::of(&answer(None)), None);
        assert_eq!(BrokerVersions::of(&answer(Some((4, 17))).with_error_code(35)), None);
    }

    fn at(host: &str, why: ConnectionError) -> (String, ConnectionError) {
        (host.to_string(), why)
    }

    #[test]
    fn only_what_no_broker_does_is_final() {
        let nothing = || ConnectionError::Nothing(io::Error::from(ErrorKind::ConnectionRefused));
        let closed = || ConnectionError::Closed(io::Error::from(ErrorKind::UnexpectedEof));
        for why in [closed(), ConnectionError::Silent] {
            let Contact::Unready(trouble) = judge(vec![at("a:1", ConnectionError::NotKafka), at("b:2", why)]) else {
                panic!("a broker may do that");
            };
            assert!(!trouble.is_fatal());
            let error = trouble.into_error().to_string();
            assert!(error.contains("no Kafka broker answers at a:1, b:2"), "{error}");
            assert!(error.contains("neither TLS nor SASL"), "{error}");
        }
        for (why, told) in [
            (
                vec![at("a:1", nothing())],
                "no Kafka broker answers at a:1 (a:1: it cannot be reached",
            ),
            (
                vec![at("a:1", nothing()), at("b:2", ConnectionError::NotKafka)],
                "what answers at b:2 is no Kafka broker",
            ),
        ] {
            let Contact::Nobody(trouble) = judge(why) else {
                panic!("no broker does that");
            };
            let error = trouble.into_error();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn an_address_where_nobody_listens_is_told_at_once_and_silence_can_be_stopped() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = Options {
            brokers: Vec::new(),
            request_timeout: Duration::from_millis(200),
            patience: Duration::ZERO,
            client_id: "test".to_string(),
            compression: Compression::None,
        };
        let mut config = ClientConfig::new(options, Hosts::new(vec![address]), Stop::default());
        assert!(matches!(look(&config), Ok(Contact::Unready(_))));
        config.stop.request();
        assert_eq!(look(&config).err().map(|e| e.exit_code()), Some(0));
        config.stop = Stop::default();
        drop(listener);
        assert!(matches!(look(&config), Ok(Contact::Nobody(_))));
    }
}
