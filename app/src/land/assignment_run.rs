//! Landing the partitions of an assignment, from where they stand until it is over.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Assignment, Cluster, SILENCE};
use crate::error::{Error, Kind, Result};
use crate::sink::{Sink, SinkPosition};
use crate::stop::Stop;
use crate::terminal::progress::Progress;
use crate::wire::decode;

use super::catch_up::{CatchUp, CatchUpTarget};
use super::group_offsets::{self, OffsetCommitter, SinkTag};
use super::log_identity;
use super::options::{LandOptions, Sharing};
use super::partition_applier::{Activity, PartitionApplier};
use super::prefetch::{self, LONGEST_FETCH, Round};
use super::resume;
use super::round;
use super::summary::LandSummary;
use super::topics::LandedTopics;
use super::waiting::Waiting;

/// How long a log may end with records of a replaced run before that is a loss.
const QUIET: Duration = Duration::from_secs(10);

/// Time between two looks at others while a partition waits for them.
const WAITING_POLL: Duration = Duration::from_millis(100);

/// How a run on an assignment ended that did not fail.
#[derive(Debug)]
pub(crate) enum AssignmentEnd {
    /// Everything that was asked for has landed.
    CaughtUp,
    /// The partitions are to be another member's.
    Revoked,
    /// The user wants to stop, or nobody reads what is printed any more.
    Stopped,
    /// Another consumer has landed what this one was about to.
    Overtaken(Error),
}

impl AssignmentEnd {
    /// What ended a run inside of a wait, for a broker or for the sink's lock, comes up as an
    /// error: `stop` is the user's, and `over` the end of the assignment.
    pub(crate) fn of(outcome: Result<Self>, stop: &Stop, over: &Stop) -> Result<Self> {
        match outcome {
            Err(error) => match error.kind() {
                Kind::Stopped if over.requested() && !stop.requested() => Ok(AssignmentEnd::Revoked),
                Kind::Stopped => Ok(AssignmentEnd::Stopped),
                Kind::Rival => Ok(AssignmentEnd::Overtaken(error)),
                _ => Err(error),
            },
            end => end,
        }
    }
}

/// The applying side, as long as an assignment lasts.
pub(crate) struct AssignmentRun<'a> {
    options: &'a LandOptions,
    cluster: Cluster,
    sink: Sink,
    appliers: Vec<PartitionApplier>,
    topics: LandedTopics,
    catch_up: CatchUp<'a>,
    waiting: Waiting,
    offsets: Option<OffsetCommitter>,
    /// When the logs were looked at, before anything was fetched.
    began: Instant,
    over: Stop,
}

impl<'a> AssignmentRun<'a> {
    pub(crate) fn begin(
        options: &'a LandOptions,
        targets: &'a [CatchUpTarget],
        cluster: &Cluster,
        assignment: &Assignment,
        goes_on: &dyn Fn(),
    ) -> Result<Self> {
        let over = assignment.over.clone();
        let cluster = cluster.until(&over);
        let mut sink = Sink::open(&options.sink, over.clone())?.adopting(&options.adopt);
        let began = Instant::now();
        let resume::Start { appliers, topics } = resume::start(options, &cluster, &sink, assignment, goes_on)?;
        goes_on();
        let offsets = match (&options.sharing, &assignment.membership) {
            (Sharing::Group { name, .. }, Some(membership)) => {
                sink.note_member(name, membership.member())?;
                let mut group = cluster.group(name, membership.clone());
                let tag = SinkTag::of(&sink, &options.sink);
                let ours: Vec<SinkPosition> = appliers.iter().map(|applier| applier.position.clone()).collect();
                group_offsets::check_sink(&mut group, &tag, name, &sink, &ours, &topics)?;
                goes_on();
                Some(OffsetCommitter::start(group, tag))
            }
            _ => {
                sink.note_ungrouped()?;
                None
            }
        };
        Ok(Self {
            options,
            cluster,
            sink,
            appliers,
            topics,
            catch_up: CatchUp::new(targets),
            waiting: Waiting::new(),
            offsets,
            began,
            over,
        })
    }

