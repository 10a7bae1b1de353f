//! A cluster that answered, and what can be asked of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::bootstrap::{self, Contact};
use crate::broker::config::{ClientChoice, ClientConfig, ClusterOptions};
use crate::broker::connection::address;
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::error_codes;
use crate::broker::fetcher::Fetcher;
use crate::broker::group::{Group, GroupConfig, GroupMember, Membership};
use crate::broker::hosts::Hosts;
use crate::broker::list_offsets::list_offsets;
use crate::broker::metadata::{self, TopicState};
use crate::broker::producer::Producer;
use crate::broker::retry::RetryBudget;
#[cfg(test)]
use crate::broker::transport::fake;
use crate::broker::transport::kind::{self, TransportKind};
use crate::broker::transport::requests::{IsolationLevel, Offsets};
use crate::error::{Error, Result};
use crate::model::TopicId;
use crate::stop::Stop;

/// For how long a cluster must say steadily that a topic is not there, or has fewer partitions than
/// it had.
const STEADY: Duration = Duration::from_secs(5);

/// The same where it knows no topic at all: a controller that begins tells brokers of one another
/// first, and of topics later.
const BARE: Duration = Duration::from_secs(15);

/// The same where a broker was asked to make it.
const CREATION: Duration = Duration::from_secs(10);

/// Time between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// How long a new topic may be without leaders before we call it an error.
const SETTLING: Duration = Duration::from_secs(2);

/// A Kafka cluster that answered.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(super) config: Arc<ClientConfig>,
}

impl Cluster {
    /// Finds a broker that speaks our protocol, or says what is there instead: soon where nobody
    /// takes a connection, and after the patience where somebody does.
    pub fn connect(options: ClusterOptions, stop: Stop) -> Result<Self> {
        let hosts = Hosts::new(address::parse(&options.brokers)?);
        if options.client == ClientChoice::Kafka
            && let Some(what) = kind::beyond_the_crate(&options, None)
        {
            return Err(Error::usage(format!("{what}: --client kafka cannot do that"))
                .way_out("leave --client out, or use --client native"));
        }
        let config = ClientConfig::new(options.clone(), hosts, stop);
        let mut retry = config.retry_budget();
        let mut met = false;
        loop {
            match bootstrap::first_contact(&config)? {
                Contact::Broker => {
                    retry.record_success();
                    let (kind, why) = TransportKind::choose(&options, config.versions.get());
                    log::info!("client: {} ({why})", kind.name());
                    config.transport.set(kind);
                    return Ok(Self {
                        config: Arc::new(config),
                    });
                }
                // What took connections a moment ago is on its way down, or up.
                Contact::Nobody(error) if met => retry.back_off(error)?,
                Contact::Nobody(error) => return Err(error.into_error()),
                Contact::Unready(error) => {
                    met = true;
                    retry.back_off(error)?;
                }
            }
        }
    }

    /// A scripted cluster.
    #[cfg(test)]
    pub(crate) fn fake(cluster: &fake::Cluster, patience: Duration, stop: &Stop) -> Self {
        Self {
            config: ClientConfig::fake(cluster, patience, stop),
        }
    }

