//! The consumer's loop: fetch, decode, apply rows and the new position in one sink transaction, then tell the broker's group.

mod group;
mod lane;
mod print;
mod start;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::broker::{self, Chunk, Cluster, Fetched, Fetcher};
use crate::error::{Error, Kind, Result};
use crate::meter::Meter;
use crate::sink::Sink;
use crate::stop::Stop;

use self::group::GroupOffsets;
pub use self::lane::Counts;
use self::lane::{Lane, Quay};

/// What the consumer was asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    pub topics: Vec<String>,
    pub group: String,
    pub from: From,
    pub until_caught_up: bool,
    /// Each landed record as a line of JSON on stdout.
    pub print: bool,
    pub on_bad_record: BadRecords,
    pub allow_gaps: bool,
    pub heal: bool,
}

/// Where to start in a partition that this sink has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    Earliest,
    Latest,
}

/// What to do with a record that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BadRecords {
    /// Keep it in the sink's table _rowferry_dead_letters and go on.
    DeadLetter,
    Stop,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Summary {
    pub counts: Counts,
    /// "topic \"users\" partition 0" where rows from before the first contact are missing.
    pub partial: Vec<String>,
    /// The same where a gap waits for a full pass.
    pub healing: Vec<String>,
}

/// The longest a fetch waits for news; a stop is noticed sooner.
const LONGEST_FETCH: Duration = Duration::from_millis(500);

/// Rounds that may wait between fetching and applying.
const ROUNDS: usize = 1;

/// Lands the topics until it is caught up or the user wants to stop.
pub fn land(options: &Options, cluster: &Cluster, sink: &mut Sink, meter: &mut Meter, stop: &Stop) -> Result<Summary> {
    let start::Start { lanes, targets } = start::lanes(options, cluster, sink, stop)?;
    let positions = lanes.iter().map(Lane::fetch_position).collect();
    let mut lander = Lander {
        partitions: partitions_by_topic(&lanes),
        options,
        sink,
        lanes,
        targets,
        meter,
        group: GroupOffsets::start(cluster.group(&options.group)),
        stop,
    };
    let fetcher = cluster.fetcher();
    let (rounds, queue) = sync_channel(ROUNDS);
    let outcome = thread::scope(|scope| {
        scope.spawn(move || fetch(fetcher, positions, &rounds));
        let outcome = lander.land(queue);
        // However it ended: the fetching thread waits for no answer any more.
        stop.request();
        outcome
    });
    lander.group.finish();
    match outcome {
        Err(error) if error.kind() != Kind::Stopped => Err(error),
        Ok(()) if lander.lanes.iter().any(|lane| lane.position.healing) => Err(Error::loss(
            "everything that is there was passed over, and no full pass follows the gap",
        )
        .way_out("run `producer --backfill`, then `consumer --heal` again")),
        _ => Ok(summary(&lander.lanes)),
    }
}

fn partitions_by_topic(lanes: &[Lane]) -> HashMap<Arc<str>, Vec<i32>> {
    let mut partitions: HashMap<_, Vec<_>> = HashMap::new();
    for lane in lanes {
        partitions
            .entry(lane.position.topic.clone())
            .or_default()
            .push(lane.position.partition);
    }
    partitions
}

fn summary(lanes: &[Lane]) -> Summary {
    let places = |wanted: fn(&Lane) -> bool| lanes.iter().filter(|lane| wanted(lane)).map(Lane::name).collect();
    Summary {
        counts: lanes.iter().map(|lane| &lane.counts).sum(),
        partial: places(|lane| lane.position.partial),
        healing: places(|lane| lane.position.healing),
    }
}

/// Fetches round after round and hands them on, until nobody takes them.
fn fetch(mut fetcher: Fetcher, mut positions: Vec<broker::Position>, rounds: &SyncSender<Result<Fetched>>) {
    loop {
        let round = fetcher.fetch(&positions, LONGEST_FETCH);
        for chunk in round.iter().flat_map(|fetched| &fetched.chunks) {
            let of_chunk = |p: &&mut broker::Position| p.partition == chunk.partition() && p.topic == *chunk.topic();
            if let Some(position) = positions.iter_mut().find(of_chunk) {
                position.offset = chunk.next_offset();
            }
        }
        let failed = round.is_err();
        if rounds.send(round).is_err() || failed {
            return;
        }
    }
}

/// The applying side.
struct Lander<'a> {
    options: &'a Options,
    sink: &'a mut Sink,
    lanes: Vec<Lane>,
    /// Where each lane is caught up.
    targets: Vec<i64>,
    /// The partitions of each topic that this sink lands.
    partitions: HashMap<Arc<str>, Vec<i32>>,
    meter: &'a mut Meter,
    group: GroupOffsets,
    stop: &'a Stop,
}

