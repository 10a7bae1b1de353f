//! One turn: landing the partitions of a assignment, from their start until it is over.

use crate::model::TopicPartition;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Assignment, Cluster, FetchedPartition, SILENCE};
use crate::error::{Error, Kind, Result};
use crate::sequence::is_through;
use crate::sink::{Sink, SinkPosition};
use crate::stop::Stop;
use crate::terminal::progress::Progress;
use crate::wire::rows::Rows;

use super::group_offsets::{self, OffsetCommitter, SinkTag};
use super::log_identity;
use super::merge_by_key::Span;
use super::partition_applier::{ApplyContext, Counts, PartitionApplier, Wait};
use super::prefetch::{self, LONGEST_FETCH, Round};
use super::resume::{self, CatchUpTarget};
use super::{Options, Sharing, Summary};

/// Time between two looks at what other members have landed.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How long a broker may take to learn of partitions of which a record speaks.
const LEARN: Duration = Duration::from_secs(10);

/// How long a log may end with records of a replaced run before that is a loss.
const QUIET: Duration = Duration::from_secs(10);

/// How long an applier may wait for others before the user is told.
const SAY_WAIT: Duration = Duration::from_secs(5);

/// The applying side, as long as a assignment lasts.
pub struct AssignmentRun<'a> {
    options: &'a Options,
    targets: &'a [CatchUpTarget],
    cluster: Cluster,
    sink: Sink,
    appliers: Vec<PartitionApplier>,
    /// The partitions of each topic whose rows this sink holds, whoever lands them.
    partitions: HashMap<Arc<str>, Vec<i32>>,
    /// How many partitions each topic is known to have.
    counts: HashMap<Arc<str>, i32>,
    offsets: Option<OffsetCommitter>,
    looked_around: Instant,
    began: Instant,
    waits_said: bool,
    /// When the logs were last looked at as a whole.
    settled: Instant,
    over: Stop,
}

