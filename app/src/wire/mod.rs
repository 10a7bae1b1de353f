//! Rows to bytes and back.

pub mod schema;
