//! Rowferry: rows of a SQLite table travel through Apache Kafka into a second SQLite database.
//!
//! | module | what it holds |
//! |---|---|
//! | `ship`, `land` | the two loops: source to Kafka, Kafka to sink |
//! | `source` | everything that touches the source database |
//! | `broker` | everything that touches Kafka, and the only place that names the `kafka` crate |
//! | `sink` | everything that touches the sink database |
//! | `model` | rows, tables, partitions and the numbers of records, which both ends share |
//! | `wire` | rows to bytes and back |
//! | `sqlite` | what `source`, `sink` and `verify` share of SQLite |
//! | `sequence` | what a record's number means: once, in order, nothing missing |
//! | `verify` | the comparison of both databases |
//! | `cli` | the options that the programs share |
//! | `terminal` | the log, progress and messages for people |
//! | `named_file` | files that the user names, in whole |
//! | `error`, `stop`, `backoff` | failing, ending and waiting |
//! | `fuzzing` | what is read from others, for the fuzz targets |
//!
//! `source`, `sink` and `broker` know nothing of one another; `ship` and `land` tie them together.

#![cfg_attr(test, allow(clippy::disallowed_methods))] // nobody stops a test

pub(crate) mod backoff;
pub mod broker;
pub mod cli;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod land;
pub mod model;
mod named_file;
pub(crate) mod sequence;
pub mod ship;
pub mod sink;
pub mod source;
mod sqlite;
pub mod stop;
pub mod terminal;
pub mod verify;
pub mod wire;
