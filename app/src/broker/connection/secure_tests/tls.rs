//! Every wrong setting of TLS, slow servers, good connections.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, ServerConfig};

use super::authority::{Authority, Validity};
use super::server::{AT_ONCE, Pace, Reply, broker, listen, no_topics};
use crate::broker::connection::diagnosis::explained;
use crate::broker::connection::{Connection, ConnectionError, Security, TlsError};
use crate::broker::error::KafkaError;
use crate::broker::metadata::every_topic;

const LIMIT: Duration = Duration::from_secs(5);

fn ask(host: &str, security: &Security) -> Result<MetadataResponse, ConnectionError> {
    Connection::open(host, "test", security, LIMIT).and_then(|mut broker| broker.ask(&every_topic(), LIMIT))
}

/// The error of a connection, which has to be told at once, with these words in it.
fn refused(host: &str, security: &Security, is_fatal: bool, texts: &[&str]) {
    let began = Instant::now();
    let error = KafkaError::from(ask(host, security).expect_err(texts[0]));
    assert!(began.elapsed() < LIMIT, "{error}");
    assert_eq!(error.is_fatal(), is_fatal, "{error}");
    let error = error.into_error().to_string();
    for text in texts {
        assert!(error.contains(text), "{text}: {error}");
    }
}

/// One that no socket's buffers hold.
fn large_request() -> MetadataRequest {
    let name = TopicName(StrBytes::from_string("x".repeat(30_000)));
    let topic = MetadataRequestTopic::default().with_name(Some(name));
    MetadataRequest::default().with_topics(Some(vec![topic; 1000]))
}

fn tls_broker(config: Arc<ServerConfig>) -> u16 {
    broker(Some(config), AT_ONCE, no_topics)
}

#[test]
fn a_broker_that_is_who_it_should_be_answers_by_name_and_by_address() {
    let ca = Authority::new("ca");
    let server = ca.identity(&["localhost", "127.0.0.1"], Validity::Now);
    let client = ca.identity(&["client"], Validity::Now);
    for version in [&TLS12, &TLS13] {
        let open = tls_broker(ca.server(&server, false, &[version]));
        let mutual = tls_broker(ca.server(&server, true, &[version]));
        for host in ["localhost", "127.0.0.1"] {
            ask(&format!("{host}:{open}"), &ca.trusted(None)).unwrap();
            ask(&format!("{host}:{open}"), &ca.trusted(Some(&client))).unwrap();
            ask(&format!("{host}:{mutual}"), &ca.trusted(Some(&client))).unwrap();
        }
    }
}

#[test]
fn large_requests_and_answers_pass() {
    let ca = Authority::new("ca");
    let config = ca.server(&ca.identity(&["localhost"], Validity::Now), false, ALL_VERSIONS);
    let port = broker(Some(config), AT_ONCE, |request| {
        assert!(request.body.len() > 1 << 20);
        let mut body = vec![0; 4];
        body.extend((1_i32 << 18).to_be_bytes());
        body.resize(8 + (1 << 18) * 8, 0);
        Reply::Body(body)
    });
    let request = large_request();
    let host = format!("localhost:{port}");
    let mut connection = Connection::open(&host, "test", &ca.trusted(None), LIMIT).unwrap();
    for _ in 0..2 {
        let answer: MetadataResponse = connection.ask(&request, LIMIT).unwrap();
        assert_eq!(answer.topics.len(), 1 << 18);
    }
}

