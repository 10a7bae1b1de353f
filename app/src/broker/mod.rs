//! Everything that touches Kafka. The rest of the program sees clusters, bundles of records to send, and chunks of records that came.

mod bootstrap;
mod connection;
mod deadline;
mod error;
mod error_codes;
mod fetched_partition;
mod fetcher;
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod hosts;
mod in_flight;
mod leader_producer;
mod metadata;
mod partitioner;
mod produce_batch;
mod producer;
mod retry;
mod transport;
mod versions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka::client::FetchOffset;

use crate::error::{Error, Result};
use crate::model::TopicPartition;
use crate::stop::Stop;

pub use connection::{Credentials, Mechanism, Password, Security, Tls, TlsFiles};
pub use fetched_partition::{FetchedPartition, Message};
pub use fetcher::{FetchPosition, Fetched, Fetcher, OutOfRange, SILENCE};
pub use group::{Assignment, Committed, Group, GroupConfig, Member, Membership};
pub use partitioner::partition_for;
pub use produce_batch::ProduceBatch;
pub use producer::{OffsetJump, Placeholder, Producer, Sent};

use bootstrap::Contact;
use connection::address;
use error::KafkaError;
use hosts::Hosts;
use metadata::TopicState;
use retry::{OutageLog, RetryBudget};
use transport::crate_kafka::unknown_high_watermark::{self, HighWatermark};
use transport::crate_kafka::worker::{self, ClientConfig, Worker};
use versions::KnownVersions;

/// How records are compressed on their way and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
}

/// How to talk to a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses as the user wrote them: HOST or HOST:PORT, also several with commas between.
    pub brokers: Vec<String>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long to wait for brokers that went away.
    pub patience: Duration,
    pub client_id: String,
    pub compression: Compression,
    /// What connections are secured by.
    pub security: Security,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: vec!["localhost:9092".to_string()],
            request_timeout: Duration::from_secs(15),
            patience: Duration::from_secs(120),
            client_id: "rowferry".to_string(),
            compression: Compression::None,
            security: Security::default(),
        }
    }
}

/// For how long a cluster must say steadily that a topic is not there, or has fewer partitions than it had.
const STEADY: Duration = Duration::from_secs(5);

/// The same where it knows no topic at all: a controller that begins tells brokers of one another first, and of topics later.
const BARE: Duration = Duration::from_secs(15);

/// The same where a broker was asked to make it.
const CREATION: Duration = Duration::from_secs(10);

/// Time between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// How long a new topic may be without leaders before we call it trouble.
const SETTLING: Duration = Duration::from_secs(2);

/// How long a new leader may take to learn how far the log goes, where it does not tell that it is learning.
const LEARNING: Duration = Duration::from_secs(5);

/// A Kafka cluster that answered.
#[derive(Debug, Clone)]
pub struct Cluster {
    config: Arc<ClientConfig>,
    patience: Duration,
    herald: OutageLog,
    /// How many partitions a topic has, as far as it is known: a broker that tells of fewer has not been told yet.
    counts: Arc<Mutex<HashMap<String, i32>>>,
}

impl Cluster {
    /// Finds a broker that speaks our protocol, or says what is there instead: soon where nobody takes a connection, and after the
    /// patience where somebody does.
    pub fn connect(options: Options, stop: Stop) -> Result<Self> {
        if options.security.is_given() {
            return Err(Error::failed("--tls and --sasl: this needs the native client")
                .way_out("leave them out, and name a plaintext listener with --brokers HOST:PORT"));
        }
        let cluster = Self {
            config: Arc::new(ClientConfig {
                hosts: Hosts::new(address::parse(&options.brokers)?),
                versions: KnownVersions::default(),
                client_id: options.client_id,
                compression: options.compression,
                security: options.security,
                limit: options.request_timeout,
                stop,
            }),
            patience: options.patience,
            herald: OutageLog::default(),
            counts: Arc::default(),
        };
        let (config, mut retry) = (&cluster.config, cluster.retry());
        let mut met = false;
        loop {
            match bootstrap::first_contact(config)? {
                Contact::Broker => {
                    retry.over();
                    return Ok(cluster);
                }
                // What took connections a moment ago is on its way down, or up.
                Contact::Nobody(trouble) if met => retry.back_off(trouble)?,
                Contact::Nobody(trouble) => return Err(trouble.into_error()),
                Contact::Unready(trouble) => {
                    met = true;
                    retry.back_off(trouble)?;
                }
            }
        }
    }

    /// Number of the topic's partitions, once each has a leader. A missing topic: `create` asks the broker to make it; otherwise `None`.
    /// That it is missing, or has fewer than the `known` partitions, is believed of a cluster that says so steadily.
    pub fn partitions(&self, topic: &str, create: bool, known: i32) -> Result<Option<i32>> {
        let steady = |standing: &TopicState| match standing {
            TopicState::Missing { .. } if create => CREATION,
            TopicState::Missing { other: false } => BARE,
            _ => STEADY,
        };
        self.look(topic, create, known, steady)
    }