impl<'a> AssignmentRun<'a> {
    pub fn begin(
        options: &'a Options,
        targets: &'a [CatchUpTarget],
        cluster: &Cluster,
        assignment: &Assignment,
        alive: &dyn Fn(),
    ) -> Result<Self> {
        let over = assignment.over.clone();
        let cluster = cluster.until(&over);
        let mut sink = Sink::open(&options.sink, over.clone())?.adopting(&options.adopt);
        let settled = Instant::now();
        let resume::Start {
            appliers,
            partitions,
            counts,
        } = resume::start(options, &cluster, &sink, assignment, alive)?;
        let offsets = match (&options.sharing, &assignment.membership) {
            (Sharing::Group { name, .. }, Some(membership)) => {
                sink.note_member(name, membership.member())?;
                let mut group = cluster.group(name, membership.clone());
                let mark = SinkTag::of(&sink, &options.sink);
                let ours: Vec<SinkPosition> = appliers.iter().map(|applier| applier.position.clone()).collect();
                group_offsets::check_sink(&mut group, &mark, name, &sink, &ours, &partitions)?;
                Some(OffsetCommitter::start(group, mark))
            }
            _ => {
                sink.note_ungrouped()?;
                None
            }
        };
        Ok(Self {
            options,
            targets,
            cluster,
            sink,
            appliers,
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

    /// Lands until everything that was asked for has landed (then it is fine), or the assignment is over.
    pub fn land(&mut self, progress: &mut Progress, alive: &dyn Fn()) -> Result<()> {
        self.note_start()?;
        loop {
            // An applier that has waited for others was not asked for meanwhile.
            if self.settled.elapsed() > SILENCE {
                let topics: Vec<Arc<str>> = self.partitions.keys().cloned().collect();
                self.settle(&topics, alive)?;
            }
            let appliers = self.appliers.iter().filter(|applier| applier.waits.is_none());
            let from = appliers
                .map(|applier| applier.berthed(self.sink.schemas(), self.options.sign_key.as_ref()))
                .collect();
            let fetching = self.over.part();
            let fetcher = self.cluster.until(&fetching).fetcher();
            let caught_up = thread::scope(|scope| {
                let rounds = prefetch::start(scope, fetcher, from);
                let outcome = self.land_rounds(rounds, progress, alive);
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
        let places = |wanted: fn(&PartitionApplier) -> bool| {
            self.appliers
                .iter()
                .filter(|applier| wanted(applier))
                .map(PartitionApplier::name)
                .collect()
        };
        let counts = self.appliers.iter().map(|applier| &applier.counts);
        let late = self
            .appliers
            .iter()
            .filter_map(|applier| Some((applier.name(), applier.goes_on()?)));
        *summary = Summary {
            counts: [&summary.counts].into_iter().chain(counts).sum(),
            partial: places(|applier| applier.position.partial),
            healing: places(|applier| applier.position.healing),
            late: late.collect(),
        };
    }

    /// Lands round after round until all is caught up (true), or other appliers wait than at the start.
    fn land_rounds(
        &mut self,
        rounds: Receiver<Result<Round>>,
        progress: &mut Progress,
        alive: &dyn Fn(),
    ) -> Result<bool> {
        let waiting = |appliers: &[PartitionApplier]| appliers.iter().filter(|applier| applier.waits.is_some()).count();
        let waits = waiting(&self.appliers);
        let patience = if waits > 0 { LOOK_AROUND } else { LONGEST_FETCH };
        loop {
            alive();
            self.sink.check_file()?;
            if waits > 0 && self.wait_is_over()? || waiting(&self.appliers) > waits {
                return Ok(false);
            }
            if self.options.until_caught_up && self.caught_up()? {
                self.appliers
                    .iter()
                    .try_for_each(|applier| applier.check_late(Duration::ZERO))?;
                return Ok(true);
            }
            let mut at_end = self.appliers.iter().filter(|applier| applier.at_end);
            at_end.try_for_each(|applier| applier.check_late(QUIET))?;
            self.over.check()?;
            match rounds.recv_timeout(patience) {
                Ok(round) => {
                    let round = round?;
                    if self.has_set_back(&round, alive)? {
                        return Ok(false);
                    }
                    self.apply(&round, progress)?;
                }
                Err(RecvTimeoutError::Timeout) => progress.add(0, 0),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("the reading thread ended")),
            }
        }
    }

    /// Whether an applier that waits may go on: the partitions are there of which the next record speaks, or are not; or each of the others of them has come to the run for which it waits, or waits before
    /// such a run itself, or has landed all that its log held when it was asked after the wait began.
    fn wait_is_over(&mut self) -> Result<bool> {
        let mut over = false;
        for applier in &mut self.appliers {
            let (source, moved, others, bounds) = match &mut applier.waits {
                None => continue,
                &mut Some(Wait::Partitions { claimed, since }) => {
                    let topic = &applier.position.at.topic;
                    let count = self.cluster.partitions_now(topic)?.unwrap_or(0);
                    if count >= claimed {
                        self.counts.insert(topic.clone(), count);
                        applier.wait_is_over();
                    } else if since.elapsed() > LEARN || applier.has_denied() {
                        applier.deny(count);
                    }
                    over |= applier.waits.is_none();
                    continue;
                }
                Some(Wait::Others {
                    source,
                    moved,
                    others,
                    bounds,
                }) => (source, moved, others, bounds),
            };
            let mut behind = self.sink.partitions_behind(&applier.position, source, *moved, others)?;
            if !behind.is_empty() {
                let topic = &applier.position.at.topic;
                let bounds = match bounds {
                    Some(bounds) => bounds,
                    None => bounds.insert(bounds_of(&self.cluster, topic, &behind)?),
                };
                let landed = self.sink.positions(topic)?;
                let next = |p: i32| {
                    landed
                        .iter()
                        .find(|landed| landed.at.partition == p)
                        .map(|landed| landed.next_offset)
                };
                behind.retain(|&p| !is_through(next(p), bounds.get(p as usize).copied()));
            }
            if behind.is_empty() {
                applier.wait_is_over();
                over = true;
            } else if !self.waits_said && self.began.elapsed() > SAY_WAIT {
                self.waits_said = true;
                log::info!(
                    "{} waits for partitions {behind:?}: the topic's partitions have changed, and they may hold older rows",
                    applier.name()
                );
            }
        }
        Ok(over)
    }

    /// Notes where this sink begins: in partitions that are new to it, so that the next run goes on there though nothing has come yet, and
    /// in those that were set back, all at once.
    fn note_start(&mut self) -> Result<()> {
        let is_due = |applier: &PartitionApplier| applier.noted != Some(applier.position.next_offset);
        if !self.appliers.iter().any(is_due) {
            return Ok(());
        }
        let mut landing = self.sink.begin()?;
        for applier in self.appliers.iter_mut().filter(|applier| is_due(applier)) {
            applier.note(&mut landing)?;
        }
        landing.commit()?;
        self.appliers
            .iter_mut()
            .filter(|applier| is_due(applier))
            .for_each(PartitionApplier::is_noted);
        Ok(())
    }

    /// Looks at the logs where a round says that they may not be what they were, before anything of it is believed. True when appliers were
    /// set back, so that the round is none of theirs.
    fn has_set_back(&mut self, round: &Round, alive: &dyn Fn()) -> Result<bool> {
        let out = round.out_of_range.iter().map(|out| &out.at.topic);
        let mut topics: Vec<Arc<str>> = round.came_back.iter().chain(out).cloned().collect();
        topics.sort();
        topics.dedup();
        self.settle(&topics, alive)
    }

    /// Sees to it that the appliers of these topics stand in their logs; true when some were set back.
    fn settle(&mut self, topics: &[Arc<str>], alive: &dyn Fn()) -> Result<bool> {
        let mut set_back = false;
        for topic in topics {
            let known = self.sink.positions(topic)?;
            let log = log_identity::settle(self.options, &self.cluster, topic, &known, &mut self.appliers, alive)?;
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
            self.targets
                .iter()
                .find(|target| *target.topic == *topic)
                .map(|target| &target.ends)
        };
        let end = |topic: &str, partition: i32| ends(topic).and_then(|ends| ends.get(partition as usize)).copied();
        if self.appliers.iter().any(|applier| applier.waits.is_some()) {
            return Ok(false);
        }
        let here = |applier: &PartitionApplier| {
            let SinkPosition {
                at: TopicPartition { topic, partition },
                next_offset,
                ..
            } = &applier.position;
            applier.at_end || end(topic, *partition).is_none_or(|end| *next_offset >= end)
        };
        if !self.appliers.iter().all(here) {
            return Ok(false);
        }
        if self.appliers.len() >= self.all() {
            return Ok(true);
        }
        if self.looked_around.elapsed() < LOOK_AROUND {
            return Ok(false);
        }
        self.looked_around = Instant::now();
        for CatchUpTarget { topic, ends } in self.targets {
            let landed = self.sink.positions(topic)?;
            for &partition in &self.partitions[topic] {
                let Some(end) = ends.get(partition as usize) else {
                    continue;
                };
                let is_ours = self
                    .appliers
                    .iter()
                    .any(|applier| applier.position.at.is(topic, partition));
                let there = landed
                    .iter()
                    .any(|p| p.at.partition == partition && p.next_offset >= *end);
                if !is_ours && !there {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// One round in one transaction: rows, dead letters and positions, or nothing of it.
    fn apply(&mut self, round: &Round, progress: &mut Progress) -> Result<()> {
        for (chunk, _) in &round.parts {
            if let Some(applier) = self.appliers.iter_mut().find(|applier| applier.is_at(chunk.at())) {
                applier.at_end = chunk.is_empty() && chunk.next_offset() >= chunk.high_water();
            }
        }
        if round.parts.iter().all(|(chunk, _)| chunk.stands_still()) {
            return Ok(());
        }
        let before: Vec<Counts> = self.appliers.iter().map(|applier| applier.counts.clone()).collect();
        let landed = self.apply_whole(round);
        if landed.as_ref().is_err_and(|error| error.kind() != Kind::Loss) {
            // Nothing of the round is in the sink.
            for (applier, before) in self.appliers.iter_mut().zip(before) {
                applier.counts = before;
            }
            return landed;
        }
        let sums: [Counts; 2] = [
            before.iter().sum(),
            self.appliers.iter().map(|applier| &applier.counts).sum(),
        ];
        progress.add(sums[1].landed - sums[0].landed, sums[1].bytes - sums[0].bytes);
        landed
    }

    fn apply_whole(&mut self, round: &Round) -> Result<()> {
        let place_of = |(chunk, _): &(FetchedPartition, Rows)| {
            let is_at = |applier: &PartitionApplier| applier.is_at(chunk.at());
            let unasked = || Error::failed("the broker answered for a partition that was not asked for");
            let applier = self.appliers.iter().position(is_at).ok_or_else(unasked)?;
            let topic = &chunk.at().topic;
            Ok((applier, self.partitions[topic].as_slice(), self.counts[topic]))
        };
        let places = round.parts.iter().map(place_of).collect::<Result<Vec<_>>>()?;
        let pinned = matches!(self.options.sharing, Sharing::Pinned(_));
        let mut landing = self.sink.begin()?;
        let mut prints = Vec::new();
        let mut stopped_by = None;
        for Span { part, records } in &round.order {
            let (chunk, rows) = &round.parts[*part];
            let (applier, partitions, count) = places[*part];
            let applier = &mut self.appliers[applier];
            if applier.waits.is_some() {
                continue;
            }
            let mut context = ApplyContext {
                landing: &mut landing,
                options: self.options,
                partitions,
                pinned,
                count,
            };
            if let Err(error) = applier.take_chunk(&mut context, chunk, rows, records.clone(), &mut prints) {
                stopped_by = Some(error);
                break;
            }
        }
        let lanes_of_parts: Vec<usize> = places.into_iter().map(|(applier, ..)| applier).collect();
        let mut touched = lanes_of_parts.clone();
        touched.sort_unstable();
        touched.dedup();
        // What came before a gap is whole, and lands. Anything else that fails takes the round with it.
        if let Some(error) = stopped_by.take_if(|error| error.kind() != Kind::Loss) {
            return Err(error);
        }
        tell_landed_passes(&mut self.appliers);
        for (&at, (chunk, _)) in lanes_of_parts.iter().zip(&round.parts) {
            self.appliers[at].remember_last(chunk);
        }
        for &at in &touched {
            self.appliers[at].note(&mut landing)?;
        }
        landing.commit()?;
        for &at in &touched {
            self.appliers[at].is_noted();
        }
        if let Some(offsets) = &self.offsets {
            offsets.tell(touched.iter().map(|&at| &self.appliers[at].position));
        }
        if !prints.is_empty() && std::io::stdout().write_all(&prints).is_err() {
            return Err(Error::stopped()); // nobody reads what is printed any more
        }
        stopped_by.map_or(Ok(()), Err)
    }
}

/// After a full pass no rows are missing in any applier of its topic.
fn tell_landed_passes(appliers: &mut [PartitionApplier]) {
    for at in 0..appliers.len() {
        if std::mem::take(&mut appliers[at].pass_landed) {
            let topic = appliers[at].position.at.topic.clone();
            for applier in appliers.iter_mut().filter(|applier| applier.position.at.topic == topic) {
                applier.position.partial = false;
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