#[test]
fn each_fault_of_a_brokers_certificate_is_told_with_its_way_out() {
    let (ca, namesake, other) = (Authority::new("ca"), Authority::new("ca"), Authority::new("other"));
    let trusted = ca.trusted(None);
    let on = |config| format!("localhost:{}", tls_broker(config));
    for stranger in [&other, &namesake] {
        let server = stranger.identity(&["localhost"], Validity::Now);
        refused(
            &on(stranger.server(&server, false, ALL_VERSIONS)),
            &trusted,
            true,
            &["its certificate is of a CA that is not trusted here", "--tls-ca FILE"],
        );
    }
    let server = |names: &[&str], validity| on(ca.server(&ca.identity(names, validity), false, ALL_VERSIONS));
    refused(
        &server(&["kafka.example", "10.0.0.1"], Validity::Now),
        &trusted,
        true,
        &[
            "its certificate is not for localhost, but for kafka.example, 10.0.0.1",
            "--brokers",
            "subjectAltName",
        ],
    );
    refused(
        &server(&[], Validity::Now),
        &trusted,
        true,
        &["its certificate is not for localhost: it names no host (subjectAltName)"],
    );
    refused(
        &server(&["localhost"], Validity::Now).replace("localhost", "127.0.0.1"),
        &trusted,
        true,
        &["its certificate is not for 127.0.0.1, but for localhost"],
    );
    refused(
        &server(&["localhost"], Validity::Past),
        &trusted,
        true,
        &["its certificate has expired", "renew", "clock"],
    );
    refused(
        &server(&["localhost"], Validity::Future),
        &trusted,
        true,
        &["its certificate is not valid yet", "clock"],
    );
    refused(
        &on(ca.server(&ca.itself(), false, ALL_VERSIONS)),
        &trusted,
        true,
        &["it shows a CA's certificate as its own", "CA:FALSE"],
    );
}

#[test]
fn a_client_certificate_that_is_missing_or_wrong_is_told_at_the_first_answer() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let server = ca.identity(&["localhost"], Validity::Now);
    let strange = other.identity(&["client"], Validity::Now);
    let expired = ca.identity(&["client"], Validity::Past);
    for version in [&TLS12, &TLS13] {
        let host = format!("localhost:{}", tls_broker(ca.server(&server, true, &[version])));
        refused(
            &host,
            &ca.trusted(None),
            true,
            &[
                "it asks for a client certificate, and none is given",
                "--tls-cert FILE --tls-key FILE",
            ],
        );
        for client in [&strange, &expired] {
            refused(
                &host,
                &ca.trusted(Some(client)),
                true,
                &["it refuses the client certificate", "--tls-cert FILE --tls-key FILE"],
            );
        }
    }
}

