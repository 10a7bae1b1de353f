//! The beginning of a run: see `readback` for why each step is where it is.

use indicatif::HumanCount;

use crate::broker::{Cluster, Producer, SendStep};
use crate::error::{Error, Result};
use crate::source::{Acked, Capture, ChangeReader, Noted, Run, SourceState, Tracked};
use crate::stop::Stop;
use crate::wire::sign::SignKey;

use super::batch_encoder::BatchEncoder;
use super::options::ShipOptions;
use super::read::TableStream;
use super::readback::{Readback, Stops};
use super::send::{acked, too_large};

/// A table, what its topic holds behind what the file noted, and how its records are numbered.
struct RunTable<'a> {
    tracked: Tracked,
    readback: Readback<'a>,
    encoder: BatchEncoder,
}

/// Reads the logs back, takes a new epoch, and sends the run's first record to each partition. None
/// when nothing is left to ship.
pub(crate) fn begin(
    options: &ShipOptions,
    backfill: bool,
    cluster: &Cluster,
    state: &mut SourceState,
    producer: &mut Producer,
    stop: &Stop,
) -> Result<Option<(Run, Vec<TableStream>)>> {
    let key = options.sign_key.as_ref();
    let noted = state.noted()?;
    let readbacks = read_back(options, backfill, cluster, state, &noted, stop)?;
    let above = readbacks.iter().map(|(_, readback)| readback.history.above).max();
    let run = state.begin_run(above.unwrap_or(0))?;
    let mut tables = Vec::new();
    for ((name, topic), (partitions, mut readback)) in options.tables.iter().zip(readbacks) {
        let mut tracked = state.track(name, topic, backfill)?;
        if !tracked.full && readback.history.why_for(&tracked.schema).is_some() {
            tracked = state.track(name, topic, true)?;
        }
        say_why(&tracked, &readback);
        let partitioning = state.partitioning(topic, partitions)?;
        if partitioning.repartitioned_at == Some(run.epoch) && tracked.pass_pending && !tracked.full {
            // A pass is over when its end stands where its beginning does: it begins anew, in all
            // partitions.
            tracked = state.track(name, topic, true)?;
        }
        tables.push(RunTable {
            encoder: BatchEncoder::new(run.clone(), &tracked, partitioning, key),
            tracked,
            readback,
        });
    }
    if !options.follow && tables.iter().all(RunTable::is_done) {
        return Ok(None);
    }
    fence(&mut tables, state, producer, &run, key)?;
    let stream = |table: RunTable<'_>| {
        let RunTable {
            tracked,
            readback,
            encoder,
        } = table;
        let (path, capture, follow) = (&options.source, options.capture, options.follow);
        let changes = ChangeReader::open(path, capture, &run, &tracked, follow, stop.clone())?;
        Ok(TableStream {
            changes,
            encoder,
            topic_id: readback.topic_id,
        })
    };
    let streams = tables.into_iter().map(stream).collect::<Result<Vec<_>>>()?;
    Ok(Some((run, streams)))
}

/// What each topic holds behind what the file noted, and how many partitions it has.
fn read_back<'a>(
    options: &'a ShipOptions,
    backfill: bool,
    cluster: &'a Cluster,
    state: &SourceState,
    noted: &'a Noted,
    stop: &'a Stop,
) -> Result<Vec<(i32, Readback<'a>)>> {
    let key = options.sign_key.as_ref();
    let read = |(_, topic): &(String, String)| {
        let missing = || Error::failed(format!("topic \"{topic}\" could not be made"));
        let known = state.acked(topic)?.iter().map(|acked| acked.partition + 1).max();
        let partitions = cluster
            .partitions(topic, true, known.unwrap_or(0))?
            .ok_or_else(missing)?;
        let of_topic = (topic.as_str(), partitions);
        let stops = match (options.strict, backfill || state.is_full_due(topic)?) {
            (_, true) => Stops::Never,
            (true, false) => Stops::Always,
            (false, false) => Stops::WhereTheEndIsLost,
        };
        let readback = match options.capture {
            Capture::Triggers => Readback::start(cluster, key, state, noted, of_topic, stops, stop)?,
            Capture::None => Readback::start_unnoted(cluster, key, noted, of_topic, stop)?,
        };
        Ok((partitions, readback))
    };
    options.tables.iter().map(read).collect()
}

/// Sends the fences, reads the rest of the logs up to them, and notes them with what is to be sent
/// again.
fn fence(
    tables: &mut [RunTable<'_>],
    state: &mut SourceState,
    producer: &mut Producer,
    run: &Run,
    key: Option<&SignKey>,
) -> Result<()> {
    let mut fences: Vec<Vec<Acked>> = Vec::new();
    for table in tables.iter_mut() {
        let encoded = table.encoder.fence(table.tracked.full.then_some(table.tracked.pass()));
        // A schema is no row: there is nothing to send in its place.
        let mut sending = producer.send(encoded.produce_batches);
        let sent = loop {
            match sending.advance()? {
                SendStep::Done(sent) => break sent,
                SendStep::TooLarge { batch, record } => sending.replace(too_large(key, &batch, record)?.1),
            }
        };
        fences.push(acked(&sent, &encoded.last_seqs, run.epoch));
    }
    for (table, fences) in tables.iter_mut().zip(&fences) {
        let RunTable { tracked, readback, .. } = table;
        readback.finish(state, run.epoch, fences)?;
        if !tracked.full && readback.history.why_for(&tracked.schema).is_some() {
            *tracked = state.track(&tracked.table, &tracked.topic, true)?;
            say_why(tracked, readback);
        }
    }
    let topics = tables.iter().map(|table| (&table.tracked, table.readback.topic_id));
    let settled: Vec<_> = topics
        .zip(fences)
        .map(|((tracked, topic_id), fences)| (tracked, fences, topic_id))
        .collect();
    let resent = state.settle(&settled)?;
    if resent > 0 {
        log::info!(
            "{} rows are sent again as they are now: the log holds records of them that this file does not remember as sent",
            HumanCount(resent)
        );
    }
    for RunTable { tracked, .. } in tables {
        let waiting = HumanCount(tracked.rows_waiting);
        log::info!("{} -> topic {}: {waiting} rows to ship", tracked.table, tracked.topic);
    }
    Ok(())
}

/// Says why all rows are sent, where the log is the reason.
fn say_why(tracked: &Tracked, readback: &Readback<'_>) {
    if let Some(why) = readback.history.why() {
        log::warn!("topic \"{}\": {why}: all rows are sent again", tracked.topic);
    }
}

impl RunTable<'_> {
    /// Whether nothing is to be shipped or sent again.
    fn is_done(&self) -> bool {
        let Tracked {
            pass_pending,
            rows_waiting,
            ..
        } = self.tracked;
        !pass_pending && rows_waiting == 0 && self.readback.is_at_end()
    }
}
