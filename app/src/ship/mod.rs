//! The producer's loop: read a batch, send it, wait until every partition acknowledged it, note the
//! progress, next.
//!
//! - `options`: what the producer was asked to do
//! - `begin`: what a run does before that: it reads the log back and fences off what was sent
//!   before
//! - `readback`: which part of the log that is, and why it holds
//! - `history`: what a part of a log says, and `full_pass_reason`: when it cannot be told;
//!   `log_reader`: reading it
//! - `read`: reading and encoding, beside the sending
//! - `batch_encoder`: events to numbered records
//! - `send`: sending and noting
//! - `watch`: whether a topic has grown, or is another one

mod batch_encoder;
mod begin;
mod full_pass_reason;
mod history;
mod log_reader;
mod options;
mod read;
mod readback;
mod send;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use crate::broker::Cluster;
use crate::error::{Error, Kind, Result};
use crate::source::SourceState;
use crate::stop::Stop;
use crate::terminal::progress::Progress;

pub use self::options::ShipOptions;

use self::begin::begin;
use self::read::{TableStream, read_all};
use self::send::Shipper;
use self::watch::{ShippedTopic, Watch};

/// What a producer did, and what its user should know.
#[derive(Debug, Default)]
pub struct ShipSummary {
    /// Rows that stay in the source's dead letters.
    pub kept_back: u64,
}

/// Batches that may wait between reading and sending.
const BATCHES: usize = 1;

/// Before another run begins on a file that is being replaced.
const PAUSE: Duration = Duration::from_millis(100);

/// How a run ended that did not fail.
enum RunEnd {
    /// Nothing is left, or the user wants to stop.
    Finished(ShipSummary),
    /// A topic has more partitions.
    TopicGrown,
    /// The source, or a log, is not any more what this run began on.
    Forked(Error),
}

impl RunEnd {
    fn finished(state: &SourceState) -> Result<Self> {
        let kept_back = state.dead_letters()?;
        Ok(Self::Finished(ShipSummary { kept_back }))
    }

    /// What ended a run inside of one of its steps comes up as an error.
    fn of(outcome: Result<Self>, state: &SourceState) -> Result<Self> {
        let end = match outcome {
            Err(error) if error.kind() == Kind::Stopped => Self::finished(state),
            outcome => outcome,
        };
        match end {
            Err(error) if error.kind() == Kind::Forked => Ok(Self::Forked(error)),
            end => end,
        }
    }
}

/// Ships the tables until nothing is left, or, following, until the user wants to stop. A topic
/// that gets more partitions begins a new run, and so does a file that was put back or replaced.
pub fn ship(options: &ShipOptions, cluster: &Cluster, progress: &mut Progress, stop: &Stop) -> Result<ShipSummary> {
    let mut backfill = options.backfill;
    let open = |over: &Stop| SourceState::open(&options.source, options.capture, over.clone());
    // Raised as soon as sending has failed: nobody waits any longer for a lock that another process
    // may hold for ever.
    let mut over = stop.part();
    let mut state = open(&over)?;
    loop {
        let end = run(options, backfill, cluster, &mut state, progress, &over);
        match RunEnd::of(end, &state)? {
            RunEnd::Finished(summary) => return Ok(summary),
            RunEnd::TopicGrown => backfill = false,
            RunEnd::Forked(error) => {
                log::warn!("{error}: a new run begins, which reads back what the log holds");
                if stop.sleep(PAUSE).is_err() {
                    return Ok(ShipSummary::default());
                }
                over = stop.part();
                state = open(&over)?;
            }
        }
    }
}

/// One run: begins it, then reads batches in one thread and sends them in another.
fn run(
    options: &ShipOptions,
    backfill: bool,
    cluster: &Cluster,
    state: &mut SourceState,
    progress: &mut Progress,
    over: &Stop,
) -> Result<RunEnd> {
    let mut producer = cluster.producer();
    let Some((run, tables)) = begin(options, backfill, cluster, state, &mut producer, over)? else {
        return RunEnd::finished(state);
    };
    let topics: Vec<_> = tables.iter().map(shipped_topic).collect();
    let watch = options.follow.then(|| Watch::start(cluster, topics.clone(), over));
    let watch = watch.as_ref();
    let mut shipper = Shipper::new(options, &run, state, producer, cluster, progress, over)
        .to(topics)
        .beside(watch);
    let (batches, queue) = sync_channel(BATCHES);
    thread::scope(|scope| {
        scope.spawn(move || read_all(options, tables, &batches, watch, over));
        shipper.ship(queue)
    })?;
    if watch.is_some_and(Watch::has_grown) {
        return Ok(RunEnd::TopicGrown);
    }
    RunEnd::finished(state)
}

fn shipped_topic(table: &TableStream) -> ShippedTopic {
    let (name, partitions) = table.encoder.topic_partitions();
    let id = table.topic_id;
    ShippedTopic { name, partitions, id }
}