    /// How many partitions the topics have that this sink lands, whoever lands them.
    pub(crate) fn all_partitions(&self) -> usize {
        self.topics.values().map(|topic| topic.partitions.len()).sum()
    }

    /// Lands until everything that was asked for has landed, or the assignment is over.
    pub(crate) fn land(&mut self, progress: &mut Progress, goes_on: &dyn Fn()) -> Result<AssignmentEnd> {
        self.note_start()?;
        loop {
            // A partition that has waited for others was not asked for meanwhile.
            if self.began.elapsed() > SILENCE {
                let topics: Vec<Arc<str>> = self.topics.keys().cloned().collect();
                self.settle(&topics, goes_on)?;
            }
            let (schemas, key) = (self.sink.schemas(), self.options.sign_key.as_ref());
            let appliers = self.appliers.iter().filter(|applier| !is_waiting(applier));
            let from = appliers
                .map(|applier| applier.fetch_start(schemas.clone(), key))
                .collect();
            let fetching = self.over.part();
            let fetcher = self.cluster.until(&fetching).fetcher();
            let rounds_end = thread::scope(|scope| {
                let rounds = prefetch::start(scope, fetcher, from);
                let rounds_end = self.land_rounds(&rounds, progress, goes_on);
                // However it ended: the fetching thread waits for no answer any more, and its round
                // for nobody.
                fetching.request();
                drop(rounds);
                rounds_end
            })?;
            if let ControlFlow::Break(end) = rounds_end {
                return Ok(end);
            }
        }
    }

    /// Tells the group the last of it, and adds up what was done.
    pub(crate) fn finish(mut self, summary: &mut LandSummary) {
        if let Some(offsets) = &mut self.offsets {
            offsets.finish();
        }
        let appliers = &self.appliers;
        let names = |wanted: fn(&PartitionApplier) -> bool| {
            let wanted = appliers.iter().filter(|applier| wanted(applier));
            wanted.map(|applier| applier.position.at.to_string()).collect()
        };
        let late = |applier: &PartitionApplier| Some((applier.position.at.to_string(), applier.goes_on()?));
        *summary = LandSummary {
            counts: [&summary.counts]
                .into_iter()
                .chain(appliers.iter().map(|applier| &applier.counts))
                .sum(),
            partial: names(|applier| applier.position.partial),
            healing: names(|applier| applier.position.healing),
            late: appliers.iter().filter_map(late).collect(),
        };
    }

    fn is_caught_up(&mut self) -> Result<bool> {
        let (appliers, topics) = (&self.appliers, &self.topics);
        self.catch_up.is_done(appliers, topics, &self.sink, &self.cluster)
    }

