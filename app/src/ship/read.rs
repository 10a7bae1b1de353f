//! The reading side: batch after batch of each table is read, encoded and handed on.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::error::Result;
use crate::model::TopicId;
use crate::source::{ChangeReader, Checkpoint};
use crate::stop::Stop;

use super::batch_encoder::{BatchEncoder, EncodedBatch};
use super::options::ShipOptions;
use super::watch::Watch;

/// Bytes of values a batch, about: memory stays flat however wide the rows are.
const BATCH_BYTES: usize = 4 << 20;

/// The longest time between two looks at a source that does not change.
const SOURCE_POLL: Duration = Duration::from_millis(500);

/// One table on the reading side.
pub(crate) struct TableStream {
    pub(crate) changes: ChangeReader,
    pub(crate) encoder: BatchEncoder,
    /// The id of its topic, where it is told.
    pub(crate) topic_id: Option<TopicId>,
}

/// One batch of one table on its way, and how far its table is when it has been acknowledged.
pub(crate) struct QueuedBatch {
    pub(crate) encoded: EncodedBatch,
    pub(crate) checkpoint: Checkpoint,
}

/// Reads and encodes batch after batch and hands them on, until nothing is left, the sending side
/// is over, or a new run is due.
pub(crate) fn read_all(
    options: &ShipOptions,
    mut tables: Vec<TableStream>,
    batches: &SyncSender<Result<QueuedBatch>>,
    watch: Option<&Watch>,
    over: &Stop,
) {
    loop {
        // A table that is gone cannot begin anew: this run waits for it.
        if watch.is_some_and(Watch::has_grown) && !tables.iter().any(|table| table.changes.is_gone()) {
            return;
        }
        let mut idle = true;
        for TableStream { changes, encoder, .. } in &mut tables {
            let read = changes.read(options.batch_rows, BATCH_BYTES, &mut |event| {
                encoder.add(event);
                Ok(())
            });
            let batch = match read {
                Ok(None) => continue,
                Ok(Some(checkpoint)) => Ok(QueuedBatch {
                    encoded: encoder.take(),
                    checkpoint,
                }),
                Err(error) => Err(error),
            };
            idle = false;
            let failed = batch.is_err();
            if batches.send(batch).is_err() || failed {
                return;
            }
        }
        if !idle {
            continue;
        }
        if !options.follow {
            return;
        }
        // All tables lie in one file: its changes show to any of the readers.
        if let Err(error) = tables[0].changes.wait(SOURCE_POLL, over) {
            // When nobody takes it the sending side is over, and tells why.
            let _ = batches.send(Err(error));
            return;
        }
    }
}
