//! One turn: landing the partitions of a berth, from their start until it is over.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Chunk, Cluster, SILENCE};
use crate::error::{Error, Kind, Result};
use crate::meter::Meter;
use crate::sequence::is_through;
use crate::sink::{Position, Sink};
use crate::stop::Stop;
use crate::wire::rows::Rows;

use super::ahead::{self, LONGEST_FETCH, Round};
use super::anew;
use super::berths::Berth;
use super::group::{self, GroupOffsets, Mark};
use super::lane::{Counts, Lane, Quay, Wait};
use super::order::Span;
use super::start::{self, Goal};
use super::{Options, Sharing, Summary};

/// Time between two looks at what other members have landed.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How long a broker may take to learn of partitions of which a record speaks.
const LEARN: Duration = Duration::from_secs(10);

/// How long a log may end with records of a replaced run before that is a loss.
const QUIET: Duration = Duration::from_secs(10);

/// How long a lane may wait for others before the user is told.
const SAY_WAIT: Duration = Duration::from_secs(5);

/// The applying side, as long as a berth lasts.
pub struct Turn<'a> {
    options: &'a Options,
    goals: &'a [Goal],
    cluster: Cluster,
    sink: Sink,
    lanes: Vec<Lane>,
    /// The partitions of each topic whose rows this sink holds, whoever lands them.
    partitions: HashMap<Arc<str>, Vec<i32>>,
    /// How many partitions each topic is known to have.
    counts: HashMap<Arc<str>, i32>,
    offsets: Option<GroupOffsets>,
    looked_around: Instant,
    began: Instant,
    waits_said: bool,
    /// When the logs were last looked at as a whole.
    settled: Instant,
    over: Stop,
}

impl<'a> Turn<'a> {
    pub fn begin(
        options: &'a Options,
        goals: &'a [Goal],
        cluster: &Cluster,
        berth: &Berth,
        alive: &dyn Fn(),
    ) -> Result<Self> {
        let over = berth.over.clone();
        let cluster = cluster.until(&over);
        let mut sink = Sink::open(&options.sink, over.clone())?.adopting(&options.adopt);
        let settled = Instant::now();
        let start::Start {
            lanes,
            partitions,
            counts,
        } = start::start(options, &cluster, &sink, berth, alive)?;
        let offsets = match (&options.sharing, &berth.seat) {
            (Sharing::Group { name, .. }, Some(seat)) => {
                sink.note_member(name, seat.member())?;
                let mut group = cluster.group(name, seat.clone());
                let mark = Mark::of(&sink, &options.sink);
                let ours: Vec<Position> = lanes.iter().map(|lane| lane.position.clone()).collect();
                group::check_sink(&mut group, &mark, name, &sink, &ours, &partitions)?;
                Some(GroupOffsets::start(group, mark))
            }
            _ => {
                sink.note_loner()?;
                None
            }
        };
        Ok(Self {
            options,
            goals,
            cluster,
            sink,
            lanes,
            partitions,
            counts,
            offsets,
            looked_around: Instant::now(),
            began: Instant::now(),
            waits_said: false,
            settled,
            over,
        })
    }

    /// How many partitions the topics have.
    pub fn all(&self) -> usize {
        self.partitions.values().map(Vec::len).sum()
    }

    /// Lands until everything that was asked for has landed (then it is fine), or the berth is over.
    pub fn land(&mut self, meter: &mut Meter, alive: &dyn Fn()) -> Result<()> {
        self.note_start()?;
        loop {
            // A lane that has waited for others was not asked for meanwhile.
            if self.settled.elapsed() > SILENCE {
                let topics: Vec<Arc<str>> = self.partitions.keys().cloned().collect();
                self.settle(&topics, alive)?;
            }
            let lanes = self.lanes.iter().filter(|lane| lane.waits.is_none());
            let from = lanes
                .map(|lane| lane.berthed(self.sink.schemas(), self.options.sign_key.as_ref()))
                .collect();
            let fetching = self.over.part();
            let fetcher = self.cluster.until(&fetching).fetcher();
            let caught_up = thread::scope(|scope| {
                let rounds = ahead::start(scope, fetcher, from);
                let outcome = self.land_rounds(rounds, meter, alive);
                // However it ended: the fetching thread waits for no answer any more.
                fetching.request();
                outcome
            })?;
            if caught_up {
                return Ok(());
            }
        }
    }

