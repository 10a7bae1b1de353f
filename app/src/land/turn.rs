//! One turn: landing the partitions of a berth, from their start until it is over.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Chunk, Cluster};
use crate::error::{Error, Kind, Result};
use crate::meter::Meter;
use crate::sink::{Position, Sink};
use crate::stop::Stop;
use crate::wire::rows::Rows;

use super::ahead::{self, LONGEST_FETCH, Round};
use super::berths::Berth;
use super::group::{self, GroupOffsets, Mark};
use super::lane::{Counts, Lane, Quay, Wait};
use super::order::Span;
use super::start::{self, Goal};
use super::{Options, Sharing, Summary};

/// Time between two looks at what other members have landed.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How long a lane may wait for others before the user is told.
const SAY_WAIT: Duration = Duration::from_secs(5);

/// How long nothing else may land before a wait is taken to be in vain.
const IN_VAIN: Duration = Duration::from_secs(10);

/// The applying side, as long as a berth lasts.
pub struct Turn<'a> {
    options: &'a Options,
    goals: &'a [Goal],
    cluster: Cluster,
    sink: Sink,
    lanes: Vec<Lane>,
    /// The partitions of each topic whose rows this sink holds, whoever lands them.
    partitions: HashMap<Arc<str>, Vec<i32>>,
    offsets: Option<GroupOffsets>,
    looked_around: Instant,
    began: Instant,
    waits_said: bool,
    /// Since when the sink's positions, by their sum, stand where they are while lanes wait.
    stuck: Option<(i64, Instant)>,
    over: Stop,
}

impl<'a> Turn<'a> {
    pub fn begin(options: &'a Options, goals: &'a [Goal], cluster: &Cluster, berth: &Berth) -> Result<Self> {
        let over = berth.over.clone();
        let cluster = cluster.until(&over);
        let mut sink = Sink::open(&options.sink, over.clone())?;
        let start::Start { lanes, partitions } = start::start(options, &cluster, &sink, berth)?;
        let offsets = match (&options.sharing, &berth.seat) {
            (Sharing::Group { name, .. }, Some(seat)) => {
                sink.note_member(name, seat.member())?;
                let mut group = cluster.group(name, seat.clone());
                let mark = Mark::new(sink.id(), &options.sink);
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
            offsets,
            looked_around: Instant::now(),
            began: Instant::now(),
            waits_said: false,
            stuck: None,
            over,
        })
    }

    /// How many partitions the topics have.
    pub fn all(&self) -> usize {
        self.partitions.values().map(Vec::len).sum()
    }

    /// Lands until everything that was asked for has landed (then it is fine), or the berth is over.
    pub fn land(&mut self, meter: &mut Meter, alive: &dyn Fn()) -> Result<()> {
        self.note_first_contact()?;
        loop {
            let lanes = self.lanes.iter().filter(|lane| lane.waits.is_none());
            let from = lanes.map(|lane| lane.berthed(self.sink.schemas())).collect();
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
        *summary = Summary {
            counts: [&summary.counts].into_iter().chain(counts).sum(),
            partial: places(|lane| lane.position.partial),
            healing: places(|lane| lane.position.healing),
        };
    }

    /// Lands round after round until all is caught up (true), or other lanes wait than at the start.
    fn land_rounds(&mut self, rounds: Receiver<Result<Round>>, meter: &mut Meter, alive: &dyn Fn()) -> Result<bool> {
        let waiting = |lanes: &[Lane]| lanes.iter().filter(|lane| lane.waits.is_some()).count();
        let waits = waiting(&self.lanes);
        let patience = if waits > 0 { LOOK_AROUND } else { LONGEST_FETCH };
        loop {
            alive();
            if waits > 0 && self.wait_is_over()? || waiting(&self.lanes) > waits {
                return Ok(false);
            }
            if self.options.until_caught_up && self.caught_up()? {
                return Ok(true);
            }
            self.over.check()?;
            match rounds.recv_timeout(patience) {
                Ok(round) => {
                    let round = round?;
                    self.apply(&round, meter)?;
                    self.check_range(&round)?;
                }
                Err(RecvTimeoutError::Timeout) => meter.add(0, 0),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("the reading thread ended")),
            }
        }
    }

    /// Whether a lane that waits for other partitions may go on. An error when what it waits for will not come.
    fn wait_is_over(&mut self) -> Result<bool> {
        let mut over = false;
        for lane in &mut self.lanes {
            let Some(Wait { source, moved, others }) = &lane.waits else {
                continue;
            };
            let behind = self.sink.others_have_reached(&lane.position, source, *moved, others)?;
            if behind.is_empty() {
                lane.waits = None;
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

    /// Notes where this sink begins in partitions that are new to it, so that the next run goes on there though nothing has come yet.
    fn note_first_contact(&mut self) -> Result<()> {
        if self.lanes.iter().all(|lane| lane.noted.is_some()) {
            return Ok(());
        }
        let mut landing = self.sink.begin()?;
        for lane in self.lanes.iter_mut().filter(|lane| lane.noted.is_none()) {
            lane.note(&mut landing)?;
        }
        landing.commit()?;
        self.lanes.iter_mut().for_each(Lane::is_noted);
        Ok(())
    }

    /// Records that went away while the consumer ran.
    fn check_range(&self, round: &Round) -> Result<()> {
        for out in &round.out_of_range {
            let lane = self.lanes.iter().find(|lane| lane.is_at(&out.topic, out.partition));
            if let Some(error) = lane.and_then(|lane| start::lost(&lane.position, out.earliest, out.latest)) {
                return Err(error);
            }
        }
        Ok(())
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
            return self.check_stuck().map(|()| false);
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

    /// An error when lanes wait for a run that never came to all partitions: nothing has landed for a while, here or by other members.
    fn check_stuck(&mut self) -> Result<()> {
        let mut sum = 0;
        for Goal { topic, .. } in self.goals {
            sum += self.sink.positions(topic)?.iter().map(|p| p.next_offset).sum::<i64>();
        }
        let since = match self.stuck {
            Some((stood, since)) if stood == sum => since,
            _ => self.stuck.insert((sum, Instant::now())).1,
        };
        match self.lanes.iter().find(|lane| lane.waits.is_some()) {
            Some(lane) if since.elapsed() > IN_VAIN => Err(Error::failed(format!(
                "{} waits at offset {} for other partitions, to which the run that begins there has not come: its producer was cut off",
                lane.name(),
                lane.position.next_offset
            ))
            .way_out("run the producer again, then the consumer")),
            _ => Ok(()),
        }
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
            Ok((lane, self.partitions[chunk.topic()].as_slice()))
        };
        let places = round.parts.iter().map(place_of).collect::<Result<Vec<_>>>()?;
        let pinned = matches!(self.options.sharing, Sharing::Pinned(_));
        let mut landing = self.sink.begin()?;
        let mut prints = Vec::new();
        let mut stopped_by = None;
        for Span { part, records } in &round.order {
            let (chunk, rows) = &round.parts[*part];
            let (lane, partitions) = places[*part];
            let lane = &mut self.lanes[lane];
            if lane.waits.is_some() {
                continue;
            }
            let mut quay = Quay {
                landing: &mut landing,
                options: self.options,
                partitions,
                pinned,
            };
            if let Err(error) = lane.take_chunk(&mut quay, chunk, rows, records.clone(), &mut prints) {
                stopped_by = Some(error);
                break;
            }
        }
        let mut touched: Vec<usize> = places.into_iter().map(|(lane, _)| lane).collect();
        touched.sort_unstable();
        touched.dedup();
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
