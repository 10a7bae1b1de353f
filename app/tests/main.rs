//! Black-box tests: the built commands, real SQLite files, a real Kafka and ZooKeeper. A module per
//! subject.

#![allow(unsafe_code)] // signals and user ids, through libc
#![allow(clippy::disallowed_methods)] // nobody stops a test

mod bad_records;
mod bindings;
mod changes;
mod cli;
mod clients;
mod clocks;
mod cluster;
mod crashes;
mod demo;
mod edges;
mod faults;
mod forged;
mod forks;
mod groups;
mod growth;
mod hostile;
mod losses;
mod memory;
mod old_sets;
mod others;
mod secure;
mod signed;
mod support;
mod tables;
mod tools;
mod transactions;
mod types;
mod verify;
