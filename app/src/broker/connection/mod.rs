//! A connection to one broker, plain or secured, with a limit on every wait.
//!
//! - `address`: what the user writes behind --brokers, and how we get through to it
//! - `security`: what connections are secured by
//! - `tls`: the settings of TLS, and their files
//! - `credentials`: who logs in, and by which mechanism
//! - `open`: reached, made private, logged in
//! - `stream`: the bytes, plain or over TLS
//! - `sasl`: the login
//! - `scram`: proofs of a password that do not tell it
//! - `bounds`: which answers are asked for, and the bounds of what they say of themselves
//! - `fetch_v0`: an old version of Fetch; `frame`: an answer on its way
//! - `diagnosis`: what a listener that closes the connection would have
//! - `error`, `tls_error`, `login_error`: why there is none

pub(super) mod address;
pub(super) mod bounds;
mod credentials;
pub(super) mod diagnosis;
mod error;
pub(super) mod fetch_v0;
mod frame;
mod login_error;
pub(super) mod open;
mod sasl;
pub(super) mod scram;
#[cfg(test)]
mod secure_tests;
mod security;
mod stream;
mod tls;
mod tls_error;

use std::io;
use std::time::{Duration, Instant};

use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use bounds::Answer;
pub use credentials::{Credentials, Mechanism, Password};
pub(super) use error::ConnectionError;
use frame::Frame;
pub use security::Security;
use stream::Stream;
pub use tls::{Tls, TlsFiles};
pub(super) use tls_error::TlsError;

/// The first request's correlation id. Its bytes also end a line twice, so that a server of another
/// kind answers at once.
const FIRST_CORRELATION_ID: i32 = i32::from_be_bytes(*b"\r\n\r\n");

/// So many bytes in front of an answer tell its size.
const SIZE: usize = 4;

/// When so many percent of a session have passed, it is time for a new one: what is asked before
/// that is answered within it.
const SESSION_PERCENT: u32 = 85;

/// A connection to one broker. After any failure it is of no more use.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    client_id: StrBytes,
    /// That of the request that was sent last.
    correlation_id: i32,
    /// What has come of its answer.
    frame: Frame,
    /// A request has been sent whose answer has not been read.
    is_awaiting: bool,
    /// When the login is to be renewed, where the broker ends sessions.
    renewal: Option<Instant>,
}

impl Connection {
    fn new(stream: Stream, client_id: &str) -> Self {
        Self {
            stream,
            client_id: StrBytes::from_string(client_id.to_string()),
            correlation_id: FIRST_CORRELATION_ID - 1,
            frame: Frame::default(),
            is_awaiting: false,
            renewal: None,
        }
    }

    /// Notes how long the session lasts; zero is for ever.
    fn set_lifetime(&mut self, lifetime: Duration) {
        let until_renewal = lifetime / 100 * SESSION_PERCENT;
        self.renewal = (!lifetime.is_zero())
            .then(|| Instant::now().checked_add(until_renewal))
            .flatten();
    }

    /// Whether the session is about to end, so that the next request belongs on a new connection;
    /// not while an answer is on its way.
    pub(crate) fn is_to_be_renewed(&self) -> bool {
        !self.is_awaiting && self.renewal.is_some_and(|renewal| renewal <= Instant::now())
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask<Q, R>(&mut self, request: &Q, limit: Duration) -> Result<R, ConnectionError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        self.ask_in(R::VERSION, request, R::LARGEST, limit)
    }

