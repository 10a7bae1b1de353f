//! A scripted cluster, for the tests of what stands above the seam.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchPosition, FetchedPartition};
use crate::broker::transport::records::Records;
use crate::broker::transport::requests::{
    FetchRequest, Offsets, OffsetsRequest, PartitionAnswer, ProduceSlice, SliceAnswer,
};
use crate::model::{TopicId, TopicPartition};

pub(crate) const NOT_LEADER: i16 = 6;
const MESSAGE_TOO_LARGE: i16 = 10;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What goes wrong with a call that produces or fetches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is done, but the answer does not come.
    LostAnswer,
    /// It is not done.
    Refused,
    /// Only the first of what was asked is done and answered.
    FirstOnly,
    /// No answer comes for longer than anybody waits.
    Hang,
}

/// What a partition holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub leader: Option<String>,
    pub first: i64,
    pub next: i64,
    /// Offset, key and value. Offsets between them are holes.
    pub records: Vec<(i64, Vec<u8>, Vec<u8>)>,
    /// So many questions for its end or its records come before its leader knows how far it goes.
    pub learns_for: usize,
    /// The record that is too large to be read.
    pub too_large_at: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub logs: HashMap<TopicPartition, Log>,
    /// What goes wrong with the next calls, in their order.
    pub faults: VecDeque<Fault>,
    /// The largest value that is taken.
    pub max_value: Option<usize>,
    /// So many positions are answered in one call.
    pub positions_per_answer: Option<usize>,
    /// The partitions of each call that fetched, in its order.
    pub fetched: Vec<Vec<TopicPartition>>,
    /// How many calls produced, and how many of each leader's are under way.
    pub produced: usize,
    pub under_way: HashMap<TopicPartition, usize>,
    /// How many clients were made.
    pub clients: usize,
    /// The ids of topics that have one.
    pub topic_ids: HashMap<String, TopicId>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Cluster(Arc<Mutex<State>>);

#[derive(Debug)]
pub(in crate::broker) struct Client {
    cluster: Cluster,
    deadline: Deadline,
    limit: Duration,
    has_failed: bool,
}

impl Cluster {
    /// One topic with so many partitions, led by `leader`.
    pub(crate) fn new(topic: &str, partitions: i32, leader: &str) -> Self {
        let cluster = Self::default();
        for partition in 0..partitions {
            let log = Log {
                leader: Some(leader.to_string()),
                ..Log::default()
            };
            cluster.state().logs.insert(TopicPartition::new(topic, partition), log);
        }
        cluster
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes a partition's log.
    pub(crate) fn edit(&self, at: &TopicPartition, edit: impl FnOnce(&mut Log)) {
        edit(self.state().logs.get_mut(at).unwrap());
    }

    /// Puts records at these offsets; the log ends behind them.
    pub(crate) fn put(&self, at: &TopicPartition, offsets: impl IntoIterator<Item = i64>) {
        self.edit(at, |log| {
            for offset in offsets {
                let value = offset.to_string().into_bytes();
                log.records.push((offset, b"k".to_vec(), value));
                log.next = offset + 1;
            }
        });
    }

    /// Puts records, key and value, behind what a partition holds.
    pub(crate) fn append(&self, at: &TopicPartition, records: &[(String, String)]) {
        self.edit(at, |log| log.append(records));
    }

    /// Takes a topic away and makes it anew, with these records in a partition; who asks meanwhile
    /// gets no answer.
    pub(crate) fn make_anew(&self, at: &TopicPartition, records: &[(String, String)]) {
        let mut state = self.state();
        for (of, log) in state.logs.iter_mut().filter(|(of, _)| of.topic == at.topic) {
            let leader = log.leader.take();
            *log = Log {
                leader,
                ..Log::default()
            };
            if of == at {
                log.append(records);
            }
        }
        state.faults.push_back(Fault::Refused);
    }

    /// Gives a topic the id that all these bytes make.
    pub(crate) fn identify(&self, topic: &str, byte: u8) {
        let id = TopicId::of([byte; 16]).unwrap();
        self.state().topic_ids.insert(topic.to_string(), id);
    }

    /// How many partitions a topic has.
    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        let state = self.state();
        state.logs.keys().filter(|at| *at.topic == *topic).count() as i32
    }

