//! Everything that touches the source database; it knows nothing of Kafka.
//!
//! | file | what it holds |
//! |---|---|
//! | `schema` | what a table looks like |
//! | `file` | opening the database, waiting for its locks, telling its errors |
//! | `replace_conflicts` | which rows a REPLACE could push out, from the table's unique indexes |
//! | `tokens` | SQL cut into its parts |
//! | `capture` | the outbox of changed keys and the triggers that fill it |
//! | `shape` | what a change of the schema is proved not to have touched |
//! | `tracking` | what is remembered of a shipped table, and when all of its rows are due |
//! | `source_state` | the run: its epoch and its progress |
//! | `fork` | whether the file is still the one that this run left |
//! | `resend` | keys that the log holds behind what the file remembers |
//! | `partitioning` | over how many partitions a topic's rows are spread |
//! | `dead_letters` | rows that could not travel |
//! | `change_reader` | what to ship next: `scan` reads a full pass, `changes` reads the outbox |
//! | `file_times` | noticing that somebody has written, without a lock |
//! | `event_buffer` | a batch's events, gathered under the lock and told after it |
//! | `snapshot` | the table as it is at one moment, for a source that is only read |
//! | `utf16` | text that cannot be read as it is |
//! | `values` | values out of SQLite, into SQLite, and packed into exact bytes |
//! | `dummy` | the demo table |

mod capture;
mod change_reader;
mod changes;
mod dead_letters;
pub mod dummy;
mod event_buffer;
mod file;
mod file_times;
mod fork;
mod partitioning;
mod replace_conflicts;
mod resend;
mod scan;
pub mod schema;
mod shape;
mod snapshot;
mod source_state;
mod tracking;
mod utf16;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::model::{TableSchema, Value};

use fork::{LastChange, RunState};

pub use change_reader::ChangeReader;
pub use source_state::{Noted, SourceState};
pub use tracking::{Tracked, tracked_tables};

/// How changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Triggers in the source write the keys of changed rows into an outbox.
    Triggers,
    /// The source is only read: every run is a full pass.
    None,
}

/// One run of the producer.
#[derive(Debug, Clone)]
pub struct Run {
    /// The source's id, made once.
    pub source: String,
    /// Larger than that of every run before.
    pub epoch: u64,
    /// Whether the file remembers no run before it.
    pub is_first: bool,
    state: RunState,
}

/// How a run spreads a topic's rows over its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitioning {
    pub partitions: i32,
    /// The run at which keys last moved between partitions; none when they never did.
    pub moved: Option<u64>,
}

/// The last record of a partition that its broker acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    pub partition: i32,
    pub epoch: u64,
    pub seq: u64,
    pub offset: i64,
    /// The fingerprint of the record at that offset; earlier versions noted none.
    pub stood: Option<u64>,
}

/// What a `ChangeReader` tells, in the order in which it is to be shipped.
#[derive(Debug)]
pub enum Event<'a> {
    /// A full pass begins: all rows of the table follow, in this schema.
    Begin { pass: u64, schema: &'a Arc<TableSchema> },
    /// A row as it is now, in the order of the schema's columns; the key in key order, or the rowid alone.
    Upsert { key: &'a [Value<'a>], row: &'a [Value<'a>] },
    /// A row that is gone.
    Delete { key: &'a [Value<'a>] },
    /// A row that cannot travel.
    Refused { key: &'a [Value<'a>], reason: &'a str },
    /// The full pass is complete.
    End { pass: u64 },
}

/// How far a batch goes; what `SourceState::note` remembers once the batch is acknowledged.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    table: Arc<str>,
    topic: Arc<str>,
    pass: u64,
    step: Step,
    /// The last change in the outbox when the batch was read; none where changes are not captured.
    last_change: Option<LastChange>,
}

#[derive(Debug, Clone)]
enum Step {
    /// The full pass has come up to this packed key.
    Scanned(Vec<u8>),
    /// The full pass is complete.
    Complete,
    /// The outbox is shipped up to this number.
    Outbox(i64),
}

impl Checkpoint {
    /// The table that the batch belongs to.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether this mark alone says all that both say, when `before` came first.
    pub fn covers(&self, before: &Checkpoint) -> bool {
        let further = matches!(
            (&before.step, &self.step),
            (Step::Scanned(_), Step::Scanned(_)) | (Step::Outbox(_), Step::Outbox(_))
        );
        further && (&self.table, &self.topic, self.pass) == (&before.table, &before.topic, before.pass)
    }
}
