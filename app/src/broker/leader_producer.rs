//! One lane of a sender: a client of its own, one request in flight.

use crate::model::TopicPartition;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka::client::{KafkaClient, ProduceConfirm, ProduceMessage, RequiredAcks};

use crate::error::{Error, Result};

use crate::broker::error::KafkaError;
use crate::broker::error_codes::{self, RetryClass};
use crate::broker::producer::{OffsetJump, Placeholder, Sent};
use crate::broker::retry::RetryBudget;
use crate::broker::transport::crate_kafka::worker::{self, Worker};
use crate::broker::{Cluster, ProduceBatch};

/// A broker makes one batch of what a request brings for a partition, and takes batches of about 1 MB.
const PARTITION_BYTES: usize = 900_000;

/// What one request carries at most, unless a single record is larger.
const REQUEST_BYTES: usize = 2_700_000;

/// A broker closes the connection on a larger request than this (socket.request.max.bytes), instead of refusing it.
const TAKEN_BYTES: usize = 100 << 20;

/// What gives the stand-in for a record that is too large.
pub type TooLarge<'a> = Mutex<&'a mut (dyn FnMut(&ProduceBatch, usize) -> Result<Placeholder> + Send)>;

/// A client, its trouble, and how long a broker may take to gather acknowledgements.
#[derive(Debug)]
pub struct LeaderProducer {
    worker: Worker,
    retry: RetryBudget,
    ack_limit: Duration,
    ends: Ends,
}

/// Where each partition's next record is expected: behind the last one that was sent to it.
pub type Ends = HashMap<TopicPartition, i64>;

/// A bundle on its way.
struct PendingBatch {
    place: usize,
    bundle: Arc<ProduceBatch>,
    /// The first record that is not acknowledged.
    next: usize,
    /// How many records a request may carry; less than all while a record that is too large is looked for.
    most: usize,
    /// What goes out in the place of record `next`.
    stand_in: Option<Arc<ProduceBatch>>,
    last_offset: i64,
    replaced: Vec<usize>,
    breaks: Vec<OffsetJump>,
    /// What went out in the place of the record that was acknowledged last, where it was replaced.
    last_stand_in: Option<Arc<ProduceBatch>>,
}

/// Records `from..to` of a bundle in a request, and the parcel that they belong to.
#[derive(Clone)]
struct Slice {
    parcel: usize,
    bundle: Arc<ProduceBatch>,
    from: usize,
    to: usize,
}

/// What a broker said of a slice: the offset of its first record, or an error code.
type Answer = (Slice, Result<i64, i16>);

impl LeaderProducer {
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            worker: Worker::new(cluster.config.clone()),
            retry: cluster.retry(),
            ack_limit: cluster.config.limit * 2 / 3,
            ends: Ends::new(),
        }
    }

    /// Where each partition's next record is expected.
    pub fn ends_mut(&mut self) -> &mut Ends {
        &mut self.ends
    }

    /// Sends the bundles of this lane until all is acknowledged; each comes with its place among all bundles.
    pub fn send(&mut self, load: Vec<(usize, Arc<ProduceBatch>)>, too_large: &TooLarge) -> Result<Vec<(usize, Sent)>> {
        let mut parcels: Vec<PendingBatch> = load
            .into_iter()
            .map(|(place, bundle)| PendingBatch::new(place, bundle))
            .collect();
        loop {
            for parcel in &mut parcels {
                parcel.settle_oversized(too_large)?;
            }
            let slices = cut(&parcels);
            let Some(first) = slices.first() else {
                return Ok(parcels.into_iter().map(PendingBatch::sent).collect());
            };
            let what = format!("sending to {}", first.bundle.at);
            let ack_limit = self.ack_limit;
            let answers = match self.worker.call(move |client| produce(client, slices, ack_limit)) {
                Ok(answers) => answers,
                Err(trouble) => {
                    self.retry.back_off(trouble.at(&what))?;
                    continue;
                }
            };
            let mut trouble = None;
            for (slice, answer) in answers {
                let parcel = &mut parcels[slice.parcel];
                if let Ok(offset) = answer {
                    parcel.follow(&mut self.ends, offset, slice.to - slice.from);
                }
                trouble = parcel.answered(&slice, answer, too_large)?.or(trouble);
            }
            match trouble {
                None => self.retry.record_success(),
                Some(trouble) => {
                    self.worker.abandon();
                    self.retry.back_off(trouble)?;
                }
            }
        }
    }
}

impl PendingBatch {
    fn new(place: usize, bundle: Arc<ProduceBatch>) -> Self {
        Self {
            place,
            most: bundle.len(),
            bundle,
            next: 0,
            stand_in: None,
            last_offset: -1,
            replaced: Vec::new(),
            breaks: Vec::new(),
            last_stand_in: None,
        }
    }

