//! Fetches records: a worker for each broker that leads partitions, so that all of them are asked at once.

use crate::model::TopicPartition;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::client::KafkaClient;

use crate::error::{Error, Result};

use crate::broker::error::KafkaError;
use crate::broker::error_codes::{self, RetryClass};
use crate::broker::fetched_partition::PartitionAnswer;
use crate::broker::in_flight::{Answer, InFlight, PartitionFetch, Request};
use crate::broker::retry::RetryBudget;
use crate::broker::transport::crate_kafka::window::{self, BUDGET, Window};
use crate::broker::transport::crate_kafka::worker::{self, Worker};
use crate::broker::{Cluster, FetchedPartition};

/// Where to read on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPosition {
    pub at: TopicPartition,
    pub offset: i64,
}

/// A position that the log does not hold: records expired before they were read, or the topic was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfRange {
    pub at: TopicPartition,
    pub earliest: i64,
    pub latest: i64,
}

/// What a round brought.
#[derive(Debug, Default)]
pub struct Fetched {
    pub chunks: Vec<FetchedPartition>,
    pub out_of_range: Vec<OutOfRange>,
    /// Topics that answered again after trouble with a partition, or a silence: they may have been made anew meanwhile.
    pub came_back: Vec<Arc<str>>,
}

/// How long a topic may go without an answer, from any of its partitions, before its log is no longer taken for the one that it was. To
/// take a topic out of the brokers, to make it again and to fill it takes longer, and who asks meanwhile is told of trouble.
pub const SILENCE: Duration = Duration::from_secs(1);

impl Fetched {
    /// Adds a chunk; an earlier one of the same partition brought nothing.
    fn put(&mut self, chunk: FetchedPartition) {
        self.chunks
            .retain(|other| !(other.stands_still() && other.at() == chunk.at()));
        self.chunks.push(chunk);
    }
}

/// Fetches from a cluster.
pub struct Fetcher {
    cluster: Cluster,
    retry: RetryBudget,
    in_flight: InFlight,
    leaders: HashMap<TopicPartition, String>,
    windows: HashMap<TopicPartition, Window>,
    /// Partitions that could not be read when they were asked last.
    troubled: HashSet<TopicPartition>,
    /// When each topic was heard of last, and the beginning for those that never were.
    heard: HashMap<Arc<str>, Instant>,
    began: Instant,
    /// How long the quickest answer took. Where all take long, none of them is a silence.
    quickest: Option<Duration>,
    /// Partitions that are asked alone, because an answer that held them could not be read.
    alone: HashSet<TopicPartition>,
    /// Which position is asked first, so that none is left out for ever.
    turn: usize,
}

