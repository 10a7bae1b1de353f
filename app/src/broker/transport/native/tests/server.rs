//! A broker of a script.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

/// What a client asks.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Metadata(MetadataRequest),
    Produce(ProduceRequest),
    Fetch(FetchRequest),
    ListOffsets(ListOffsetsRequest),
}

/// What it gets.
pub(super) enum Reply {
    Metadata(MetadataResponse),
    Produce(ProduceResponse),
    Fetch(FetchResponse),
    ListOffsets(ListOffsetsResponse),
    /// These bytes, whatever they are, behind the correlation id of the request.
    Raw(Box<dyn Fn(i32) -> Vec<u8> + Send>),
    Close,
}

/// The oldest and the newest version of Metadata, Produce, Fetch and ListOffsets.
pub(super) type Spoken = [(i16, i16); 4];

/// Those of Kafka 4.
pub(super) const KAFKA_4: Spoken = [(0, 13), (0, 13), (4, 17), (1, 10)];

pub(super) struct Broker {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<(i16, Asked)>>>,
    versions: Arc<Mutex<ToldVersions>>,
}

/// What it says that it speaks, and how often it was asked.
struct ToldVersions {
    spoken: Spoken,
    told: usize,
}

impl Broker {
    /// `reply` gets the broker's own port with each request.
    pub(super) fn start(spoken: Spoken, reply: impl FnMut(u16, &Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let versions = Arc::new(Mutex::new(ToldVersions { spoken, told: 0 }));
        let (noted, reply, told) = (asked.clone(), Arc::new(Mutex::new(reply)), versions.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (noted, reply, told) = (noted.clone(), reply.clone(), told.clone());
                thread::spawn(move || {
                    serve(client.unwrap(), &told, |version, asked| {
                        noted.lock().unwrap().push((version, asked.clone()));
                        (reply.lock().unwrap())(port, &asked)
                    })
                });
            }
        });
        Self {
            address: format!("127.0.0.1:{port}"),
            asked,
            versions,
        }
    }

    /// From now on it speaks these versions, and closes the connection over any other, as brokers
    /// do.
    pub(super) fn speak(&self, spoken: Spoken) {
        self.versions.lock().unwrap().spoken = spoken;
    }

    /// How often it was asked for its versions.
    pub(super) fn versions_told(&self) -> usize {
        self.versions.lock().unwrap().told
    }

    /// All requests so far but ApiVersions, with their versions.
    pub(super) fn asked(&self) -> Vec<(i16, Asked)> {
        self.asked.lock().unwrap().clone()
    }

    /// All Fetch requests so far.
    pub(super) fn fetches(&self) -> Vec<FetchRequest> {
        let asked = self.asked().into_iter();
        asked
            .filter_map(|(_, asked)| match asked {
                Asked::Fetch(request) => Some(request),
                _ => None,
            })
            .collect()
    }
}

fn serve(
    mut client: TcpStream,
    versions: &Mutex<ToldVersions>,
    mut reply: impl FnMut(i16, Asked) -> Reply,
) -> Option<()> {
    client.set_nodelay(true).unwrap();
    loop {
        let mut size = [0; 4];
        client.read_exact(&mut size).ok()?;
        let mut bytes = vec![0; u32::from_be_bytes(size) as usize];
        client.read_exact(&mut bytes).ok()?;
        let api = ApiKey::try_from(i16::from_be_bytes([bytes[0], bytes[1]])).unwrap();
        let version = i16::from_be_bytes([bytes[2], bytes[3]]);
        let mut rest = &bytes[..];
        let header = RequestHeader::decode(&mut rest, api.request_header_version(version)).unwrap();
        let id = header.correlation_id;
        let asked = match api {
            ApiKey::ApiVersions => {
                let answer = {
                    let mut versions = versions.lock().unwrap();
                    versions.told += 1;
                    frame(id, 0, &versions_answer(versions.spoken))
                };
                client.write_all(&answer).ok()?;
                continue;
            }
            api if !speaks(versions.lock().unwrap().spoken, api, version) => return None,
            ApiKey::Metadata => Asked::Metadata(MetadataRequest::decode(&mut rest, version).unwrap()),
            ApiKey::Produce => Asked::Produce(ProduceRequest::decode(&mut rest, version).unwrap()),
            ApiKey::Fetch => Asked::Fetch(FetchRequest::decode(&mut rest, version).unwrap()),
            ApiKey::ListOffsets => Asked::ListOffsets(ListOffsetsRequest::decode(&mut rest, version).unwrap()),
            other => panic!("{other:?} is not expected"),
        };
        let answer = match reply(version, asked) {
            Reply::Metadata(answer) => frame(id, version, &answer),
            Reply::Produce(answer) => frame(id, version, &answer),
            Reply::Fetch(answer) => frame(id, version, &answer),
            Reply::ListOffsets(answer) => frame(id, version, &answer),
            Reply::Raw(bytes) => bytes(id),
            Reply::Close => return None,
        };
        client.write_all(&answer).ok()?;
    }
}

/// A whole answer, its size in front.
pub(super) fn frame<R: Encodable + HeaderVersion>(id: i32, version: i16, answer: &R) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    let header = ResponseHeader::default().with_correlation_id(id);
    header.encode(&mut bytes, R::header_version(version)).unwrap();
    answer.encode(&mut bytes, version).unwrap();
    let size = bytes.len() as i32 - 4;
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    bytes
}

const KEYS: [ApiKey; 4] = [ApiKey::Metadata, ApiKey::Produce, ApiKey::Fetch, ApiKey::ListOffsets];

fn speaks(spoken: Spoken, api: ApiKey, version: i16) -> bool {
    let known = KEYS.into_iter().zip(spoken).find(|(key, _)| *key == api);
    known.is_some_and(|(_, (oldest, newest))| (oldest..=newest).contains(&version))
}

fn versions_answer(spoken: Spoken) -> ApiVersionsResponse {
    let keys = KEYS.into_iter().zip(spoken).map(|(api, (oldest, newest))| {
        ApiVersion::default()
            .with_api_key(api as i16)
            .with_min_version(oldest)
            .with_max_version(newest)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}
