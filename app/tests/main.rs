//! Black-box tests: the built commands, real SQLite files, a real Kafka and ZooKeeper. A module per
//! subject.

#![allow(unsafe_code)] // signals and user ids, through libc
#![allow(clippy::disallowed_methods)] // nobody stops a test

mod bad_records;
mod bindings;
mod changes;
mod cli;
mod clients;
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
mod others;
mod signed;
mod support;
mod tables;
mod tools;
mod types;
mod verify;
