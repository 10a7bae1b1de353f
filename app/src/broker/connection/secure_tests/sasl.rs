//! Logins: right ones, wrong ones, and servers that do not keep to the protocol.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use kafka_protocol::messages::{ApiKey, MetadataResponse};
use sha2::{Digest, Sha256};

use super::authority::{Authority, Validity};
use super::server::{AT_ONCE, Reply, Request, broker, bytes, listen, no_topics, text, versions};
use crate::broker::connection::diagnosis::explained;
use crate::broker::connection::{Connection, ConnectionError, Credentials, Mechanism, Password, Security};
use crate::broker::error::KafkaError;
use crate::broker::metadata::every_topic;

const LIMIT: Duration = Duration::from_secs(5);
const HANDSHAKE: i16 = ApiKey::SaslHandshake as i16;
const AUTHENTICATE: i16 = ApiKey::SaslAuthenticate as i16;
const API_VERSIONS: i16 = ApiKey::ApiVersions as i16;

fn security(mechanism: Mechanism, password: &str) -> Security {
    Security {
        tls: None,
        login: Some(Arc::new(Credentials {
            mechanism,
            user: "alice".to_string(),
            password: Password::new(password.to_string().into()),
        })),
    }
}

/// How the scripted broker takes a login.
#[derive(Clone)]
struct Script {
    /// The newest version of SaslAuthenticate.
    authenticate: i16,
    lifetime_ms: i64,
    iterations: u32,
    /// What it answers in place of its proof.
    server_final: Option<Vec<u8>>,
    /// What it says of a wrong password.
    refusal: &'static str,
}

const SCRIPT: Script = Script {
    authenticate: 2,
    lifetime_ms: 0,
    iterations: 4096,
    server_final: None,
    refusal: "Authentication failed",
};

/// A broker that knows alice's password "pencil", by PLAIN and by SCRAM-SHA-256. It answers nothing
/// but ApiVersions before a login.
fn login_broker(script: Script) -> String {
    let mut session = Session::new(script);
    format!(
        "localhost:{}",
        broker(None, AT_ONCE, move |request| session.reply(request))
    )
}

struct Session {
    script: Script,
    mechanism: String,
    /// What the client said first, and what we answered.
    scram: Option<(String, String)>,
    is_logged_in: bool,
}

impl Session {
    fn new(script: Script) -> Self {
        Self {
            script,
            mechanism: String::new(),
            scram: None,
            is_logged_in: false,
        }
    }

    fn reply(&mut self, request: Request) -> Reply {
        match request.api {
            API_VERSIONS => {
                let authenticate = (ApiKey::SaslAuthenticate, self.script.authenticate);
                self.is_logged_in = false;
                Reply::Body(versions(&[
                    (ApiKey::Metadata, 1),
                    (ApiKey::SaslHandshake, 1),
                    authenticate,
                ]))
            }
            HANDSHAKE => {
                assert_eq!(request.version, 1);
                self.mechanism = String::from_utf8(request.body[2..].to_vec()).unwrap();
                let is_known = ["PLAIN", "SCRAM-SHA-256"].contains(&self.mechanism.as_str());
                let code: i16 = if is_known { 0 } else { 33 };
                let names = [text("PLAIN"), text("SCRAM-SHA-256")].concat();
                Reply::Body([&code.to_be_bytes()[..], &[0, 0, 0, 2], &names].concat())
            }
            AUTHENTICATE => {
                assert_eq!(request.version, self.script.authenticate.min(1));
                let token = self.token(&request.body[4..]);
                let mut body = match &token {
                    Some(token) => [&[0, 0], &(-1_i16).to_be_bytes()[..], &bytes(token)].concat(),
                    None => [&[0, 58], &text(self.script.refusal)[..], &bytes(b"")].concat(),
                };
                if request.version > 0 {
                    body.extend(self.script.lifetime_ms.to_be_bytes());
                }
                Reply::Body(body)
            }
            _ if self.is_logged_in => no_topics(request),
            _ => Reply::Close,
        }
    }