    /// The values that a partition holds, in order.
    pub(crate) fn values(&self, at: &TopicPartition) -> Vec<String> {
        let state = self.state();
        let records = state.logs[at].records.iter();
        records
            .map(|(_, _, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    fn ended(&self, slice: &ProduceSlice) {
        *self.state().under_way.get_mut(&slice.batch.at).unwrap() -= 1;
    }

    pub(in crate::broker) fn connect(&self, deadline: &Deadline, limit: Duration) -> Result<Client, KafkaError> {
        self.state().clients += 1;
        Ok(Client {
            cluster: self.clone(),
            deadline: deadline.clone(),
            limit,
            has_failed: false,
        })
    }
}

impl Client {
    /// Makes a call, with what goes wrong with it: `work` gets how much of what was asked is to be
    /// done.
    fn call<R>(&mut self, all: usize, work: impl FnOnce(&mut State, usize) -> R) -> Result<R, KafkaError> {
        assert!(!self.has_failed, "a client that failed is used again");
        self.deadline.begin(self.limit)?;
        // A test that changes the logs and sets faults at once sees no call in between.
        let mut state = self.cluster.state();
        let fault = state.faults.pop_front();
        let lost = || KafkaError::passing("the connection was closed");
        if let Some(Fault::Refused | Fault::Hang) = fault {
            drop(state);
            if let Some(Fault::Hang) = fault {
                thread::sleep(Duration::from_secs(5));
            }
            self.has_failed = true;
            return Err(lost());
        }
        let some = if let Some(Fault::FirstOnly) = fault { 1 } else { all };
        let done = work(&mut state, some);
        drop(state);
        if let Some(Fault::LostAnswer) = fault {
            self.has_failed = true;
            return Err(lost());
        }
        Ok(done)
    }

    pub(in crate::broker) fn leaders(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<String>>, KafkaError> {
        self.deadline.begin(self.limit)?;
        let state = self.cluster.state();
        let leader = |at: &TopicPartition| state.logs.get(at)?.leader.clone();
        Ok(partitions.iter().map(leader).collect())
    }

    pub(in crate::broker) fn produce(
        &mut self,
        leader: &str,
        slices: &[ProduceSlice],
    ) -> Result<Vec<SliceAnswer>, KafkaError> {
        {
            let mut state = self.cluster.state();
            state.produced += 1;
            for slice in slices {
                let under_way = state.under_way.entry(slice.batch.at.clone()).or_default();
                *under_way += 1;
                assert_eq!(*under_way, 1, "two requests of one partition at once");
            }
        }
        thread::sleep(Duration::from_millis(1));
        let hangs = matches!(self.cluster.state().faults.front(), Some(Fault::Hang));
        if hangs {
            // Whoever waits gives it up meanwhile.
            slices.iter().for_each(|slice| self.cluster.ended(slice));
        }
        let answer = self.call(slices.len(), |state, some| {
            slices[..some]
                .iter()
                .map(|slice| append(state, leader, slice))
                .collect()
        });
        if !hangs {
            slices.iter().for_each(|slice| self.cluster.ended(slice));
        }
        answer
    }

    pub(in crate::broker) fn fetch(
        &mut self,
        leader: &str,
        request: &FetchRequest,
    ) -> Result<Vec<PartitionAnswer>, KafkaError> {
        let partitions = request.positions.iter().map(|position| position.at.clone());
        self.cluster.state().fetched.push(partitions.collect());
        let answers = self.call(request.positions.len(), |state, some| {
            let some = some.min(state.positions_per_answer.unwrap_or(some));
            let positions = request.positions[..some].iter();
            positions
                .filter_map(|position| read(state, leader, position.clone()))
                .collect::<Vec<_>>()
        })?;
        let has_news = |answer: &PartitionAnswer| answer.outcome.as_ref().is_ok_and(|found| !found.stands_still());
        if !answers.iter().any(has_news) {
            thread::sleep(request.max_wait.min(Duration::from_millis(5)));
        }
        Ok(answers)
    }

    pub(in crate::broker) fn offsets(&mut self, request: &OffsetsRequest) -> Result<Vec<i64>, KafkaError> {
        self.deadline.begin(self.limit)?;
        let mut state = self.cluster.state();
        let mut logs: Vec<_> = state
            .logs
            .iter_mut()
            .filter(|(at, _)| at.topic == request.topic)
            .collect();
        logs.sort_by_key(|(at, _)| at.partition);
        let offset = |(at, log): (&TopicPartition, &mut Log)| match request.which {
            Offsets::Earliest => Ok(log.first),
            Offsets::Latest { .. } if log.is_learning() => Err(KafkaError::unknown_high_watermark(at)),
            Offsets::Latest { .. } | Offsets::LastStable => Ok(log.next),
        };
        logs.into_iter().map(offset).collect()
    }
}

impl Log {
    fn append(&mut self, records: &[(String, String)]) {
        for (key, value) in records {
            self.records
                .push((self.next, key.clone().into_bytes(), value.clone().into_bytes()));
            self.next += 1;
        }
    }

    fn is_learning(&mut self) -> bool {
        let is_learning = self.learns_for > 0;
        self.learns_for = self.learns_for.saturating_sub(1);
        is_learning
    }
}

fn append(state: &mut State, leader: &str, slice: &ProduceSlice) -> SliceAnswer {
    let max = state.max_value.unwrap_or(usize::MAX);
    let log = state.logs.get_mut(&slice.batch.at).unwrap();
    if log.leader.as_deref() != Some(leader) {
        return Err(KafkaError::code(NOT_LEADER));
    }
    let records: Vec<_> = (slice.from..slice.to).map(|record| slice.batch.get(record)).collect();
    if records
        .iter()
        .any(|(_, value)| value.is_some_and(|value| value.len() > max))
    {
        return Err(KafkaError::code(MESSAGE_TOO_LARGE));
    }
    let first = log.next;
    for (key, value) in records {
        log.records
            .push((log.next, key.to_vec(), value.unwrap_or_default().to_vec()));
        log.next += 1;
    }
    Ok(first)
}

/// None while the leader learns how far its log goes.
fn read(state: &mut State, leader: &str, position: FetchPosition) -> Option<PartitionAnswer> {
    let log = state.logs.get_mut(&position.at).unwrap();
    let code = |code| Err(KafkaError::code(code).at(&position.at.to_string()));
    let outcome = if log.leader.as_deref() != Some(leader) {
        code(NOT_LEADER)
    } else if !(log.first..=log.next).contains(&position.offset) {
        code(OFFSET_OUT_OF_RANGE)
    } else if log.is_learning() {
        return None;
    } else if log.too_large_at == Some(position.offset) {
        let what = format!("{}: the record at offset {} is larger", position.at, position.offset);
        Err(KafkaError::fatal(what, "look at it"))
    } else {
        let end = log.too_large_at.filter(|at| *at > position.offset).unwrap_or(log.next);
        let is_read = |offset: i64| (position.offset..end).contains(&offset);
        let records = log
            .records
            .iter()
            .filter(|(offset, ..)| is_read(*offset))
            .cloned()
            .collect();
        Ok(FetchedPartition::new(
            position.clone(),
            end,
            log.next,
            Records::Fake(records),
        ))
    };
    Some(PartitionAnswer { position, outcome })
}
