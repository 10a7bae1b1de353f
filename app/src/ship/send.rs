//! The sending side: each batch is sent, acknowledged by every partition, and noted.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::broker::log_range::OffsetRange;
use crate::broker::{Cluster, OffsetJump, Placeholder, ProduceBatch, Producer, SendStep, Sent};
use crate::error::{Error, Kind, Result};
use crate::model::TopicPartition;
use crate::source::{Acked, Checkpoint, Run, SourceState};
use crate::stop::Stop;
use crate::terminal::progress::Progress;
use crate::wire::decode::{self, RecordKey};
use crate::wire::encode::placeholder;
use crate::wire::fingerprint::fingerprint;
use crate::wire::names;
use crate::wire::sign::SignKey;

use super::batch_encoder::KeptBack;
use super::log_reader::{LogPart, read};
use super::options::ShipOptions;
use super::read::QueuedBatch;
use super::readback::check_topic;
use super::watch::{ShippedTopic, Watch};

/// Notes of progress are write transactions in the user's database. So what is acknowledged waits
/// for a while, to be noted together; a crash before that sends it again. Few rows wait longer, and
/// so does all where the disk is slow: a note holds the lock while it waits for the disk, and is to
/// do so for a fiftieth of the time at most.
const NOTE_AFTER: Duration = Duration::from_millis(250);
const NOTE_FEW_AFTER: Duration = Duration::from_secs(1);
const FEW: u64 = 1000;
const REST: u32 = 50;

/// A note waits, too, while somebody else is at the file: it is tried so often.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// However slow the disk is, a note is tried after this time, and after twice this time it queues
/// for the lock.
const LATEST: Duration = Duration::from_secs(5);

/// How long a batch is waited for between two looks around.
const QUEUE_POLL: Duration = Duration::from_millis(250);

/// The sending side.
pub(crate) struct Shipper<'a> {
    options: &'a ShipOptions,
    run: &'a Run,
    state: &'a mut SourceState,
    producer: Producer,
    cluster: &'a Cluster,
    topics: Vec<ShippedTopic>,
    /// Who looks at the logs of a producer that stays.
    watch: Option<&'a Watch>,
    /// Acknowledged, but not noted in the source yet: how far, and the last records.
    unnoted: Vec<(Checkpoint, Vec<Acked>)>,
    unnoted_rows: u64,
    /// When the first of them was acknowledged.
    unnoted_since: Instant,
    tried_at: Instant,
    /// When the last note was made, and how long it took.
    noted_at: Instant,
    note_took: Duration,
    progress: &'a mut Progress,
    stop: &'a Stop,
}

impl<'a> Shipper<'a> {
    pub(crate) fn new(
        options: &'a ShipOptions,
        run: &'a Run,
        state: &'a mut SourceState,
        producer: Producer,
        cluster: &'a Cluster,
        progress: &'a mut Progress,
        stop: &'a Stop,
    ) -> Self {
        Self {
            options,
            run,
            state,
            producer,
            cluster,
            topics: Vec::new(),
            watch: None,
            unnoted: Vec::new(),
            unnoted_rows: 0,
            unnoted_since: Instant::now(),
            tried_at: Instant::now(),
            noted_at: Instant::now(),
            note_took: Duration::ZERO,
            progress,
            stop,
        }
    }

    /// The same to these topics.
    pub(crate) fn to(self, topics: Vec<ShippedTopic>) -> Self {
        Self { topics, ..self }
    }

    /// The same beside one who looks at the logs.
    pub(crate) fn beside(self, watch: Option<&'a Watch>) -> Self {
        Self { watch, ..self }
    }

    /// Ships what comes until nothing does any more.
    pub(crate) fn ship(&mut self, queue: Receiver<Result<QueuedBatch>>) -> Result<()> {
        let outcome = self.ship_all(&queue);
        if outcome.is_err() {
            self.stop.request();
        }
        // Whatever ended it: what is acknowledged is noted, so that the next run need not send it
        // again.
        let noted = self.note();
        outcome.and(noted)
    }

