//! The producer's loop: read a batch, send it, wait until every partition acknowledged it, note the progress, next.

mod load;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Bundle, Cluster, Sender, StandIn};
use crate::error::{Error, Kind, Result};
use crate::meter::{Meter, thousands};
use crate::source::{Acked, Capture, Feed, Ledger, Mark, Tracked};
use crate::stop::Stop;
use crate::wire::decode::{self, Key};
use crate::wire::encode::{SCHEMA_KEY, kept_back};

use self::load::{KeptBack, Load, Loader};

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

/// Time between two notes of progress while batches follow one another: each is a write transaction in the user's database.
const NOTE_EVERY: Duration = Duration::from_millis(250);

/// The longest time between two looks at a source that does not change.
const LOOK: Duration = Duration::from_millis(500);

/// Ships the tables until nothing is left, or, following, until the user wants to stop.
pub fn ship(options: &Options, cluster: &Cluster, meter: &mut Meter, stop: &Stop) -> Result<Summary> {
    let mut ledger = Ledger::open(&options.source, options.capture, stop.clone())?;
    let run = ledger.begin_run()?;
    let mut holds = Vec::new();
    for (table, topic) in &options.tables {
        let mut tracked = ledger.track(table, topic, options.backfill)?;
        let partitions = cluster.partitions(topic, true)?.ok_or_else(|| no_topic(topic))?;
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
                &run,
                &tracked,
                options.follow,
                stop.clone(),
            )?,
        });
    }
    let mut shipper = Shipper {
        epoch: run.epoch,
        ledger: &mut ledger,
        sender: cluster.sender(),
        unnoted: Vec::new(),
        noted_at: Instant::now(),
        meter,
        stop,
    };
    let (parcels, queue) = sync_channel(BATCHES);
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let reader_over = &over;
        scope.spawn(move || load_all(options, holds, &parcels, reader_over, stop));
        let outcome = shipper.ship(queue);
        over.store(true, Ordering::Relaxed);
        outcome
    });
    match outcome {
        Err(error) if error.kind() != Kind::Stopped => Err(error),
        _ => Ok(Summary {
            kept_back: ledger.dead_letters()?,
        }),
    }
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
    let latest = cluster.latest(&tracked.topic)?;
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

/// Reads and encodes batch after batch and hands them on, until nothing is left or the sending side is over.
fn load_all(
    options: &Options,
    mut holds: Vec<Hold>,
    parcels: &SyncSender<Result<Parcel>>,
    over: &AtomicBool,
    stop: &Stop,
) {
    for Hold { feed, loader, .. } in holds.iter_mut().filter(|hold| hold.announce) {
        let (load, mark) = (loader.announce(), feed.standing());
        if parcels.send(Ok(Parcel { load, mark })).is_err() {
            return;
        }
    }
    loop {
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
        if !options.follow || over.load(Ordering::Relaxed) {
            return;
        }
        // All tables lie in one file: its changes show in any of the feeds.
        if let Err(error) = holds[0].feed.wait(LOOK, stop) {
            let _ = parcels.send(Err(error));
            return;
        }
    }
}

/// The sending side.
struct Shipper<'a> {
    epoch: u64,
    ledger: &'a mut Ledger,
    sender: Sender,
    /// Acknowledged, but not noted in the source yet: how far, and the last records.
    unnoted: Vec<(Mark, Vec<Acked>)>,
    noted_at: Instant,
    meter: &'a mut Meter,
    stop: &'a Stop,
}

impl Shipper<'_> {
    fn ship(&mut self, queue: Receiver<Result<Parcel>>) -> Result<()> {
        let outcome = self.ship_all(&queue);
        // Whatever ended it: what is acknowledged is noted, so that the next run need not send it again.
        let noted = self.note();
        outcome.and(noted)
    }

    fn ship_all(&mut self, queue: &Receiver<Result<Parcel>>) -> Result<()> {
        loop {
            self.stop.check()?;
            let parcel = match queue.try_recv() {
                Ok(parcel) => parcel,
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    if self.noted_at.elapsed() >= NOTE_EVERY {
                        self.note()?;
                    }
                    match queue.recv_timeout(NOTE_EVERY) {
                        Ok(parcel) => parcel,
                        Err(_) => {
                            self.meter.add(0, 0);
                            continue;
                        }
                    }
                }
            };
            self.send(parcel?)?;
        }
    }

    fn send(&mut self, parcel: Parcel) -> Result<()> {
        let Parcel { load, mark } = parcel;
        let mut kept_back = load.kept_back;
        let refused = kept_back.len() as u64;
        let sent = self.sender.send(load.bundles, &mut |bundle, index| {
            let (letter, stand_in) = too_large(bundle, index)?;
            kept_back.push(letter);
            Ok(stand_in)
        })?;
        let too_large = kept_back.len() as u64 - refused;
        for KeptBack { key, text, reason } in &kept_back {
            self.ledger.dead_letter(mark.table(), key, text, reason)?;
        }
        let bytes: usize = sent.iter().map(|sent| sent.bundle.bytes()).sum();
        self.meter.add(load.rows.saturating_sub(too_large), bytes as u64);
        let acked = sent.iter().zip(load.last_seqs).map(|(sent, seq)| Acked {
            partition: sent.bundle.partition,
            epoch: self.epoch,
            seq,
            offset: sent.last_offset,
        });
        self.unnoted.push((mark, acked.collect()));
        if self.noted_at.elapsed() >= NOTE_EVERY {
            self.note()?;
        }
        Ok(())
    }

    fn note(&mut self) -> Result<()> {
        self.ledger.note(&self.unnoted)?;
        self.unnoted.clear();
        self.noted_at = Instant::now();
        Ok(())
    }
}

/// A record that the broker refused: the dead letter, and what is sent in its place.
fn too_large(bundle: &Bundle, index: usize) -> Result<(KeptBack, StandIn)> {
    let (key, value) = bundle.get(index);
    let size = key.len() + value.map_or(0, <[u8]>::len);
    let Ok(Key::Object(members)) = decode::key(key) else {
        return Err(Error::failed("a key of ours is no JSON object"));
    };
    if members.iter().any(|(name, _)| name == SCHEMA_KEY) {
        return Err(Error::failed(format!(
            "topic \"{}\": the broker refuses the table's schema, a record of {size} bytes, as too large",
            bundle.topic
        ))
        .way_out("raise max.message.bytes of the topic"));
    }
    let letter = KeptBack {
        key: members.into_iter().map(|(_, value)| value.into_owned()).collect(),
        text: String::from_utf8_lossy(key).into_owned(),
        reason: format!(
            "the broker refuses a record of {size} bytes as too large: raise max.message.bytes of topic {}",
            bundle.topic
        ),
    };
    let stand_in = kept_back(&letter.text, &letter.reason, value);
    Ok((letter, stand_in))
}
