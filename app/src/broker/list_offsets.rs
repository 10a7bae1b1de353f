//! Where the logs of a topic begin and end, as long as our patience lasts.

use std::sync::Arc;

use crate::broker::config::ClientConfig;
use crate::broker::transport::ClientMemory;
use crate::broker::transport::requests::{Offsets, OffsetsRequest};
use crate::broker::worker::Worker;
use crate::error::Result;

/// The offsets of all partitions of a topic.
pub(super) fn list_offsets(config: &Arc<ClientConfig>, topic: &str, which: Offsets) -> Result<Vec<i64>> {
    let mut retry = config.retry_budget();
    let mut worker = Worker::new(config.clone(), ClientMemory::default());
    loop {
        let request = OffsetsRequest {
            topic: topic.into(),
            partitions: config.partition_counts.of(topic),
            which: which.clone(),
        };
        match worker.call(move |client| client.offsets(&request)) {
            Ok(offsets) => {
                retry.record_success();
                return Ok(offsets);
            }
            Err(error) if error.is_unknown_high_watermark() => retry.back_off(error)?,
            Err(error) => retry.back_off(error.at(&format!("offsets of topic {topic}")))?,
        }
    }
}

/// What the partitions of a topic hold: their first offset, and the one that their next record will
/// get.
pub(super) fn bounds(config: &Arc<ClientConfig>, topic: &str) -> Result<Vec<(i64, i64)>> {
    let earliest = list_offsets(config, topic, Offsets::Earliest)?;
    let latest = list_offsets(config, topic, Offsets::Latest { known: Vec::new() })?;
    Ok(earliest.into_iter().zip(latest).collect())
}
