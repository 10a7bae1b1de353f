//! A coordinator that answers what a test has written down, and notes what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};

use crate::broker::error::KafkaError;
use crate::broker::group::client::PartitionCounts;
use crate::broker::group::range_assignor;
use crate::model::TopicPartition;

/// Shared by the session that asks and the test that looks.
#[derive(Clone, Default)]
pub(super) struct FakeCoordinator(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    joins: VecDeque<Reply<JoinGroupResponse>>,
    syncs: VecDeque<Reply<SyncGroupResponse>>,
    /// Codes; those that are not written down are 0.
    heartbeats: VecDeque<Reply<i16>>,
    counts: HashMap<String, i32>,
    sent: Option<Instant>,
    asked: Vec<Asked>,
}

/// What comes of a request.
#[derive(Clone)]
pub(super) enum Reply<R> {
    Answer(R),
    Late(Duration, R),
    /// The connection breaks.
    Lost,
}

/// A request. The same heartbeat several times is noted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Join {
        member: String,
        session_timeout: Duration,
    },
    /// What a leader assigns, by member.
    Sync {
        generation: i32,
        assignments: Vec<(String, Vec<TopicPartition>)>,
    },
    Heartbeat {
        member: String,
        generation: i32,
    },
    Leave(String),
    Disconnect,
}

impl FakeCoordinator {
    pub(super) fn on_join(&self, reply: Reply<JoinGroupResponse>) {
        self.script().joins.push_back(reply);
    }

    pub(super) fn on_sync(&self, reply: Reply<SyncGroupResponse>) {
        self.script().syncs.push_back(reply);
    }

    pub(super) fn on_heartbeat(&self, reply: Reply<i16>) {
        self.script().heartbeats.push_back(reply);
    }

    /// How many replies to heartbeats are still to come.
    pub(super) fn heartbeats_left(&self) -> usize {
        self.script().heartbeats.len()
    }

    pub(super) fn set_partitions(&self, topic: &str, count: i32) {
        self.script().counts.insert(topic.to_string(), count);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.script().asked.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    fn note(&self, asked: Asked) {
        let mut script = self.script();
        if !matches!(asked, Asked::Heartbeat { .. }) || script.asked.last() != Some(&asked) {
            script.asked.push(asked);
        }
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    pub(super) fn send_join(&self, request: &JoinGroupRequest) -> Result<(), KafkaError> {
        self.note(Asked::Join {
            member: request.member_id.to_string(),
            session_timeout: Duration::from_millis(request.session_timeout_ms as u64),
        });
        self.script().sent = Some(Instant::now());
        Ok(())
    }

    pub(super) fn poll_join(&self, within: Duration) -> Result<Option<JoinGroupResponse>, KafkaError> {
        self.poll(within, |script| &mut script.joins)
    }

    pub(super) fn send_sync(&self, request: &SyncGroupRequest) -> Result<(), KafkaError> {
        let assignment = |bytes| range_assignor::read_assignment(bytes).unwrap();
        let mut assignments: Vec<_> = request
            .assignments
            .iter()
            .map(|assigned| (assigned.member_id.to_string(), assignment(&assigned.assignment)))
            .collect();
        assignments.sort();
        self.note(Asked::Sync {
            generation: request.generation_id,
            assignments,
        });
        self.script().sent = Some(Instant::now());
        Ok(())
    }

    pub(super) fn poll_sync(&self, within: Duration) -> Result<Option<SyncGroupResponse>, KafkaError> {
        self.poll(within, |script| &mut script.syncs)
    }

    pub(super) fn heartbeat(&self, request: &HeartbeatRequest) -> Result<HeartbeatResponse, KafkaError> {
        self.note(Asked::Heartbeat {
            member: request.member_id.to_string(),
            generation: request.generation_id,
        });
        let reply = self.script().heartbeats.pop_front();
        match reply.unwrap_or(Reply::Answer(0)) {
            Reply::Answer(code) => Ok(HeartbeatResponse::default().with_error_code(code)),
            Reply::Late(time, code) => {
                thread::sleep(time);
                Ok(HeartbeatResponse::default().with_error_code(code))
            }
            Reply::Lost => Err(lost()),
        }
    }

    pub(super) fn leave(&self, request: &LeaveGroupRequest) -> Result<LeaveGroupResponse, KafkaError> {
        self.note(Asked::Leave(request.member_id.to_string()));
        Ok(LeaveGroupResponse::default())
    }

    pub(super) fn disconnect(&self) {
        self.note(Asked::Disconnect);
    }

    pub(super) fn count_partitions(&self) -> Receiver<PartitionCounts> {
        let (sender, counts) = channel();
        sender.send(Ok(self.script().counts.clone())).unwrap();
        counts
    }

    /// The next reply, once its time has come. Where none is written down the others are waited
    /// for.
    fn poll<R>(
        &self,
        within: Duration,
        replies: impl Fn(&mut Script) -> &mut VecDeque<Reply<R>>,
    ) -> Result<Option<R>, KafkaError> {
        let mut script = self.script();
        let waited = script.sent.expect("a request was sent").elapsed();
        let is_late = |reply: &Reply<R>| matches!(reply, Reply::Late(time, _) if *time > waited);
        let replies = replies(&mut script);
        if replies.front().is_none_or(is_late) {
            drop(script);
            thread::sleep(within.min(Duration::from_millis(20)));
            return Ok(None);
        }
        match replies.pop_front() {
            Some(Reply::Answer(answer) | Reply::Late(_, answer)) => Ok(Some(answer)),
            Some(Reply::Lost) => Err(lost()),
            None => Ok(None),
        }
    }
}

fn lost() -> KafkaError {
    KafkaError::passing("the connection was closed")
}
