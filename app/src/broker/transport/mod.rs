//! The ways to speak to Kafka.

pub(crate) mod crate_kafka;
// Nothing calls it yet: its sockets come next.
#[allow(dead_code)]
pub(crate) mod native;
