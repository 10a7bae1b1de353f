//! A client of our own, for what the crate `kafka` lacks: brokers of 4.0 and later, TLS, logins, lz4 and zstd.
//!
//! - `record_batch`: what Produce requests and Fetch answers carry, from bytes to records and back

pub(crate) mod record_batch;
