//! Sends bundles: lanes side by side, each partition in one lane, each partition's records in order.

use crate::model::TopicPartition;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::error::Result;

use crate::broker::leader_producer::LeaderProducer;
use crate::broker::{Cluster, ProduceBatch};

/// More lanes than this bring nothing: a lane waits for answers most of the time.
const LANES: usize = 4;

/// The small record that takes the place of one that the broker refused as too large: key and value.
pub type Placeholder = (Vec<u8>, Option<Vec<u8>>);

/// A bundle whose records have all been acknowledged.
#[derive(Debug)]
pub struct Sent {
    pub bundle: Arc<ProduceBatch>,
    /// The offset of the last record.
    pub last_offset: i64,
    /// The records in whose place a stand-in was sent.
    pub replaced: Vec<usize>,
    /// Where records did not follow the ones that were sent before them.
    pub breaks: Vec<OffsetJump>,
    /// What was sent in the place of the last record, where that was replaced.
    pub(super) last_stand_in: Option<Arc<ProduceBatch>>,
}

/// Records that a partition took elsewhere than behind those that were sent to it before. Between the two there is what others wrote, or
/// what was sent twice; where the offset is smaller than expected, the log is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetJump {
    pub expected: i64,
    pub found: i64,
}

impl Sent {
    /// Key and value of the last record as it was sent, or of the one right before it where the last has no value.
    pub fn last_with_value(&self) -> Option<(&[u8], &[u8])> {
        let last = self.bundle.len() - 1;
        let (key, value) = match &self.last_stand_in {
            Some(stand_in) => stand_in.get(0),
            None => self.bundle.get(last),
        };
        if let Some(value) = value {
            return Some((key, value));
        }
        let stands_alone = self.breaks.iter().any(|between| between.found == self.last_offset);
        let (key, value) = self.bundle.get(last.checked_sub(1).filter(|_| !stands_alone)?);
        Some((key, value?))
    }
}

/// Sends bundles to a cluster.
#[derive(Debug)]
pub struct Producer {
    lanes: Vec<LeaderProducer>,
}

impl Producer {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self {
            lanes: (0..LANES).map(|_| LeaderProducer::new(&cluster)).collect(),
        }
    }

    /// The partitions of a topic whose logs went on behind what was sent to them last. The next record is expected behind that now.
    pub fn pass(&mut self, topic: &str, latest: &[i64]) -> Vec<(i32, OffsetJump)> {
        let mut breaks = Vec::new();
        for (TopicPartition { topic: of, partition }, end) in self.lanes.iter_mut().flat_map(LeaderProducer::ends_mut) {
            let Some(&found) = latest.get(*partition as usize).filter(|_| **of == *topic) else {
                continue;
            };
            let expected = *end;
            if found > expected {
                *end = found;
                breaks.push((*partition, OffsetJump { expected, found }));
            }
        }
        breaks
    }

    /// Sends the bundles and returns them in their order once every record is acknowledged by all replicas in sync. What goes wrong
    /// meanwhile is sent again, unchanged. `too_large` gives the stand-in for a record (an index in a bundle) that the broker
    /// refuses as too large; nothing behind that record is sent before its stand-in.
    pub fn send(
        &mut self,
        bundles: Vec<ProduceBatch>,
        too_large: &mut (dyn FnMut(&ProduceBatch, usize) -> Result<Placeholder> + Send),
    ) -> Result<Vec<Sent>> {
        let mut loads: Vec<Vec<(usize, Arc<ProduceBatch>)>> = (0..self.lanes.len()).map(|_| Vec::new()).collect();
        for (place, bundle) in bundles.into_iter().enumerate() {
            let lane = bundle.at.partition.unsigned_abs() as usize % loads.len();
            loads[lane].push((place, Arc::new(bundle)));
        }
        let too_large = Mutex::new(too_large);
        let work = self.lanes.iter_mut().zip(loads).filter(|(_, load)| !load.is_empty());
        let mut sent = thread::scope(|scope| {
            let lanes: Vec<_> = work
                .map(|(lane, load)| scope.spawn(|| lane.send(load, &too_large)))
                .collect();
            let mut all = Vec::new();
            for lane in lanes {
                match lane.join() {
                    Ok(sent) => all.push(sent),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all.into_iter().collect::<Result<Vec<_>>>()
        })?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
        sent.sort_by_key(|(place, _)| *place);
        Ok(sent.into_iter().map(|(_, sent)| sent).collect())
    }
}
