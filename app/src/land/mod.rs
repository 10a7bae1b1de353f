//! The consumer's loop: fetch, decode, apply rows and the new position in one sink transaction, then tell the broker's group.
//!
//! - `assignment_source`: which partitions are this consumer's, and until when
//! - `resume`: where to read on in them
//! - `log_identity`: whether the log is still the one in which the sink stands
//! - `assignment_run`: landing an assignment's partitions until it is over
//! - `prefetch`: fetching and reading beside the landing
//! - `merge_by_key`: in which order a round lands
//! - `partition_applier`: one partition's way into the sink
//! - `recent_records`: what a partition took last: what comes again is compared with it
//! - `group_offsets`: what the broker's group is told, and what it tells of other sinks
//! - `print`: records for people

mod assignment_run;
mod assignment_source;
mod group_offsets;
mod log_identity;
mod merge_by_key;
mod partition_applier;
mod prefetch;
mod print;
mod recent_records;
mod resume;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::broker::{Assignment, Cluster};
use crate::error::{Error, Kind, Result};
use crate::sink::Sink;
use crate::stop::Stop;
use crate::terminal::progress::Progress;
use crate::wire::sign::SignKey;

use self::assignment_run::AssignmentRun;
use self::assignment_source::AssignmentSource;
use self::group_offsets::SinkTag;
pub use self::partition_applier::Counts;
use self::resume::CatchUpTarget;

/// What the consumer was asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    pub sink: PathBuf,
    pub topics: Vec<String>,
    pub sharing: Sharing,
    pub from: From,
    pub until_caught_up: bool,
    /// Each landed record as a line of JSON on stdout.
    pub print: bool,
    pub on_bad_record: BadRecords,
    pub allow_gaps: bool,
    pub heal: bool,
    /// Tables of the sink that may be landed in though they are not the consumer's, or are given from others to a source.
    pub adopt: Vec<String>,
    /// Nothing lands that was not signed by it.
    pub sign_key: Option<SignKey>,
}

/// Which partitions of the topics a consumer lands.
#[derive(Debug, Clone)]
pub enum Sharing {
    /// Those that the members of a group deal out among themselves.
    Group {
        name: String,
        session_timeout: Duration,
        /// How long a transaction may take before the partitions are given to other members.
        apply_timeout: Duration,
    },
    /// Always these.
    Pinned(Vec<i32>),
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
    /// The same where a run that was replaced goes on, with that run and the newer one.
    pub late: Vec<(String, (u64, u64))>,
}

/// How often members of one group may land first within this time what another one was about to: a member that is late does it once.
const RIVALS: usize = 20;
const RIVALRY: Duration = Duration::from_secs(60);

/// Lands the topics until it is caught up or the user wants to stop.
pub fn land(options: &Options, cluster: &Cluster, progress: &mut Progress, stop: &Stop) -> Result<Summary> {
    let mut summary = Summary::default();
    let outcome = land_all(options, cluster, progress, &mut summary, stop);
    match outcome {
        Err(error) if error.kind() != Kind::Stopped => Err(error),
        Ok(()) if !summary.healing.is_empty() => Err(Error::loss(
            "everything that is there was passed over, and no full pass follows the gap",
        )
        .way_out("run `producer --backfill`, then `consumer --heal` again")),
        _ => Ok(summary),
    }
}

fn land_all(
    options: &Options,
    cluster: &Cluster,
    progress: &mut Progress,
    summary: &mut Summary,
    stop: &Stop,
) -> Result<()> {
    let (targets, mark) = {
        let mut sink = Sink::open(&options.sink, stop.clone())?;
        let targets = resume::targets(options, cluster, &sink, stop)?;
        if let Sharing::Group { name, .. } = &options.sharing {
            group_offsets::evict_dead(cluster, name, &mut sink)?;
        }
        (targets, SinkTag::of(&sink, &options.sink))
    };
    let mut assignments = AssignmentSource::new(options, cluster, &mark, stop);
    let mut rivals: Vec<Instant> = Vec::new();
    let outcome = loop {
        let assignment = match assignments.next(progress, stop) {
            Ok(assignment) => assignment,
            Err(error) => break Err(error),
        };
        let outcome = take_turn(
            options,
            &targets,
            cluster,
            &assignment,
            &mut assignments,
            progress,
            summary,
        );
        match &outcome {
            Err(error) if error.kind() == Kind::Stopped && assignment.over.requested() && !stop.requested() => {}
            // A member of the group that was late has landed its last round, or this one is late itself: deal anew, and look again.
            Err(error) if error.kind() == Kind::Rival => {
                rivals.retain(|rival| rival.elapsed() < RIVALRY);
                rivals.push(Instant::now());
                if rivals.len() >= RIVALS || has_other_groups(options, stop).unwrap_or(true) {
                    break outcome;
                }
                log::debug!("{error}");
            }
            _ => break outcome,
        }
        // Where the sink's lock is held for long, a share is of no use to this member.
        if let Err(error) = Sink::open(&options.sink, stop.clone()).and_then(|mut sink| sink.begin().map(drop)) {
            break Err(error);
        }
        assignments.give_up();
    };
    assignments.leave();
    outcome
}

/// Whether a consumer that is not of this one's group lands in the same sink.
fn has_other_groups(options: &Options, stop: &Stop) -> Result<bool> {
    match &options.sharing {
        Sharing::Group { name, .. } => Sink::open(&options.sink, stop.clone())?.has_other_groups(name),
        Sharing::Pinned(_) => Ok(true),
    }
}

fn take_turn(
    options: &Options,
    targets: &[CatchUpTarget],
    cluster: &Cluster,
    assignment: &Assignment,
    assignments: &mut AssignmentSource,
    progress: &mut Progress,
    summary: &mut Summary,
) -> Result<()> {
    let mut turn = AssignmentRun::begin(options, targets, cluster, assignment, &|| assignments.goes_on())?;
    assignments.say(assignment, turn.all());
    let outcome = turn.land(progress, &|| assignments.goes_on());
    turn.end(summary);
    outcome
}
