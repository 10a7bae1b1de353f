//! What is asked of a client, and what it answers: no word of how it speaks.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::{FetchPosition, FetchedPartition};
use crate::broker::produce_batch::ProduceBatch;

/// Records `from..to` of a batch.
#[derive(Debug, Clone)]
pub(crate) struct ProduceSlice {
    pub batch: Arc<ProduceBatch>,
    pub from: usize,
    pub to: usize,
}

/// What the leader said of a slice: the offset of its first record, or why it did not take it.
pub(crate) type SliceAnswer = Result<i64, KafkaError>;

/// What to fetch from one leader.
#[derive(Debug, Clone)]
pub(crate) struct FetchRequest {
    /// In the order in which they are to be answered, where not all of them can be.
    pub positions: Vec<FetchPosition>,
    /// How long the leader may wait for records where there are none.
    pub max_wait: Duration,
    /// About how many bytes each partition is to answer, and all of them together. Single records
    /// may be larger.
    pub partition_bytes: i32,
    pub total_bytes: i32,
    pub isolation: IsolationLevel,
}

/// Which records are read (KIP-98). The crate knows only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IsolationLevel {
    /// All that the log holds, those of open and aborted transactions too: to look at the log itself.
    ReadUncommitted,
    /// Those that are in force, up to the last stable offset.
    ReadCommitted,
}

/// What the leader said of one of the positions.
#[derive(Debug)]
pub(crate) struct PartitionAnswer {
    pub position: FetchPosition,
    pub outcome: Result<FetchedPartition, KafkaError>,
}

/// The offsets of a topic's partitions, by partition.
#[derive(Debug, Clone)]
pub(crate) struct OffsetsRequest {
    pub topic: Arc<str>,
    /// So many partitions are known to be there.
    pub partitions: usize,
    pub which: Offsets,
}

#[derive(Debug, Clone)]
pub(crate) enum Offsets {
    /// Of the first record that is still there.
    Earliest,
    /// That the next record will get. Some partitions are known to have gone so far.
    Latest { known: Vec<(i32, i64)> },
    /// Up to which readers of committed records come now, where the client knows of transactions;
    /// otherwise that the next record will get.
    LastStable,
}
