//! Everything that touches the source database; it knows nothing of Kafka.
//!
//! - `acked`: what the brokers acknowledged last
//! - `capture`: the outbox of changed keys and the triggers that fill it
//! - `change_reader`: what to ship next
//! - `changes`: the outbox, read
//! - `checkpoint`: how far a batch goes
//! - `dead_letters`: rows that could not travel
//! - `dummy`: the demo table
//! - `event`: what is to be shipped, in its order
//! - `event_buffer`: a batch's events, kept under the lock and given on after it
//! - `file`: the database file and its transactions
//! - `file_times`: noticing that somebody has written, without a lock
//! - `fork`: whether the file is still the one that this run left
//! - `full_pass`: why all rows of a table are due again
//! - `key`: the key of a table, in SQL
//! - `own_tables`: the tables that are kept in the source
//! - `partitioning`: over how many partitions a topic's rows are spread
//! - `progress`: how far a table is shipped
//! - `replace_conflicts`: which rows a REPLACE could push out, from the table's unique indexes
//! - `resend`: keys that the log holds behind what the file remembers
//! - `run`: one run of the producer, and what its file remembers of those before
//! - `scan`: a full pass, read
//! - `schema`: which tables can be shipped, and what they look like
//! - `shape`: what a change of the schema is proved not to have touched
//! - `snapshot`: the table as it is at one moment, for a source that is only read
//! - `source_state`: what a source remembers of what was shipped
//! - `tracked`: what is remembered of a shipped table
//! - `tracking`: a shipped table brought up to date when a run begins or its schema changes
//! - `utf16`: text that cannot be read as it is
//! - `values`: values packed into exact bytes

mod acked;
mod capture;
mod change_reader;
mod changes;
mod checkpoint;
mod dead_letters;
pub mod dummy;
mod event;
mod event_buffer;
mod file;
mod file_times;
mod fork;
mod full_pass;
mod key;
mod own_tables;
mod partitioning;
mod progress;
mod replace_conflicts;
mod resend;
mod run;
mod scan;
pub mod schema;
mod shape;
mod snapshot;
mod source_state;
mod tracked;
mod tracking;
mod utf16;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use acked::Acked;
pub(crate) use change_reader::ChangeReader;
pub(crate) use checkpoint::Checkpoint;
pub(crate) use event::Event;
pub(crate) use partitioning::Partitioning;
pub(crate) use run::{Noted, Run};
pub use source_state::SourceState;
pub(crate) use tracked::{Tracked, tracked_tables};

/// How changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Triggers in the source write the keys of changed rows into an outbox.
    Triggers,
    /// The source is only read: every run is a full pass.
    None,
}
