//! Sends batches: all leaders at once, each partition's records in order, one request in flight a
//! partition.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::broker::config::ClientConfig;
use crate::broker::error::KafkaError;
use crate::broker::leader_calls::{LeaderCalls, LeaderConnection};
use crate::broker::pending_batch::{ExpectedOffsets, PendingBatch};
use crate::broker::produce_batch::ProduceBatch;
use crate::broker::retry::RetryBudget;
use crate::broker::sent::{OffsetJump, Placeholder, Sent};
use crate::broker::transport::requests::{ProduceSlice, SliceAnswer};
use crate::error::Result;
use crate::model::TopicPartition;

/// More connections to a leader than this bring nothing: each waits for answers most of the time.
const CONNECTIONS: usize = 4;

/// What one request carries at most, unless a single record is larger.
const REQUEST_BYTES: usize = 2_700_000;

/// What goes to one leader in one request: slices, and which batch each belongs to.
#[derive(Debug, Default)]
struct ProduceRequest {
    pending: Vec<usize>,
    slices: Vec<ProduceSlice>,
}

/// Sends batches to a cluster.
#[derive(Debug)]
pub struct Producer {
    config: Arc<ClientConfig>,
    retry: RetryBudget,
    calls: LeaderCalls<ProduceRequest, Vec<SliceAnswer>>,
    expected: ExpectedOffsets,
    /// Partitions that took nothing when they were sent to last.
    failed: HashSet<TopicPartition>,
    had_trouble: bool,
}

/// Batches on their way. Nothing of them is on its way any more once this is dropped, as far as we
/// know.
#[derive(Debug)]
pub struct Sending<'a> {
    producer: &'a mut Producer,
    pending: Vec<PendingBatch>,
}

/// How far it has come.
#[derive(Debug)]
pub enum SendStep {
    /// Every record is acknowledged by all replicas in sync. The batches are in their order.
    Done(Vec<Sent>),
    /// The broker refuses this record: give its placeholder (`Sending::replace`), then go on.
    /// Nothing behind it of its partition is sent before that.
    TooLarge { batch: Arc<ProduceBatch>, record: usize },
}

impl Producer {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            retry: config.retry_budget(),
            calls: LeaderCalls::new(config.clone()),
            config,
            expected: ExpectedOffsets::new(),
            failed: HashSet::new(),
            had_trouble: false,
        }
    }

    /// The partitions of a topic whose logs went on behind what was sent to them last. The next
    /// record is expected behind that now.
    pub fn pass(&mut self, topic: &str, latest: &[i64]) -> Vec<(i32, OffsetJump)> {
        let mut jumps = Vec::new();
        for (at, end) in self.expected.iter_mut().filter(|(at, _)| *at.topic == *topic) {
            let expected = *end;
            let found = latest.get(at.partition as usize);
            if let Some(&found) = found.filter(|found| **found > expected) {
                *end = found;
                jumps.push((at.partition, OffsetJump { expected, found }));
            }
        }
        jumps
    }

    /// Whether anything had to be sent again since this was asked last: the cluster may not be what it
    /// was.
    pub fn had_trouble(&mut self) -> bool {
        std::mem::take(&mut self.had_trouble)
    }

    /// Begins to send batches. What goes wrong is sent again, unchanged.
    pub fn send(&mut self, batches: Vec<ProduceBatch>) -> Sending<'_> {
        Sending {
            producer: self,
            pending: batches.into_iter().map(PendingBatch::new).collect(),
        }
    }
}

