//! Answers that are not believed at once: one that begins with a hole, and one that is empty though the log goes on.

use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchedPartition, PartitionAnswer};
use crate::broker::hosts::CONNECT;
use crate::broker::in_flight::{InFlight, PartitionFetch};
use crate::broker::transport::crate_kafka::batch_header::{self, Found};
use crate::broker::transport::crate_kafka::window::PEEK;
use crate::broker::transport::crate_kafka::window_bisect::{Probe, WindowBisect};

impl InFlight {
    /// Looks again at a hole before the first record, with ever smaller windows. See `search`.
    pub fn look_again(
        &mut self,
        host: &str,
        ask: &PartitionFetch,
        mut best: FetchedPartition,
    ) -> Result<FetchedPartition, KafkaError> {
        let mut search = WindowBisect::below(ask.window);
        while let Some(window) = search.next()
            && best.begins_with_hole()
        {
            let again = PartitionFetch { window, ..ask.clone() };
            let what = ask.position.at.to_string();
            let response = self.call(host, again).map_err(|error| error.at(&what))?;
            match FetchedPartition::find(&response, &ask.position.at, ask.position.offset) {
                PartitionAnswer::Records(chunk) if chunk.is_empty() => search.saw(window, Probe::Nothing),
                PartitionAnswer::Records(chunk) => {
                    search.saw(window, Probe::Hole);
                    if chunk.first_offset() < best.first_offset() {
                        best = chunk;
                    }
                }
                PartitionAnswer::Code(code) => return Err(KafkaError::code(code).at(&what)),
                PartitionAnswer::Wrong(why) => return Err(KafkaError::passing(format!("{what}: {host} {why}"))),
            }
        }
        Ok(best)
    }

    /// Looks whether there are records at a position where nothing came: the offset behind those that are not there.
    pub fn passed(&mut self, host: &str, ask: &PartitionFetch) -> Result<Option<i64>, KafkaError> {
        if ask.window < PEEK {
            return Ok(None);
        }
        let config = &self.config;
        match config.versions.get() {
            Some(versions) if versions.can_peek() => {}
            Some(_) => return Ok(None),
            None => return Err(KafkaError::passing("the broker has not told yet what it speaks")),
        }
        let (broker, client_id, position) = (host.to_string(), config.client_id.clone(), ask.position.clone());
        let limit = config.limit;
        let look = move || batch_header::read(&broker, &client_id, &position, limit);
        let (base, behind) = match deadline::run_with_deadline(limit + CONNECT, &config.stop, look)? {
            Some(Found::Nothing { behind }) => return Ok(Some(behind)),
            Some(Found::Batch { base, behind }) if base < ask.position.offset => (base, behind),
            _ => return Ok(None),
        };
        // The batch begins before the position. It is passed when all that it holds lies before the position too.
        let mut whole = ask.clone();
        whole.position.offset = base;
        let response = self.call(host, whole)?;
        let PartitionAnswer::Records(chunk) = FetchedPartition::find(&response, &ask.position.at, base) else {
            return Ok(None);
        };
        let before = !chunk.is_empty() && chunk.next_offset() <= ask.position.offset;
        Ok(before.then_some(behind))
    }
}
