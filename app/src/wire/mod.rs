//! Rows to bytes and back. The format is `flat`: JSON that people and other programs read.

mod base64;
pub mod decode;
pub mod encode;
pub mod fingerprint;
pub(crate) mod names;
mod object;
mod record;
pub mod rows;
mod scan;
pub mod schema;
pub mod sign;
mod table_records;
mod text;
mod value;

pub use value::write_str as json_string;

#[cfg(test)]
mod tests;