    /// Holds the offset that records got beside the one that was expected.
    fn follow(&mut self, ends: &mut Ends, found: i64, records: usize) {
        let place = self.bundle.at.clone();
        if let Some(expected) = ends.insert(place, found + records as i64)
            && expected != found
        {
            self.breaks.push(OffsetJump { expected, found });
        }
    }

    fn done(&self) -> bool {
        self.next == self.bundle.len()
    }

    fn sent(self) -> (usize, Sent) {
        let sent = Sent {
            bundle: self.bundle,
            last_offset: self.last_offset,
            replaced: self.replaced,
            breaks: self.breaks,
            last_stand_in: self.last_stand_in,
        };
        (self.place, sent)
    }

    /// The next records to send.
    fn slice(&self, parcel: usize) -> Slice {
        match &self.stand_in {
            Some(stand_in) => Slice {
                parcel,
                bundle: stand_in.clone(),
                from: 0,
                to: 1,
            },
            None => Slice {
                parcel,
                bundle: self.bundle.clone(),
                from: self.next,
                to: self.bundle.cut(self.next, self.most, PARTITION_BYTES),
            },
        }
    }

    /// Takes a broker's answer to a slice; trouble is what to try again for.
    fn answered(
        &mut self,
        slice: &Slice,
        answer: Result<i64, i16>,
        too_large: &TooLarge,
    ) -> Result<Option<KafkaError>> {
        let records = slice.to - slice.from;
        match answer {
            Ok(offset) => {
                self.last_offset = offset + records as i64 - 1;
                self.next += records;
                self.last_stand_in = self.stand_in.take();
                // Back to full requests by and by: oversized records seldom come alone.
                self.most = self.most.saturating_mul(2);
                Ok(None)
            }
            Err(code) if error_codes::retry_class(code) == RetryClass::TooLarge => {
                match records {
                    1 => self.replace(too_large)?,
                    _ => self.most = records / 2,
                }
                Ok(None)
            }
            Err(code) => Ok(Some(KafkaError::code(code).at(&self.name()))),
        }
    }

    /// Replaces the next record when it is larger than any request can be.
    fn settle_oversized(&mut self, too_large: &TooLarge) -> Result<()> {
        match self.stand_in.is_none() && !self.done() && self.bundle.wire_size(self.next) > TAKEN_BYTES {
            true => self.replace(too_large),
            false => Ok(()),
        }
    }

    fn replace(&mut self, too_large: &TooLarge) -> Result<()> {
        if self.stand_in.is_some() {
            return Err(Error::failed(format!(
                "{}: the broker refuses even a small record as too large",
                self.name()
            ))
            .way_out("raise the topic's max.message.bytes with kafka-configs.sh"));
        }
        let mut ask = too_large.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, value) = ask(&self.bundle, self.next)?;
        let mut stand_in = ProduceBatch::new(self.bundle.at.clone());
        stand_in.push(&key, value.as_deref());
        self.stand_in = Some(Arc::new(stand_in));
        self.replaced.push(self.next);
        Ok(())
    }

    fn name(&self) -> String {
        self.bundle.at.to_string()
    }
}

/// The slices of the next request: of each partition's first unfinished bundle, as many as fit, one at least.
fn cut(parcels: &[PendingBatch]) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut partitions = HashSet::new();
    let mut bytes = 0;
    for (i, parcel) in parcels.iter().enumerate().filter(|(_, parcel)| !parcel.done()) {
        if !partitions.insert(&parcel.bundle.at) {
            continue;
        }
        let slice = parcel.slice(i);
        bytes += (slice.from..slice.to)
            .map(|record| slice.bundle.wire_size(record))
            .sum::<usize>();
        if bytes > REQUEST_BYTES && !slices.is_empty() {
            break;
        }
        slices.push(slice);
    }
    slices
}

/// Sends the slices of the first one's leader, and pairs each with its answer. All of them are answered, or it is trouble.
fn produce(client: &mut KafkaClient, mut slices: Vec<Slice>, ack_limit: Duration) -> Result<Vec<Answer>, KafkaError> {
    let leader = |slice: &Slice| worker::leader(client, &slice.bundle.at);
    let Some(host) = leader(&slices[0]) else {
        return Err(KafkaError::passing("it is not there, or has no leader"));
    };
    slices.retain(|slice| leader(slice).as_ref() == Some(&host));
    let records = slices.iter().flat_map(|slice| {
        (slice.from..slice.to).map(|record| {
            let (key, value) = slice.bundle.get(record);
            ProduceMessage::new(&slice.bundle.at.topic, slice.bundle.at.partition, Some(key), value)
        })
    });
    let confirmed = client
        .produce_messages(RequiredAcks::All, ack_limit, records)
        .map_err(|e| worker::kafka_error(&e).at(&host))?;
    slices
        .into_iter()
        .map(|slice| match answer(&confirmed, &slice) {
            Some(answer) => Ok((slice, answer)),
            None => Err(KafkaError::passing(format!("{host} leaves it out of its answer"))),
        })
        .collect()
}

