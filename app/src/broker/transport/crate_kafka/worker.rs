//! A thread that owns a client of the `kafka` crate. No call into that crate is made anywhere else, and nobody waits for one
//! without a limit. A client that met an error, a panic or a limit is never used again: its connections may still hold
//! the answer to the question before, and the crate would take it for the next one's.

use crate::model::TopicPartition;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::time::Duration;

use kafka::client::{Compression as Codec, KafkaClient};
use kafka::error::{Error as CrateError, KafkaCode};

use crate::error::Result;
use crate::stop::Stop;

use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::hosts::Hosts;
use crate::broker::versions::KnownVersions;
use crate::broker::{Compression, Security};

/// What every client of a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub hosts: Hosts,
    pub versions: KnownVersions,
    pub client_id: String,
    pub compression: Compression,
    /// What connections are secured by; those of the `kafka` crate are not.
    pub security: Security,
    /// How long one request may take.
    pub limit: Duration,
    pub stop: Stop,
}

impl ClientConfig {
    /// A new client that knows all topics. It asks for all and names none: a topic that is named might be created.
    fn client(&self) -> Result<KafkaClient, KafkaError> {
        let host = self.hosts.reachable().map_err(KafkaError::passing)?;
        let mut client = KafkaClient::new(vec![host.clone()]);
        client.set_client_id(self.client_id.clone());
        client.set_compression(match self.compression {
            Compression::None => Codec::NONE,
            Compression::Gzip => Codec::GZIP,
            Compression::Snappy => Codec::SNAPPY,
        });
        client.set_fetch_min_bytes(1);
        client.set_fetch_crc_validation(true);
        client.load_metadata_all().map_err(|e| kafka_error(&e).at(&host))?;
        let leaders = client.topics();
        let leaders = leaders.iter().flat_map(|topic| topic.partitions());
        self.hosts
            .learn(leaders.filter_map(|p| p.leader().map(|broker| broker.host())));
        Ok(client)
    }
}

type Job = Box<dyn FnOnce(&mut Option<KafkaClient>, &ClientConfig) -> bool + Send>;

/// A client and its thread, both made when there is work.
#[derive(Debug)]
pub struct Worker {
    config: Arc<ClientConfig>,
    jobs: Option<Sender<Job>>,
}

impl Worker {
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config, jobs: None }
    }

    /// Hands over a job; `done` gets what came of it, on the worker's thread. After trouble, `abandon` is the caller's duty.
    pub fn start<R: 'static>(
        &mut self,
        job: impl FnOnce(&mut KafkaClient) -> Result<R, KafkaError> + Send + 'static,
        done: impl FnOnce(Result<R, KafkaError>) + Send + 'static,
    ) {
        let job: Job = Box::new(move |client, config| {
            let answer = deadline::contained(|| {
                let client = match client {
                    Some(client) => client,
                    None => client.insert(config.client()?),
                };
                job(client)
            });
            let well = answer.is_ok();
            done(answer);
            well
        });
        let config = &self.config;
        let jobs = self.jobs.get_or_insert_with(|| {
            let (jobs, inbox) = channel::<Job>();
            let config = config.clone();
            deadline::spawn("kafka-client", move || {
                let mut client = None;
                while let Ok(job) = inbox.recv() {
                    if !job(&mut client, &config) {
                        break;
                    }
                }
            });
            jobs
        });
        // A job that is not taken is dropped with its `done`, which whoever waits for it notices.
        let _ = jobs.send(job);
    }

    /// How long a job of so many requests may take; a client that is made for it asks for the topics before.
    pub fn limit(&self, requests: usize) -> Duration {
        self.config.limit * (requests + usize::from(self.jobs.is_none())).max(1) as u32
    }

    /// Runs a job of one request, or of none, and waits for it, within the limit and no longer than the user wants.
    pub fn call<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut KafkaClient) -> Result<R, KafkaError> + Send + 'static,
    ) -> Result<Result<R, KafkaError>> {
        self.call_for(1, job)
    }

    /// The same for a job of so many requests, one after another.
    pub fn call_for<R: Send + 'static>(
        &mut self,
        requests: usize,
        job: impl FnOnce(&mut KafkaClient) -> Result<R, KafkaError> + Send + 'static,
    ) -> Result<Result<R, KafkaError>> {
        let limit = self.limit(requests);
        let (done, answer) = sync_channel(1);
        self.start(job, move |result| {
            let _ = done.send(result);
        });
        let answer = deadline::wait(&answer, limit, &self.config.stop);
        if !matches!(answer, Ok(Ok(_))) {
            self.abandon();
        }
        answer
    }

    /// Leaves the thread and its client to themselves; the next job gets new ones.
    pub fn abandon(&mut self) {
        self.jobs = None;
    }
}

/// Where the leader of a partition listens.
pub fn leader(client: &KafkaClient, at: &TopicPartition) -> Option<String> {
    let topics = client.topics();
    let broker = topics.partitions(&at.topic)?.partition(at.partition)?.leader()?;
    Some(broker.host().to_string())
}

/// What an error of the crate means for us.
pub fn kafka_error(error: &CrateError) -> KafkaError {
    match error {
        CrateError::Kafka(KafkaCode::CorruptMessage) => unreadable("a record's checksum is wrong"),
        CrateError::Kafka(code) => KafkaError::code(*code as i16),
        CrateError::TopicPartitionError {
            topic_name,
            partition_id,
            error_code,
        } => KafkaError::code(*error_code as i16)
            .at(&TopicPartition::new(topic_name.as_str(), *partition_id).to_string()),
        CrateError::UnsupportedCompression => KafkaError::fatal(
            "records are compressed in a way that this client does not read (lz4 or zstd)",
            "let the topic's producers use none, gzip or snappy, or set the topic's compression.type to one of them",
        )
        .unreadable(),
        CrateError::InvalidSnappy(e) => unreadable(&format!("records cannot be decompressed ({e})")),
        CrateError::UnsupportedProtocol => unreadable("a record has a format that this client does not read"),
        CrateError::CodecError | CrateError::StringDecodeError | CrateError::UnexpectedEOF => {
            unreadable(&format!("the answer is not one that a broker gives ({error})"))
        }
        CrateError::ArcSelf(inner) => kafka_error(inner),
        CrateError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => {
            KafkaError::passing("the connection was closed").broken()
        }
        CrateError::Io(e) => KafkaError::passing(format!("the connection broke ({e})")).broken(),
        other => KafkaError::passing(format!("Kafka cannot be asked ({other})")),
    }
}

fn unreadable(what: &str) -> KafkaError {
    KafkaError::passing(what).unreadable()
}
