//! Fetches records: a worker for each broker that leads partitions, so that all of them are asked at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use kafka::client::fetch::Response;
use kafka::client::{FetchPartition, KafkaClient};

use crate::error::{Error, Result};

use super::chunk::Part;
use super::codes::{self, Verdict};
use super::outage::Outage;
use super::search::{Search, Seen};
use super::trouble::Trouble;
use super::window::{self, BUDGET, Window};
use super::worker::{self, Worker};
use super::{Chunk, Cluster, place};

/// The longest time between two looks at the stop flag.
const LOOK: Duration = Duration::from_millis(50);

/// Where to read on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

/// A position that the log does not hold: records expired before they were read, or the topic was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfRange {
    pub topic: Arc<str>,
    pub partition: i32,
    pub asked: i64,
    pub earliest: i64,
    pub latest: i64,
}

/// What a round brought.
#[derive(Debug, Default)]
pub struct Fetched {
    pub chunks: Vec<Chunk>,
    pub out_of_range: Vec<OutOfRange>,
}

type Place = (Arc<str>, i32);

/// A position and the window to ask for it with.
#[derive(Debug, Clone)]
struct Ask {
    position: Position,
    window: i32,
}

type Answer = Result<Arc<Response>, Trouble>;

/// An answer, and the number of the request that it belongs to.
type Letter = (u64, Answer);

/// A request that is under way.
struct Pending {
    host: String,
    asks: Vec<Ask>,
    until: Instant,
}

/// Fetches from a cluster.
pub struct Fetcher {
    cluster: Cluster,
    outage: Outage,
    workers: HashMap<String, Worker>,
    leaders: HashMap<Place, String>,
    windows: HashMap<Place, Window>,
    /// Partitions that could not be read when they were asked last.
    troubled: HashSet<Place>,
    /// Partitions that are asked alone, because an answer that held them could not be read.
    alone: HashSet<Place>,
    pending: HashMap<u64, Pending>,
    tickets: u64,
    post: Sender<Letter>,
    inbox: Receiver<Letter>,
    /// Which position is asked first, so that none is left out for ever.
    turn: usize,
}

impl Fetcher {
    pub(super) fn new(cluster: Cluster) -> Self {
        let (post, inbox) = channel();
        Self {
            outage: cluster.outage(),
            cluster,
            workers: HashMap::new(),
            leaders: HashMap::new(),
            windows: HashMap::new(),
            troubled: HashSet::new(),
            alone: HashSet::new(),
            pending: HashMap::new(),
            tickets: 0,
            post,
            inbox,
            turn: 0,
        }
    }

    /// One round: asks for all positions at once and returns what came first, waiting up to `max_wait` when there is nothing. A chunk
    /// without records tells that the partition is read to its end. Offsets out of range are told, never jumped over.
    pub fn fetch(&mut self, positions: &[Position], max_wait: Duration) -> Result<Fetched> {
        let end = Instant::now() + max_wait;
        let mut fetched = Fetched::default();
        loop {
            self.cluster.recipe.stop.check()?;
            let trouble = match self.know_leaders(positions)? {
                Some(trouble) => Some(trouble),
                None => {
                    self.ask(positions, end.saturating_duration_since(Instant::now()));
                    self.collect(positions, &mut fetched)?
                }
            };
            if self.troubled.is_empty() && trouble.is_none() {
                self.outage.over();
            }
            let something = !fetched.out_of_range.is_empty() || fetched.chunks.iter().any(|chunk| !chunk.is_empty());
            if let Some(trouble) = trouble {
                self.leaders.clear();
                self.outage.note(trouble)?;
                if !something {
                    self.outage.wait()?;
                }
            }
            if something || Instant::now() >= end {
                return Ok(fetched);
            }
            fetched.chunks.clear();
        }
    }

