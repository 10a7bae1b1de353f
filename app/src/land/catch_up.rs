//! Whether everything has landed that was there when the consumer began.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::sink::Sink;

use super::partition_applier::{Activity, PartitionApplier};
use super::topics::LandedTopics;

/// Time between two looks at what other members have landed.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// A topic to land, and where each of its partitions ended when the consumer began.
pub(crate) struct CatchUpTarget {
    pub(crate) topic: Arc<str>,
    pub(crate) ends: Vec<i64>,
}

pub(crate) struct CatchUp<'a> {
    targets: &'a [CatchUpTarget],
    looked_around: Instant,
}

impl<'a> CatchUp<'a> {
    pub(crate) fn new(targets: &'a [CatchUpTarget]) -> Self {
        Self {
            targets,
            looked_around: Instant::now(),
        }
    }

    /// Whether all of it has landed: here, and by other members in the same sink.
    pub(crate) fn is_done(
        &mut self,
        appliers: &[PartitionApplier],
        topics: &LandedTopics,
        sink: &Sink,
    ) -> Result<bool> {
        if !appliers.iter().all(|applier| self.has_landed(applier)) {
            return Ok(false);
        }
        let all: usize = topics.values().map(|topic| topic.partitions.len()).sum();
        if appliers.len() >= all {
            return Ok(true);
        }
        if self.looked_around.elapsed() < LOOK_AROUND {
            return Ok(false);
        }
        self.looked_around = Instant::now();
        for target in self.targets {
            if !have_others_landed(target, appliers, topics, sink)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_landed(&self, applier: &PartitionApplier) -> bool {
        if applier.activity() == Activity::Waiting {
            return false;
        }
        let at = &applier.position.at;
        let target = self.targets.iter().find(|target| target.topic == at.topic);
        let end = target.and_then(|target| target.ends.get(at.partition as usize));
        applier.at_end || end.is_none_or(|end| applier.position.next_offset >= *end)
    }
}

/// Whether other members have landed the partitions of a topic that are not this one's.
fn have_others_landed(
    target: &CatchUpTarget,
    appliers: &[PartitionApplier],
    topics: &LandedTopics,
    sink: &Sink,
) -> Result<bool> {
    let CatchUpTarget { topic, ends } = target;
    let landed = sink.positions(topic)?;
    let has_landed = |&partition: &i32| {
        let Some(end) = ends.get(partition as usize) else {
            return true; // it is newer than the target
        };
        let mut own = appliers.iter();
        own.any(|applier| applier.position.at.is(topic, partition))
            || landed
                .iter()
                .any(|position| position.at.partition == partition && position.next_offset >= *end)
    };
    Ok(topics[topic].partitions.iter().all(has_landed))
}