    /// The same as far as the brokers know now; `None` is no more than that.
    pub fn partitions_now(&self, topic: &str) -> Result<Option<i32>> {
        self.look(topic, false, 0, |_| Duration::ZERO)
    }

    fn look(
        &self,
        topic: &str,
        create: bool,
        known: i32,
        steady: impl Fn(&TopicState) -> Duration,
    ) -> Result<Option<i32>> {
        legal(topic)?;
        let mut retry = self.retry();
        let began = Instant::now();
        let what = format!("topic {topic}");
        // What falls short, and since when the cluster has said so.
        let mut doubt: Option<(TopicState, Instant)> = None;
        loop {
            bootstrap::refuse_too_new(&self.config)?;
            let asked = Instant::now();
            let (config, name) = (self.config.clone(), topic.to_string());
            let ask = move || metadata::topic_state(&config, &name, create, known);
            let trouble =
                match deadline::run_with_deadline(metadata::topic_state_timeout(&self.config), &self.config.stop, ask)?
                {
                    Ok(TopicState::Ready(n)) if n >= known => {
                        retry.over();
                        self.note_count(topic, n);
                        return Ok(Some(n));
                    }
                    Ok(standing @ (TopicState::Missing { .. } | TopicState::Ready(_))) => {
                        let since = match &doubt {
                            Some((before, since)) if *before == standing => *since,
                            _ => Instant::now(),
                        };
                        let steady = match steady(&standing) {
                            Duration::ZERO => Duration::ZERO,
                            // A cluster that is slow to answer is slow to learn, too.
                            time => time.max(asked.elapsed() * 4),
                        };
                        if since.elapsed() >= steady {
                            return self.believe(topic, create, &standing);
                        }
                        if doubt.is_none() && !create {
                            let secs = steady.as_secs();
                            log::info!("{what} {standing}, so the brokers say: looking again for {secs} s");
                        }
                        doubt = Some((standing, since));
                        self.config.stop.sleep(LOOK)?;
                        continue;
                    }
                    Ok(TopicState::Unready(_)) if began.elapsed() < SETTLING => {
                        doubt = None;
                        self.config.stop.sleep(LOOK)?;
                        continue;
                    }
                    Ok(TopicState::Unready(why)) => KafkaError::passing(why),
                    Ok(TopicState::Refused(code)) if create => KafkaError::code(code).or(self.create(topic)),
                    Ok(TopicState::Refused(code)) => KafkaError::code(code),
                    Err(trouble) => trouble,
                };
            doubt = None;
            retry.back_off(trouble.at(&what))?;
        }
    }

    /// What falls short and has been said for long enough.
    fn believe(&self, topic: &str, create: bool, standing: &TopicState) -> Result<Option<i32>> {
        match standing {
            TopicState::Ready(n) => {
                self.note_count(topic, *n);
                Ok(Some(*n))
            }
            _ if create => Err(
                Error::failed(format!("topic {topic} is not there and the broker does not create it"))
                    .way_out(self.create(topic)),
            ),
            _ => Ok(None),
        }
    }

    fn create(&self, topic: &str) -> String {
        let hosts = &self.config.hosts;
        format!(
            "create it: kafka-topics.sh --create --bootstrap-server {hosts} --replication-factor 1 --partitions 3 --topic {topic}"
        )
    }

