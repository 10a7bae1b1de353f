//! Black-box tests: the built commands, real SQLite files, a real Kafka and ZooKeeper. A module per subject.

mod bad_records;
mod cli;
mod changes;
mod cluster;
mod crashes;
mod edges;
mod losses;
mod demo;
mod memory;
mod others;
#[allow(dead_code, unused_imports)] // as long as the tests of all subjects are not there
mod support;
mod tables;
mod tools;
mod types;
mod verify;
