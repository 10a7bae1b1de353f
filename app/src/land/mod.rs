//! The consumer's loop: fetch, decode, apply rows and the new position in one sink transaction, then tell the broker's group.
//!
//! - `berths`: which partitions are this consumer's, and until when
//! - `start`: where to read on in them
//! - `anew`: whether the log is still the one in which the sink stands
//! - `ahead`: fetching and reading beside the landing
//! - `order`: in which order a round lands
//! - `turn`: landing them, as long as they are this consumer's
//! - `lane`: one partition's way into the sink
//! - `taken`: what a lane took last: what comes again is compared with it
//! - `group`: what the broker's group is told, and what it tells of other sinks
//! - `print`: records for people

mod ahead;
mod anew;
mod berths;
mod group;
mod lane;
mod order;
mod print;
mod start;
mod taken;
mod turn;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::broker::Cluster;
use crate::error::{Error, Kind, Result};
use crate::meter::Meter;
use crate::sink::Sink;
use crate::stop::Stop;
use crate::wire::sign::SignKey;

use self::berths::{Berth, Berths};
use self::group::Mark;
pub use self::lane::Counts;
use self::start::Goal;
use self::turn::Turn;

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
pub fn land(options: &Options, cluster: &Cluster, meter: &mut Meter, stop: &Stop) -> Result<Summary> {
    let mut summary = Summary::default();
    let outcome = land_all(options, cluster, meter, &mut summary, stop);
    match outcome {
        Err(error) if error.kind() != Kind::Stopped => Err(error),
        Ok(()) if !summary.healing.is_empty() => Err(Error::loss(
            "everything that is there was passed over, and no full pass follows the gap",
        )
        .way_out("run `producer --backfill`, then `consumer --heal` again")),
        _ => Ok(summary),
    }
}

fn land_all(options: &Options, cluster: &Cluster, meter: &mut Meter, summary: &mut Summary, stop: &Stop) -> Result<()> {
    let (goals, mark) = {
        let mut sink = Sink::open(&options.sink, stop.clone())?;
        let goals = start::goals(options, cluster, &sink, stop)?;
        if let Sharing::Group { name, .. } = &options.sharing {
            group::dismiss_the_dead(cluster, name, &mut sink)?;
        }
        (goals, Mark::of(&sink, &options.sink))
    };
    let mut berths = Berths::new(options, cluster, &mark, stop);
    let mut rivals: Vec<Instant> = Vec::new();
    let outcome = loop {
        let berth = match berths.next(meter, stop) {
            Ok(berth) => berth,
            Err(error) => break Err(error),
        };
        let outcome = take_turn(options, &goals, cluster, &berth, &mut berths, meter, summary);
        match &outcome {
            Err(error) if error.kind() == Kind::Stopped && berth.over.requested() && !stop.requested() => {}
            // A member of the group that was late has landed its last round, or this one is late itself: deal anew, and look again.
            Err(error) if error.kind() == Kind::Rival => {
                rivals.retain(|rival| rival.elapsed() < RIVALRY);
                rivals.push(Instant::now());
                if rivals.len() >= RIVALS || has_strangers(options, stop).unwrap_or(true) {
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
        berths.give_up();
    };
    berths.leave();
    outcome
}

/// Whether a consumer that is not of this one's group lands in the same sink.
fn has_strangers(options: &Options, stop: &Stop) -> Result<bool> {
    match &options.sharing {
        Sharing::Group { name, .. } => Sink::open(&options.sink, stop.clone())?.has_strangers(name),
        Sharing::Pinned(_) => Ok(true),
    }
}

fn take_turn(
    options: &Options,
    goals: &[Goal],
    cluster: &Cluster,
    berth: &Berth,
    berths: &mut Berths,
    meter: &mut Meter,
    summary: &mut Summary,
) -> Result<()> {
    let mut turn = Turn::begin(options, goals, cluster, berth, &|| berths.goes_on())?;
    berths.say(berth, turn.all());
    let outcome = turn.land(meter, &|| berths.goes_on());
    turn.end(summary);
    outcome
}
