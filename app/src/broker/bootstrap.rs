//! The first contact: what answers at the addresses that the user gave. Asked over plain
//! connections, because the `kafka` crate waits without a limit.
//!
//! Nothing that a young, busy or dying broker can do is final. An address that nobody listens on is
//! told at once, and so is a complete answer that no broker gives. But a connection that is taken
//! and then closed or left in silence may be a broker's that starts, stops or is slow: that is an
//! error like any other, and tried again.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use kafka_protocol::messages::{ApiVersionsRequest, MetadataResponse};

use crate::error::{Error, Result};
use crate::stop::STOP_POLL;

use crate::broker::config::{ClientChoice, ClientConfig};
use crate::broker::connection::open::CONNECT_TIMEOUT;
use crate::broker::connection::{Connection, ConnectionError, Security, diagnosis};
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::hosts::Hosts;
use crate::broker::metadata::every_topic;
use crate::broker::versions::BrokerVersions;

/// How long all addresses may take to let us connect.
const CONNECT_ALL_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a broker that takes the connection may be silent before the user is told.
const UNTOLD_SILENCE: Duration = Duration::from_secs(3);

/// How long a broker may take at least to tell its versions when it has answered another question;
/// one of 0.9 never does.
const MIN_VERSIONS_TIMEOUT: Duration = Duration::from_secs(1);

/// What is there at all addresses.
pub(crate) enum Contact {
    Broker,
    /// Nobody takes a connection, or what answers is no broker.
    Nobody(KafkaError),
    /// Something takes connections: it may be a broker that is not itself yet, or no longer.
    Unready(KafkaError),
}

/// What is known of one address.
enum HostState {
    Connecting,
    /// It takes the connection, but has not answered.
    Connected,
    Failed(ConnectionError),
}

/// What becomes known of one address.
enum HostEvent {
    Connected,
    Answered(Option<BrokerVersions>),
    Failed(ConnectionError),
}