impl Fetcher {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self {
            retry: cluster.retry(),
            in_flight: InFlight::new(cluster.config.clone()),
            cluster,
            leaders: HashMap::new(),
            windows: HashMap::new(),
            troubled: HashSet::new(),
            heard: HashMap::new(),
            began: Instant::now(),
            quickest: None,
            alone: HashSet::new(),
            turn: 0,
        }
    }

    /// One round: asks for all positions at once and returns what came first, waiting up to `max_wait` when there is nothing. A chunk
    /// without records tells that the partition is read to its end. Offsets out of range are told, never jumped over.
    pub fn fetch(&mut self, positions: &[FetchPosition], max_wait: Duration) -> Result<Fetched> {
        let mut fetched = Fetched::default();
        if positions.is_empty() {
            self.cluster.config.stop.sleep(max_wait)?;
            return Ok(fetched);
        }
        let end = Instant::now() + max_wait;
        loop {
            self.cluster.config.stop.check()?;
            self.troubled.retain(|place| positions.iter().any(|p| p.at == *place));
            let trouble = match self.know_leaders(positions)? {
                Some(trouble) => Some(trouble),
                None => {
                    self.ask(positions, end.saturating_duration_since(Instant::now()));
                    self.collect(positions, &mut fetched)?
                }
            };
            if self.troubled.is_empty() && trouble.is_none() {
                self.retry.record_success();
            }
            let something =
                !fetched.out_of_range.is_empty() || fetched.chunks.iter().any(|chunk| !chunk.stands_still());
            if let Some(trouble) = trouble {
                self.leaders.clear();
                self.retry.record_failure(trouble)?;
                if !something {
                    self.retry.wait()?;
                }
            }
            if something || Instant::now() >= end {
                return Ok(fetched);
            }
        }
    }

    /// Finds out who leads the partitions. Those that nobody leads are trouble; the others are asked all the same.
    fn know_leaders(&mut self, positions: &[FetchPosition]) -> Result<Option<KafkaError>> {
        if positions.iter().all(|p| self.leaders.contains_key(&p.at)) {
            return Ok(None);
        }
        self.in_flight.abandon_all();
        let places: Vec<TopicPartition> = positions.iter().map(|position| position.at.clone()).collect();
        let find = move |client: &mut KafkaClient| {
            let leaders = places.into_iter().map(|place| (worker::leader(client, &place), place));
            Ok(leaders.collect::<Vec<_>>())
        };
        let found = match Worker::new(self.cluster.config.clone()).call(find) {
            Ok(found) => found,
            Err(trouble) => return Ok(Some(trouble.at("looking for partition leaders"))),
        };
        let mut trouble = None;
        for (leader, place) in found {
            match leader {
                Some(host) => {
                    self.leaders.insert(place, host);
                }
                None => {
                    trouble = Some(KafkaError::passing(format!(
                        "{}: it is not there, or has no leader",
                        place
                    )));
                    self.troubled.insert(place);
                }
            }
        }
        match self.leaders.is_empty() {
            true => Ok(trouble),
            false => {
                if let Some(trouble) = trouble {
                    self.retry.record_failure(trouble)?;
                }
                Ok(None)
            }
        }
    }

    /// Sends a request to each leader that has none under way.
    fn ask(&mut self, positions: &[FetchPosition], wait: Duration) {
        let share = window::byte_budget(positions.len());
        let mut asks: HashMap<String, Vec<PartitionFetch>> = HashMap::new();
        for i in 0..positions.len() {
            let position = &positions[(self.turn + i) % positions.len()];
            let place = position.at.clone();
            let Some(host) = self.leaders.get(&place).cloned() else {
                continue;
            };
            let window = self.window(place, share).size();
            asks.entry(host).or_default().push(PartitionFetch {
                position: position.clone(),
                window,
            });
        }
        self.turn = self.turn.wrapping_add(1) % positions.len();
        let budget = BUDGET.max(share.saturating_mul(positions.len() as i32));
        for (host, mut asks) in asks {
            if self.in_flight.holds(&host) {
                continue;
            }
            let all = asks.len();
            asks.truncate(self.affordable(&asks, budget));
            // Partitions that are left out must not wait for those that are asked.
            let wait = if asks.len() < all { Duration::ZERO } else { wait };
            self.in_flight.start(host, asks, wait);
        }
    }

    /// How many of the asks go into one request.
    fn affordable(&self, asks: &[PartitionFetch], budget: i32) -> usize {
        let mut bytes = 0_i32;
        let fits = asks.iter().take_while(|ask| {
            bytes = bytes.saturating_add(ask.window);
            bytes <= budget && !self.alone.contains(&ask.position.at)
        });
        fits.count().max(1)
    }

    /// Waits for the first answer, and takes all that are there by then. Returns trouble that may pass.
    fn collect(&mut self, positions: &[FetchPosition], fetched: &mut Fetched) -> Result<Option<KafkaError>> {
        let mut trouble = None;
        for (request, answer) in self.in_flight.answers()? {
            trouble = self.take(request, answer, positions, fetched)?.or(trouble);
        }
        Ok(trouble)
    }

    /// Takes the answer of one leader.
    fn take(
        &mut self,
        request: Request,
        answer: Answer,
        positions: &[FetchPosition],
        fetched: &mut Fetched,
    ) -> Result<Option<KafkaError>> {
        let response = match answer {
            Ok(response) => response,
            Err(trouble) => {
                let before = self.before_unreadable(&request, &trouble)?;
                return match before {
                    Some(chunk) => {
                        fetched.put(chunk);
                        Ok(None)
                    }
                    None => self.broken(&request, trouble).map(Some),
                };
            }
        };
        let took = request.began.elapsed();
        self.quickest = Some(self.quickest.map_or(took, |quickest| quickest.min(took)));
        let share = window::byte_budget(positions.len());
        let mut trouble = None;
        for ask in request.asks {
            if !positions.contains(&ask.position) {
                continue;
            }
            let place = ask.position.at.clone();
            let found = match FetchedPartition::find(&response, &ask.position.at, ask.position.offset) {
                PartitionAnswer::Records(chunk) if chunk.begins_with_hole() => {
                    self.in_flight.look_again(&request.host, &ask, chunk)
                }
                PartitionAnswer::Records(chunk) => Ok(chunk),
                PartitionAnswer::Code(code) if error_codes::retry_class(code) == RetryClass::OutOfRange => {
                    match self.range(&ask.position)? {
                        Some(out) => {
                            fetched.out_of_range.push(out);
                            continue;
                        }
                        None => Err(KafkaError::passing(format!(
                            "{place}: offset {} is out of range, then again not",
                            ask.position.offset
                        ))),
                    }
                }
                PartitionAnswer::Code(code) => Err(KafkaError::code(code).at(&place.to_string())),
                PartitionAnswer::Wrong(why) => Err(KafkaError::passing(format!("{}: {} {why}", place, request.host))),
            };
            let chunk = match found {
                Ok(chunk) => chunk,
                Err(why) => {
                    self.in_flight.abandon(&request.host);
                    self.troubled.insert(place);
                    trouble = Some(why);
                    continue;
                }
            };
            let was_troubled = self.troubled.remove(&place);
            let heard = self.heard.insert(place.topic.clone(), Instant::now());
            let usual = self.quickest.unwrap_or_default() * 3;
            if was_troubled || heard.unwrap_or(self.began).elapsed() > SILENCE.max(usual) {
                fetched.came_back.push(place.topic.clone());
            }
            self.alone.remove(&place);
            let more = chunk.next_offset() < chunk.high_water();
            if chunk.is_empty() && more {
                match self.in_flight.passed(&request.host, &ask) {
                    Ok(Some(passed)) => fetched.put(chunk.passing(passed)),
                    Err(why) => {
                        trouble = Some(why.at(&place.to_string()));
                        self.troubled.insert(place);
                    }
                    Ok(None) => {
                        let window = self.window(place, share);
                        if ask.window >= window.size() && !window.grow() {
                            return Err(too_large(&ask));
                        }
                    }
                }
                continue;
            }
            self.window(place, share).learn(chunk.wire_size(), more, share);
            fetched.put(chunk);
        }
        Ok(trouble)
    }

    /// What lies before a batch that is not to be read, in the answer of a single partition: the largest half, quarter and so on of the
    /// window in which it is not. Those records land, and what the position is then is the batch's.
    fn before_unreadable(&mut self, request: &Request, trouble: &KafkaError) -> Result<Option<FetchedPartition>> {
        let [ask] = &request.asks[..] else { return Ok(None) };
        if !(trouble.is_unreadable() && trouble.is_fatal()) {
            return Ok(None);
        }
        let mut ask = ask.clone();
        while ask.window > 1 {
            ask.window /= 2;
            self.in_flight.abandon(&request.host);
            match self.in_flight.call(&request.host, ask.clone()) {
                Ok(response) => {
                    return Ok(
                        match FetchedPartition::find(&response, &ask.position.at, ask.position.offset) {
                            PartitionAnswer::Records(chunk) if !chunk.is_empty() && !chunk.begins_with_hole() => {
                                Some(chunk)
                            }
                            _ => None,
                        },
                    );
                }
                Err(trouble) if trouble.is_unreadable() => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// A whole answer failed. One that cannot be read is asked for again, partition by partition, to tell which it is.
    fn broken(&mut self, request: &Request, trouble: KafkaError) -> Result<KafkaError> {
        self.in_flight.abandon(&request.host);
        let places = request.asks.iter().map(|ask| ask.position.at.clone());
        if trouble.is_unreadable() && request.asks.len() > 1 {
            self.alone.extend(places);
            return Ok(KafkaError::passing(
                "an answer cannot be read: looking for the partition that it is",
            ));
        }
        let first = &request.asks[0].position;
        self.troubled.extend(places);
        Ok(trouble.at(&format!("{}, offset {} (at {})", first.at, first.offset, request.host)))
    }

    fn window(&mut self, place: TopicPartition, share: i32) -> &mut Window {
        self.windows.entry(place).or_insert_with(|| Window::new(share))
    }

    /// What a partition holds instead of the offset that was asked for; none when it holds it after all.
    fn range(&self, position: &FetchPosition) -> Result<Option<OutOfRange>> {
        let FetchPosition {
            at: TopicPartition { topic, partition },
            offset,
        } = position;
        let at = *partition as usize;
        let earliest = self.cluster.earliest(topic)?.get(at).copied();
        let latest = self.cluster.latest(topic)?.get(at).copied();
        Ok(match (earliest, latest) {
            (Some(earliest), Some(latest)) if !(earliest..=latest).contains(offset) => Some(OutOfRange {
                at: position.at.clone(),
                earliest,
                latest,
            }),
            _ => None,
        })
    }
}

fn too_large(ask: &PartitionFetch) -> Error {
    let FetchPosition { at, offset } = &ask.position;
    Error::failed(format!(
        "{}: the record at offset {offset} is larger than {} MiB, more than this client reads",
        at,
        ask.window >> 20
    ))
    .way_out("look at it with kafka-dump-log.sh; kafka-delete-records.sh can remove it, if it may be lost")
}
