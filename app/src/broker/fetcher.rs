//! Fetches records: all leaders at once, each partition in its turn.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::config::ClientConfig;
use crate::broker::error::KafkaError;
use crate::broker::error_codes::RetryClass;
use crate::broker::fetched_partition::{FetchPosition, FetchedPartition};
use crate::broker::leader_calls::{Call, LeaderCalls, LeaderConnection};
use crate::broker::list_offsets;
use crate::broker::retry::RetryBudget;
use crate::broker::transport::requests::{FetchRequest, IsolationLevel, PartitionAnswer};
use crate::error::Result;
use crate::model::TopicPartition;

/// About how many bytes the answers to all requests together are to bring.
const TOTAL_BYTES: i32 = 4 << 20;

/// However many partitions there are, each may bring so much.
const LEAST_PARTITION_BYTES: i32 = 64 << 10;

/// How long a topic may go without an answer, from any of its partitions, before its log is no
/// longer taken for the one that it was. To take a topic out of the brokers, to make it again and
/// to fill it takes longer, and who asks meanwhile gets an error.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// A position that the log does not hold: records expired before they were read, or the topic was
/// made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfRange {
    pub at: TopicPartition,
    pub earliest: i64,
    pub latest: i64,
}

/// What a round brought.
#[derive(Debug, Default)]
pub struct Fetched {
    pub partitions: Vec<FetchedPartition>,
    pub out_of_range: Vec<OutOfRange>,
    /// Topics that answered again after an error of a partition, or a silence: they may have been
    /// made anew meanwhile.
    pub came_back: Vec<Arc<str>>,
}

impl Fetched {
    /// Adds what a partition answered; an earlier answer of the same one brought nothing.
    fn put(&mut self, partition: FetchedPartition) {
        self.partitions
            .retain(|other| !(other.stands_still() && other.at() == partition.at()));
        self.partitions.push(partition);
    }

    /// Whether it is more than that there is nothing.
    fn has_news(&self) -> bool {
        !self.out_of_range.is_empty() || self.partitions.iter().any(|partition| !partition.stands_still())
    }
}

/// Fetches from a cluster.
pub struct Fetcher {
    config: Arc<ClientConfig>,
    isolation: IsolationLevel,
    retry: RetryBudget,
    calls: LeaderCalls<FetchRequest, Vec<PartitionAnswer>>,
    /// Partitions that could not be read when they were asked last.
    failed: HashSet<TopicPartition>,
    /// When each topic was heard of last, and the beginning for those that never were.
    heard: HashMap<Arc<str>, Instant>,
    began: Instant,
    /// How long the quickest answer took. Where all take long, none of them is a silence.
    quickest: Option<Duration>,
    /// Which position is asked first, so that none is left out for ever.
    turn: usize,
}

impl Fetcher {
    pub(super) fn new(config: Arc<ClientConfig>, isolation: IsolationLevel) -> Self {
        Self {
            isolation,
            retry: config.retry_budget(),
            calls: LeaderCalls::new(config.clone()),
            config,
            failed: HashSet::new(),
            heard: HashMap::new(),
            began: Instant::now(),
            quickest: None,
            turn: 0,
        }
    }

    /// One round: asks for all positions at once and returns what came first, waiting up to
    /// `max_wait` when there is nothing. An answer without records tells that the partition is read
    /// to its end. Offsets out of range are told, never jumped over.
    pub fn fetch(&mut self, positions: &[FetchPosition], max_wait: Duration) -> Result<Fetched> {
        let mut fetched = Fetched::default();
        if positions.is_empty() {
            self.config.stop.sleep(max_wait)?;
            return Ok(fetched);
        }
        let wanted: HashSet<&FetchPosition> = positions.iter().collect();
        let end = Instant::now() + max_wait;
        loop {
            self.config.stop.check()?;
            self.failed.retain(|at| positions.iter().any(|p| p.at == *at));
            let failure = match self.know_leaders(positions)? {
                Some(failure) => Some(failure),
                None => {
                    self.ask(positions, end.saturating_duration_since(Instant::now()));
                    self.collect(&wanted, &mut fetched)?
                }
            };
            let has_news = fetched.has_news();
            match failure {
                None if self.failed.is_empty() => self.retry.record_success(),
                None => {}
                Some(failure) => {
                    self.calls.forget_leaders();
                    self.retry.record_failure(failure)?;
                    if !has_news {
                        self.retry.wait()?;
                    }
                }
            }
            if has_news || Instant::now() >= end {
                return Ok(fetched);
            }
        }
    }

    /// Finds out who leads the partitions. Those that nobody leads are a failure; the others are
    /// asked all the same.
    fn know_leaders(&mut self, positions: &[FetchPosition]) -> Result<Option<KafkaError>> {
        if positions.iter().all(|p| self.calls.leader(&p.at).is_some()) {
            return Ok(None);
        }
        // What is asked for twice must not be answered twice.
        self.calls.abandon_all();
        let partitions = positions.iter().map(|position| position.at.clone()).collect();
        let leaderless = match self.calls.find_leaders(partitions) {
            Ok(leaderless) => leaderless,
            Err(error) => return Ok(Some(error.at("looking for partition leaders"))),
        };
        let failure = leaderless
            .last()
            .map(|at| KafkaError::passing(format!("{at}: it is not there, or has no leader")));
        self.failed.extend(leaderless);
        if self.calls.knows_none() {
            return Ok(failure);
        }
        if let Some(failure) = failure {
            self.retry.record_failure(failure)?;
        }
        Ok(None)
    }

