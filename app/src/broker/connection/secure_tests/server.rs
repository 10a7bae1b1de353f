//! A broker that answers by a script, plain or over TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a client asks.
pub(super) struct Request {
    pub(super) api: i16,
    pub(super) version: i16,
    pub(super) body: Vec<u8>,
}

/// What a broker does with a request.
pub(super) enum Reply {
    /// Answers with this body.
    Body(Vec<u8>),
    Close,
}

/// How an answer is written.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) bytes_at_a_time: usize,
    pub(super) pause: Duration,
}

pub(super) const AT_ONCE: Pace = Pace {
    bytes_at_a_time: usize::MAX,
    pause: Duration::ZERO,
};

/// Does this with each connection; gives the port.
pub(super) fn listen(mut talk: impl FnMut(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            talk(client.unwrap());
        }
    });
    port
}

/// A broker whose answers come from `reply`; gives the port.
pub(super) fn broker(
    tls: Option<Arc<ServerConfig>>,
    pace: Pace,
    mut reply: impl FnMut(Request) -> Reply + Send + 'static,
) -> u16 {
    listen(move |client| {
        client.set_nodelay(true).unwrap();
        match &tls {
            None => serve(client, pace, &mut reply),
            Some(config) => {
                let tls = ServerConnection::new(config.clone()).unwrap();
                serve(StreamOwned::new(tls, client), pace, &mut reply);
            }
        }
    })
}

fn serve(mut client: impl Read + Write, pace: Pace, reply: &mut impl FnMut(Request) -> Reply) {
    let mut size = [0; 4];
    while client.read_exact(&mut size).is_ok() {
        let mut bytes = vec![0; u32::from_be_bytes(size) as usize];
        if client.read_exact(&mut bytes).is_err() {
            return;
        }
        let number = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let request = Request {
            api: number(0),
            version: number(2),
            body: bytes[10 + number(8) as usize..].to_vec(),
        };
        let Reply::Body(body) = reply(request) else { return };
        let mut answer = (body.len() as i32 + 4).to_be_bytes().to_vec();
        answer.extend(&bytes[4..8]);
        answer.extend(body);
        for part in answer.chunks(pace.bytes_at_a_time) {
            if client.write_all(part).and_then(|()| client.flush()).is_err() {
                return;
            }
            thread::sleep(pace.pause);
        }
    }
}

/// An answer to Metadata that tells of nothing.
pub(super) fn no_topics(_: Request) -> Reply {
    Reply::Body(vec![0; 8])
}

/// An answer to ApiVersions that names these, from version 0 on.
pub(super) fn versions(newest: &[(ApiKey, i16)]) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend((newest.len() as i32).to_be_bytes());
    for (api, version) in newest {
        body.extend((*api as i16).to_be_bytes());
        body.extend([0, 0]);
        body.extend(version.to_be_bytes());
    }
    body
}

/// A text behind its length of 16 bits.
pub(super) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes(), text.as_bytes()].concat()
}

/// Bytes behind their length of 32 bits.
pub(super) fn bytes(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as i32).to_be_bytes(), bytes].concat()
}
