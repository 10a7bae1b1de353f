//! A client of our own, for what the crate `kafka` lacks: brokers of 4.0 and later, TLS, logins,
//! lz4 and zstd. It asks brokers of 0.11 and later.
//!
//! - `client`: the client, and who leads partitions
//! - `connections`: one connection to each broker that it talks to; `versions`: what that broker
//!   can be asked
//! - `produce`, `fetch`, `offsets`: the requests; `round`: how much a Fetch waits for; `answer`:
//!   what it brought of one partition
//! - `memory`: what is known of partitions beyond one client
//! - `fuzzing`: arbitrary bytes for what is read
//! - `record_batch`: what Produce requests and Fetch answers carry, from bytes to records and back

pub(super) mod answer;
mod client;
mod connections;
mod fetch;
pub(crate) mod fuzzing;
pub(super) mod memory;
mod offsets;
mod produce;
pub(crate) mod record_batch;
pub(super) mod round;
pub(crate) mod versions;

pub(crate) use client::Client;

#[cfg(test)]
mod tests;
