//! Everything that touches Kafka. The rest of the program sees clusters, bundles of records to send, and chunks of records that came.

mod address;
mod aside;
mod attendance;
mod bundle;
mod chunk;
mod codes;
mod coordinator;
mod doubt;
mod fetcher;
mod group;
mod hosts;
mod inflight;
mod lane;
mod learning;
mod member;
mod outage;
mod partitioner;
mod peek;
mod plain;
mod search;
mod sender;
mod shares;
mod topics;
mod trouble;
mod window;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::client::FetchOffset;

use crate::error::{Error, Result};
use crate::stop::Stop;

pub use bundle::Bundle;
pub use chunk::{Chunk, Message};
pub use fetcher::{Fetched, Fetcher, OutOfRange, Position, SILENCE};
pub use group::{Committed, Group};
pub use member::{Member, Seat, Share, Terms};
pub use partitioner::partition_for;
pub use sender::{Break, Sender, Sent, StandIn};

use hosts::Hosts;
use learning::Learning;
use outage::{Herald, Outage};
use topics::Standing;
use trouble::Trouble;
use worker::{Recipe, Worker};

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: vec!["localhost:9092".to_string()],
            request_timeout: Duration::from_secs(15),
            patience: Duration::from_secs(120),
            client_id: "rowferry".to_string(),
            compression: Compression::None,
        }
    }
}

/// How long the check of all addresses may take; it has its own limit, a little shorter.
const CHECK: Duration = Duration::from_secs(6);

/// How long a broker that was asked for a topic may take to make it.
const CREATION: Duration = Duration::from_secs(10);

/// How long a new topic may be without leaders before we call it trouble.
const SETTLING: Duration = Duration::from_secs(2);

/// How long a new leader may take to learn how far the log goes, where it does not tell that it is learning.
const LEARNING: Duration = Duration::from_secs(5);

/// A Kafka cluster that answered.
#[derive(Debug, Clone)]
pub struct Cluster {
    recipe: Arc<Recipe>,
    patience: Duration,
    herald: Herald,
}

impl Cluster {
    /// Finds a broker that speaks our protocol, within about 5 s, or says what is there instead.
    pub fn connect(options: Options, stop: Stop) -> Result<Self> {
        let hosts = Hosts::new(address::parse(&options.brokers)?);
        let (all, id) = (hosts.clone(), options.client_id.clone());
        let speaker = match aside::aside(CHECK, &stop, move || Ok(topics::check(&all, &id)))? {
            Ok(checked) => checked?,
            Err(trouble) => {
                return Err(trouble
                    .at(&format!("looking for a Kafka broker at {hosts}"))
                    .into_error());
            }
        };
        Ok(Self {
            recipe: Arc::new(Recipe {
                hosts,
                newer_fetch: speaker.newer_fetch,
                client_id: options.client_id,
                compression: options.compression,
                limit: options.request_timeout,
                stop,
            }),
            patience: options.patience,
            herald: Herald::default(),
        })
    }

    /// Number of the topic's partitions, once each has a leader. A missing topic: `create` asks the broker to make it; otherwise `None`.
    pub fn partitions(&self, topic: &str, create: bool) -> Result<Option<i32>> {
        legal(topic)?;
        let mut outage = self.outage();
        let began = Instant::now();
        loop {
            let (recipe, name) = (self.recipe.clone(), topic.to_string());
            let what = format!("topic {topic}");
            let ask = move || topics::standing(&recipe.hosts, &recipe.client_id, &name, create);
            match aside::aside(self.recipe.limit, &self.recipe.stop, ask)? {
                Ok(Standing::Ready(n)) => {
                    outage.over();
                    return Ok(Some(n));
                }
                Ok(Standing::Missing) if !create => return Ok(None),
                Ok(Standing::Missing) if began.elapsed() < CREATION => {
                    self.recipe.stop.sleep(Duration::from_millis(100))?
                }
                Ok(Standing::Missing) => {
                    return Err(self.not_made(topic, "is not there and the broker does not create it"));
                }
                Ok(Standing::Unready(_)) if began.elapsed() < SETTLING => {
                    self.recipe.stop.sleep(Duration::from_millis(50))?
                }
                Ok(Standing::Unready(why)) => outage.bear(Trouble::passing(format!("topic {topic}: {why}")))?,
                Ok(Standing::Refused(code)) => {
                    let trouble = Trouble::code(code).at(&what);
                    match create && !trouble.is_fatal() && began.elapsed() > CREATION {
                        true => return Err(self.not_made(topic, &format!("is refused with {}", codes::name(code)))),
                        false => outage.bear(trouble)?,
                    }
                }
                Err(trouble) => outage.bear(trouble.at(&what))?,
            }
        }
    }

