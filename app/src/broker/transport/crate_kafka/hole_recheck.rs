//! Answers that are not believed at once: one that begins with a hole, and one that is empty though
//! the log goes on.

use std::slice;
use std::time::Duration;

use crate::broker::error::KafkaError;
use crate::broker::transport::crate_kafka::batch_header::{self, BatchFound};
use crate::broker::transport::crate_kafka::client::Client;
use crate::broker::transport::crate_kafka::fetch::PartitionFetch;
use crate::broker::transport::crate_kafka::own_fetch::Version;
use crate::broker::transport::crate_kafka::records::Answered;
use crate::broker::transport::crate_kafka::window::PEEK;
use crate::broker::transport::crate_kafka::window_bisect::{Probe, WindowBisect};

/// Enough for many batches without records.
const LOOK: i32 = 64 << 10;

impl Client {
    /// Looks again at a hole before the first record, with ever smaller windows. See
    /// `window_bisect`.
    pub(super) fn look_again(
        &mut self,
        host: &str,
        ask: &PartitionFetch,
        mut best: Answered,
    ) -> Result<Answered, KafkaError> {
        let mut bisect = WindowBisect::below(ask.window);
        while let Some(window) = bisect.next()
            && best.begins_with_hole()
        {
            let again = PartitionFetch { window, ..ask.clone() };
            let at = &ask.position.at;
            let response = self
                .request(slice::from_ref(&again), Duration::ZERO)
                .map_err(|error| error.at(&at.to_string()))?;
            let found = Answered::find(&response, host, at, ask.position.offset)?;
            if found.is_empty() {
                bisect.saw(window, Probe::Nothing);
                continue;
            }
            bisect.saw(window, Probe::Hole);
            if found.first_offset() < best.first_offset() {
                best = found;
            }
        }
        Ok(best)
    }

    /// The offset behind a position where nothing came, when that is because there are no records;
    /// none where there may be some.
    pub(super) fn behind_no_records(&mut self, host: &str, ask: &PartitionFetch) -> Result<Option<i64>, KafkaError> {
        if ask.window < PEEK {
            return Ok(None);
        }
        let look = PartitionFetch {
            window: LOOK,
            ..ask.clone()
        };
        let answer = self.fetch_ourselves(host, Version::V4, slice::from_ref(&look), Duration::ZERO)?;
        let Some(data) = answer.into_values().next() else {
            return Ok(None);
        };
        if data.error_code != 0 {
            return Err(KafkaError::code(data.error_code));
        }
        let batches = data.records.as_deref().unwrap_or_default();
        let (base, behind) = match batch_header::find(batches, ask.position.offset) {
            Some(BatchFound::Nothing { behind }) => return Ok(Some(behind)),
            Some(BatchFound::Batch { base, behind }) if base < ask.position.offset => (base, behind),
            _ => return Ok(None),
        };
        // The batch begins before the position. It is passed when all that it holds lies before the
        // position too.
        let mut whole = ask.clone();
        whole.position.offset = base;
        let response = self.request(slice::from_ref(&whole), Duration::ZERO)?;
        let Ok(found) = Answered::find(&response, host, &ask.position.at, base) else {
            return Ok(None);
        };
        let lies_before = !found.is_empty() && found.next_offset() <= ask.position.offset;
        Ok(lies_before.then_some(behind))
    }
}
