//! How far a partition has landed.

use std::sync::Arc;

use crate::model::{LastApplied, TableSchema, TopicId, TopicPartition};

/// How far a partition has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkPosition {
    /// Which partition.
    pub at: TopicPartition,
    /// The offset to read next.
    pub next_offset: i64,
    /// The last record of ours that landed.
    pub last_applied: Option<LastApplied>,
    /// The run whose first record stands at `next_offset`, while it waits for the other partitions
    /// (see `sequence::RunProgress`).
    pub reached: Option<u64>,
    /// The last record that was taken: it stands below `next_offset`, in this log and hardly in
    /// another. None while not known.
    pub last: Option<LastTaken>,
    /// The id of the topic in whose log it stands, the sure sign of one that was made anew. None
    /// while not known, or not told.
    pub topic_id: Option<TopicId>,
    /// Records are passed over until the next full pass.
    pub healing: bool,
    /// Rows from before the first contact are missing until a full pass has landed; taken over on
    /// the first contact with a source only.
    pub partial: bool,
    /// The schema in force for this partition's records; `Landing::schema` sets it.
    pub schema: Option<Arc<TableSchema>>,
    /// The last full pass begun in this partition, 0 for none; `Landing::schema` sets it.
    pub pass: u64,
}

impl SinkPosition {
    /// That of a partition of which nothing has landed.
    pub fn new(at: TopicPartition, next_offset: i64) -> Self {
        Self {
            at,
            next_offset,
            last_applied: None,
            reached: None,
            last: None,
            topic_id: None,
            healing: false,
            partial: next_offset > 0,
            schema: None,
            pass: 0,
        }
    }
}

/// A record that was taken: a position is a number and what stood there, since a log that was made
/// anew has the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTaken {
    /// Where it stands.
    pub offset: i64,
    /// See `wire::fingerprint`.
    pub fingerprint: u64,
}