    /// Number of the topic's partitions, once each has a leader. A missing topic: `create` asks the
    /// broker to make it; otherwise `None`. That it is missing, or has fewer than the `known`
    /// partitions, is believed of a cluster that says so steadily.
    pub fn partitions(&self, topic: &str, create: bool, known: i32) -> Result<Option<i32>> {
        let steady = |state: &TopicState| match state {
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

    /// The topic's id, where the brokers tell it: a topic that was made anew has another one than
    /// those that are `known`. None where it is not told, or not just now.
    pub fn topic_id(&self, topic: &str, known: &[TopicId]) -> Result<Option<TopicId>> {
        legal(topic)?;
        let mut retry = self.retry();
        loop {
            let (config, name, known) = (self.config.clone(), topic.to_string(), known.to_vec());
            let ask = move || metadata::topic_id(&config, &name, &known);
            let limit = metadata::topic_state_timeout(&self.config);
            match deadline::run_with_deadline(limit, &self.config.stop, ask) {
                Ok(id) => {
                    retry.record_success();
                    return Ok(id);
                }
                Err(error) => retry.back_off(error.at(&format!("topic {topic}")))?,
            }
        }
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
        let mut shortfall: Option<(TopicState, Instant)> = None;
        loop {
            bootstrap::refuse_too_new(&self.config)?;
            let asked = Instant::now();
            let (config, name) = (self.config.clone(), topic.to_string());
            let ask = move || metadata::topic_state(&config, &name, create, known);
            let error = match deadline::run_with_deadline(
                metadata::topic_state_timeout(&self.config),
                &self.config.stop,
                ask,
            ) {
                Ok(TopicState::Ready(n)) if n >= known => {
                    retry.record_success();
                    self.config.partition_counts.note(topic, n);
                    return Ok(Some(n));
                }
                Ok(state @ (TopicState::Missing { .. } | TopicState::Ready(_))) => {
                    let since = match &shortfall {
                        Some((before, since)) if *before == state => *since,
                        _ => Instant::now(),
                    };
                    let steady = match steady(&state) {
                        Duration::ZERO => Duration::ZERO,
                        // A cluster that is slow to answer is slow to learn, too.
                        time => time.max(asked.elapsed() * 4),
                    };
                    if since.elapsed() >= steady {
                        return self.believe(topic, create, &state);
                    }
                    if shortfall.is_none() && !create {
                        let secs = steady.as_secs();
                        log::info!("{what} {state}, so the brokers say: looking again for {secs} s");
                    }
                    shortfall = Some((state, since));
                    self.config.stop.sleep(LOOK)?;
                    continue;
                }
                Ok(TopicState::Unready(_)) if began.elapsed() < SETTLING => {
                    shortfall = None;
                    self.config.stop.sleep(LOOK)?;
                    continue;
                }
                Ok(TopicState::Unready(why)) => KafkaError::passing(why),
                // Who may not see a topic is told the same of one that is not there.
                Ok(TopicState::Refused(code)) if create => {
                    let way_out = format!(
                        "{}; if it is not there, {}",
                        error_codes::way_out(code),
                        self.create(topic)
                    );
                    KafkaError::code(code).or(way_out)
                }
                Ok(TopicState::Refused(code)) => KafkaError::code(code),
                Err(error) => error,
            };
            shortfall = None;
            retry.back_off(error.at(&what))?;
        }
    }

    /// What falls short and has been said for long enough.
    fn believe(&self, topic: &str, create: bool, state: &TopicState) -> Result<Option<i32>> {
        match state {
            TopicState::Ready(n) => {
                self.config.partition_counts.note(topic, *n);
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

    /// The first offset that each partition still holds.
    pub fn earliest(&self, topic: &str) -> Result<Vec<i64>> {
        list_offsets(&self.config, topic, Offsets::Earliest)
    }

    /// The offset that each partition's next record will get.
    pub fn latest(&self, topic: &str) -> Result<Vec<i64>> {
        self.latest_after(topic, &[])
    }

    /// How far what `fetcher` gives goes now, by partition.
    pub(crate) fn last_stable(&self, topic: &str) -> Result<Vec<i64>> {
        list_offsets(&self.config, topic, Offsets::LastStable)
    }

    /// The same as `latest`, for one who knows that a partition has gone so far: a new leader takes
    /// a moment to learn how far it may let others read, and tells an end before that until then. An
    /// end that stays there is told as it is.
    pub fn latest_after(&self, topic: &str, known: &[(i32, i64)]) -> Result<Vec<i64>> {
        let known = known.to_vec();
        list_offsets(&self.config, topic, Offsets::Latest { known })
    }

    /// Whether the crate reads the records, and our own client can.
    pub(crate) fn can_go_native(&self) -> bool {
        self.config.can_go_native()
    }

    /// Has our own client read from here on. Those who read already go on as they are.
    pub(crate) fn go_native(&self, why: &str) {
        self.config.go_native(why);
    }

    /// How long to wait for brokers that went away.
    pub fn patience(&self) -> Duration {
        self.config.patience
    }

    /// Something to send batches with.
    pub fn producer(&self) -> Producer {
        Producer::new(self.config.clone())
    }

    /// Something to fetch the records with that are in force: none of transactions that were
    /// aborted, or are still open.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.config.clone(), IsolationLevel::ReadCommitted)
    }

    /// Something to look at the log itself with: our own records behind an open transaction of
    /// others are there, too.
    pub(super) fn log_fetcher(&self) -> Fetcher {
        Fetcher::new(self.config.clone(), IsolationLevel::ReadUncommitted)
    }

    /// A place in a consumer group.
    pub fn join(&self, group: GroupConfig) -> GroupMember {
        // A member has the last word when the user has stopped everything else; its tries are
        // bounded.
        let to_the_end = Arc::new(self.config.until(&Stop::default()));
        GroupMember::start(to_the_end, self.retry(), group, &self.config.stop)
    }

    /// The offsets that a consumer group shows to others, committed as one of its members.
    pub fn group(&self, group: &str, membership: Membership) -> Group {
        Group::new(self.config.clone(), self.retry(), group, membership)
    }

    /// The same cluster for a part of the work that may end before the whole does.
    pub fn until(&self, stop: &Stop) -> Self {
        Self {
            config: Arc::new(self.config.until(stop)),
        }
    }

    pub(super) fn retry(&self) -> RetryBudget {
        self.config.retry_budget()
    }
}

/// Refuses names that no topic can have.
fn legal(topic: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !topic.is_empty() && topic.len() <= 249 && topic != "." && topic != ".." && topic.chars().all(fine) {
        Ok(())
    } else {
        Err(Error::usage(format!("no topic can be named '{topic}'"))
            .way_out("use up to 249 of the letters a-z and A-Z, digits, '.', '_' and '-' (--topic NAME)"))
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