    /// Sends a request to each leader that has none under way.
    fn ask(&mut self, positions: &[FetchPosition], max_wait: Duration) {
        let partition_bytes = partition_bytes(positions.len());
        let total_bytes = TOTAL_BYTES.max(partition_bytes.saturating_mul(positions.len() as i32));
        let mut asks: HashMap<&str, Vec<FetchPosition>> = HashMap::new();
        for i in 0..positions.len() {
            let position = &positions[(self.turn + i) % positions.len()];
            if let Some(leader) = self.calls.leader(&position.at) {
                asks.entry(leader).or_default().push(position.clone());
            }
        }
        self.turn = self.turn.wrapping_add(1) % positions.len();
        let asks: Vec<(LeaderConnection, Vec<FetchPosition>)> = asks
            .into_iter()
            .map(|(leader, positions)| {
                let leader = leader.to_string();
                (LeaderConnection { leader, number: 0 }, positions)
            })
            .collect();
        for (to, positions) in asks {
            if self.calls.is_busy(&to) {
                continue;
            }
            let request = FetchRequest {
                positions,
                max_wait,
                partition_bytes,
                total_bytes,
                isolation: self.isolation,
            };
            self.calls.start(to, request, super::transport::Transport::fetch);
        }
    }

    /// Waits for the first answer, and takes all that are there by then. Returns a failure that may
    /// pass.
    fn collect(&mut self, wanted: &HashSet<&FetchPosition>, fetched: &mut Fetched) -> Result<Option<KafkaError>> {
        let mut failure = None;
        for (call, answer) in self.calls.answers()? {
            let failed = match answer {
                Ok(answers) => self.take(&call, answers, wanted, fetched)?,
                Err(error) => {
                    let positions = &call.request.positions;
                    self.failed.extend(positions.iter().map(|position| position.at.clone()));
                    let FetchPosition { at, offset } = &positions[0];
                    Some(error.at(&format!("{at}, offset {offset} (at {})", call.to.leader)))
                }
            };
            failure = KafkaError::worse(failure, failed);
        }
        Ok(failure)
    }

    /// Takes the answers of one leader.
    fn take(
        &mut self,
        call: &Call<FetchRequest>,
        answers: Vec<PartitionAnswer>,
        wanted: &HashSet<&FetchPosition>,
        fetched: &mut Fetched,
    ) -> Result<Option<KafkaError>> {
        let took = call.began.elapsed();
        self.quickest = Some(self.quickest.map_or(took, |quickest| quickest.min(took)));
        let mut failure = None;
        for PartitionAnswer { position, outcome } in answers {
            if !wanted.contains(&position) {
                continue;
            }
            let error = match outcome {
                Ok(partition) => {
                    self.note_heard(&position.at, fetched);
                    fetched.put(partition);
                    continue;
                }
                Err(error) if error.class() == RetryClass::OutOfRange => match self.range(&position)? {
                    Some(out) => {
                        fetched.out_of_range.push(out);
                        continue;
                    }
                    None => {
                        let FetchPosition { at, offset } = &position;
                        KafkaError::passing(format!("{at}: offset {offset} is out of range, then again not"))
                    }
                },
                Err(error) => error,
            };
            self.calls.abandon(&call.to);
            self.failed.insert(position.at);
            failure = KafkaError::worse(failure, Some(error));
        }
        Ok(failure)
    }

    /// Notes that a partition has answered, and that its topic is back when it was away.
    fn note_heard(&mut self, at: &TopicPartition, fetched: &mut Fetched) {
        let had_failed = self.failed.remove(at);
        let heard = self.heard.insert(at.topic.clone(), Instant::now());
        let usual = self.quickest.unwrap_or_default() * 3;
        if had_failed || heard.unwrap_or(self.began).elapsed() > SILENCE.max(usual) {
            fetched.came_back.push(at.topic.clone());
        }
    }

    /// What a partition holds instead of the offset that was asked for; none when it holds it after
    /// all.
    fn range(&self, position: &FetchPosition) -> Result<Option<OutOfRange>> {
        let bounds = list_offsets::bounds(&self.config, &position.at.topic)?;
        let bounds = usize::try_from(position.at.partition).ok().and_then(|p| bounds.get(p));
        Ok(match bounds {
            Some(&(earliest, latest)) if !(earliest..=latest).contains(&position.offset) => Some(OutOfRange {
                at: position.at.clone(),
                earliest,
                latest,
            }),
            _ => None,
        })
    }
}

/// About how many bytes each of so many partitions is to bring.
fn partition_bytes(partitions: usize) -> i32 {
    let partitions = i32::try_from(partitions.max(1)).unwrap_or(i32::MAX);
    (TOTAL_BYTES / partitions).max(LEAST_PARTITION_BYTES)
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;