    /// Tells the group the last of it, and adds up what was done.
    pub fn end(mut self, summary: &mut Summary) {
        if let Some(offsets) = &mut self.offsets {
            offsets.finish();
        }
        let places =
            |wanted: fn(&Lane) -> bool| self.lanes.iter().filter(|lane| wanted(lane)).map(Lane::name).collect();
        let counts = self.lanes.iter().map(|lane| &lane.counts);
        let late = self
            .lanes
            .iter()
            .filter_map(|lane| Some((lane.name(), lane.goes_on()?)));
        *summary = Summary {
            counts: [&summary.counts].into_iter().chain(counts).sum(),
            partial: places(|lane| lane.position.partial),
            healing: places(|lane| lane.position.healing),
            late: late.collect(),
        };
    }

    /// Lands round after round until all is caught up (true), or other lanes wait than at the start.
    fn land_rounds(&mut self, rounds: Receiver<Result<Round>>, meter: &mut Meter, alive: &dyn Fn()) -> Result<bool> {
        let waiting = |lanes: &[Lane]| lanes.iter().filter(|lane| lane.waits.is_some()).count();
        let waits = waiting(&self.lanes);
        let patience = if waits > 0 { LOOK_AROUND } else { LONGEST_FETCH };
        loop {
            alive();
            self.sink.check_file()?;
            if waits > 0 && self.wait_is_over()? || waiting(&self.lanes) > waits {
                return Ok(false);
            }
            if self.options.until_caught_up && self.caught_up()? {
                self.lanes.iter().try_for_each(|lane| lane.check_late(Duration::ZERO))?;
                return Ok(true);
            }
            let mut at_end = self.lanes.iter().filter(|lane| lane.at_end);
            at_end.try_for_each(|lane| lane.check_late(QUIET))?;
            self.over.check()?;
            match rounds.recv_timeout(patience) {
                Ok(round) => {
                    let round = round?;
                    if self.has_set_back(&round, alive)? {
                        return Ok(false);
                    }
                    self.apply(&round, meter)?;
                }
                Err(RecvTimeoutError::Timeout) => meter.add(0, 0),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("the reading thread ended")),
            }
        }
    }

    /// Whether a lane that waits may go on: the partitions are there of which the next record speaks, or are not; or each of the others of them has come to the run for which it waits, or waits before
    /// such a run itself, or has landed all that its log held when it was asked after the wait began.
    fn wait_is_over(&mut self) -> Result<bool> {
        let mut over = false;
        for lane in &mut self.lanes {
            let (source, moved, others, bounds) = match &mut lane.waits {
                None => continue,
                &mut Some(Wait::Partitions { claimed, since }) => {
                    let topic = &lane.position.topic;
                    let count = self.cluster.partitions_now(topic)?.unwrap_or(0);
                    if count >= claimed {
                        self.counts.insert(topic.clone(), count);
                        lane.wait_is_over();
                    } else if since.elapsed() > LEARN || lane.has_denied() {
                        lane.deny(count);
                    }
                    over |= lane.waits.is_none();
                    continue;
                }
                Some(Wait::Others {
                    source,
                    moved,
                    others,
                    bounds,
                }) => (source, moved, others, bounds),
            };
            let mut behind = self.sink.others_have_reached(&lane.position, source, *moved, others)?;
            if !behind.is_empty() {
                let topic = &lane.position.topic;
                let bounds = match bounds {
                    Some(bounds) => bounds,
                    None => bounds.insert(bounds_of(&self.cluster, topic, &behind)?),
                };
                let landed = self.sink.positions(topic)?;
                let next = |p: i32| landed.iter().find(|at| at.partition == p).map(|at| at.next_offset);
                behind.retain(|&p| !is_through(next(p), bounds.get(p as usize).copied()));
            }
            if behind.is_empty() {
                lane.wait_is_over();
                over = true;
            } else if !self.waits_said && self.began.elapsed() > SAY_WAIT {
                self.waits_said = true;
                log::info!(
                    "{} waits for partitions {behind:?}: the topic's partitions have changed, and they may hold older rows",
                    lane.name()
                );
            }
        }
        Ok(over)
    }

    /// Notes where this sink begins: in partitions that are new to it, so that the next run goes on there though nothing has come yet, and
    /// in those that were set back, all at once.
    fn note_start(&mut self) -> Result<()> {
        let is_due = |lane: &Lane| lane.noted != Some(lane.position.next_offset);
        if !self.lanes.iter().any(is_due) {
            return Ok(());
        }
        let mut landing = self.sink.begin()?;
        for lane in self.lanes.iter_mut().filter(|lane| is_due(lane)) {
            lane.note(&mut landing)?;
        }
        landing.commit()?;
        self.lanes
            .iter_mut()
            .filter(|lane| is_due(lane))
            .for_each(Lane::is_noted);
        Ok(())
    }

    /// Looks at the logs where a round says that they may not be what they were, before anything of it is believed. True when lanes were
    /// set back, so that the round is none of theirs.
    fn has_set_back(&mut self, round: &Round, alive: &dyn Fn()) -> Result<bool> {
        let out = round.out_of_range.iter().map(|out| &out.topic);
        let mut topics: Vec<Arc<str>> = round.came_back.iter().chain(out).cloned().collect();
        topics.sort();
        topics.dedup();
        self.settle(&topics, alive)
    }

    /// Sees to it that the lanes of these topics stand in their logs; true when some were set back.
    fn settle(&mut self, topics: &[Arc<str>], alive: &dyn Fn()) -> Result<bool> {
        let mut set_back = false;
        for topic in topics {
            let known = self.sink.positions(topic)?;
            let log = anew::settle(self.options, &self.cluster, topic, &known, &mut self.lanes, alive)?;
            set_back |= log.set_back;
        }
        if set_back {
            self.note_start()?;
        }
        Ok(set_back)
    }

    /// Whether everything has landed that was there when the consumer began: here, and by other members in the same sink.
    fn caught_up(&mut self) -> Result<bool> {
        let ends = |topic: &str| {
            self.goals
                .iter()
                .find(|goal| *goal.topic == *topic)
                .map(|goal| &goal.ends)
        };
        let end = |topic: &str, partition: i32| ends(topic).and_then(|ends| ends.get(partition as usize)).copied();
        if self.lanes.iter().any(|lane| lane.waits.is_some()) {
            return Ok(false);
        }
        let here = |lane: &Lane| {
            let Position {
                topic,
                partition,
                next_offset,
                ..
            } = &lane.position;
            lane.at_end || end(topic, *partition).is_none_or(|end| *next_offset >= end)
        };
        if !self.lanes.iter().all(here) {
            return Ok(false);
        }
        if self.lanes.len() >= self.all() {
            return Ok(true);
        }
        if self.looked_around.elapsed() < LOOK_AROUND {
            return Ok(false);
        }
        self.looked_around = Instant::now();
        for Goal { topic, ends } in self.goals {
            let landed = self.sink.positions(topic)?;
            for &partition in &self.partitions[topic] {
                let Some(end) = ends.get(partition as usize) else {
                    continue;
                };
                let is_ours = self.lanes.iter().any(|lane| lane.is_at(topic, partition));
                let there = landed.iter().any(|p| p.partition == partition && p.next_offset >= *end);
                if !is_ours && !there {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// One round in one transaction: rows, dead letters and positions, or nothing of it.
    fn apply(&mut self, round: &Round, meter: &mut Meter) -> Result<()> {
        for (chunk, _) in &round.parts {
            if let Some(lane) = self
                .lanes
                .iter_mut()
                .find(|lane| lane.is_at(chunk.topic(), chunk.partition()))
            {
                lane.at_end = chunk.is_empty() && chunk.next_offset() >= chunk.high_water();
            }
        }
        if round.parts.iter().all(|(chunk, _)| chunk.stands_still()) {
            return Ok(());
        }
        let before: Vec<Counts> = self.lanes.iter().map(|lane| lane.counts.clone()).collect();
        let landed = self.apply_whole(round);
        if landed.as_ref().is_err_and(|error| error.kind() != Kind::Loss) {
            // Nothing of the round is in the sink.
            for (lane, before) in self.lanes.iter_mut().zip(before) {
                lane.counts = before;
            }
            return landed;
        }
        let sums: [Counts; 2] = [before.iter().sum(), self.lanes.iter().map(|lane| &lane.counts).sum()];
        meter.add(sums[1].landed - sums[0].landed, sums[1].bytes - sums[0].bytes);
        landed
    }

    fn apply_whole(&mut self, round: &Round) -> Result<()> {
        let place_of = |(chunk, _): &(Chunk, Rows)| {
            let is_at = |lane: &Lane| lane.is_at(chunk.topic(), chunk.partition());
            let unasked = || Error::failed("the broker answered for a partition that was not asked for");
            let lane = self.lanes.iter().position(is_at).ok_or_else(unasked)?;
            let topic = chunk.topic();
            Ok((lane, self.partitions[topic].as_slice(), self.counts[topic]))
        };
        let places = round.parts.iter().map(place_of).collect::<Result<Vec<_>>>()?;
        let pinned = matches!(self.options.sharing, Sharing::Pinned(_));
        let mut landing = self.sink.begin()?;
        let mut prints = Vec::new();
        let mut stopped_by = None;
        for Span { part, records } in &round.order {
            let (chunk, rows) = &round.parts[*part];
            let (lane, partitions, count) = places[*part];
            let lane = &mut self.lanes[lane];
            if lane.waits.is_some() {
                continue;
            }
            let mut quay = Quay {
                landing: &mut landing,
                options: self.options,
                partitions,
                pinned,
                count,
            };
            if let Err(error) = lane.take_chunk(&mut quay, chunk, rows, records.clone(), &mut prints) {
                stopped_by = Some(error);
                break;
            }
        }
        let lanes_of_parts: Vec<usize> = places.into_iter().map(|(lane, ..)| lane).collect();
        let mut touched = lanes_of_parts.clone();
        touched.sort_unstable();
        touched.dedup();
        // What came before a gap is whole, and lands. Anything else that fails takes the round with it.
        if let Some(error) = stopped_by.take_if(|error| error.kind() != Kind::Loss) {
            return Err(error);
        }
        tell_landed_passes(&mut self.lanes);
        for (&at, (chunk, _)) in lanes_of_parts.iter().zip(&round.parts) {
            self.lanes[at].remember_last(chunk);
        }
        for &at in &touched {
            self.lanes[at].note(&mut landing)?;
        }
        landing.commit()?;
        for &at in &touched {
            self.lanes[at].is_noted();
        }
        if let Some(offsets) = &self.offsets {
            offsets.tell(touched.iter().map(|&at| &self.lanes[at].position));
        }
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

/// The first offset and the end of each partition of a topic. A leader that is still to learn how far its log goes is waited for: an end
/// that is too small would let older rows land behind newer ones.
fn bounds_of(cluster: &Cluster, topic: &str, partitions: &[i32]) -> Result<Vec<(i64, i64)>> {
    let unknown: Vec<(i32, i64)> = partitions.iter().map(|&partition| (partition, i64::MAX)).collect();
    let (earliest, ends) = (cluster.earliest(topic)?, cluster.latest_after(topic, &unknown)?);
    Ok(earliest.into_iter().zip(ends).collect())
}
