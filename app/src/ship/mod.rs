//! The producer's loop: read a batch, send it, wait until every partition acknowledged it, note the progress, next.

mod load;
mod send;
mod watch;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::broker::Cluster;
use crate::error::{Error, Kind, Result};
use crate::meter::{Meter, thousands};
use crate::source::{Capture, Feed, Ledger, Mark, Run, Tracked};
use crate::stop::Stop;

use self::load::{Load, Loader};
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
    /// Stay, and ship changes as they come.
    pub follow: bool,
    pub batch_rows: usize,
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

/// The longest time between two looks at a source that does not change.
const LOOK: Duration = Duration::from_millis(500);

/// Ships the tables until nothing is left, or, following, until the user wants to stop. A topic that gets more partitions begins a new run.
pub fn ship(options: &Options, cluster: &Cluster, meter: &mut Meter, stop: &Stop) -> Result<Summary> {
    // Raised as soon as sending has failed: nobody waits any longer for a lock that another process may hold for ever.
    let over = stop.part();
    let mut ledger = Ledger::open(&options.source, options.capture, over.clone())?;
    let mut backfill = options.backfill;
    loop {
        let run = ledger.begin_run()?;
        let holds = begin(options, backfill, cluster, &mut ledger, &run, &over)?;
        let topics = holds.iter().map(|hold| hold.loader.spreads_over()).collect();
        let watch = options.follow.then(|| Watch::start(cluster, topics, stop));
        let mut shipper = Shipper::new(run.epoch, &mut ledger, cluster.sender(), meter, &over);
        let (parcels, queue) = sync_channel(BATCHES);
        let outcome = thread::scope(|scope| {
            let (over, watch) = (&over, watch.as_ref());
            scope.spawn(move || load_all(options, holds, &parcels, watch, over));
            shipper.ship(queue)
        });
        match outcome {
            Ok(()) if watch.is_some_and(|watch| watch.has_grown()) => backfill = false,
            Err(error) if error.kind() != Kind::Stopped => return Err(error),
            _ => {
                let kept_back = ledger.dead_letters()?;
                return Ok(Summary { kept_back });
            }
        }
    }
}

/// Looks at every table and its topic, and gets ready to read them.
fn begin(
    options: &Options,
    backfill: bool,
    cluster: &Cluster,
    ledger: &mut Ledger,
    run: &Run,
    stop: &Stop,
) -> Result<Vec<Hold>> {
    let mut holds = Vec::new();
    for (table, topic) in &options.tables {
        let mut tracked = ledger.track(table, topic, backfill)?;
        let known = tracked.acked.iter().map(|acked| acked.partition + 1).max().unwrap_or(0);
        let partitions = cluster.partitions(topic, true, known)?.ok_or_else(|| no_topic(topic))?;
        let spread = ledger.spread(topic, partitions)?;
        if spread.moved == Some(run.epoch) && tracked.pass_pending && !tracked.full {
            // A pass is over when its end stands where its beginning does: it begins anew, in all partitions.
            tracked = ledger.track(table, topic, true)?;
        }
        let announce = goes_on(cluster, &tracked)?;
        log::info!(
            "{} -> topic {topic}: {} rows to ship",
            tracked.table,
            thousands(tracked.rows_waiting)
        );
        holds.push(Hold {
            announce,
            loader: Loader::new(run.clone(), &tracked, spread),
            feed: Feed::open(
                &options.source,
                options.capture,
                run,
                &tracked,
                options.follow,
                stop.clone(),
            )?,
        });
    }
    Ok(holds)
}

fn no_topic(topic: &str) -> Error {
    Error::failed(format!("topic \"{topic}\" could not be made"))
}

/// Whether the log goes on behind what this source noted as acknowledged: after a crash, or when the source was put back from a
/// backup. An error when the broker has lost what it had acknowledged. A pass sends everything anyway.
fn goes_on(cluster: &Cluster, tracked: &Tracked) -> Result<bool> {
    if tracked.full || tracked.acked.is_empty() {
        return Ok(false);
    }
    let acked: Vec<_> = tracked
        .acked
        .iter()
        .map(|acked| (acked.partition, acked.offset + 1))
        .collect();
    let latest = cluster.latest_after(&tracked.topic, &acked)?;
    for acked in &tracked.acked {
        let end = latest.get(acked.partition as usize).copied().unwrap_or(0);
        if end <= acked.offset {
            return Err(Error::loss(format!(
                "topic \"{}\" partition {}: the broker acknowledged records up to offset {}, but the log ends at {end}: the topic was made anew, or its end was lost",
                tracked.topic, acked.partition, acked.offset
            ))
            .way_out("run `producer --backfill` to send all rows again (and `consumer --heal`, where a sink had landed the old ones)"));
        }
    }
    let mut acked = tracked.acked.iter();
    Ok(acked.any(|acked| latest[acked.partition as usize] > acked.offset + 1))
}

/// One table on the reading side.
struct Hold {
    feed: Feed,
    loader: Loader,
    /// Whether the sink is to look at this run though it may have nothing to ship.
    announce: bool,
}

/// One batch of one table on its way.
struct Parcel {
    load: Load,
    mark: Mark,
}

/// Reads and encodes batch after batch and hands them on, until nothing is left, the sending side is over, or a new run is due.
fn load_all(
    options: &Options,
    mut holds: Vec<Hold>,
    parcels: &SyncSender<Result<Parcel>>,
    watch: Option<&Watch>,
    over: &Stop,
) {
    for Hold { feed, loader, .. } in holds.iter_mut().filter(|hold| hold.announce) {
        let (load, mark) = (loader.announce(), feed.standing());
        if parcels.send(Ok(Parcel { load, mark })).is_err() {
            return;
        }
    }
    loop {
        // A table that is gone cannot begin anew: this run waits for it.
        if watch.is_some_and(Watch::has_grown) && !holds.iter().any(|hold| hold.feed.is_gone()) {
            return;
        }
        let mut idle = true;
        for Hold { feed, loader, .. } in &mut holds {
            let read = feed.read(options.batch_rows, BATCH_BYTES, &mut |event| {
                loader.add(event);
                Ok(())
            });
            let parcel = match read {
                Ok(None) => continue,
                Ok(Some(mark)) => Ok(Parcel {
                    load: loader.take(),
                    mark,
                }),
                Err(error) => Err(error),
            };
            idle = false;
            let failed = parcel.is_err();
            if parcels.send(parcel).is_err() || failed {
                return;
            }
        }
        if !idle {
            continue;
        }
        if !options.follow {
            return;
        }
        // All tables lie in one file: its changes show in any of the feeds.
        if let Err(error) = holds[0].feed.wait(LOOK, over) {
            let _ = parcels.send(Err(error));
            return;
        }
    }
}
