//! Fetch requests under way: a worker for each broker that leads partitions, so that all of them are asked at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use kafka::client::fetch::Response;
use kafka::client::{FetchPartition, KafkaClient};

use crate::error::Result;

use crate::broker::config::ClientConfig;
use crate::broker::error::KafkaError;
use crate::broker::fetcher::FetchPosition;
use crate::broker::transport::crate_kafka::unpack;
use crate::broker::transport::crate_kafka::worker::{self, Worker};

/// The longest time between two looks at the stop flag.
const LOOK: Duration = Duration::from_millis(50);

/// A position and the window to ask for it with.
#[derive(Debug, Clone)]
pub struct PartitionFetch {
    pub position: FetchPosition,
    pub window: i32,
}

/// What came of a request.
pub type Answer = std::result::Result<Arc<Response>, KafkaError>;

/// A request to one broker.
#[derive(Debug)]
pub struct Request {
    pub host: String,
    pub asks: Vec<PartitionFetch>,
    pub began: Instant,
    until: Instant,
}

/// The requests that are not answered yet, at most one for each broker.
#[derive(Debug)]
pub struct InFlight {
    pub(super) config: Arc<ClientConfig>,
    workers: HashMap<String, Worker>,
    /// By number. An answer whose number is not here belongs to a request that was given up.
    requests: HashMap<u64, Request>,
    last: u64,
    post: Sender<(u64, Answer)>,
    inbox: Receiver<(u64, Answer)>,
}

impl InFlight {
    pub fn new(config: Arc<ClientConfig>) -> Self {
        let (post, inbox) = channel();
        Self {
            config,
            workers: HashMap::new(),
            requests: HashMap::new(),
            last: 0,
            post,
            inbox,
        }
    }

    /// Whether a broker has a request to answer.
    pub fn holds(&self, host: &str) -> bool {
        self.requests.values().any(|request| request.host == host)
    }

    /// Sends a request; the broker may wait for records for so long.
    pub fn start(&mut self, host: String, asks: Vec<PartitionFetch>, wait: Duration) {
        self.last += 1;
        let (number, post) = (self.last, self.post.clone());
        let began = Instant::now();
        let until = began + wait + self.worker(&host).limit(1);
        let sent = asks.clone();
        self.worker(&host).start(
            move |client| fetch(client, &sent, wait),
            move |answer| {
                let _ = post.send((number, answer));
            },
        );
        self.requests.insert(
            number,
            Request {
                host,
                asks,
                began,
                until,
            },
        );
    }

    /// Waits for the first answer and takes all that are there by then. A request that is overdue is given up, and so is its client.
    pub fn answers(&mut self) -> Result<Vec<(Request, Answer)>> {
        let mut answered = Vec::new();
        while answered.is_empty() && !self.requests.is_empty() {
            self.config.stop.check()?;
            let first = self.inbox.recv_timeout(LOOK).ok();
            for (number, answer) in first.into_iter().chain(self.inbox.try_iter()) {
                answered.extend(self.requests.remove(&number).map(|request| (request, answer)));
            }
            let now = Instant::now();
            let limit = self.config.limit;
            let overdue = self.requests.extract_if(|_, request| request.until <= now);
            answered.extend(overdue.map(|(_, request)| (request, Err(KafkaError::overdue(limit)))));
        }
        for (request, answer) in &answered {
            if answer.is_err() {
                self.abandon(&request.host);
            }
        }
        Ok(answered)
    }

    /// Asks a broker that has nothing else to answer, and waits for it.
    pub fn call(&mut self, host: &str, ask: PartitionFetch) -> Answer {
        self.worker(host)
            .call(move |client| fetch(client, &[ask], Duration::ZERO))
    }

    /// Gives up the client that talks to a broker.
    pub fn abandon(&mut self, host: &str) {
        self.workers.remove(host);
    }

    /// Gives up all clients and requests.
    pub fn abandon_all(&mut self) {
        self.workers.clear();
        self.requests.clear();
    }

    fn worker(&mut self, host: &str) -> &mut Worker {
        let config = &self.config;
        self.workers
            .entry(host.to_string())
            .or_insert_with(|| Worker::new(config.clone()))
    }
}

/// Asks the leader of the positions, all of one broker.
fn fetch(client: &mut KafkaClient, asks: &[PartitionFetch], wait: Duration) -> Answer {
    client
        .set_fetch_max_wait_time(wait)
        .map_err(|e| worker::kafka_error(&e))?;
    let asks = asks.iter().map(|PartitionFetch { position, window }| {
        FetchPartition::new(&position.at.topic, position.at.partition, position.offset).with_max_bytes(*window)
    });
    let mut responses = unpack::guarded(|| client.fetch_messages(asks).map_err(|e| worker::kafka_error(&e)))?;
    match (responses.pop(), responses.is_empty()) {
        (Some(response), true) => Ok(Arc::new(response)),
        _ => Err(KafkaError::passing("the partitions have moved to another leader")),
    }
}
