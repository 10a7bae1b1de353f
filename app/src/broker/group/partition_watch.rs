//! Whether the topics of a group got other partitions than those that its leader assigned.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::broker::group::client::PartitionCounts;

/// Time between two counts.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Kept by the leader while it holds its own assignment.
pub(super) struct PartitionWatch {
    /// How many partitions of each topic were assigned.
    assigned: HashMap<String, i32>,
    state: State,
}

enum State {
    WaitUntil(Instant),
    Counting {
        since: Instant,
        counts: Receiver<PartitionCounts>,
    },
}

impl PartitionWatch {
    pub(super) fn new(assigned: HashMap<String, i32>) -> Self {
        Self {
            assigned,
            state: State::WaitUntil(Instant::now() + COUNT_INTERVAL),
        }
    }

    /// Whether a count is done that differs; `count` begins one when it is time. No answer says
    /// nothing.
    pub(super) fn has_changed(&mut self, count: impl FnOnce() -> Receiver<PartitionCounts>) -> bool {
        let now = Instant::now();
        match &self.state {
            State::WaitUntil(time) if now < *time => false,
            State::WaitUntil(_) => {
                self.state = State::Counting {
                    since: now,
                    counts: count(),
                };
                false
            }
            State::Counting { since, counts } => {
                let counted = match counts.try_recv() {
                    Err(TryRecvError::Empty) => return false,
                    Ok(Ok(counts)) => counts,
                    Ok(Err(_)) | Err(TryRecvError::Disconnected) => HashMap::new(),
                };
                self.state = State::WaitUntil(*since + COUNT_INTERVAL);
                let is_other = |(topic, n): (&String, &i32)| counted.get(topic).is_some_and(|now| now != n);
                self.assigned.iter().any(is_other)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::broker::error::KafkaError;

    /// A watch over three partitions of `t` that is due to count.
    fn due() -> PartitionWatch {
        let assigned = HashMap::from([("t".to_string(), 3), ("not_there".to_string(), 0)]);
        PartitionWatch {
            assigned,
            state: State::WaitUntil(Instant::now()),
        }
    }

    fn changes(counts: PartitionCounts) -> bool {
        let mut watch = due();
        let (sender, counted) = channel();
        assert!(!watch.has_changed(|| counted));
        assert!(!watch.has_changed(|| unreachable!("it counts already")));
        sender.send(counts).unwrap();
        let changed = watch.has_changed(|| unreachable!("it counts already"));
        assert!(!watch.has_changed(|| unreachable!("it is not time yet")));
        changed
    }

    #[test]
    fn other_counts_of_the_groups_topics_are_told_from_the_same() {
        let counts = |counts: &[(&str, i32)]| Ok(counts.iter().map(|(t, n)| (t.to_string(), *n)).collect());
        assert!(!changes(counts(&[("t", 3), ("other", 9)])));
        assert!(changes(counts(&[("t", 4)])));
        assert!(changes(counts(&[("t", 2)])));
        assert!(changes(counts(&[("t", 3), ("not_there", 1)])));
    }

    #[test]
    fn what_nobody_tells_changes_nothing() {
        assert!(!changes(Ok(HashMap::new())));
        assert!(!changes(Err(KafkaError::passing("no answer"))));
        let mut watch = due();
        assert!(!watch.has_changed(|| channel().1));
        assert!(!watch.has_changed(|| unreachable!("the last one broke off just now")));
    }
}