    fn ship_all(&mut self, queue: &Receiver<Result<QueuedBatch>>) -> Result<()> {
        loop {
            self.stop.check()?;
            let batch = match queue.try_recv() {
                Ok(batch) => batch,
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    self.note_when_due()?;
                    match queue.recv_timeout(QUEUE_POLL) {
                        Ok(batch) => batch,
                        Err(_) => {
                            self.progress.add(0, 0);
                            self.look_behind()?;
                            continue;
                        }
                    }
                }
            };
            self.send(batch?)?;
        }
    }

    fn send(&mut self, batch: QueuedBatch) -> Result<()> {
        let QueuedBatch { encoded, checkpoint } = batch;
        let mut kept_back = encoded.kept_back;
        let refused = kept_back.len() as u64;
        let key = self.options.sign_key.as_ref();
        let mut sending = self.producer.send(encoded.produce_batches);
        let sent = loop {
            match sending.advance()? {
                SendStep::Done(sent) => break sent,
                SendStep::TooLarge { batch, record } => {
                    let (kept, placeholder) = too_large(key, &batch, record)?;
                    kept_back.push(kept);
                    sending.replace(placeholder);
                }
            }
        };
        drop(sending);
        if self.producer.had_trouble() {
            self.check_topics()?;
        }
        for sent in &sent {
            for jump in &sent.jumps {
                self.look_between(&sent.batch.at, jump)?;
            }
        }
        let too_large = kept_back.len() as u64 - refused;
        for KeptBack { key, text, reason } in &kept_back {
            self.state.dead_letter(checkpoint.table(), key, text, reason)?;
        }
        let bytes: usize = sent.iter().map(|sent| sent.batch.bytes()).sum();
        self.progress.add(encoded.rows.saturating_sub(too_large), bytes as u64);
        let acked = acked(&sent, &encoded.last_seqs, self.run.epoch);
        self.acknowledged(checkpoint, acked, encoded.rows);
        self.note_when_due()
    }

    /// Remembers what is to be noted: of a table and of a partition the last of each.
    fn acknowledged(&mut self, checkpoint: Checkpoint, acked: Vec<Acked>, rows: u64) {
        if self.unnoted.is_empty() {
            self.unnoted_since = Instant::now();
        }
        self.unnoted_rows += rows;
        let mut before = self.unnoted.iter_mut().rev();
        match before.find(|(before, _)| before.table() == checkpoint.table()) {
            Some((before, last)) if checkpoint.covers(before) => {
                last.retain(|last| acked.iter().all(|acked| acked.partition != last.partition));
                last.extend(acked);
                *before = checkpoint;
            }
            _ => self.unnoted.push((checkpoint, acked)),
        }
    }

    fn note_when_due(&mut self) -> Result<()> {
        let enough = if self.unnoted_rows < FEW {
            NOTE_FEW_AFTER
        } else {
            NOTE_AFTER
        };
        let waited = self.unnoted_since.elapsed();
        let rested = self.noted_at.elapsed() >= (self.note_took * REST).min(LATEST);
        if self.unnoted.is_empty() || waited < enough || !rested {
            return Ok(());
        }
        if waited > 2 * LATEST {
            return self.note();
        }
        if self.tried_at.elapsed() >= TRY_EVERY {
            self.tried_at = Instant::now();
            if self.state.try_note(&self.unnoted)? {
                self.noted(self.tried_at);
            }
        }
        Ok(())
    }

    /// A topic that was away may have been made anew, and then it holds nothing that was sent before.
    fn check_topics(&self) -> Result<()> {
        let mut topics = self.topics.iter();
        topics.try_for_each(|topic| check_topic(self.cluster, &topic.name, topic.id))
    }

    /// One that has nothing to send learns nothing from its answers: it looks now and then what
    /// stands behind what it sent last.
    fn look_behind(&mut self) -> Result<()> {
        let Some(watch) = self.watch else { return Ok(()) };
        watch.check()?;
        for (topic, ends) in watch.ends() {
            for (partition, between) in self.producer.pass(&topic, &ends) {
                self.look_between(&TopicPartition::new(topic.clone(), partition), &between)?;
            }
        }
        Ok(())
    }

    /// Records that do not follow the ones that this run sent before them: looks at what came
    /// between. A newer run of this source that its file does not know is that of a copy, which
    /// lives: each of the two would skip the other's rows for ever.
    fn look_between(&mut self, at: &TopicPartition, between: &OffsetJump) -> Result<()> {
        let OffsetJump { expected, found } = *between;
        if found < expected {
            let what = format!(
                "{at}: records got offset {found} behind offset {}: the topic was made anew",
                expected - 1
            );
            return Err(Error::new(Kind::Forked, what));
        }
        self.check_topics()?;
        let range = OffsetRange {
            partition: at.partition,
            from: expected,
            to: found,
        };
        let mut newer = None;
        let key = self.options.sign_key.as_ref();
        let looked = read(self.cluster, key, &at.topic, vec![range], self.stop, &mut |part| {
            if let LogPart::Record(record) = part {
                let number = record.number_of(&self.run.source);
                let epoch = number.map(|(epoch, _)| epoch).filter(|epoch| *epoch > self.run.epoch);
                newer = epoch.map(|epoch| (epoch, record.message.offset));
            }
            Ok(newer.is_none())
        });
        match looked {
            Err(error) if error.kind() == Kind::Denied => log::debug!("{error}"),
            looked => looked?,
        }
        let Some((epoch, offset)) = newer else { return Ok(()) };
        // One that has taken over this file says so by itself.
        self.state.check()?;
        Err(Error::loss(format!(
            "{at} offset {offset}: a newer run ({epoch}) of this source stands there, which its file knows nothing of: a copy of the file is shipped too"
        ))
        .way_out(
            "stop the other copy and start this producer again; or, where the other one is to be a source of its own, run \
             `producer --new-identity` on it and give it another --topic",
        ))
    }

    fn note(&mut self) -> Result<()> {
        let began = Instant::now();
        self.state.note(&self.unnoted)?;
        self.noted(began);
        Ok(())
    }

    fn noted(&mut self, began: Instant) {
        (self.noted_at, self.note_took) = (Instant::now(), began.elapsed());
        self.unnoted.clear();
        self.unnoted_rows = 0;
    }
}

