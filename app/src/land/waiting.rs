//! When a partition that waits goes on.
//!
//! One that waits for others goes on when each of them has come to the epoch for which it waits, or
//! waits before such an epoch itself, or has landed all that its log held when it was asked after
//! the wait began. One that waits for partitions of which a record speaks goes on when the brokers
//! know them; where they do not for long, the record is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::Cluster;
use crate::error::Result;
use crate::sequence::is_through;
use crate::sink::Sink;

use super::partition_applier::{PartitionApplier, Wait};
use super::topics::LandedTopics;

/// How long a broker may take to learn of partitions of which a record speaks.
const LEARN: Duration = Duration::from_secs(10);

/// How long an applier may wait for others before the user is told.
const SAY_WAIT: Duration = Duration::from_secs(5);

/// What the brokers are asked.
pub(crate) trait Brokers {
    /// How many partitions a topic has, as far as is known now.
    fn partitions(&self, topic: &str) -> Result<Option<i32>>;

    /// The first offset and the end of each partition of a topic. A leader among those of
    /// `partitions` that is still to learn how far its log goes is waited for: an end that is too
    /// small would let older rows land behind newer ones.
    fn bounds(&self, topic: &str, partitions: &[i32]) -> Result<Vec<(i64, i64)>>;
}

impl Brokers for Cluster {
    fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        self.partitions_now(topic)
    }

    fn bounds(&self, topic: &str, partitions: &[i32]) -> Result<Vec<(i64, i64)>> {
        let unknown: Vec<(i32, i64)> = partitions.iter().map(|&partition| (partition, i64::MAX)).collect();
        let (earliest, ends) = (self.earliest(topic)?, self.latest_after(topic, &unknown)?);
        Ok(earliest.into_iter().zip(ends).collect())
    }
}

/// Looks after the partitions that wait.
pub(crate) struct Waiting {
    began: Instant,
    is_said: bool,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            is_said: false,
        }
    }

    /// Lets those go on that may: whether there are any.
    pub(crate) fn let_go(
        &mut self,
        appliers: &mut [PartitionApplier],
        topics: &mut LandedTopics,
        sink: &Sink,
        brokers: &dyn Brokers,
    ) -> Result<bool> {
        let mut any = false;
        for applier in appliers {
            let topic = applier.position.at.topic.clone();
            match &mut applier.waits.current {
                None => continue,
                &mut Some(Wait::Partitions { claimed, since }) => {
                    let count = brokers.partitions(&topic)?.unwrap_or(0);
                    if count >= claimed {
                        if let Some(known) = topics.get_mut(&topic) {
                            known.count = count;
                        }
                        applier.waits.end();
                    } else if since.elapsed() > LEARN || applier.waits.has_denied() {
                        applier.waits.deny(applier.position.next_offset, count);
                    } else {
                        continue;
                    }
                }
                Some(Wait::Others {
                    source,
                    repartitioned_at,
                    others,
                    bounds,
                }) => {
                    let behind = sink.partitions_behind(&applier.position, source, *repartitioned_at, others)?;
                    let behind = without_those_through(behind, &topic, bounds, sink, brokers)?;
                    if !behind.is_empty() {
                        self.say(applier, &behind);
                        continue;
                    }
                    applier.waits.end();
                }
            }
            any = true;
        }
        Ok(any)
    }

    fn say(&mut self, applier: &PartitionApplier, behind: &[i32]) {
        if !self.is_said && self.began.elapsed() > SAY_WAIT {
            self.is_said = true;
            log::info!(
                "{} waits for partitions {behind:?}: the topic's partitions have changed, and they may hold older rows",
                applier.position.at
            );
        }
    }
}

/// Those of `partitions` whose logs held more than has landed, when they were first asked in this
/// wait.
fn without_those_through(
    mut partitions: Vec<i32>,
    topic: &Arc<str>,
    bounds: &mut Option<Vec<(i64, i64)>>,
    sink: &Sink,
    brokers: &dyn Brokers,
) -> Result<Vec<i32>> {
    if partitions.is_empty() {
        return Ok(partitions);
    }
    let bounds = match bounds {
        Some(bounds) => bounds,
        None => bounds.insert(brokers.bounds(topic, &partitions)?),
    };
    let landed = sink.positions(topic)?;
    let next = |partition: i32| {
        let position = landed.iter().find(|position| position.at.partition == partition);
        position.map(|position| position.next_offset)
    };
    partitions.retain(|&p| !is_through(next(p), bounds.get(p as usize).copied()));
    Ok(partitions)
}