    /// Finds out who leads the partitions. Those that nobody leads are trouble; the others are asked all the same.
    fn know_leaders(&mut self, positions: &[Position]) -> Result<Option<Trouble>> {
        if positions.iter().all(|p| self.leaders.contains_key(&p.place())) {
            return Ok(None);
        }
        self.workers.clear();
        self.pending.clear();
        let places: Vec<Place> = positions.iter().map(Position::place).collect();
        let find = move |client: &mut KafkaClient| {
            let leaders = places
                .into_iter()
                .map(|place| (worker::leader(client, &place.0, place.1), place));
            Ok(leaders.collect::<Vec<_>>())
        };
        let found = match Worker::new(self.cluster.recipe.clone()).call(find)? {
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
                    trouble = Some(Trouble::passing(format!(
                        "{}: it is not there, or has no leader",
                        name(&place)
                    )));
                    self.troubled.insert(place);
                }
            }
        }
        match self.leaders.is_empty() {
            true => Ok(trouble),
            false => {
                if let Some(trouble) = trouble {
                    self.outage.note(trouble)?;
                }
                Ok(None)
            }
        }
    }

    /// Sends a request to each leader that has none under way.
    fn ask(&mut self, positions: &[Position], wait: Duration) {
        let share = window::share(positions.len());
        let mut asks: HashMap<String, Vec<Ask>> = HashMap::new();
        for i in 0..positions.len() {
            let position = &positions[(self.turn + i) % positions.len()];
            let place = position.place();
            let Some(host) = self.leaders.get(&place) else { continue };
            let window = self.windows.entry(place).or_insert_with(|| Window::new(share)).size();
            asks.entry(host.clone()).or_default().push(Ask {
                position: position.clone(),
                window,
            });
        }
        self.turn = self.turn.wrapping_add(1) % positions.len().max(1);
        let budget = BUDGET.max(share.saturating_mul(positions.len() as i32));
        for (host, mut asks) in asks {
            if self.pending.values().any(|pending| pending.host == host) {
                continue;
            }
            let all = asks.len();
            asks.truncate(self.affordable(&asks, budget));
            // Partitions that are left out must not wait for those that are asked.
            let wait = if asks.len() < all { Duration::ZERO } else { wait };
            self.start(host, asks, wait);
        }
    }

    /// How many of the asks go into one request.
    fn affordable(&self, asks: &[Ask], budget: i32) -> usize {
        let mut bytes = 0_i32;
        let fits = asks.iter().take_while(|ask| {
            bytes = bytes.saturating_add(ask.window);
            bytes <= budget && !self.alone.contains(&ask.position.place())
        });
        fits.count().max(1)
    }

    fn start(&mut self, host: String, asks: Vec<Ask>, wait: Duration) {
        self.tickets += 1;
        let (ticket, post) = (self.tickets, self.post.clone());
        let recipe = self.cluster.recipe.clone();
        let until = Instant::now() + wait + recipe.limit;
        let worker = self.workers.entry(host.clone()).or_insert_with(|| Worker::new(recipe));
        let sent = asks.clone();
        worker.start(
            move |client| request(client, &sent, wait),
            move |answer| {
                let _ = post.send((ticket, answer));
            },
        );
        self.pending.insert(ticket, Pending { host, asks, until });
    }

    /// Waits for the first answer, and takes all that are there by then. Returns trouble that may pass.
    fn collect(&mut self, positions: &[Position], fetched: &mut Fetched) -> Result<Option<Trouble>> {
        let mut trouble = None;
        let mut answered = false;
        while !self.pending.is_empty() && !answered {
            self.cluster.recipe.stop.check()?;
            let mut arrived = match self.inbox.recv_timeout(LOOK) {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Vec::new(),
            };
            arrived.extend(self.inbox.try_iter());
            for (ticket, answer) in arrived {
                // An answer to a request that was given up is none.
                if let Some(pending) = self.pending.remove(&ticket) {
                    answered = true;
                    trouble = self.take(pending, answer, positions, fetched)?.or(trouble);
                }
            }
            let now = Instant::now();
            let late: Vec<u64> = self
                .pending
                .iter()
                .filter(|(_, p)| p.until <= now)
                .map(|(&ticket, _)| ticket)
                .collect();
            for ticket in late {
                if let Some(pending) = self.pending.remove(&ticket) {
                    answered = true;
                    let late = Trouble::passing(format!("no answer within {} s", self.cluster.recipe.limit.as_secs()));
                    trouble = self.take(pending, Err(late), positions, fetched)?.or(trouble);
                }
            }
        }
        Ok(trouble)
    }

    /// Takes the answer of one leader.
    fn take(
        &mut self,
        pending: Pending,
        answer: Answer,
        positions: &[Position],
        fetched: &mut Fetched,
    ) -> Result<Option<Trouble>> {
        let response = match answer {
            Ok(response) => response,
            Err(trouble) => return self.broken(&pending, trouble).map(Some),
        };
        let share = window::share(positions.len());
        let mut trouble = None;
        for ask in pending.asks {
            let Position {
                topic,
                partition,
                offset,
            } = &ask.position;
            if !positions.contains(&ask.position) {
                continue;
            }
            let place = ask.position.place();
            let found = match Chunk::find(&response, topic, *partition, *offset) {
                Part::Chunk(chunk) if chunk.begins_with_hole() => self.look_again(&pending.host, &ask, chunk)?,
                Part::Chunk(chunk) => Ok(chunk),
                Part::Code(code) if codes::verdict(code) == Verdict::OutOfRange => match self.range(&ask.position)? {
                    Ok(out) => {
                        fetched.out_of_range.push(out);
                        continue;
                    }
                    Err(trouble) => Err(trouble),
                },
                Part::Code(code) => Err(Trouble::code(&name(&place), code)),
                Part::Nothing => Err(Trouble::passing(format!(
                    "{}: {} leaves it out of its answer",
                    name(&place),
                    pending.host
                ))),
            };
            let chunk = match found {
                Ok(chunk) => chunk,
                Err(why) => {
                    self.workers.remove(&pending.host);
                    self.troubled.insert(place);
                    trouble = Some(why);
                    continue;
                }
            };
            self.troubled.remove(&place);
            let window = self.windows.entry(place).or_insert_with(|| Window::new(share));
            let more = chunk.next_offset() < chunk.high_water();
            if chunk.is_empty() && more {
                if ask.window >= window.size() && !window.grow() {
                    return Err(too_large(&ask));
                }
                continue;
            }
            window.learn(chunk.bytes(), more, share);
            fetched.chunks.push(chunk);
        }
        Ok(trouble)
    }

    /// A whole answer failed. One that cannot be read is asked for again, partition by partition, to tell which it is.
    fn broken(&mut self, pending: &Pending, trouble: Trouble) -> Result<Trouble> {
        self.workers.remove(&pending.host);
        let places = pending.asks.iter().map(|ask| ask.position.place());
        if trouble.unreadable && pending.asks.len() > 1 {
            self.alone.extend(places);
            return Ok(Trouble::passing(
                "an answer cannot be read: looking for the partition that it is",
            ));
        }
        let first = &pending.asks[0].position;
        self.troubled.extend(places);
        Ok(trouble.at(&format!(
            "{}, offset {} (at {})",
            name(&first.place()),
            first.offset,
            pending.host
        )))
    }

    /// Looks again at a hole before the first record, with ever smaller windows. See `search`.
    fn look_again(&mut self, host: &str, ask: &Ask, mut best: Chunk) -> Result<Result<Chunk, Trouble>> {
        let Position {
            topic,
            partition,
            offset,
        } = &ask.position;
        let recipe = self.cluster.recipe.clone();
        let mut search = Search::below(ask.window);
        while let Some(window) = search.next()
            && best.begins_with_hole()
        {
            let again = vec![Ask { window, ..ask.clone() }];
            let worker = self
                .workers
                .entry(host.to_string())
                .or_insert_with(|| Worker::new(recipe.clone()));
            let what = name(&ask.position.place());
            let response = match worker.call(move |client| request(client, &again, Duration::ZERO))? {
                Ok(response) => response,
                Err(trouble) => return Ok(Err(trouble.at(&what))),
            };
            match Chunk::find(&response, topic, *partition, *offset) {
                Part::Chunk(chunk) if chunk.is_empty() => search.saw(window, Seen::Nothing),
                Part::Chunk(chunk) => {
                    search.saw(window, Seen::Hole);
                    if chunk.first_offset() < best.first_offset() {
                        best = chunk;
                    }
                }
                Part::Code(code) => return Ok(Err(Trouble::code(&what, code))),
                Part::Nothing => {
                    return Ok(Err(Trouble::passing(format!(
                        "{what}: {host} leaves it out of its answer"
                    ))));
                }
            }
        }
        Ok(Ok(best))
    }

    /// What a partition holds instead of the offset that was asked for; trouble when it holds it after all.
    fn range(&self, position: &Position) -> Result<Result<OutOfRange, Trouble>> {
        let Position {
            topic,
            partition,
            offset,
        } = position;
        let at = *partition as usize;
        let earliest = self.cluster.earliest(topic)?.get(at).copied();
        let latest = self.cluster.latest(topic)?.get(at).copied();
        Ok(match (earliest, latest) {
            (Some(earliest), Some(latest)) if !(earliest..=latest).contains(offset) => Ok(OutOfRange {
                topic: topic.clone(),
                partition: *partition,
                asked: *offset,
                earliest,
                latest,
            }),
            _ => Err(Trouble::passing(format!(
                "{}: offset {offset} is out of range, then again not",
                place(topic, *partition)
            ))),
        })
    }
}