/// The last records of what was sent.
pub(crate) fn acked(sent: &[Sent], last_seqs: &[u64], epoch: u64) -> Vec<Acked> {
    let last = |(sent, &seq): (&Sent, &u64)| Acked {
        partition: sent.batch.at.partition,
        epoch,
        seq,
        offset: sent.last_offset,
        stood: sent.last_with_value().map(|(key, value)| fingerprint(key, value)),
    };
    sent.iter().zip(last_seqs).map(last).collect()
}

/// A record that the broker refused: the row kept back, and what is sent in its place.
pub(crate) fn too_large(
    sign_key: Option<&SignKey>,
    batch: &ProduceBatch,
    record: usize,
) -> Result<(KeptBack, Placeholder)> {
    let (key, value) = batch.get(record);
    let size = key.len() + value.map_or(0, <[u8]>::len);
    let Ok(RecordKey::Object(members)) = decode::key(Some(key)) else {
        return Err(Error::failed("a key of ours is no JSON object"));
    };
    if members.iter().any(|(name, _)| name == names::SCHEMA.name) {
        return Err(Error::failed(format!(
            "topic \"{}\": the broker refuses the table's schema, a record of {size} bytes, as too large",
            batch.at.topic
        ))
        .way_out("raise max.message.bytes of the topic"));
    }
    let kept = KeptBack {
        key: members.into_iter().map(|(_, value)| value.into_owned()).collect(),
        text: String::from_utf8_lossy(key).into_owned(),
        reason: format!(
            "the broker refuses a record of {size} bytes as too large: raise max.message.bytes of topic {}",
            batch.at.topic
        ),
    };
    let (key, mut value) = placeholder(&kept.text, &kept.reason, value);
    if let (Some(sign_key), Some(value)) = (sign_key, &mut value) {
        sign_key
            .signer(&batch.at.topic, batch.at.partition)
            .sign(&key, 0, value);
    }
    Ok((kept, (key, value)))
}