    /// Lands round after round until the run is over, or is to fetch from other positions: more
    /// partitions wait, or fewer, or some were set back.
    fn land_rounds(
        &mut self,
        rounds: &Receiver<Result<Round>>,
        progress: &mut Progress,
        goes_on: &dyn Fn(),
    ) -> Result<ControlFlow<AssignmentEnd>> {
        let count_waiting = |run: &Self| run.appliers.iter().filter(|applier| is_waiting(applier)).count();
        let waited = count_waiting(self);
        let patience = if waited > 0 { WAITING_POLL } else { LONGEST_FETCH };
        loop {
            goes_on();
            self.sink.check_file()?;
            if waited > 0 && self.let_go()? || count_waiting(self) > waited {
                return Ok(ControlFlow::Continue(()));
            }
            if self.options.until_caught_up && self.is_caught_up()? {
                self.check_late(Duration::ZERO, |_| true)?;
                return Ok(ControlFlow::Break(AssignmentEnd::CaughtUp));
            }
            self.check_late(QUIET, |applier| applier.at_end)?;
            self.over.check()?;
            match rounds.recv_timeout(patience) {
                Ok(round) => {
                    let round = round?;
                    if self.has_set_back(&round, goes_on)? {
                        return Ok(ControlFlow::Continue(()));
                    }
                    if self.cluster.can_go_native() && self.has_records_of_others(&round) {
                        self.cluster.go_native("others write to a topic");
                        return Ok(ControlFlow::Continue(()));
                    }
                    if let end @ ControlFlow::Break(_) = self.land_round(&round, progress)? {
                        return Ok(end);
                    }
                }
                Err(RecvTimeoutError::Timeout) => progress.add(0, 0),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("the reading thread ended")),
            }
        }
    }

    /// Whether a round brings records of others, of a topic from which none of a source has landed.
    /// Those can be of an aborted transaction, or empty and no deletion: the crate does not tell.
    fn has_records_of_others(&self, round: &Round) -> bool {
        let is_of_a_source = |topic: &Arc<str>| {
            let mut own = self.appliers.iter().map(|applier| &applier.position);
            own.any(|position| position.at.topic == *topic && position.last_applied.is_some())
        };
        round.parts.iter().any(|(fetched, _)| {
            !is_of_a_source(&fetched.at().topic)
                && (fetched.records().next()).is_some_and(|message| decode::record_id(message.value).is_none())
        })
    }

    fn let_go(&mut self) -> Result<bool> {
        let (appliers, topics) = (&mut self.appliers, &mut self.topics);
        self.waiting.let_go(appliers, topics, &self.sink, &self.cluster)
    }

    fn check_late(&self, quiet: Duration, of: fn(&PartitionApplier) -> bool) -> Result<()> {
        let mut appliers = self.appliers.iter().filter(|applier| of(applier));
        appliers.try_for_each(|applier| applier.check_late(quiet))
    }

    fn land_round(&mut self, round: &Round, progress: &mut Progress) -> Result<ControlFlow<AssignmentEnd>> {
        let landed = round::land(&mut self.sink, self.options, &self.topics, &mut self.appliers, round)?;
        progress.add(landed.records, landed.bytes);
        if let Some(offsets) = &self.offsets {
            offsets.tell(landed.moved.iter().map(|&place| &self.appliers[place].position));
        }
        if !landed.prints.is_empty() && std::io::stdout().write_all(&landed.prints).is_err() {
            return Ok(ControlFlow::Break(AssignmentEnd::Stopped));
        }
        match landed.loss {
            Some(loss) => Err(loss),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// Notes where this sink begins: in partitions that are new to it, so that the next run goes on
    /// there though nothing has come yet, in those that were set back, and in those whose topic's id
    /// was not known, all at once.
    fn note_start(&mut self) -> Result<()> {
        let is_due = PartitionApplier::has_moved;
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

    /// Looks at the logs where a round says that they may not be what they were, before anything of
    /// it is believed. True when partitions were set back, so that the round is none of theirs.
    fn has_set_back(&mut self, round: &Round, goes_on: &dyn Fn()) -> Result<bool> {
        let out = round.out_of_range.iter().map(|out| &out.at.topic);
        let mut topics: Vec<Arc<str>> = round.came_back.iter().chain(out).cloned().collect();
        topics.sort();
        topics.dedup();
        self.settle(&topics, goes_on)
    }

    /// Sees to it that the partitions of these topics stand in their logs; true when some were set
    /// back.
    fn settle(&mut self, topics: &[Arc<str>], goes_on: &dyn Fn()) -> Result<bool> {
        let mut set_back = false;
        for topic in topics {
            let known = self.sink.positions(topic)?;
            let appliers = &mut self.appliers;
            let log = log_identity::settle(self.options, &self.cluster, topic, &known, appliers, goes_on)?;
            set_back |= log.set_back;
        }
        self.note_start()?;
        Ok(set_back)
    }
}

fn is_waiting(applier: &PartitionApplier) -> bool {
    applier.activity() == Activity::Waiting
}
