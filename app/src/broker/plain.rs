//! A plain connection to one broker, with a limit on every wait, for the few requests that the `kafka` crate lacks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::address;

/// An answer to one of our small questions is never larger.
const LARGEST_ANSWER: usize = 64 << 20;

/// The first request's number. Its bytes also end a line twice, so that a server of another kind answers at once.
const FIRST: i32 = i32::from_be_bytes(*b"\r\n\r\n");

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The address cannot be reached.
    Nothing(io::Error),
    /// The connection stands, but nothing comes in time.
    Silent,
    /// The other side closed the connection.
    Closed(io::Error),
    /// What comes is not Kafka's protocol.
    Gibberish,
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unanswered::Nothing(e) => write!(f, "it cannot be reached ({e})"),
            Unanswered::Silent => write!(f, "it takes the connection, but does not answer"),
            Unanswered::Closed(e) => write!(f, "it closes the connection ({e})"),
            Unanswered::Gibberish => write!(f, "it does not speak Kafka's protocol"),
        }
    }
}

/// A connection to one broker. After any failure it is of no more use.
#[derive(Debug)]
pub struct Plain {
    stream: TcpStream,
    client_id: StrBytes,
    /// The number of the request that was sent last.
    last: i32,
}

impl Plain {
    /// Connects.
    pub fn open(host: &str, client_id: &str, limit: Duration) -> Result<Self, Unanswered> {
        let stream = address::connect(host, limit).map_err(Unanswered::Nothing)?;
        Ok(Self {
            stream,
            client_id: StrBytes::from_string(client_id.to_string()),
            last: FIRST - 1,
        })
    }

    /// Sends a request and reads its answer.
    pub fn ask<Q, R>(&mut self, api: ApiKey, version: i16, request: &Q, limit: Duration) -> Result<R, Unanswered>
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion,
    {
        let end = Instant::now() + limit;
        self.send(api, version, request, limit)?;
        self.receive(version, end.saturating_duration_since(Instant::now()))
    }

    /// Sends a request; its answer is to be received before the next one is sent.
    pub fn send<Q>(&mut self, api: ApiKey, version: i16, request: &Q, limit: Duration) -> Result<(), Unanswered>
    where
        Q: Encodable + HeaderVersion,
    {
        self.last += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.last)
            .with_client_id(Some(self.client_id.clone()));
        let mut bytes = vec![0; 4];
        header
            .encode(&mut bytes, Q::header_version(version))
            .and_then(|()| request.encode(&mut bytes, version))
            .map_err(|e| Unanswered::Closed(io::Error::other(e.to_string())))?;
        let size = bytes.len() as i32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        self.stream
            .set_write_timeout(Some(limit))
            .and_then(|()| self.stream.write_all(&bytes))
            .map_err(unanswered)
    }

    /// Whether the answer begins to come within this time.
    pub fn arrives(&mut self, within: Duration) -> Result<bool, Unanswered> {
        let peeked = self
            .stream
            .set_read_timeout(Some(within))
            .and_then(|()| self.stream.peek(&mut [0]));
        match peeked {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(false),
            Err(e) => match unanswered(e) {
                Unanswered::Silent => Ok(false),
                why => Err(why),
            },
        }
    }

    /// Reads the answer to what was sent last.
    pub fn receive<R>(&mut self, version: i16, limit: Duration) -> Result<R, Unanswered>
    where
        R: Decodable + HeaderVersion,
    {
        let end = Instant::now() + limit;
        // Each word is judged by itself: a server of another kind, such as one that speaks TLS, may close after fewer than both.
        let size = usize::try_from(self.word(end)?).unwrap_or(0);
        if !(4..=LARGEST_ANSWER).contains(&size) {
            return Err(Unanswered::Gibberish);
        }
        let answers = self.word(end)?;
        if answers != self.last {
            return Err(Unanswered::Gibberish);
        }
        let mut body = vec![0; size];
        body[..4].copy_from_slice(&answers.to_be_bytes());
        self.read(&mut body[4..], end)?;
        let mut body = &body[..];
        ResponseHeader::decode(&mut body, R::header_version(version))
            .and_then(|_| R::decode(&mut body, version))
            .map_err(|_| Unanswered::Gibberish)
    }

    fn word(&mut self, end: Instant) -> Result<i32, Unanswered> {
        let mut word = [0; 4];
        self.read(&mut word, end)?;
        Ok(i32::from_be_bytes(word))
    }

    fn read(&mut self, mut buffer: &mut [u8], end: Instant) -> Result<(), Unanswered> {
        while !buffer.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unanswered::Silent);
            }
            let read = self
                .stream
                .set_read_timeout(Some(left))
                .and_then(|()| self.stream.read(buffer));
            match read {
                Ok(0) => return Err(Unanswered::Closed(ErrorKind::UnexpectedEof.into())),
                Ok(n) => buffer = &mut buffer[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(unanswered(e)),
            }
        }
        Ok(())
    }
}

fn unanswered(e: io::Error) -> Unanswered {
    match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unanswered::Silent,
        _ => Unanswered::Closed(e),
    }
}
