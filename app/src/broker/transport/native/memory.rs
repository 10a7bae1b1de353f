//! What is known of partitions beyond one client: it tells a leader that another one has replaced
//! it meanwhile, or that its log is not the one that was read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::broker::fetched_partition::FetchPosition;
use crate::model::{TopicId, TopicPartition};

/// Shared by the clients of one fetcher.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionMemory(Arc<Mutex<HashMap<TopicPartition, Known>>>);

#[derive(Debug)]
struct Known {
    /// None from brokers that have no ids.
    topic_id: Option<TopicId>,
    /// -1 from brokers that do not tell it.
    leader_epoch: i32,
    last_read: Option<LastRead>,
}

/// The record that was read last.
#[derive(Debug, Clone, Copy)]
struct LastRead {
    next_offset: i64,
    leader_epoch: i32,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            topic_id: None,
            leader_epoch: -1,
            last_read: None,
        }
    }
}

impl PartitionMemory {
    fn lock(&self) -> MutexGuard<'_, HashMap<TopicPartition, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a broker says of a partition's leader. Of one topic, the newest epoch is kept: a
    /// broker that lags behind tells an older one.
    pub(super) fn note_leader(&self, at: &TopicPartition, topic_id: Option<TopicId>, leader_epoch: i32) {
        let mut all = self.lock();
        let known = all.entry(at.clone()).or_default();
        let is_the_same = topic_id.is_some() && known.topic_id == topic_id;
        if !is_the_same || leader_epoch > known.leader_epoch {
            known.leader_epoch = leader_epoch;
        }
        if !is_the_same && topic_id.is_some() && known.topic_id.is_some() {
            known.last_read = None;
        }
        known.topic_id = topic_id;
    }

    /// The epoch of the partition's leader; -1 is not known.
    pub(super) fn leader_epoch(&self, at: &TopicPartition) -> i32 {
        self.lock().get(at).map_or(-1, |known| known.leader_epoch)
    }

    /// Notes the leader's epoch when the record before an offset was written, where it is known.
    pub(super) fn note_read(&self, at: &TopicPartition, next_offset: i64, leader_epoch: Option<i32>) {
        let last_read = leader_epoch.filter(|epoch| *epoch >= 0).map(|leader_epoch| LastRead {
            next_offset,
            leader_epoch,
        });
        self.lock().entry(at.clone()).or_default().last_read = last_read;
    }

    /// The epoch in which the record before a position was written; -1 is not known.
    pub(super) fn epoch_before(&self, position: &FetchPosition) -> i32 {
        let all = self.lock();
        let last_read = all.get(&position.at).and_then(|known| known.last_read);
        last_read
            .filter(|last| last.next_offset == position.offset)
            .map_or(-1, |last| last.leader_epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_of_a_topic_is_kept_and_none_of_the_one_before() {
        let (memory, at) = (PartitionMemory::default(), TopicPartition::new("t", 0));
        let (old, new) = (TopicId::of([1; 16]), TopicId::of([2; 16]));
        assert_eq!(memory.leader_epoch(&at), -1);
        for (id, told, kept) in [
            (old, 3, 3),
            (old, 2, 3),
            (old, 4, 4),
            (new, 0, 0),
            (None, 7, 7),
            (None, 6, 6),
        ] {
            memory.note_leader(&at, id, told);
            assert_eq!(memory.leader_epoch(&at), kept, "{id:?} {told}");
        }
    }

    #[test]
    fn an_epoch_is_that_of_the_record_right_before_a_position() {
        let (memory, at) = (PartitionMemory::default(), TopicPartition::new("t", 0));
        let before = |offset| memory.epoch_before(&FetchPosition { at: at.clone(), offset });
        memory.note_leader(&at, TopicId::of([1; 16]), 5);
        memory.note_read(&at, 10, Some(4));
        assert_eq!([9, 10, 11].map(before), [-1, 4, -1]);
        memory.note_leader(&at, TopicId::of([2; 16]), 0);
        assert_eq!(before(10), -1, "the topic was made anew");
        memory.note_read(&at, 10, Some(4));
        memory.note_read(&at, 12, None);
        assert_eq!([10, 12].map(before), [-1, -1]);
    }
}
