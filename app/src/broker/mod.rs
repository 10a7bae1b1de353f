//! Everything that touches Kafka. The rest of the program sees clusters, bundles of records to send, and chunks of records that came.

mod address;
mod aside;
mod attendance;
mod bounds;
mod bundle;
mod chunk;
mod codes;
mod contact;
mod coordinator;
mod doubt;
mod fetcher;
#[doc(hidden)]
pub mod fuzzing;
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
mod unpack;
mod window;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
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

use contact::{Contact, Told};
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
    recipe: Arc<Recipe>,
    patience: Duration,
    herald: Herald,
    /// How many partitions a topic has, as far as it is known: a broker that tells of fewer has not been told yet.
    counts: Arc<Mutex<HashMap<String, i32>>>,
}

impl Cluster {
    /// Finds a broker that speaks our protocol, or says what is there instead: soon where nobody takes a connection, and after the
    /// patience where somebody does.
    pub fn connect(options: Options, stop: Stop) -> Result<Self> {
        let cluster = Self {
            recipe: Arc::new(Recipe {
                hosts: Hosts::new(address::parse(&options.brokers)?),
                versions: Told::default(),
                client_id: options.client_id,
                compression: options.compression,
                limit: options.request_timeout,
                stop,
            }),
            patience: options.patience,
            herald: Herald::default(),
            counts: Arc::default(),
        };
        let (recipe, mut outage) = (&cluster.recipe, cluster.outage());
        let mut met = false;
        loop {
            match contact::look(recipe)? {
                Contact::Broker => {
                    outage.over();
                    return Ok(cluster);
                }
                // What took connections a moment ago is on its way down, or up.
                Contact::Nobody(trouble) if met => outage.bear(trouble)?,
                Contact::Nobody(trouble) => return Err(trouble.into_error()),
                Contact::Unready(trouble) => {
                    met = true;
                    outage.bear(trouble)?;
                }
            }
        }
    }

    /// Number of the topic's partitions, once each has a leader. A missing topic: `create` asks the broker to make it; otherwise `None`.
    /// That it is missing, or has fewer than the `known` partitions, is believed of a cluster that says so steadily.
    pub fn partitions(&self, topic: &str, create: bool, known: i32) -> Result<Option<i32>> {
        let steady = |standing: &Standing| match standing {
            Standing::Missing { .. } if create => CREATION,
            Standing::Missing { other: false } => BARE,
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
        steady: impl Fn(&Standing) -> Duration,
    ) -> Result<Option<i32>> {
        legal(topic)?;
        let mut outage = self.outage();
        let began = Instant::now();
        let what = format!("topic {topic}");
        // What falls short, and since when the cluster has said so.
        let mut doubt: Option<(Standing, Instant)> = None;
        loop {
            contact::check(&self.recipe)?;
            let asked = Instant::now();
            let (recipe, name) = (self.recipe.clone(), topic.to_string());
            let ask = move || topics::standing(&recipe, &name, create, known);
            let trouble = match aside::aside(topics::longest(&self.recipe), &self.recipe.stop, ask)? {
                Ok(Standing::Ready(n)) if n >= known => {
                    outage.over();
                    self.note_count(topic, n);
                    return Ok(Some(n));
                }
                Ok(standing @ (Standing::Missing { .. } | Standing::Ready(_))) => {
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
                    self.recipe.stop.sleep(LOOK)?;
                    continue;
                }
                Ok(Standing::Unready(_)) if began.elapsed() < SETTLING => {
                    doubt = None;
                    self.recipe.stop.sleep(LOOK)?;
                    continue;
                }
                Ok(Standing::Unready(why)) => Trouble::passing(why),
                Ok(Standing::Refused(code)) if create => Trouble::code(code).or(self.create(topic)),
                Ok(Standing::Refused(code)) => Trouble::code(code),
                Err(trouble) => trouble,
            };
            doubt = None;
            outage.bear(trouble.at(&what))?;
        }
    }

    /// What falls short and has been said for long enough.
    fn believe(&self, topic: &str, create: bool, standing: &Standing) -> Result<Option<i32>> {
        match standing {
            Standing::Ready(n) => {
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
        let hosts = &self.recipe.hosts;
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
        let mut outage = self.outage();
        let (mut untold, mut settled): (Option<Instant>, _) = (None, false);
        loop {
            let latest = self.latest(topic)?;
            // Partitions that are there no more have no leader who could learn.
            let is_short = |&(p, at): &(i32, i64)| latest.get(p as usize).is_some_and(|end| *end < at);
            let short: Vec<i32> = known.iter().filter(|known| is_short(known)).map(|(p, _)| *p).collect();
            if short.is_empty() || settled {
                return Ok(latest);
            }
            match learning::of_any(&self.recipe, topic, short)? {
                Ok(Learning::Over) => settled = true,
                Ok(Learning::Untold) => {
                    settled = untold.get_or_insert_with(Instant::now).elapsed() >= LEARNING;
                    self.recipe.stop.sleep(LOOK)?;
                }
                Err(trouble) => outage.bear(trouble)?,
                Ok(Learning::Still(partition)) => outage.bear(Trouble::passing(format!(
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
            let (name, known) = (topic.to_string(), self.count(topic));
            let ask = move |client: &mut kafka::client::KafkaClient| {
                let n = client
                    .topics()
                    .partitions(&name)
                    .map_or(0, |partitions| partitions.len());
                if n < known {
                    return Err(Trouble::passing(format!("{n} of {known} partitions are there")));
                }
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
            // Each leader is asked in turn.
            match worker.call_for(self.recipe.hosts.count(), ask)? {
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
        Group::new(self, group, seat)
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
