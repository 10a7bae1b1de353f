//! Rowferry: rows of a SQLite table travel through Apache Kafka into a second SQLite database.

pub mod backoff;
pub mod broker;
pub mod cli;
pub mod error;
pub mod meter;
pub mod row;
pub mod sequence;
pub mod sink;
pub mod source;
pub mod stop;
pub mod verify;
pub mod wire;