    /// The same in a version that the broker is known to speak, and for an answer of at most so many
    /// bytes.
    pub(crate) fn ask_in<Q, R>(
        &mut self,
        version: i16,
        request: &Q,
        largest: usize,
        limit: Duration,
    ) -> Result<R, ConnectionError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let end = Instant::now() + limit;
        self.send_in::<R, _>(version, request, limit)?;
        let left = end.saturating_duration_since(Instant::now());
        self.poll_in(version, largest, left)?.ok_or(ConnectionError::TimedOut)
    }

    /// Sends the request for an answer, which is to be received before the next one is sent.
    pub(crate) fn send<R, Q>(&mut self, request: &Q, limit: Duration) -> Result<(), ConnectionError>
    where
        R: Answer,
        Q: Encodable + HeaderVersion,
    {
        self.send_in::<R, _>(R::VERSION, request, limit)
    }

    fn send_in<R, Q>(&mut self, version: i16, request: &Q, limit: Duration) -> Result<(), ConnectionError>
    where
        R: Answer,
        Q: Encodable + HeaderVersion,
    {
        self.correlation_id += 1;
        self.is_awaiting = true;
        let header = RequestHeader::default()
            .with_request_api_key(R::API as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        let mut bytes = vec![0; 4];
        header
            .encode(&mut bytes, Q::header_version(version))
            .and_then(|()| request.encode(&mut bytes, version))
            .map_err(|e| ConnectionError::Closed(io::Error::other(e.to_string())))?;
        let size = bytes.len() as i32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&bytes, Instant::now() + limit)
    }

    /// The answer to what was sent last, if it is there within this time. What has come of it is
    /// kept for the next call.
    pub(crate) fn poll_answer<R: Answer>(&mut self, within: Duration) -> Result<Option<R>, ConnectionError> {
        self.poll_in(R::VERSION, R::LARGEST, within)
    }

    fn poll_in<R: Answer>(
        &mut self,
        version: i16,
        largest: usize,
        within: Duration,
    ) -> Result<Option<R>, ConnectionError> {
        let end = Instant::now() + within;
        let (stream, frame) = (&mut self.stream, &mut self.frame);
        // Size and correlation id are judged one by one: a server of another kind, such as one that
        // speaks TLS, may close after fewer bytes than both have.
        if !frame.fill(SIZE, stream, end)? {
            return Ok(None);
        }
        let size = usize::try_from(frame.i32(0)).unwrap_or(0);
        let is_too_large = size > largest;
        if is_too_large && stream.is_plain() && frame.is_tls() {
            return Err(ConnectionError::Tls(TlsError::NeedsTls));
        }
        if size < 4 {
            return Err(ConnectionError::NotKafka);
        }
        match frame.fill(SIZE + 4, stream, end) {
            Ok(true) => {}
            // What is larger than an answer is one only when it tells the number of the request.
            Ok(false) | Err(ConnectionError::Closed(_)) if is_too_large => return Err(ConnectionError::NotKafka),
            Ok(false) => return Ok(None),
            Err(why) => return Err(why),
        }
        if frame.i32(SIZE) != self.correlation_id {
            return Err(ConnectionError::NotKafka);
        }
        if is_too_large {
            return Err(ConnectionError::TooLarge { size, largest });
        }
        if !frame.fill(SIZE + size, stream, end)? {
            return Ok(None);
        }
        self.is_awaiting = false;
        let answer = std::mem::take(frame).into_bytes(SIZE);
        let body = bounds::behind_header::<R>(version, &answer).map(|start| answer.slice(start..));
        body.filter(|body| bounds::are_kept_in::<R>(version, body))
            .and_then(|mut body| R::decode(&mut body, version).ok())
            .ok_or(ConnectionError::NotKafka)
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use kafka_protocol::messages::MetadataResponse;

    use super::*;
    use crate::broker::metadata::every_topic;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A broker that answers each request with this body, a number of bytes at a time. Both size
    /// and correlation id stand before it.
    fn serve(body: Vec<u8>, bytes_at_a_time: usize, pause: Duration) -> (String, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.set_nodelay(true).unwrap();
            let mut size = [0; 4];
            while client.read_exact(&mut size).is_ok() {
                let mut request = vec![0; u32::from_be_bytes(size) as usize];
                client.read_exact(&mut request).unwrap();
                let mut answer = (body.len() as i32 + 4).to_be_bytes().to_vec();
                answer.extend(&request[4..8]);
                answer.extend(&body);
                for bytes in answer.chunks(bytes_at_a_time) {
                    let _ = client.write_all(bytes);
                    thread::sleep(pause);
                }
            }
        });
        (host, server)
    }

    /// What comes of a broker's answer to Metadata.
    fn metadata(body: Vec<u8>) -> Result<MetadataResponse, ConnectionError> {
        let (host, server) = serve(body, usize::MAX, Duration::ZERO);
        let answer = Connection::connect(&host, "test", LIMIT).and_then(|mut broker| broker.ask(&every_topic(), LIMIT));
        server.join().unwrap();
        answer
    }

    #[test]
    fn a_count_in_an_answer_costs_nothing_that_is_not_there() {
        for lie in [i32::MAX, -1] {
            let brokers = [lie.to_be_bytes(), [0; 4]].concat();
            let topics = [[0; 4], lie.to_be_bytes()].concat();
            for body in [brokers, topics] {
                assert!(matches!(metadata(body), Err(ConnectionError::NotKafka)), "{lie}");
            }
        }
        assert!(metadata(vec![0; 8]).unwrap().topics.is_empty());
    }
    #[test]
    fn an_answer_that_comes_byte_by_byte_is_put_together_by_many_polls() {
        let (host, server) = serve(vec![0; 8], 1, Duration::from_millis(12));
        let mut broker = Connection::connect(&host, "test", LIMIT).unwrap();
        for _ in 0..2 {
            broker.send::<MetadataResponse, _>(&every_topic(), LIMIT).unwrap();
            let (began, mut polls) = (Instant::now(), 0);
            let answer = loop {
                polls += 1;
                match broker
                    .poll_answer::<MetadataResponse>(Duration::from_millis(5))
                    .unwrap()
                {
                    Some(answer) => break answer,
                    None => assert!(began.elapsed() < LIMIT),
                }
            };
            assert!(answer.topics.is_empty());
            assert!(polls > 8, "{polls} polls for 16 bytes");
        }
        drop(broker);
        server.join().unwrap();
    }

    #[test]
    fn what_closes_amid_an_answer_is_told_from_what_is_slow() {
        let (host, server) = serve(vec![0; 8], 1, Duration::from_millis(20));
        let mut broker = Connection::connect(&host, "test", LIMIT).unwrap();
        let asked = broker.ask::<_, MetadataResponse>(&every_topic(), Duration::from_millis(100));
        assert!(matches!(asked, Err(ConnectionError::TimedOut)), "{asked:?}");
        drop(broker);
        server.join().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            client.read_exact(&mut request).unwrap();
            let mut rest = vec![0; u32::from_be_bytes(request) as usize];
            client.read_exact(&mut rest).unwrap();
            client.write_all(&[0, 0]).unwrap();
        });
        let mut broker = Connection::connect(&host, "test", LIMIT).unwrap();
        let asked = broker.ask::<_, MetadataResponse>(&every_topic(), LIMIT);
        assert!(matches!(asked, Err(ConnectionError::Closed(_))), "{asked:?}");
        server.join().unwrap();
    }
}