impl Lander<'_> {
    fn land(&mut self, queue: Receiver<Result<Fetched>>) -> Result<()> {
        self.note_first_contact()?;
        // Whatever the group was told last: this is where the sink is.
        self.group.tell(self.lanes.iter().map(|lane| &lane.position));
        loop {
            if self.options.until_caught_up && self.caught_up() {
                return Ok(());
            }
            self.stop.check()?;
            match queue.recv_timeout(LONGEST_FETCH) {
                Ok(round) => {
                    let round = round?;
                    self.apply(&round.chunks)?;
                    self.check_range(&round)?;
                }
                Err(RecvTimeoutError::Timeout) => self.meter.add(0, 0),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("the fetching thread ended")),
            }
        }
    }

    /// Notes where this sink begins in partitions that are new to it, so that the next run goes on there though nothing has come yet.
    fn note_first_contact(&mut self) -> Result<()> {
        if self.lanes.iter().all(|lane| lane.noted.is_some()) {
            return Ok(());
        }
        let mut landing = self.sink.begin()?;
        for lane in self.lanes.iter_mut().filter(|lane| lane.noted.is_none()) {
            lane.note(&mut landing)?;
            lane.noted = Some(lane.position.next_offset);
        }
        landing.commit()
    }

    /// Records that went away while the consumer ran.
    fn check_range(&self, round: &Fetched) -> Result<()> {
        for out in &round.out_of_range {
            let lane = self.lanes.iter().find(|lane| lane.is_at(&out.topic, out.partition));
            if let Some(error) = lane.and_then(|lane| start::lost(&lane.position, out.earliest, out.latest)) {
                return Err(error);
            }
        }
        Ok(())
    }

    fn caught_up(&self) -> bool {
        let mut lanes = self.lanes.iter().zip(&self.targets);
        lanes.all(|(lane, target)| lane.at_end || lane.position.next_offset >= *target)
    }

    /// One round in one transaction: rows, dead letters and positions, or nothing of it.
    fn apply(&mut self, round: &[Chunk]) -> Result<()> {
        for chunk in round {
            if let Some(lane) = self
                .lanes
                .iter_mut()
                .find(|lane| lane.is_at(chunk.topic(), chunk.partition()))
            {
                lane.at_end = chunk.is_empty() && chunk.next_offset() >= chunk.high_water();
            }
        }
        if round.iter().all(Chunk::is_empty) {
            return Ok(());
        }
        let mut landing = self.sink.begin()?;
        let mut prints = Vec::new();
        let mut touched = Vec::with_capacity(round.len());
        let before: Counts = self.lanes.iter().map(|lane| &lane.counts).sum();
        let mut stopped_by = None;
        for chunk in round {
            let lane = self
                .lanes
                .iter_mut()
                .position(|lane| lane.is_at(chunk.topic(), chunk.partition()));
            let at = lane.ok_or_else(|| Error::failed("the broker answered for a partition that was not asked for"))?;
            if !touched.contains(&at) {
                touched.push(at);
            }
            let mut quay = Quay {
                landing: &mut landing,
                options: self.options,
                partitions: &self.partitions[&self.lanes[at].position.topic],
            };
            if let Err(error) = self.lanes[at].take_chunk(&mut quay, chunk, &mut prints) {
                stopped_by = Some(error);
                break;
            }
        }
        // What came before a gap is whole, and lands. Anything else that fails takes the round with it.
        if let Some(error) = stopped_by.take_if(|error| error.kind() != Kind::Loss) {
            return Err(error);
        }
        tell_landed_passes(&mut self.lanes);
        for &at in &touched {
            self.lanes[at].note(&mut landing)?;
        }
        landing.commit()?;
        for &at in &touched {
            self.lanes[at].noted = Some(self.lanes[at].position.next_offset);
        }
        let after: Counts = self.lanes.iter().map(|lane| &lane.counts).sum();
        self.meter.add(after.landed - before.landed, after.bytes - before.bytes);
        self.group.tell(touched.iter().map(|&at| &self.lanes[at].position));
        if !prints.is_empty() && std::io::stdout().write_all(&prints).is_err() {
            return Err(Error::stopped()); // nobody reads what is printed any more
        }
        stopped_by.map_or(Ok(()), Err)
    }
}

/// After a full pass no rows are missing in any lane of its topic.
fn tell_landed_passes(lanes: &mut [Lane]) {
    for at in 0..lanes.len() {
        if std::mem::take(&mut lanes[at].pass_landed) {
            let topic = lanes[at].position.topic.clone();
            for lane in lanes.iter_mut().filter(|lane| lane.position.topic == topic) {
                lane.position.partial = false;
            }
        }
    }
}
