//! A thread that owns a client of the `kafka` crate. No call into that crate is made anywhere else, and nobody waits for one
//! without a limit. A client that met an error, a panic or a limit is never used again: its connections may still hold
//! the answer to the question before, and the crate would take it for the next one's.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::time::Duration;

use kafka::client::{Compression as Codec, KafkaClient};
use kafka::error::{Error as KafkaError, KafkaCode};

use crate::error::Result;
use crate::stop::Stop;

use super::Compression;
use super::aside;
use super::contact::Told;
use super::hosts::Hosts;
use super::trouble::Trouble;

/// What every client of a cluster is made of.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub hosts: Hosts,
    pub versions: Told,
    pub client_id: String,
    pub compression: Compression,
    /// How long one request may take.
    pub limit: Duration,
    pub stop: Stop,
}

impl Recipe {
    /// A new client that knows all topics. It asks for all and names none: a topic that is named might be created.
    fn client(&self) -> Result<KafkaClient, Trouble> {
        let host = self.hosts.reachable().map_err(Trouble::passing)?;
        let mut client = KafkaClient::new(vec![host.clone()]);
        client.set_client_id(self.client_id.clone());
        client.set_compression(match self.compression {
            Compression::None => Codec::NONE,
            Compression::Gzip => Codec::GZIP,
            Compression::Snappy => Codec::SNAPPY,
        });
        client.set_fetch_min_bytes(1);
        client.set_fetch_crc_validation(true);
        client.load_metadata_all().map_err(|e| trouble(&e).at(&host))?;
        let leaders = client.topics();
        let leaders = leaders.iter().flat_map(|topic| topic.partitions());
        self.hosts
            .learn(leaders.filter_map(|p| p.leader().map(|broker| broker.host())));
        Ok(client)
    }
}

type Job = Box<dyn FnOnce(&mut Option<KafkaClient>, &Recipe) -> bool + Send>;

/// A client and its thread, both made when there is work.
#[derive(Debug)]
pub struct Worker {
    recipe: Arc<Recipe>,
    jobs: Option<Sender<Job>>,
}

impl Worker {
    pub fn new(recipe: Arc<Recipe>) -> Self {
        Self { recipe, jobs: None }
    }

    /// Hands over a job; `done` gets what came of it, on the worker's thread. After trouble, `abandon` is the caller's duty.
    pub fn start<R: 'static>(
        &mut self,
        job: impl FnOnce(&mut KafkaClient) -> Result<R, Trouble> + Send + 'static,
        done: impl FnOnce(Result<R, Trouble>) + Send + 'static,
    ) {
        let job: Job = Box::new(move |client, recipe| {
            let answer = aside::contained(|| {
                let client = match client {
                    Some(client) => client,
                    None => client.insert(recipe.client()?),
                };
                job(client)
            });
            let well = answer.is_ok();
            done(answer);
            well
        });
        let recipe = &self.recipe;
        let jobs = self.jobs.get_or_insert_with(|| {
            let (jobs, inbox) = channel::<Job>();
            let recipe = recipe.clone();
            aside::spawn("kafka-client", move || {
                let mut client = None;
                while let Ok(job) = inbox.recv() {
                    if !job(&mut client, &recipe) {
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
        self.recipe.limit * (requests + usize::from(self.jobs.is_none())).max(1) as u32
    }

    /// Runs a job of one request, or of none, and waits for it, within the limit and no longer than the user wants.
    pub fn call<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut KafkaClient) -> Result<R, Trouble> + Send + 'static,
    ) -> Result<Result<R, Trouble>> {
        self.call_for(1, job)
    }

    /// The same for a job of so many requests, one after another.
    pub fn call_for<R: Send + 'static>(
        &mut self,
        requests: usize,
        job: impl FnOnce(&mut KafkaClient) -> Result<R, Trouble> + Send + 'static,
    ) -> Result<Result<R, Trouble>> {
        let limit = self.limit(requests);
        let (done, answer) = sync_channel(1);
        self.start(job, move |result| {
            let _ = done.send(result);
        });
        let answer = aside::wait(&answer, limit, &self.recipe.stop);
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
pub fn leader(client: &KafkaClient, topic: &str, partition: i32) -> Option<String> {
    let topics = client.topics();
    let broker = topics.partitions(topic)?.partition(partition)?.leader()?;
    Some(broker.host().to_string())
}

/// What an error of the crate means for us.
pub fn trouble(error: &KafkaError) -> Trouble {
    match error {
        KafkaError::Kafka(KafkaCode::CorruptMessage) => unreadable("a record's checksum is wrong"),
        KafkaError::Kafka(code) => Trouble::code(*code as i16),
        KafkaError::TopicPartitionError {
            topic_name,
            partition_id,
            error_code,
        } => Trouble::code(*error_code as i16).at(&super::place(topic_name, *partition_id)),
        KafkaError::UnsupportedCompression => Trouble::fatal(
            "records are compressed in a way that this client does not read (lz4 or zstd)",
            "let the topic's producers use none, gzip or snappy, or set the topic's compression.type to one of them",
        )
        .unreadable(),
        KafkaError::InvalidSnappy(e) => unreadable(&format!("records cannot be decompressed ({e})")),
        KafkaError::UnsupportedProtocol => unreadable("a record has a format that this client does not read"),
        KafkaError::CodecError | KafkaError::StringDecodeError | KafkaError::UnexpectedEOF => {
            unreadable(&format!("the answer is not one that a broker gives ({error})"))
        }
        KafkaError::ArcSelf(inner) => trouble(inner),
        KafkaError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Trouble::passing("the connection was closed").broken()
        }
        KafkaError::Io(e) => Trouble::passing(format!("the connection broke ({e})")).broken(),
        other => Trouble::passing(format!("Kafka cannot be asked ({other})")),
    }
}

fn unreadable(what: &str) -> Trouble {
    Trouble::passing(what).unreadable()
}
