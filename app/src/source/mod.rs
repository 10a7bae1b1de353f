//! Everything that touches the source database; it knows nothing of Kafka.

pub mod schema;