impl Sending<'_> {
    /// Goes on until all is acknowledged, or a record turns out to be too large.
    pub fn advance(&mut self) -> Result<SendStep> {
        loop {
            if let Some((batch, record)) = self.pending.iter().find_map(PendingBatch::refused) {
                return Ok(SendStep::TooLarge { batch, record });
            }
            if self.pending.iter().all(PendingBatch::is_done) {
                let sent = std::mem::take(&mut self.pending);
                return Ok(SendStep::Done(sent.into_iter().map(PendingBatch::into_sent).collect()));
            }
            let unsent = self.start_calls();
            let failure = KafkaError::worse(unsent, self.take_answers()?);
            match failure {
                Some(failure) => {
                    self.producer.had_trouble = true;
                    self.producer.retry.back_off(failure)?;
                }
                None if self.producer.failed.is_empty() => self.producer.retry.record_success(),
                None => {}
            }
        }
    }

    /// Sends this in the place of the record that is too large.
    pub fn replace(&mut self, placeholder: Placeholder) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.refused().is_some()) {
            pending.replace(placeholder);
        }
    }

    /// Sends to each connection that has nothing to answer what is next of its partitions. Returns
    /// why some of it can't be sent.
    fn start_calls(&mut self) -> Option<KafkaError> {
        let next = self.next_batches();
        let failure = self.know_leaders(&next);
        let Producer { calls, config, .. } = &mut *self.producer;
        let mut requests: HashMap<LeaderConnection, (ProduceRequest, usize)> = HashMap::new();
        let mut full: HashSet<LeaderConnection> = HashSet::new();
        for i in next {
            let pending = &self.pending[i];
            let at = pending.at();
            let Some(leader) = calls.leader(at) else { continue };
            let to = LeaderConnection {
                leader: leader.to_string(),
                number: at.partition.unsigned_abs() as usize % CONNECTIONS,
            };
            if full.contains(&to) || calls.is_busy(&to) {
                continue;
            }
            let Some(slice) = pending.slice() else { continue };
            let size: usize = (slice.from..slice.to).map(|record| slice.batch.wire_size(record)).sum();
            let (request, bytes) = requests.entry(to.clone()).or_default();
            if !request.slices.is_empty() && *bytes + size > REQUEST_BYTES {
                full.insert(to);
                continue;
            }
            *bytes += size;
            request.pending.push(i);
            request.slices.push(slice);
        }
        // What the leader waits for takes a part of the time that we wait for the leader.
        let ack_limit = config.limit * 2 / 3;
        for (to, (request, _)) in requests {
            calls.start(to, request, move |client, leader, request| {
                client.produce(leader, &request.slices, ack_limit)
            });
        }
        failure
    }

    /// Of each partition that has no request in flight, its first unfinished batch.
    fn next_batches(&self) -> Vec<usize> {
        let in_flight = self.producer.calls.requests().flat_map(|request| &request.slices);
        let mut taken: HashSet<&TopicPartition> = in_flight.map(|slice| &slice.batch.at).collect();
        let pending = self.pending.iter().enumerate();
        pending
            .filter(|(_, pending)| !pending.is_done() && taken.insert(pending.at()))
            .map(|(i, _)| i)
            .collect()
    }

    /// Finds out who leads the partitions that are next, as far as that is not known.
    fn know_leaders(&mut self, next: &[usize]) -> Option<KafkaError> {
        let Producer { calls, failed, .. } = &mut *self.producer;
        let partitions = next.iter().map(|&i| self.pending[i].at());
        let unknown: Vec<TopicPartition> = partitions.filter(|at| calls.leader(at).is_none()).cloned().collect();
        let sending_to = |at: &TopicPartition| format!("sending to {at}");
        let first = sending_to(unknown.first()?);
        match calls.find_leaders(unknown.clone()) {
            Ok(leaderless) => {
                let what = sending_to(leaderless.first()?);
                failed.extend(leaderless);
                Some(KafkaError::passing("it is not there, or has no leader").at(&what))
            }
            Err(error) => {
                failed.extend(unknown);
                Some(error.at(&first))
            }
        }
    }

    /// Waits for the first answer, and takes all that are there by then. Returns a failure that may
    /// pass.
    fn take_answers(&mut self) -> Result<Option<KafkaError>> {
        let mut failure = None;
        let Producer {
            calls,
            expected,
            failed,
            ..
        } = &mut *self.producer;
        for (call, answer) in calls.answers()? {
            let ProduceRequest { pending, slices } = &*call.request;
            let answers = match answer {
                Ok(answers) => answers,
                Err(error) => {
                    for slice in slices {
                        calls.forget_leader(&slice.batch.at);
                        failed.insert(slice.batch.at.clone());
                    }
                    let error = error.at(&format!("sending to {}", slices[0].batch.at));
                    failure = KafkaError::worse(failure, Some(error));
                    continue;
                }
            };
            // Slices that the answer does not cover are sent again.
            for ((i, slice), answer) in pending.iter().zip(slices).zip(answers) {
                let at = &slice.batch.at;
                match self.pending[*i].answered(slice.to - slice.from, answer, expected)? {
                    None => {
                        failed.remove(at);
                    }
                    Some(error) => {
                        calls.abandon(&call.to);
                        calls.forget_leader(at);
                        failed.insert(at.clone());
                        failure = KafkaError::worse(failure, Some(error));
                    }
                }
            }
        }
        Ok(failure)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        // After an error, answers may still be on their way; they belong to nothing then.
        if self.producer.calls.requests().next().is_some() {
            self.producer.calls.abandon_all();
        }
    }
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
