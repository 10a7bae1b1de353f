//! What both ends share: rows, tables, and the numbers of records. It knows neither Kafka nor SQLite nor bytes.
//!
//! - `row`: values and the tables that they stand in
//! - `record_id`: which record of a source it is
//! - `bounds`: how large its numbers can be
//! - `topic_partition`: a partition of a topic

pub mod bounds;
mod record_id;
mod row;
mod topic_partition;

pub use record_id::{LastApplied, RecordId, RunHeader};
pub use row::{Column, ROWID, Schemas, TableSchema, Value, recycle};
pub use topic_partition::TopicPartition;