fn answer(confirmed: &[ProduceConfirm], slice: &Slice) -> Option<Result<i64, i16>> {
    let topic = confirmed
        .iter()
        .find(|confirm| *confirm.topic == *slice.bundle.at.topic)?;
    let found = topic
        .partition_confirms
        .iter()
        .find(|p| p.partition == slice.bundle.at.partition)?;
    Some(found.offset.map_err(|code| code as i16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(partition: i32, records: usize, size: usize) -> Arc<ProduceBatch> {
        let mut bundle = ProduceBatch::new(TopicPartition::new("t", partition));
        for _ in 0..records {
            bundle.push(b"k", Some(&vec![0; size]));
        }
        Arc::new(bundle)
    }

    fn parcels(bundles: Vec<Arc<ProduceBatch>>) -> Vec<PendingBatch> {
        bundles
            .into_iter()
            .enumerate()
            .map(|(i, bundle)| PendingBatch::new(i, bundle))
            .collect()
    }

    fn no_stand_in(_: &ProduceBatch, _: usize) -> Result<Placeholder> {
        Err(Error::failed("asked for a stand-in"))
    }

    #[test]
    fn a_request_takes_a_partitions_bundles_one_after_the_other() {
        let mut parcels = parcels(vec![
            bundle(0, 2, 10),
            bundle(0, 3, 10),
            bundle(4, 1, 10),
            bundle(8, 0, 0),
        ]);
        let slices = cut(&parcels);
        assert_eq!(slices.iter().map(|s| s.parcel).collect::<Vec<_>>(), [0, 2]);
        let mut none = no_stand_in;
        let too_large: TooLarge = Mutex::new(&mut none);
        assert!(parcels[0].answered(&slices[0], Ok(100), &too_large).unwrap().is_none());
        assert_eq!(parcels[0].last_offset, 101);
        assert_eq!(cut(&parcels).iter().map(|s| s.parcel).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn records_that_do_not_follow_the_ones_before_are_told() {
        let mut ends = Ends::new();
        let mut parcel = PendingBatch::new(0, bundle(0, 9, 10));
        for (found, records) in [(7, 2), (9, 3), (15, 1), (4, 3)] {
            parcel.follow(&mut ends, found, records);
        }
        let mut next = PendingBatch::new(1, bundle(0, 1, 10));
        next.follow(&mut ends, 7, 1);
        let breaks = [(12, 15), (16, 4)].map(|(expected, found)| OffsetJump { expected, found });
        assert_eq!(parcel.breaks, breaks);
        assert_eq!(next.breaks, []);
    }

    #[test]
    fn a_refused_request_is_halved_until_the_one_record_is_found_and_replaced() {
        let mut parcels = parcels(vec![bundle(0, 10, 10)]);
        let guilty = 6;
        let mut asked = Vec::new();
        let mut stand_in = |_: &ProduceBatch, record: usize| {
            asked.push(record);
            Ok((b"key".to_vec(), None))
        };
        let too_large: TooLarge = Mutex::new(&mut stand_in);
        let mut log = Vec::new();
        while let Some(slice) = cut(&parcels).first() {
            let bad = slice.bundle.len() == 10 && (slice.from..slice.to).contains(&guilty);
            let answer = match bad {
                true => Err(10),
                false => Ok(log.len() as i64),
            };
            if !bad {
                log.extend((slice.from..slice.to).map(|record| (slice.bundle.len() == 10).then_some(record)));
            }
            assert!(parcels[0].answered(slice, answer, &too_large).unwrap().is_none());
        }
        assert_eq!(
            log,
            (0..10)
                .map(|record| (record != guilty).then_some(record))
                .collect::<Vec<_>>()
        );
        assert_eq!(parcels[0].replaced, [guilty]);
        assert_eq!(parcels[0].last_offset, 9);
        assert_eq!(asked, [guilty]);
    }

    #[test]
    fn a_refused_stand_in_is_an_error_and_other_codes_are_trouble() {
        let mut parcels = parcels(vec![bundle(0, 1, 10)]);
        let mut stand_in = |_: &ProduceBatch, _: usize| Ok((b"key".to_vec(), None));
        let too_large: TooLarge = Mutex::new(&mut stand_in);
        let slice = cut(&parcels).remove(0);
        assert!(parcels[0].answered(&slice, Err(6), &too_large).unwrap().is_some());
        assert!(parcels[0].answered(&slice, Err(10), &too_large).unwrap().is_none());
        let slice = cut(&parcels).remove(0);
        let error = parcels[0].answered(&slice, Err(10), &too_large).unwrap_err();
        assert!(error.to_string().contains("max.message.bytes"), "{error}");
    }
}
