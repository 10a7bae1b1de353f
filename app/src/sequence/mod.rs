//! Once and in order, on brokers that know no idempotence: what a record's number means to the
//! sink.
//!
//! - `verdict`: what is done with a record, by its number and what landed before it
//! - `gap`: what can be missing before a record
//! - `repartitioning`: which partitions wait for one another when keys have moved between them

mod gap;
mod repartitioning;
mod verdict;

pub(crate) use gap::Gap;
pub(crate) use repartitioning::{RunProgress, epoch_at, is_through};
pub(crate) use verdict::{Verdict, decide};