    fn note_count(&self, topic: &str, n: i32) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(topic.to_string(), n);
    }

    /// How many partitions the topic had when the cluster was asked last.
    fn count(&self, topic: &str) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(topic).map_or(1, |n| *n as usize)
    }

    /// The first offset that each partition still holds.
    pub fn earliest(&self, topic: &str) -> Result<Vec<i64>> {
        self.offsets(topic, FetchOffset::Earliest)
    }

    /// The offset that each partition's next record will get.
    pub fn latest(&self, topic: &str) -> Result<Vec<i64>> {
        self.offsets(topic, FetchOffset::Latest)
    }

    /// The same, for one who knows that a partition has gone so far: a new leader takes a moment to learn how far it may let others
    /// read, and tells an end before that until then. An end that stays there is told as it is.
    pub fn latest_after(&self, topic: &str, known: &[(i32, i64)]) -> Result<Vec<i64>> {
        let mut retry = self.retry();
        let (mut untold, mut settled): (Option<Instant>, _) = (None, false);
        loop {
            let latest = self.latest(topic)?;
            // Partitions that are there no more have no leader who could learn.
            let is_short = |&(p, at): &(i32, i64)| latest.get(p as usize).is_some_and(|end| *end < at);
            let short: Vec<i32> = known.iter().filter(|known| is_short(known)).map(|(p, _)| *p).collect();
            if short.is_empty() || settled {
                return Ok(latest);
            }
            match unknown_high_watermark::of_any(&self.config, topic, short)? {
                Ok(HighWatermark::Over) => settled = true,
                Ok(HighWatermark::Untold) => {
                    settled = untold.get_or_insert_with(Instant::now).elapsed() >= LEARNING;
                    self.config.stop.sleep(LOOK)?;
                }
                Err(trouble) => retry.back_off(trouble)?,
                Ok(HighWatermark::Still(partition)) => retry.back_off(KafkaError::passing(format!(
                    "{}: its new leader does not know yet how far the log goes",
                    TopicPartition::new(topic, partition)
                )))?,
            }
        }
    }

    fn offsets(&self, topic: &str, which: FetchOffset) -> Result<Vec<i64>> {
        let mut retry = self.retry();
        let mut worker = Worker::new(self.config.clone());
        let what = format!("offsets of topic {topic}");
        loop {
            let (name, known) = (topic.to_string(), self.count(topic));
            let ask = move |client: &mut kafka::client::KafkaClient| {
                let n = client
                    .topics()
                    .partitions(&name)
                    .map_or(0, |partitions| partitions.len());
                if n < known {
                    return Err(KafkaError::passing(format!("{n} of {known} partitions are there")));
                }
                let answered = client
                    .fetch_topic_offsets(&name, which)
                    .map_err(|e| worker::kafka_error(&e))?;
                let mut offsets = vec![-1; n];
                for found in answered {
                    if let Some(offset) = usize::try_from(found.partition).ok().and_then(|p| offsets.get_mut(p)) {
                        *offset = found.offset;
                    }
                }
                // Partitions without a leader are left out of the answer, and -1 is none.
                match offsets.iter().position(|&offset| offset < 0) {
                    Some(partition) => Err(KafkaError::passing(format!("partition {partition} does not tell"))),
                    None => Ok(offsets),
                }
            };
            // Each leader is asked in turn.
            match worker.call_for(self.config.hosts.count(), ask)? {
                Ok(offsets) => {
                    retry.over();
                    return Ok(offsets);
                }
                Err(trouble) => retry.back_off(trouble.at(&what))?,
            }
        }
    }

    /// How long to wait for brokers that went away.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Something to send bundles with.
    pub fn sender(&self) -> Producer {
        Producer::new(self.clone())
    }

    /// Something to fetch chunks with.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.clone())
    }

    /// A place in a consumer group.
    pub fn join(&self, config: GroupConfig) -> Member {
        Member::start(self.to_the_end(), self.retry(), config, &self.config.stop)
    }

    /// The offsets that a consumer group shows to others, committed in a member's name.
    pub fn group(&self, group: &str, membership: Membership) -> Group {
        Group::new(self.config.clone(), self.retry(), group, membership)
    }

    /// For what has the last word when the user has stopped everything else; its tries are bounded.
    fn to_the_end(&self) -> Arc<ClientConfig> {
        Arc::new(ClientConfig {
            stop: Stop::default(),
            ..(*self.config).clone()
        })
    }

    /// The same cluster for a part of the work that may end before the whole does.
    pub fn until(&self, stop: &Stop) -> Self {
        let config = ClientConfig {
            stop: stop.clone(),
            ..(*self.config).clone()
        };
        Self {
            config: Arc::new(config),
            ..self.clone()
        }
    }

    fn retry(&self) -> RetryBudget {
        RetryBudget::new(self.patience, self.config.stop.clone(), self.herald.clone())
    }
}

/// Refuses names that no topic can have.
fn legal(topic: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !topic.is_empty() && topic.len() <= 249 && topic != "." && topic != ".." && topic.chars().all(fine) {
        true => Ok(()),
        false => Err(Error::usage(format!("no topic can be named '{topic}'"))
            .way_out("use up to 249 of the letters a-z and A-Z, digits, '.', '_' and '-' (--topic NAME)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_crate_client_cannot_do_is_told_before_anybody_is_asked() {
        let login = Credentials {
            mechanism: Mechanism::Plain,
            user: "alice".to_string(),
            password: Password::new("pencil".to_string().into()),
        };
        let options = Options {
            security: Security {
                tls: None,
                login: Some(Arc::new(login)),
            },
            ..Options::default()
        };
        assert!(!format!("{options:?}").contains("pencil"));
        let error = Cluster::connect(options, Stop::default()).unwrap_err();
        assert!(error.to_string().contains("this needs the native client"), "{error}");
    }

    #[test]
    fn names_that_no_topic_can_have_are_usage_errors() {
        for name in ["users", "a.b-c_d", "..."] {
            legal(name).unwrap();
        }
        for name in ["", ".", "..", "a b", "ünicode", "a/b", &"x".repeat(250)] {
            assert_eq!(legal(name).unwrap_err().exit_code(), 2, "{name}");
        }
    }
}
