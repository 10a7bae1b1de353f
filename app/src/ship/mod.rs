//! The producer's loop: read a batch, send it, wait until every partition acknowledged it, note the progress, next.
//!
//! - `begin`: what a run does before that: it reads the log back and fences off what was sent before
//! - `readback`: which part of the log that is, and why it holds
//! - `history`: what a part of a log says; `log_reader`: reading it
//! - `batch_encoder`: events to numbered records
//! - `send`: sending and noting
//! - `watch`: whether a topic has grown

mod batch_encoder;
mod begin;
mod history;
mod log_reader;
mod readback;
mod send;
mod watch;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::broker::Cluster;
use crate::error::{Kind, Result};
use crate::source::{Capture, Checkpoint, SourceState};
use crate::stop::Stop;
use crate::terminal::progress::Progress;
use crate::wire::sign::SignKey;

use self::batch_encoder::EncodedBatch;
use self::begin::{TableStream, begin};
use self::send::Shipper;
use self::watch::Watch;

/// What the producer was asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    pub source: PathBuf,
    /// Table and topic.
    pub tables: Vec<(String, String)>,
    pub capture: Capture,
    pub backfill: bool,
    /// Stop, instead of sending all rows again, where a topic was made anew.
    pub strict: bool,
    /// Stay, and ship changes as they come.
    pub follow: bool,
    pub batch_rows: usize,
    /// What signs each record, and has signed what is believed when the log is read back.
    pub sign_key: Option<SignKey>,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Summary {
    /// Rows that stay in the source's dead letters.
    pub kept_back: u64,
}

/// Bytes of values a batch, about: memory stays flat however wide the rows are.
const BATCH_BYTES: usize = 4 << 20;

/// Batches that may wait between reading and sending.
const BATCHES: usize = 1;

/// Before another run begins on a file that is being replaced.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time between two looks at a source that does not change.
const LOOK: Duration = Duration::from_millis(500);

/// How a run ended that did not fail.
enum End {
    /// Nothing is left, or the user wants to stop.
    Done(Summary),
    /// A topic has more partitions.
    Grown,
}

/// Ships the tables until nothing is left, or, following, until the user wants to stop. A topic that gets more partitions begins a new run,
/// and so does a file that was put back or replaced.
pub fn ship(options: &Options, cluster: &Cluster, progress: &mut Progress, stop: &Stop) -> Result<Summary> {
    let mut backfill = options.backfill;
    let open = |over: &Stop| SourceState::open(&options.source, options.capture, over.clone());
    // Raised as soon as sending has failed: nobody waits any longer for a lock that another process may hold for ever.
    let mut over = stop.part();
    let mut state = open(&over)?;
    loop {
        match run(options, backfill, cluster, &mut state, progress, &over) {
            Ok(End::Done(summary)) => return Ok(summary),
            Ok(End::Grown) => backfill = false,
            Err(error) if error.kind() == Kind::Forked => {
                log::warn!("{error}: a new run begins, which reads back what the log holds");
                if stop.sleep(PAUSE).is_err() {
                    return Ok(Summary::default());
                }
                over = stop.part();
                state = open(&over)?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn run(
    options: &Options,
    backfill: bool,
    cluster: &Cluster,
    state: &mut SourceState,
    progress: &mut Progress,
    over: &Stop,
) -> Result<End> {
    let mut sender = cluster.sender();
    let begun = match begin(options, backfill, cluster, state, &mut sender, over) {
        Ok(begun) => begun,
        Err(error) if error.kind() == Kind::Stopped => return done(state),
        Err(error) => return Err(error),
    };
    let Some((run, streams)) = begun else {
        return done(state);
    };
    let topics = streams.iter().map(|stream| stream.encoder.topic_partitions()).collect();
    let watch = options.follow.then(|| Watch::start(cluster, topics, over));
    let shipper = Shipper::new(options, &run, state, sender, cluster, progress, over);
    let mut shipper = shipper.beside(watch.as_ref());
    let (batches, queue) = sync_channel(BATCHES);
    let outcome = thread::scope(|scope| {
        let watch = watch.as_ref();
        scope.spawn(move || read_all(options, streams, &batches, watch, over));
        shipper.ship(queue)
    });
    match outcome {
        Ok(()) if watch.is_some_and(|watch| watch.has_grown()) => Ok(End::Grown),
        Err(error) if error.kind() != Kind::Stopped => Err(error),
        _ => done(state),
    }
}

fn done(state: &SourceState) -> Result<End> {
    let kept_back = state.dead_letters()?;
    Ok(End::Done(Summary { kept_back }))
}

/// One batch of one table on its way.
struct QueuedBatch {
    encoded: EncodedBatch,
    checkpoint: Checkpoint,
}

/// Reads and encodes batch after batch and hands them on, until nothing is left, the sending side is over, or a new run is due.
fn read_all(
    options: &Options,
    mut streams: Vec<TableStream>,
    batches: &SyncSender<Result<QueuedBatch>>,
    watch: Option<&Watch>,
    over: &Stop,
) {
    loop {
        // A table that is gone cannot begin anew: this run waits for it.
        if watch.is_some_and(Watch::has_grown) && !streams.iter().any(|stream| stream.reader.is_gone()) {
            return;
        }
        let mut idle = true;
        for TableStream { reader, encoder } in &mut streams {
            let read = reader.read(options.batch_rows, BATCH_BYTES, &mut |event| {
                encoder.add(event);
                Ok(())
            });
            let batch = match read {
                Ok(None) => continue,
                Ok(Some(checkpoint)) => Ok(QueuedBatch {
                    encoded: encoder.take(),
                    checkpoint,
                }),
                Err(error) => Err(error),
            };
            idle = false;
            let failed = batch.is_err();
            if batches.send(batch).is_err() || failed {
                return;
            }
        }
        if !idle {
            continue;
        }
        if !options.follow {
            return;
        }
        // All tables lie in one file: its changes show in any of the readers.
        if let Err(error) = streams[0].reader.wait(LOOK, over) {
            let _ = batches.send(Err(error));
            return;
        }
    }
}