impl Position {
    fn place(&self) -> Place {
        (self.topic.clone(), self.partition)
    }
}

fn name(at: &Place) -> String {
    place(&at.0, at.1)
}

fn too_large(ask: &Ask) -> Error {
    let Position {
        topic,
        partition,
        offset,
    } = &ask.position;
    Error::failed(format!(
        "{}: the record at offset {offset} is larger than {} MiB, more than this client reads",
        place(topic, *partition),
        ask.window >> 20
    ))
    .way_out("look at it with kafka-dump-log.sh; kafka-delete-records.sh can remove it, if it may be lost")
}

/// Asks the leader of the positions, all of one broker.
fn request(client: &mut KafkaClient, asks: &[Ask], wait: Duration) -> Result<Arc<Response>, Trouble> {
    let well = |result: kafka::Result<Vec<Response>>| result.map_err(|e| worker::trouble(&e));
    client.set_fetch_max_wait_time(wait).map_err(|e| worker::trouble(&e))?;
    let asks = asks.iter().map(|Ask { position, window }| {
        FetchPartition::new(&position.topic, position.partition, position.offset).with_max_bytes(*window)
    });
    let mut responses = well(client.fetch_messages(asks))?;
    match (responses.pop(), responses.is_empty()) {
        (Some(response), true) => Ok(Arc::new(response)),
        _ => Err(Trouble::passing("the partitions have moved to another leader")),
    }
}
