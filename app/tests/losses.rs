//! Losses are found: named, never stepped over, and healed by a full pass.

mod anew;
mod contact;
mod records;
pub(crate) mod shop;
mod sources;
mod topics;
