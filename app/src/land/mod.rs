//! The consumer's loop: fetch, decode, apply rows and the new position in one sink transaction,
//! then tell the broker's group.
//!
//! - `options`, `summary`: what the consumer was asked to do, and what it did
//! - `assignment_source`: which partitions are this consumer's, and until when
//! - `assignment_run`: landing an assignment's partitions until it is over
//! - `topics`: what is known of the topics that are landed
//! - `resume`: where to read on in them
//! - `log_identity`: whether the log is still the one in which the sink stands
//! - `prefetch`: fetching and reading beside the landing
//! - `merge_by_key`: in which order a round lands
//! - `round`: landing a round in one transaction
//! - `partition_applier`: one partition's way into the sink
//! - `waiting`: when a partition that waits for others goes on
//! - `catch_up`: whether all has landed that was there at the start
//! - `recent_records`: what a partition took last: what comes again is compared with it
//! - `group_offsets`: what the broker's group is told, and what it tells of other sinks
//! - `print`: records for people

mod assignment_run;
mod assignment_source;
mod catch_up;
mod group_offsets;
mod log_identity;
mod merge_by_key;
mod options;
mod partition_applier;
mod prefetch;
mod print;
mod recent_records;
mod resume;
mod round;
mod summary;
#[cfg(test)]
mod tests;
mod topics;
mod waiting;

use std::time::{Duration, Instant};

use crate::broker::{Assignment, Cluster};
use crate::error::{Error, Result};
use crate::sink::Sink;
use crate::stop::Stop;
use crate::terminal::progress::Progress;

pub use self::options::{BadRecords, From, LandOptions, Sharing};
pub use self::summary::{Counts, LandSummary};

use self::assignment_run::{AssignmentEnd, AssignmentRun};
use self::assignment_source::AssignmentSource;
use self::catch_up::CatchUpTarget;
use self::group_offsets::SinkTag;

/// How often members of one group may land first within this time what another one was about to: a
/// member that is late does it once.
const OVERTAKEN_AT_MOST: usize = 20;
const OVERTAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Lands the topics until it is caught up or the user wants to stop.
pub fn land(options: &LandOptions, cluster: &Cluster, progress: &mut Progress, stop: &Stop) -> Result<LandSummary> {
    let mut summary = LandSummary::default();
    let end = land_assignments(options, cluster, progress, &mut summary, stop);
    match AssignmentEnd::of(end, stop, stop)? {
        AssignmentEnd::CaughtUp if !summary.healing.is_empty() => Err(Error::loss(
            "everything that is there was passed over, and no full pass follows the gap",
        )
        .way_out("run `producer --backfill`, then `consumer --heal` again")),
        AssignmentEnd::Overtaken(error) => Err(error),
        AssignmentEnd::CaughtUp | AssignmentEnd::Revoked | AssignmentEnd::Stopped => Ok(summary),
    }
}

/// Lands one assignment after the other.
fn land_assignments(
    options: &LandOptions,
    cluster: &Cluster,
    progress: &mut Progress,
    summary: &mut LandSummary,
    stop: &Stop,
) -> Result<AssignmentEnd> {
    let (targets, tag) = {
        let mut sink = Sink::open(&options.sink, stop.clone())?;
        let targets = resume::targets(options, cluster, &sink, stop)?;
        if let Sharing::Group { name, .. } = &options.sharing {
            group_offsets::evict_dead(cluster, name, &mut sink)?;
        }
        (targets, SinkTag::of(&sink, &options.sink))
    };
    let mut assignments = AssignmentSource::new(options, cluster, &tag, stop);
    let mut overtaken: Vec<Instant> = Vec::new();
    let mut land_all = || loop {
        let Some(assignment) = assignments.next(progress, stop)? else {
            return Ok(AssignmentEnd::Stopped);
        };
        let source = &mut assignments;
        let end = land_assignment(options, &targets, cluster, &assignment, source, progress, summary);
        match AssignmentEnd::of(end, stop, &assignment.over)? {
            AssignmentEnd::Revoked => {}
            // A member of the group that was late has landed its last round, or this one is late
            // itself: get new assignments, and look again.
            AssignmentEnd::Overtaken(error) => {
                overtaken.retain(|at| at.elapsed() < OVERTAKEN_WITHIN);
                overtaken.push(Instant::now());
                if overtaken.len() >= OVERTAKEN_AT_MOST || has_other_groups(options, stop).unwrap_or(true) {
                    return Err(error);
                }
                log::debug!("{error}");
            }
            end @ (AssignmentEnd::CaughtUp | AssignmentEnd::Stopped) => return Ok(end),
        }
        // Where the sink's lock is held for long, an assignment is of no use to this member.
        Sink::open(&options.sink, stop.clone()).and_then(|mut sink| sink.begin().map(drop))?;
        assignments.give_up();
    };
    let end = land_all();
    assignments.leave();
    end
}

/// Lands the partitions of one assignment until all is caught up, or the assignment is over.
fn land_assignment(
    options: &LandOptions,
    targets: &[CatchUpTarget],
    cluster: &Cluster,
    assignment: &Assignment,
    assignments: &mut AssignmentSource,
    progress: &mut Progress,
    summary: &mut LandSummary,
) -> Result<AssignmentEnd> {
    let mut run = AssignmentRun::begin(options, targets, cluster, assignment, &|| assignments.goes_on())?;
    assignments.say(assignment, run.all_partitions());
    let end = run.land(progress, &|| assignments.goes_on());
    run.finish(summary);
    end
}

/// Whether a consumer that is not of this one's group lands in the same sink.
fn has_other_groups(options: &LandOptions, stop: &Stop) -> Result<bool> {
    match &options.sharing {
        Sharing::Group { name, .. } => Sink::open(&options.sink, stop.clone())?.has_other_groups(name),
        Sharing::Pinned(_) => Ok(true),
    }
}