    /// The broker's token, where it accepts the client's.
    fn token(&mut self, token: &[u8]) -> Option<Vec<u8>> {
        if self.mechanism == "PLAIN" {
            self.is_logged_in = token == b"\0alice\0pencil";
            return self.is_logged_in.then(Vec::new);
        }
        let token = std::str::from_utf8(token).unwrap();
        let Some((client_first, server_first)) = self.scram.take() else {
            let bare = token.strip_prefix("n,,").unwrap();
            let nonce = bare.strip_prefix("n=alice,r=").unwrap();
            let salt = BASE64.encode(b"salt of alice");
            let server_first = format!("r={nonce}server,s={salt},i={}", self.script.iterations);
            self.scram = Some((bare.to_string(), server_first.clone()));
            return Some(server_first.into_bytes());
        };
        let (without_proof, proof) = token.rsplit_once(",p=").unwrap();
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"pencil", b"salt of alice", self.script.iterations, &mut salted);
        let signed = format!("{client_first},{server_first},{without_proof}");
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key"));
        let signature = hmac(&stored_key, signed.as_bytes());
        let proof = BASE64.decode(proof).unwrap();
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.is_logged_in = Sha256::digest(&client_key) == stored_key;
        let server_signature = hmac(&hmac(&salted, b"Server Key"), signed.as_bytes());
        let server_final = format!("v={}", BASE64.encode(server_signature)).into_bytes();
        self.is_logged_in
            .then(|| self.script.server_final.clone().unwrap_or(server_final))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn open(host: &str, security: &Security) -> Result<Connection, ConnectionError> {
    Connection::open(host, "test", security, LIMIT)
}

/// The error of a login, which has to be told at once, with these words in it.
fn refused(host: &str, security: &Security, texts: &[&str]) -> KafkaError {
    let began = Instant::now();
    let error = KafkaError::from(open(host, security).expect_err(texts[0]));
    assert!(began.elapsed() < LIMIT, "{error}");
    let shown = format!("{error} {error:?}");
    for text in texts {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(!shown.contains("pencil") && !shown.contains("eraser"), "{shown}");
    error
}

#[test]
fn a_user_logs_in_by_each_mechanism_and_in_each_version() {
    for authenticate in 0..=2 {
        let host = login_broker(Script { authenticate, ..SCRIPT });
        for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
            let mut connection = open(&host, &security(mechanism, "pencil")).unwrap();
            let answer: MetadataResponse = connection.ask(&every_topic(), LIMIT).unwrap();
            assert!(answer.topics.is_empty());
            assert!(!connection.is_to_be_renewed());
        }
    }
}

#[test]
fn a_login_goes_over_tls() {
    let ca = Authority::new("ca");
    let config = ca.server(&ca.identity(&["localhost"], Validity::Now), false, rustls::ALL_VERSIONS);
    let mut session = Session::new(SCRIPT);
    let port = broker(Some(config), AT_ONCE, move |request| session.reply(request));
    let security = Security {
        tls: ca.trusted(None).tls,
        ..security(Mechanism::ScramSha256, "pencil")
    };
    let mut connection = open(&format!("localhost:{port}"), &security).unwrap();
    let _: MetadataResponse = connection.ask(&every_topic(), LIMIT).unwrap();
}

#[test]
fn a_wrong_password_is_told_at_once_and_never_shown() {
    for (mechanism, name) in [(Mechanism::Plain, "PLAIN"), (Mechanism::ScramSha256, "SCRAM-SHA-256")] {
        let host = login_broker(Script {
            refusal: "no user alice with password eraser",
            ..SCRIPT
        });
        let wrong = security(mechanism, "eraser");
        let error = refused(
            &host,
            &wrong,
            &[
                "it refuses the login of 'alice' with",
                name,
                "the user or the password is wrong",
                "with password ***",
                "--sasl-password-file",
            ],
        );
        assert!(error.is_fatal());
    }
}

#[test]
fn a_mechanism_that_is_not_offered_is_told_with_those_that_are() {
    let error = refused(
        &login_broker(SCRIPT),
        &security(Mechanism::ScramSha512, "pencil"),
        &[
            "it offers no login with SCRAM-SHA-512, but with PLAIN, SCRAM-SHA-256",
            "use --sasl scram-sha-256 or --sasl plain",
        ],
    );
    assert!(error.is_fatal());
}

/// A broker with these answers to ApiVersions and SaslHandshake.
fn scripted(versions: Vec<u8>, handshake: Vec<u8>) -> String {
    let port = broker(None, AT_ONCE, move |request| match request.api {
        API_VERSIONS => Reply::Body(versions.clone()),
        HANDSHAKE => Reply::Body(handshake.clone()),
        _ => Reply::Close,
    });
    format!("localhost:{port}")
}

#[test]
fn a_listener_without_a_login_and_a_broker_that_is_too_old_are_told() {
    let login = security(Mechanism::Plain, "pencil");
    let today = versions(&[(ApiKey::SaslHandshake, 1), (ApiKey::SaslAuthenticate, 2)]);
    let none_asked = scripted(today.clone(), vec![0, 34, 0, 0, 0, 0]);
    let error = refused(
        &none_asked,
        &login,
        &[
            "this listener asks for no login, and --sasl is given",
            "leave --sasl out",
        ],
    );
    assert!(error.is_fatal());
    for old in [
        versions(&[]),
        versions(&[(ApiKey::SaslHandshake, 0)]),
        versions(&[(ApiKey::SaslHandshake, 1)]),
    ] {
        let texts = ["it is too old for a login: SASL needs Kafka 1.0 or newer"];
        assert!(refused(&scripted(old, Vec::new()), &login, &texts).is_fatal());
    }
    // Any other code may pass.
    let busy = scripted(today, vec![0, 7, 0, 0, 0, 0]);
    assert!(!refused(&busy, &login, &["it answers the login with error 7"]).is_fatal());
}

#[test]
fn without_a_login_a_listener_that_asks_for_one_closes_the_connection() {
    let host = login_broker(SCRIPT);
    let mut connection = open(&host, &Security::default()).unwrap();
    let asked = connection.ask::<_, MetadataResponse>(&every_topic(), LIMIT);
    let why = asked.unwrap_err();
    assert!(matches!(why, ConnectionError::Closed(_)), "{why:?}");
    // It tells why when it is asked.
    let error = KafkaError::from(explained(why, &host, "test", &Security::default()));
    assert!(error.is_fatal());
    let error = error.into_error().to_string();
    let text = "it asks for a login with PLAIN or SCRAM-SHA-256, and --sasl is not given; \
                way out: use --sasl scram-sha-256 or --sasl plain, with --sasl-user NAME";
    assert!(error.contains(text), "{error}");
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_trusted() {
    for (server_final, text) in [
        (
            &b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="[..],
            "it does not prove that it knows the password",
        ),
        (b"", "what it sends in the login is no SCRAM"),
        (b"\xff\xff\xff", "what it sends in the login is no SCRAM"),
        (b"e=invalid-proof", "what it sends in the login is no SCRAM"),
    ] {
        let host = login_broker(Script {
            server_final: Some(server_final.to_vec()),
            ..SCRIPT
        });
        let error = refused(&host, &security(Mechanism::ScramSha256, "pencil"), &[text, "--tls"]);
        assert!(error.is_fatal());
    }
}

#[test]
fn iterations_that_are_not_safe_or_never_end_are_refused() {
    for iterations in [1, u32::MAX] {
        let host = login_broker(Script { iterations, ..SCRIPT });
        refused(
            &host,
            &security(Mechanism::ScramSha256, "pencil"),
            &[
                &format!("it asks for {iterations} rounds of the password's hash"),
                "kafka-configs.sh",
            ],
        );
    }
}

#[test]
fn garbage_in_a_login_is_an_error_within_the_deadline() {
    let login = security(Mechanism::ScramSha256, "pencil");
    for garbage in [&b""[..], b"x", &[0xff; 100], &[0x7f, 0xff, 0xff, 0xff]] {
        for at in [API_VERSIONS, HANDSHAKE, AUTHENTICATE] {
            let mut session = Session::new(SCRIPT);
            let port = broker(None, AT_ONCE, move |request| {
                if request.api == at {
                    Reply::Body(garbage.to_vec())
                } else {
                    session.reply(request)
                }
            });
            refused(
                &format!("localhost:{port}"),
                &login,
                &["it does not speak Kafka's protocol"],
            );
        }
    }
    let silent = listen(|client| drop(thread::spawn(move || (thread::sleep(LIMIT), drop(client)))));
    let host = format!("localhost:{silent}");
    let (began, limit) = (Instant::now(), Duration::from_millis(150));
    let secured = Connection::connect(&host, "test", LIMIT).and_then(|broker| broker.secure(&host, &login, limit));
    assert!(matches!(secured, Err(ConnectionError::TimedOut)), "{secured:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_session_is_renewed_before_its_end() {
    let login = security(Mechanism::ScramSha256, "pencil");
    let open_for = |lifetime_ms| {
        let host = login_broker(Script { lifetime_ms, ..SCRIPT });
        (open(&host, &login).unwrap(), Instant::now())
    };
    let (mut connection, began) = open_for(1000);
    let is_early = !connection.is_to_be_renewed();
    assert!(is_early || began.elapsed() >= Duration::from_millis(800));
    thread::sleep(Duration::from_millis(860).saturating_sub(began.elapsed()));
    assert!(connection.is_to_be_renewed());
    // Nothing is given up that an answer may still come on.
    connection.send::<MetadataResponse, _>(&every_topic(), LIMIT).unwrap();
    assert!(!connection.is_to_be_renewed());
    assert!(connection.poll_answer::<MetadataResponse>(LIMIT).unwrap().is_some());
    assert!(connection.is_to_be_renewed());
    for lifetime_ms in [-1, i64::MIN, i64::MAX, 3_600_000] {
        assert!(!open_for(lifetime_ms).0.is_to_be_renewed(), "{lifetime_ms}");
    }
}

#[test]
fn what_a_broker_is_told_is_what_the_user_gave() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tokens = told.clone();
    let port = broker(None, AT_ONCE, move |request| match request.api {
        API_VERSIONS => Reply::Body(versions(&[(ApiKey::SaslHandshake, 1), (ApiKey::SaslAuthenticate, 0)])),
        HANDSHAKE => Reply::Body(vec![0; 6]),
        _ => {
            tokens.lock().unwrap().push(request.body[4..].to_vec());
            Reply::Body([&[0, 0, 0xff, 0xff][..], &bytes(b"")].concat())
        }
    });
    open(&format!("localhost:{port}"), &security(Mechanism::Plain, "pä=ss,word ")).unwrap();
    assert_eq!(*told.lock().unwrap(), ["\0alice\0pä=ss,word ".as_bytes()]);
}