    fn not_made(&self, topic: &str, why: &str) -> Error {
        let hosts = &self.recipe.hosts;
        Error::failed(format!("topic {topic} {why}")).way_out(format!(
            "create it: kafka-topics.sh --create --bootstrap-server {hosts} --replication-factor 1 --partitions 3 --topic {topic}"
        ))
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
        let (began, mut outage) = (Instant::now(), self.outage());
        let mut settled = false;
        loop {
            let latest = self.latest(topic)?;
            let end = |partition: i32| latest.get(partition as usize).copied().unwrap_or(0);
            let short: Vec<i32> = known.iter().filter(|(p, at)| end(*p) < *at).map(|(p, _)| *p).collect();
            if short.is_empty() || settled {
                return Ok(latest);
            }
            match learning::of_any(&self.recipe, topic, short)? {
                Learning::Over => settled = true,
                Learning::Untold if began.elapsed() >= LEARNING => settled = true,
                Learning::Untold => self.recipe.stop.sleep(Duration::from_millis(200))?,
                Learning::Still(partition) => outage.bear(Trouble::passing(format!(
                    "{}: its new leader does not know yet how far the log goes",
                    place(topic, partition)
                )))?,
            }
        }
    }

    fn offsets(&self, topic: &str, which: FetchOffset) -> Result<Vec<i64>> {
        let mut outage = self.outage();
        let mut worker = Worker::new(self.recipe.clone());
        let what = format!("offsets of topic {topic}");
        loop {
            let name = topic.to_string();
            let ask = move |client: &mut kafka::client::KafkaClient| {
                let n = client
                    .topics()
                    .partitions(&name)
                    .map_or(0, |partitions| partitions.len());
                let answered = client
                    .fetch_topic_offsets(&name, which)
                    .map_err(|e| worker::trouble(&e))?;
                let mut offsets = vec![-1; n];
                for found in answered {
                    if let Some(offset) = usize::try_from(found.partition).ok().and_then(|p| offsets.get_mut(p)) {
                        *offset = found.offset;
                    }
                }
                // Partitions without a leader are left out of the answer, and -1 is none.
                match offsets.iter().position(|&offset| offset < 0) {
                    Some(partition) => Err(Trouble::passing(format!("partition {partition} does not tell"))),
                    None => Ok(offsets),
                }
            };
            match worker.call(ask)? {
                Ok(offsets) => {
                    outage.over();
                    return Ok(offsets);
                }
                Err(trouble) => outage.bear(trouble.at(&what))?,
            }
        }
    }

    /// How long to wait for brokers that went away.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Something to send bundles with.
    pub fn sender(&self) -> Sender {
        Sender::new(self.clone())
    }

    /// Something to fetch chunks with.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.clone())
    }

    /// A place in a consumer group.
    pub fn join(&self, terms: Terms) -> Member {
        Member::start(self.to_the_end(), self.outage(), terms, &self.recipe.stop)
    }

    /// The offsets that a consumer group shows to others, committed from a member's seat.
    pub fn group(&self, group: &str, seat: Seat) -> Group {
        Group::new(self.to_the_end(), group, seat)
    }

    /// For what has the last word when the user has stopped everything else; its tries are bounded.
    fn to_the_end(&self) -> Arc<Recipe> {
        Arc::new(Recipe {
            stop: Stop::default(),
            ..(*self.recipe).clone()
        })
    }

    /// The same cluster for a part of the work that may end before the whole does.
    pub fn until(&self, stop: &Stop) -> Self {
        let recipe = Recipe {
            stop: stop.clone(),
            ..(*self.recipe).clone()
        };
        Self {
            recipe: Arc::new(recipe),
            ..self.clone()
        }
    }

    fn outage(&self) -> Outage {
        Outage::new(self.patience, self.recipe.stop.clone(), self.herald.clone())
    }
}

/// Names a partition, for people.
fn place(topic: &str, partition: i32) -> String {
    format!("topic {topic}, partition {partition}")
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
    fn names_that_no_topic_can_have_are_usage_errors() {
        for name in ["users", "a.b-c_d", "..."] {
            legal(name).unwrap();
        }
        for name in ["", ".", "..", "a b", "ünicode", "a/b", &"x".repeat(250)] {
            assert_eq!(legal(name).unwrap_err().exit_code(), 2, "{name}");
        }
    }
}