#[test]
fn a_port_of_the_other_kind_is_told() {
    let ca = Authority::new("ca");
    let server = ca.server(&ca.identity(&["localhost"], Validity::Now), false, ALL_VERSIONS);
    // Without TLS to a listener that speaks it.
    refused(
        &format!("localhost:{}", tls_broker(server)),
        &Security::default(),
        true,
        &[
            "it speaks TLS, and --tls is not given",
            "add --tls",
            "--brokers HOST:PORT",
        ],
    );
    // With TLS to one that does not: a broker closes, as one does that is about to start.
    let closes = listen(|mut client| drop(client.read(&mut [0; 4])));
    refused(
        &format!("localhost:{closes}"),
        &ca.trusted(None),
        false,
        &[
            "it closes the connection in the TLS handshake",
            "leave --tls out",
            "about to start",
        ],
    );
    let host = format!("localhost:{closes}");
    for (security, why) in [
        (ca.trusted(None), ConnectionError::Tls(TlsError::ClosedInHandshake)),
        (
            Security::default(),
            ConnectionError::Closed(ErrorKind::UnexpectedEof.into()),
        ),
    ] {
        let why = explained(why, &host, "test", &security);
        assert!(!why.is_fatal(), "a broker that is about to start does that: {why}");
    }
    let web = listen(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    refused(
        &format!("localhost:{web}"),
        &ca.trusted(None),
        true,
        &["it does not speak TLS, and --tls is given", "leave --tls out"],
    );
}

#[test]
fn a_server_that_stalls_in_the_handshake_is_left_in_time() {
    let ca = Authority::new("ca");
    // Silence, half a record, and a record a byte at a time that never ends.
    for first in [
        &b""[..],
        &[0x16, 3, 3, 0x3f],
        &[0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb],
    ] {
        let port = listen(move |mut client: TcpStream| {
            thread::spawn(move || {
                let _ = client.write_all(first);
                while client.write_all(if first.len() > 4 { b"x" } else { b"" }).is_ok() {
                    thread::sleep(Duration::from_millis(5));
                }
            });
        });
        let host = format!("localhost:{port}");
        let (began, limit) = (Instant::now(), Duration::from_millis(150));
        let secured =
            Connection::connect(&host, "test", LIMIT).and_then(|broker| broker.secure(&host, &ca.trusted(None), limit));
        let error = KafkaError::from(secured.expect_err("nobody answers"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(!error.is_fatal());
        let error = error.into_error().to_string();
        assert!(error.contains("does not answer in the TLS handshake"), "{error}");
    }
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_put_together_by_many_polls() {
    let ca = Authority::new("ca");
    let pace = Pace {
        bytes_at_a_time: 1,
        pause: Duration::from_millis(12),
    };
    for version in [&TLS12, &TLS13] {
        let server = ca.server(&ca.identity(&["localhost"], Validity::Now), false, &[version]);
        let host = format!("localhost:{}", broker(Some(server), pace, no_topics));
        let mut connection = Connection::open(&host, "test", &ca.trusted(None), LIMIT).unwrap();
        for _ in 0..2 {
            connection.send::<MetadataResponse, _>(&every_topic(), LIMIT).unwrap();
            let (began, mut polls) = (Instant::now(), 0);
            while connection
                .poll_answer::<MetadataResponse>(Duration::from_millis(5))
                .unwrap()
                .is_none()
            {
                polls += 1;
                assert!(began.elapsed() < LIMIT);
            }
            assert!(polls > 8, "{polls} polls for 16 bytes");
        }
    }
}

#[test]
fn an_answer_that_lies_in_the_stream_already_is_found_without_a_wait() {
    let ca = Authority::new("ca");
    let server = ca.server(&ca.identity(&["localhost"], Validity::Now), false, ALL_VERSIONS);
    let host = format!("localhost:{}", broker(Some(server), AT_ONCE, no_topics));
    let mut connection = Connection::open(&host, "test", &ca.trusted(None), LIMIT).unwrap();
    for _ in 0..20 {
        let began = Instant::now();
        let _: MetadataResponse = connection.ask(&every_topic(), LIMIT).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn a_slow_broker_and_one_that_closes_are_told_apart() {
    let ca = Authority::new("ca");
    let config = || ca.server(&ca.identity(&["localhost"], Validity::Now), false, ALL_VERSIONS);
    let silent = broker(Some(config()), AT_ONCE, |_| {
        thread::sleep(LIMIT);
        Reply::Close
    });
    let mut connection = Connection::open(&format!("localhost:{silent}"), "test", &ca.trusted(None), LIMIT).unwrap();
    let (began, limit) = (Instant::now(), Duration::from_millis(100));
    let asked = connection.ask::<_, MetadataResponse>(&every_topic(), limit);
    assert!(matches!(asked, Err(ConnectionError::TimedOut)), "{asked:?}");
    assert!(began.elapsed() < Duration::from_secs(2));

    let closes = broker(Some(config()), AT_ONCE, |_| Reply::Close);
    let asked = ask(&format!("localhost:{closes}"), &ca.trusted(None));
    assert!(matches!(asked, Err(ConnectionError::Closed(_))), "{asked:?}");
}

#[test]
fn a_broker_that_takes_no_bytes_does_not_hold_us() {
    let ca = Authority::new("ca");
    let config = ca.server(&ca.identity(&["localhost"], Validity::Now), false, ALL_VERSIONS);
    let plain = listen(|client| drop(thread::spawn(move || (thread::sleep(LIMIT), drop(client)))));
    let secured = listen(move |mut client| {
        let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut client).unwrap();
        }
        thread::spawn(move || (thread::sleep(LIMIT), drop((tls, client))));
    });
    let request = large_request();
    for (port, security) in [(plain, Security::default()), (secured, ca.trusted(None))] {
        let mut connection = Connection::open(&format!("localhost:{port}"), "test", &security, LIMIT).unwrap();
        let began = Instant::now();
        let sent = connection.send::<MetadataResponse, _>(&request, Duration::from_millis(200));
        assert!(matches!(sent, Err(ConnectionError::TimedOut)), "{sent:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
