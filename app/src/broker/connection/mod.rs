//! A plain connection to one broker, with a limit on every wait, for the few requests that the `kafka` crate lacks.

pub(super) mod address;
pub(super) mod bounds;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use bounds::Answer;

/// What is made room for before the first bytes of an answer have come; then as much again as has come, whatever its size is said to be.
const FIRST_BYTES: usize = 64 << 10;

/// The first request's number. Its bytes also end a line twice, so that a server of another kind answers at once.
const FIRST: i32 = i32::from_be_bytes(*b"\r\n\r\n");

/// Why there is no answer.
#[derive(Debug)]
pub enum ConnectionError {
    /// The address cannot be reached.
    Unreachable(io::Error),
    /// The connection stands, but nothing comes in time.
    TimedOut,
    /// The other side closed the connection.
    Closed(io::Error),
    /// What comes is not Kafka's protocol.
    NotKafka,
}

impl std::fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConnectionError::Unreachable(e) => write!(f, "it cannot be reached ({e})"),
            ConnectionError::TimedOut => write!(f, "it takes the connection, but does not answer"),
            ConnectionError::Closed(e) => write!(f, "it closes the connection ({e})"),
            ConnectionError::NotKafka => write!(f, "it does not speak Kafka's protocol"),
        }
    }
}

/// A connection to one broker. After any failure it is of no more use.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    client_id: StrBytes,
    /// The number of the request that was sent last.
    last: i32,
}

impl Connection {
    /// Connects.
    pub fn open(host: &str, client_id: &str, limit: Duration) -> Result<Self, ConnectionError> {
        let stream = address::connect(host, limit).map_err(ConnectionError::Unreachable)?;
        Ok(Self {
            stream,
            client_id: StrBytes::from_string(client_id.to_string()),
            last: FIRST - 1,
        })
    }

    /// Sends a request and reads its answer.
    pub fn ask<Q, R>(&mut self, request: &Q, limit: Duration) -> Result<R, ConnectionError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let end = Instant::now() + limit;
        self.send::<R, _>(request, limit)?;
        self.receive(end.saturating_duration_since(Instant::now()))
    }

    /// Sends the request for an answer, which is to be received before the next one is sent.
    pub fn send<R, Q>(&mut self, request: &Q, limit: Duration) -> Result<(), ConnectionError>
    where
        R: Answer,
        Q: Encodable + HeaderVersion,
    {
        self.last += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::API as i16)
            .with_request_api_version(R::VERSION)
            .with_correlation_id(self.last)
            .with_client_id(Some(self.client_id.clone()));
        let mut bytes = vec![0; 4];
        header
            .encode(&mut bytes, Q::header_version(R::VERSION))
            .and_then(|()| request.encode(&mut bytes, R::VERSION))
            .map_err(|e| ConnectionError::Closed(io::Error::other(e.to_string())))?;
        let size = bytes.len() as i32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        self.stream
            .set_write_timeout(Some(limit))
            .and_then(|()| self.stream.write_all(&bytes))
            .map_err(unanswered)
    }

    /// Whether the answer begins to come within this time.
    pub fn arrives(&mut self, within: Duration) -> Result<bool, ConnectionError> {
        let peeked = self
            .stream
            .set_read_timeout(Some(within))
            .and_then(|()| self.stream.peek(&mut [0]));
        match peeked {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(false),
            Err(e) => match unanswered(e) {
                ConnectionError::TimedOut => Ok(false),
                why => Err(why),
            },
        }
    }

    /// Reads the answer to what was sent last.
    pub fn receive<R: Answer>(&mut self, limit: Duration) -> Result<R, ConnectionError> {
        let end = Instant::now() + limit;
        // Each word is judged by itself: a server of another kind, such as one that speaks TLS, may close after fewer than both.
        let size = usize::try_from(self.word(end)?).unwrap_or(0);
        if !(4..=R::LARGEST).contains(&size) {
            return Err(ConnectionError::NotKafka);
        }
        let answers = self.word(end)?;
        if answers != self.last {
            return Err(ConnectionError::NotKafka);
        }
        let mut answer = answers.to_be_bytes().to_vec();
        while answer.len() < size {
            let come = answer.len();
            answer.resize(size.min(come * 2).max(size.min(FIRST_BYTES)), 0);
            self.read(&mut answer[come..], end)?;
        }
        let mut body = &answer[..];
        ResponseHeader::decode(&mut body, R::header_version(R::VERSION))
            .ok()
            .filter(|_| bounds::hold::<R>(body))
            .and_then(|_| R::decode(&mut body, R::VERSION).ok())
            .ok_or(ConnectionError::NotKafka)
    }

    fn word(&mut self, end: Instant) -> Result<i32, ConnectionError> {
        let mut word = [0; 4];
        self.read(&mut word, end)?;
        Ok(i32::from_be_bytes(word))
    }

    fn read(&mut self, mut buffer: &mut [u8], end: Instant) -> Result<(), ConnectionError> {
        while !buffer.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ConnectionError::TimedOut);
            }
            let read = self
                .stream
                .set_read_timeout(Some(left))
                .and_then(|()| self.stream.read(buffer));
            match read {
                Ok(0) => return Err(ConnectionError::Closed(ErrorKind::UnexpectedEof.into())),
                Ok(n) => buffer = &mut buffer[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(unanswered(e)),
            }
        }
        Ok(())
    }
}

fn unanswered(e: io::Error) -> ConnectionError {
    match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ConnectionError::TimedOut,
        _ => ConnectionError::Closed(e),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use kafka_protocol::messages::MetadataResponse;

    use super::*;
    use crate::broker::metadata::every_topic;

    /// What comes of a broker's answer to Metadata, given without its size and number.
    fn metadata(body: Vec<u8>) -> Result<MetadataResponse, ConnectionError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut size = [0; 4];
            client.read_exact(&mut size).unwrap();
            let mut request = vec![0; u32::from_be_bytes(size) as usize];
            client.read_exact(&mut request).unwrap();
            let mut answer = (body.len() as i32 + 4).to_be_bytes().to_vec();
            answer.extend(&request[4..8]);
            answer.extend(body);
            let _ = client.write_all(&answer);
        });
        let limit = Duration::from_secs(5);
        let answer = Connection::open(&host, "test", limit).and_then(|mut broker| broker.ask(&every_topic(), limit));
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
}
