//! Whether everything has landed that was there when the consumer began.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::model::TopicPartition;
use crate::sink::Sink;

use super::partition_applier::{Activity, PartitionApplier};
use super::topics::LandedTopics;
use super::waiting::Brokers;

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
    /// Where logs end before their target: they are shorter now.
    shorter: HashMap<TopicPartition, i64>,
}

impl<'a> CatchUp<'a> {
    pub(crate) fn new(targets: &'a [CatchUpTarget]) -> Self {
        Self {
            targets,
            looked_around: Instant::now(),
            shorter: HashMap::new(),
        }
    }

    /// Whether all of it has landed: here, and by other members in the same sink.
    pub(crate) fn is_done(
        &mut self,
        appliers: &[PartitionApplier],
        topics: &LandedTopics,
        sink: &Sink,
        brokers: &dyn Brokers,
    ) -> Result<bool> {
        for applier in appliers {
            if !self.has_landed(applier, brokers)? {
                return Ok(false);
            }
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

    /// An end before the target is believed of a leader that knows how far its log goes: a new one
    /// tells an earlier end until it has learned that.
    fn has_landed(&mut self, applier: &PartitionApplier, brokers: &dyn Brokers) -> Result<bool> {
        if applier.activity() == Activity::Waiting {
            return Ok(false);
        }
        let next_offset = applier.position.next_offset;
        let at = &applier.position.at;
        let target = self.targets.iter().find(|target| target.topic == at.topic);
        let end = target.and_then(|target| target.ends.get(at.partition as usize));
        if end.is_none_or(|end| next_offset >= *end) {
            return Ok(true);
        }
        if !applier.at_end {
            return Ok(false);
        }
        if self.shorter.get(at) == Some(&next_offset) {
            return Ok(true);
        }
        let bounds = brokers.bounds(&at.topic, &[at.partition])?;
        let end = bounds.get(at.partition as usize).map_or(0, |(_, end)| *end);
        let has_landed = next_offset >= end;
        if has_landed {
            self.shorter.insert(at.clone(), next_offset);
        }
        Ok(has_landed)
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
