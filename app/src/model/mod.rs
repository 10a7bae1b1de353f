//! What both ends share: rows, tables, and the numbers of records. It knows neither Kafka nor
//! SQLite nor bytes.
//!
//! - `value`: the values of a row
//! - `schema`: a table's columns and key
//! - `schemas`: the schemas in use, each once
//! - `record_id`: which record of a source it is
//! - `run_header`: how a run begins in a partition
//! - `bounds`: how large a run's numbers can be
//! - `topic_partition`: a partition of a topic; `topic_id`: which topic of its name it is

pub mod bounds;
mod record_id;
mod run_header;
mod schema;
mod schemas;
pub mod topic_id;
mod topic_partition;
mod value;

pub use record_id::{LastApplied, RecordId};
pub use run_header::RunHeader;
pub use schema::{Column, ROWID, TableSchema};
pub use schemas::Schemas;
pub use topic_id::TopicId;
pub use topic_partition::TopicPartition;
pub use value::{Value, recycle};
