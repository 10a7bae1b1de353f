//! Records as they travel and as they lie in a log: bytes in, records out, and no sockets.
//!
//! - `encode`: records to a batch of format 2; `compress`: its compression
//! - `decode`: the walk through what a Fetch answer holds for a partition
//! - `batch`: a batch of format 2; `legacy`: message sets of formats 0 and 1, from before Kafka
//!   0.11
//! - `decompress`: unpacking, within a limit
//! - `transactions`: which batches a reader of committed records leaves out
//! - `records`: the records that were read, and how the reading ended
//! - `defect`: what makes a batch unreadable
//! - `codec`, `reader`, `varint`: what the others share
//! - `fuzzing`: arbitrary bytes for the decoder
//!
//! The formats: <https://kafka.apache.org/documentation/#recordbatch>, and for formats 0 and 1
//! <https://kafka.apache.org/documentation/#messageset>.

mod batch;
pub(crate) mod codec;
mod compress;
pub(crate) mod decode;
mod decompress;
pub(crate) mod defect;
pub(crate) mod encode;
pub(crate) mod fuzzing;
mod legacy;
mod reader;
pub(crate) mod records;
pub(crate) mod transactions;
mod varint;

/// Where the batch of format 2 begins that comes first; of older formats only a reading tells.
pub(crate) fn first_batch(records: &[u8]) -> Option<i64> {
    let (offset, rest) = records.split_first_chunk()?;
    let magic = *rest.get(8)?;
    (magic == encode::MAGIC).then(|| i64::from_be_bytes(*offset))
}

#[cfg(test)]
mod tests;
