//! The ways to speak to Kafka.

pub(crate) mod crate_kafka;