/// Asks all addresses at once, until the first broker answers or none is left.
pub(crate) fn first_contact(config: &ClientConfig) -> Result<Contact> {
    let (hosts, limit) = (config.hosts.all(), config.limit);
    let events = ask_all(&hosts, config);
    let began = Instant::now();
    let mut states: Vec<HostState> = hosts.iter().map(|_| HostState::Connecting).collect();
    let mut silence_is_told = false;
    while states.iter().any(|state| !matches!(state, HostState::Failed(_))) {
        config.stop.check()?;
        match events.recv_timeout(STOP_POLL) {
            Ok((at, HostEvent::Connected)) => {
                if matches!(states[at], HostState::Connecting) {
                    states[at] = HostState::Connected;
                }
            }
            Ok((at, HostEvent::Failed(why))) => states[at] = HostState::Failed(why),
            Ok((at, HostEvent::Answered(Some(versions))))
                if versions.are_too_new() && config.client == ClientChoice::Kafka =>
            {
                return Err(too_new(&hosts[at]));
            }
            Ok((_, HostEvent::Answered(versions))) => {
                match versions {
                    Some(versions) => drop(config.versions.set(versions)),
                    None => find_versions_meanwhile(config),
                }
                return Ok(Contact::Broker);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // A thread broke off over what it read.
            Err(RecvTimeoutError::Disconnected) => {
                fail_where(&mut states, || ConnectionError::TimedOut, |_| true);
            }
        }
        if !silence_is_told
            && began.elapsed() >= UNTOLD_SILENCE
            && let Some(at) = states.iter().position(|state| matches!(state, HostState::Connected))
        {
            silence_is_told = true;
            log::info!(
                "{} takes the connection, but does not answer yet: waiting for up to {} s",
                hosts[at],
                limit.as_secs()
            );
        }
        if began.elapsed() >= CONNECT_ALL_TIMEOUT {
            let timed_out = || ConnectionError::Unreachable(io::Error::from(ErrorKind::TimedOut));
            fail_where(&mut states, timed_out, |state| matches!(state, HostState::Connecting));
        }
    }
    let failure = |(host, state)| match state {
        HostState::Failed(why) => Some((host, why)),
        HostState::Connecting | HostState::Connected => None,
    };
    let failures = hosts.into_iter().zip(states).filter_map(failure).collect();
    Ok(contact_of_failures(failures, &config.security))
}

/// Gives up the addresses of which this holds, but for those that have failed in a way of their
/// own.
fn fail_where(states: &mut [HostState], why: impl Fn() -> ConnectionError, which: impl Fn(&HostState) -> bool) {
    for state in states {
        if !matches!(state, HostState::Failed(_)) && which(state) {
            *state = HostState::Failed(why());
        }
    }
}

/// Asks each address on a thread of its own.
fn ask_all(hosts: &[String], config: &ClientConfig) -> Receiver<(usize, HostEvent)> {
    let (sender, events) = channel();
    for (at, host) in hosts.iter().enumerate() {
        let (host, client_id, limit, sender) = (host.clone(), config.client_id.clone(), config.limit, sender.clone());
        let security = config.security.clone();
        deadline::spawn("kafka-contact", move || {
            let connected = || drop(sender.send((at, HostEvent::Connected)));
            let event = match ask_host(&host, &client_id, &security, limit, connected) {
                Ok(versions) => HostEvent::Answered(versions),
                Err(why) => HostEvent::Failed(why),
            };
            let _ = sender.send((at, event));
        });
    }
    events
}

/// Asks one address for topics and for versions at once, so that the time of one answer tells how
/// long to wait for the other.
fn ask_host(
    host: &str,
    client_id: &str,
    security: &Security,
    limit: Duration,
    connected: impl FnOnce(),
) -> Result<Option<BrokerVersions>, ConnectionError> {
    let broker = Connection::connect(host, client_id, CONNECT_TIMEOUT)?;
    connected();
    let explained = |why| diagnosis::explained(why, host, client_id, security);
    // The versions are asked for on a connection that is secured, too.
    let began = Instant::now();
    let mut broker = broker.secure(host, security, limit).map_err(explained)?;
    let (told, versions) = channel();
    ask_versions(host, client_id, security, limit, told);
    let answer: Result<MetadataResponse, _> = broker.ask(&every_topic(), limit).map_err(explained);
    let versions = match &answer {
        Err(ConnectionError::TimedOut | ConnectionError::Unreachable(_)) => None,
        _ => versions
            .recv_timeout(MIN_VERSIONS_TIMEOUT.max(began.elapsed() * 3))
            .ok(),
    };
    match (answer, versions) {
        (Err(why), _) if why.is_fatal() => Err(why),
        (Err(_), Some(Some(versions))) if versions.are_too_new() => Ok(Some(versions)),
        (Err(unanswered), _) => Err(unanswered),
        (Ok(_), versions) => Ok(versions.flatten()),
    }
}

/// Asks for versions on a connection and a thread of their own; none come where the broker closes
/// the connection.
fn ask_versions(
    host: &str,
    client_id: &str,
    security: &Security,
    limit: Duration,
    told: Sender<Option<BrokerVersions>>,
) {
    let (host, client_id, security) = (host.to_string(), client_id.to_string(), security.clone());
    deadline::spawn("kafka-versions", move || {
        let asked = Connection::open(&host, &client_id, &security, limit)
            .and_then(|mut broker| broker.ask(&ApiVersionsRequest::default(), limit));
        if !matches!(asked, Err(ConnectionError::TimedOut)) {
            let _ = told.send(asked.ok().as_ref().and_then(BrokerVersions::of));
        }
    });
}

/// Finds out what the brokers speak when the first contact did not tell, from a thread of its own:
/// a slow broker of today is not to be taken for one of 0.9 for a whole run. Only one that answers
/// other questions, and not this one for far longer, is.
fn find_versions_meanwhile(config: &ClientConfig) {
    let (hosts, client_id, limit, stop) = (
        config.hosts.clone(),
        config.client_id.clone(),
        config.limit,
        config.stop.clone(),
    );
    let security = config.security.clone();
    let told = Arc::downgrade(&config.versions);
    deadline::spawn("kafka-versions", move || {
        while Weak::strong_count(&told) > 0 {
            if let Some(versions) = find_versions(&hosts, &client_id, &security, limit)
                && let Some(told) = told.upgrade()
            {
                let _ = told.set(versions);
                return;
            }
            if stop.sleep(MIN_VERSIONS_TIMEOUT).is_err() {
                return;
            }
        }
    });
}

fn find_versions(hosts: &Hosts, client_id: &str, security: &Security, limit: Duration) -> Option<BrokerVersions> {
    let open = |host: &str| Connection::open(host, client_id, security, limit).ok();
    let (mut broker, host) = hosts.all().into_iter().find_map(|host| Some((open(&host)?, host)))?;
    let began = Instant::now();
    let _: MetadataResponse = broker.ask(&every_topic(), limit).ok()?;
    let limit = limit.max(began.elapsed() * 4);
    let request = ApiVersionsRequest::default();
    match open(&host)?.ask(&request, limit) {
        Ok(answer) => BrokerVersions::of(&answer),
        Err(ConnectionError::TimedOut) => Some(BrokerVersions::OF_0_9),
        Err(_) => None,
    }
}

/// Looks for brokers that are too new for the crate, from a thread of its own: they close its
/// connections, and other brokers of the cluster may have been older. A cluster is upgraded broker
/// by broker.
pub(crate) fn look_for_too_new(config: &Arc<ClientConfig>) {
    if !config.can_go_native() {
        return;
    }
    let config = config.clone();
    deadline::spawn("kafka-versions", move || {
        for host in config.hosts.all() {
            let asked = config
                .open(&host)
                .and_then(|mut broker| broker.ask(&ApiVersionsRequest::default(), config.limit));
            let versions = asked.ok().as_ref().and_then(BrokerVersions::of);
            if versions.is_some_and(|versions| versions.are_too_new()) {
                config.go_native(&format!("the broker at {host} no longer speaks the 0.9-3.9 protocol"));
                return;
            }
        }
    });
}

/// Where brokers tell late that they are too new: our own client takes over, or it is an error.
pub(crate) fn refuse_too_new(config: &ClientConfig) -> Result<()> {
    if config.transport.is_crate()
        && config.versions.get().is_some_and(BrokerVersions::are_too_new)
        && !config.go_native("the brokers no longer speak the 0.9-3.9 protocol")
    {
        return Err(too_new(&config.hosts.to_string()));
    }
    Ok(())
}

fn too_new(host: &str) -> Error {
    Error::failed(format!(
        "the broker at {host} is too new: this client speaks the 0.9-3.9 protocol"
    ))
    .way_out(
        "run it with --client native, or run a broker of version 0.9 to 3.9 (sh server_up.sh starts 2.8.1), and name it with --brokers",
    )
}

/// What it means that none of these answered.
fn contact_of_failures(mut failures: Vec<(String, ConnectionError)>, security: &Security) -> Contact {
    // A wrong setting explains more than what is down beside it.
    if let Some(at) = failures.iter().position(|(_, why)| why.is_fatal()) {
        let (host, why) = failures.swap_remove(at);
        return Contact::Nobody(KafkaError::from(why).at(&format!("what answers at {host}")));
    }
    let way_out = security.way_out_of_silence();
    let list = failures
        .iter()
        .map(|(host, _)| host.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let reasons: Vec<String> = failures.iter().map(|(host, why)| format!("{host}: {why}")).collect();
    let nobody = format!("no Kafka broker answers at {list} ({})", reasons.join("; "));
    let is_taken = |why: &ConnectionError| {
        let is_secured = matches!(why, ConnectionError::Tls(_) | ConnectionError::Login(_));
        is_secured || matches!(why, ConnectionError::TimedOut | ConnectionError::Closed(_))
    };
    if let Some((_, why)) = failures.iter().find(|(_, why)| is_taken(why)) {
        let way_out = why.way_out().unwrap_or_else(|| way_out.to_string());
        let guess = "a broker that starts, stops or is slow, or what answers is no Kafka broker";
        return Contact::Unready(KafkaError::passing(format!("{nobody}: {guess}")).or(way_out));
    }
    match failures
        .iter()
        .find(|(_, why)| matches!(why, ConnectionError::NotKafka))
    {
        Some((host, why)) => {
            let what = format!("what answers at {host} is no Kafka broker: {why}");
            Contact::Nobody(KafkaError::passing(what).or(way_out))
        }
        None => Contact::Nobody(
            KafkaError::passing(nobody)
                .or("start one with `sh server_up.sh`, or name another with --brokers HOST:PORT"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::config::ClusterOptions;
    use crate::broker::connection::TlsError;
    use crate::stop::Stop;

    fn at(host: &str, why: ConnectionError) -> (String, ConnectionError) {
        (host.to_string(), why)
    }

    #[test]
    fn only_what_no_broker_does_is_final() {
        let nothing = || ConnectionError::Unreachable(io::Error::from(ErrorKind::ConnectionRefused));
        let closed = || ConnectionError::Closed(io::Error::from(ErrorKind::UnexpectedEof));
        for why in [closed(), ConnectionError::TimedOut] {
            let Contact::Unready(error) = contact_of_failures(
                vec![at("a:1", ConnectionError::NotKafka), at("b:2", why)],
                &Security::default(),
            ) else {
                panic!("a broker may do that");
            };
            assert!(!error.is_fatal());
            let error = error.into_error().to_string();
            assert!(error.contains("no Kafka broker answers at a:1, b:2"), "{error}");
            assert!(
                error.contains("add --tls, and if it asks for a login, add --sasl"),
                "{error}"
            );
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
            let Contact::Nobody(error) = contact_of_failures(why, &Security::default()) else {
                panic!("no broker does that");
            };
            let error = error.into_error();
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn a_wrong_setting_is_told_before_what_is_down_beside_it() {
        let closed = ConnectionError::Closed(io::Error::from(ErrorKind::UnexpectedEof));
        let unknown_ca = ConnectionError::Tls(TlsError::UnknownCa);
        let failures = vec![at("a:1", closed), at("b:2", unknown_ca)];
        let Contact::Nobody(error) = contact_of_failures(failures, &Security::default()) else {
            panic!("no broker mends that");
        };
        assert!(error.is_fatal());
        let error = error.into_error().to_string();
        let text = "what answers at b:2: its certificate is of a CA that is not trusted here; way out: name the file";
        assert!(error.starts_with(text), "{error}");

        let failures = vec![at("a:1", ConnectionError::Tls(TlsError::ClosedInHandshake))];
        let Contact::Unready(error) = contact_of_failures(failures, &Security::default()) else {
            panic!("a broker that starts does that");
        };
        let error = error.into_error().to_string();
        assert!(error.contains("closes the connection in the TLS handshake"), "{error}");
        assert!(error.contains("leave --tls out"), "{error}");
    }

    #[test]
    fn an_address_where_nobody_listens_is_told_at_once_and_silence_can_be_stopped() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = ClusterOptions {
            request_timeout: Duration::from_millis(200),
            ..ClusterOptions::for_tests()
        };
        let mut config = ClientConfig::new(options, Hosts::new(vec![address]), Stop::default());
        assert!(matches!(first_contact(&config), Ok(Contact::Unready(_))));
        config.stop.request();
        assert_eq!(first_contact(&config).err().map(|e| e.exit_code()), Some(0));
        config.stop = Stop::default();
        drop(listener);
        assert!(matches!(first_contact(&config), Ok(Contact::Nobody(_))));
    }
}
