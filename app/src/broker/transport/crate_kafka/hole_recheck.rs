//! Answers that are not believed at once: one that begins with a hole, and one that is empty though the log goes on.

use crate::error::Result;

use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchedPartition, PartitionAnswer};
use crate::broker::hosts::CONNECT_TIMEOUT;
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
    ) -> Result<Result<FetchedPartition, KafkaError>> {
        let mut search = WindowBisect::below(ask.window);
        while let Some(window) = search.next()
            && best.begins_with_hole()
        {
            let again = PartitionFetch { window, ..ask.clone() };
            let what = ask.position.at.to_string();
            let response = match self.call(host, again)? {
                Ok(response) => response,
                Err(trouble) => return Ok(Err(trouble.at(&what))),
            };
            match FetchedPartition::find(&response, &ask.position.at, ask.position.offset) {
                PartitionAnswer::Records(chunk) if chunk.is_empty() => search.saw(window, Probe::Nothing),
                PartitionAnswer::Records(chunk) => {
                    search.saw(window, Probe::Hole);
                    if chunk.first_offset() < best.first_offset() {
                        best = chunk;
                    }
                }
                PartitionAnswer::Code(code) => return Ok(Err(KafkaError::code(code).at(&what))),
                PartitionAnswer::Wrong(why) => return Ok(Err(KafkaError::passing(format!("{what}: {host} {why}")))),
            }
        }
        Ok(Ok(best))
    }

    /// Looks whether there are records at a position where nothing came: the offset behind those that are not there.
    pub fn passed(&mut self, host: &str, ask: &PartitionFetch) -> Result<Result<Option<i64>, KafkaError>> {
        if ask.window < PEEK {
            return Ok(Ok(None));
        }
        let config = &self.config;
        match config.versions.get() {
            Some(versions) if versions.tell_batch_headers() => {}
            Some(_) => return Ok(Ok(None)),
            None => return Ok(Err(KafkaError::passing("the broker has not told yet what it speaks"))),
        }
        let (broker, client_id, position) = (host.to_string(), config.client_id.clone(), ask.position.clone());
        let limit = config.limit;
        let look = move || batch_header::read(&broker, &client_id, &position, limit);
        let (base, behind) = match deadline::run_with_deadline(limit + CONNECT_TIMEOUT, &config.stop, look)? {
            Ok(Some(Found::Nothing { behind })) => return Ok(Ok(Some(behind))),
            Ok(Some(Found::Batch { base, behind })) if base < ask.position.offset => (base, behind),
            Ok(_) => return Ok(Ok(None)),
            Err(trouble) => return Ok(Err(trouble)),
        };
        // The batch begins before the position. It is passed when all that it holds lies before the position too.
        let mut whole = ask.clone();
        whole.position.offset = base;
        let response = match self.call(host, whole)? {
            Ok(response) => response,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let PartitionAnswer::Records(chunk) = FetchedPartition::find(&response, &ask.position.at, base) else {
            return Ok(Ok(None));
        };
        let before = !chunk.is_empty() && chunk.next_offset() <= ask.position.offset;
        Ok(Ok(before.then_some(behind)))
    }
}
