//! What the clients of one fetcher have learned of each partition: its window, and whether it is
//! asked alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::broker::transport::crate_kafka::window::Window;
use crate::model::TopicPartition;

#[derive(Debug, Clone, Default)]
pub(crate) struct Windows(Arc<Mutex<Learned>>);

#[derive(Debug, Default)]
struct Learned {
    windows: HashMap<TopicPartition, Window>,
    /// Partitions whose answer, among others, could not be read.
    alone: HashSet<TopicPartition>,
}

impl Windows {
    /// The window of a partition, which begins with `share` bytes.
    pub(crate) fn size(&self, at: &TopicPartition, share: i32) -> i32 {
        self.with(at, share, |window| window.size())
    }

    /// Nothing came for a window of `asked` bytes; false when there is no larger one.
    pub(crate) fn grow(&self, at: &TopicPartition, share: i32, asked: i32) -> bool {
        self.with(at, share, |window| asked < window.size() || window.grow())
    }

    /// Learns from an answer: how many bytes of records it brought, and whether the log holds more
    /// behind them.
    pub(crate) fn learn(&self, at: &TopicPartition, share: i32, bytes: usize, more: bool) {
        self.with(at, share, |window| window.learn(bytes, more, share));
        self.lock().alone.remove(at);
    }

    /// Of these partitions each is to be asked by itself, to find the one whose answer can't be
    /// read.
    pub(crate) fn ask_alone<'a>(&self, partitions: impl Iterator<Item = &'a TopicPartition>) {
        self.lock().alone.extend(partitions.cloned());
    }

    pub(crate) fn is_alone(&self, at: &TopicPartition) -> bool {
        self.lock().alone.contains(at)
    }

    fn with<R>(&self, at: &TopicPartition, share: i32, work: impl FnOnce(&mut Window) -> R) -> R {
        let mut learned = self.lock();
        if !learned.windows.contains_key(at) {
            learned.windows.insert(at.clone(), Window::new(share));
        }
        work(learned.windows.get_mut(at).expect("it is there"))
    }

    fn lock(&self) -> MutexGuard<'_, Learned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
