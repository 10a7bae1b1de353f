//! One call for each leader: a worker for each connection to a broker that leads partitions, so
//! that all of them are asked at once, and each of them one thing at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use crate::broker::config::ClientConfig;
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;
use crate::broker::transport::{ClientMemory, Transport};
use crate::broker::worker::Worker;
use crate::error::Result;
use crate::model::TopicPartition;
use crate::stop::STOP_POLL;

/// A connection to a leader. There may be several to one broker, with numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LeaderConnection {
    pub leader: String,
    pub number: usize,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Call<Q> {
    pub to: LeaderConnection,
    pub request: Arc<Q>,
    pub began: Instant,
    deadline: Deadline,
}

/// What came of a call.
type LeaderAnswer<R> = std::result::Result<R, KafkaError>;

/// The partitions' leaders, as far as they are known, and the calls that they have not answered
/// yet.
#[derive(Debug)]
pub(super) struct LeaderCalls<Q, R> {
    config: Arc<ClientConfig>,
    memory: ClientMemory,
    leaders: HashMap<TopicPartition, String>,
    workers: HashMap<LeaderConnection, Worker>,
    /// By number. An answer whose number is not here belongs to a call that was given up.
    calls: HashMap<u64, Call<Q>>,
    last: u64,
    post: Sender<(u64, LeaderAnswer<R>)>,
    inbox: Receiver<(u64, LeaderAnswer<R>)>,
}

impl<Q: Send + Sync + 'static, R: Send + 'static> LeaderCalls<Q, R> {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        let (post, inbox) = channel();
        Self {
            config,
            memory: ClientMemory::default(),
            leaders: HashMap::new(),
            workers: HashMap::new(),
            calls: HashMap::new(),
            last: 0,
            post,
            inbox,
        }
    }

    /// Asks who leads these partitions now. Returns those that nobody leads.
    pub(super) fn find_leaders(&mut self, partitions: Vec<TopicPartition>) -> LeaderAnswer<Vec<TopicPartition>> {
        let asked = partitions.clone();
        let mut worker = Worker::new(self.config.clone(), self.memory.clone());
        let found = worker.call(move |client| client.leaders(&asked))?;
        let mut leaderless = Vec::new();
        for (at, leader) in partitions.into_iter().zip(found) {
            match leader {
                Some(leader) => {
                    self.leaders.insert(at, leader);
                }
                None => leaderless.push(at),
            }
        }
        Ok(leaderless)
    }

    /// The leader of a partition, as far as it is known.
    pub(super) fn leader(&self, at: &TopicPartition) -> Option<&str> {
        self.leaders.get(at).map(String::as_str)
    }

    /// Whether no leader is known.
    pub(super) fn knows_none(&self) -> bool {
        self.leaders.is_empty()
    }

    pub(super) fn forget_leader(&mut self, at: &TopicPartition) {
        self.leaders.remove(at);
    }

    pub(super) fn forget_leaders(&mut self) {
        self.leaders.clear();
    }

    /// Whether a connection has a call to answer.
    pub(super) fn is_busy(&self, to: &LeaderConnection) -> bool {
        self.calls.values().any(|call| call.to == *to)
    }

    /// What has not been answered yet.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Q> {
        self.calls.values().map(|call| &*call.request)
    }

    /// Begins a call.
    pub(super) fn start(
        &mut self,
        to: LeaderConnection,
        request: Q,
        call: impl FnOnce(&mut Transport, &str, &Q) -> LeaderAnswer<R> + Send + 'static,
    ) {
        self.last += 1;
        let (number, post) = (self.last, self.post.clone());
        let (request, leader) = (Arc::new(request), to.leader.clone());
        let sent = request.clone();
        let worker = self.workers.entry(to.clone());
        let worker = worker.or_insert_with(|| Worker::new(self.config.clone(), self.memory.clone()));
        let deadline = worker.start(
            move |client| call(client, &leader, &sent),
            move |answer| {
                let _ = post.send((number, answer));
            },
        );
        let call = Call {
            to,
            request,
            began: Instant::now(),
            deadline,
        };
        self.calls.insert(number, call);
    }

    /// Waits for the first answer and takes all that are there by then. A call that is overdue is
    /// given up, and a client that failed is too.
    pub(super) fn answers(&mut self) -> Result<Vec<(Call<Q>, LeaderAnswer<R>)>> {
        let mut answered = Vec::new();
        while answered.is_empty() && !self.calls.is_empty() {
            self.config.stop.check()?;
            let first = self.inbox.recv_timeout(STOP_POLL).ok();
            for (number, answer) in first.into_iter().chain(self.inbox.try_iter()) {
                answered.extend(self.calls.remove(&number).map(|call| (call, answer)));
            }
            let overdue = self.calls.extract_if(|_, call| call.deadline.left().is_zero());
            answered.extend(overdue.map(|(_, call)| (call, Err(KafkaError::overdue(self.config.limit)))));
        }
        for (call, answer) in &answered {
            if answer.is_err() {
                self.abandon(&call.to);
            }
        }
        Ok(answered)
    }

    /// Gives up the client of a connection.
    pub(super) fn abandon(&mut self, to: &LeaderConnection) {
        self.workers.remove(to);
    }

    /// Gives up all clients and calls.
    pub(super) fn abandon_all(&mut self) {
        self.workers.clear();
        self.calls.clear();
    }
}
