//! The crate `kafka`, and all that its faults need. No call into that crate is made anywhere else.
//!
//! - `client`: one client of the crate, made anew after each failure; leaders and producing
//! - `fetch`: fetching, until what came is what the log holds; `records`: what an answer brought
//! - `readers`: what the crate may read, and what it is not to see; `own_reader`: reading that;
//!   `own_fetch`: requests and connections of our own
//! - `windows`, `window`: how many bytes to ask each partition for
//! - `hole_recheck`: answers that are not believed at once; `window_bisect`, `batch_header`: what
//!   the second look needs
//! - `offsets`: where logs begin and end; `unknown_high_watermark`: whether a new leader knows that
//!   yet
//! - `unpack`: compressed batches, looked into before the crate unpacks them
//! - `errors`: what an error of the crate means for us

#![allow(clippy::disallowed_types)] // this is the room of the crate `kafka`

pub(crate) mod batch_header;
mod client;
mod errors;
mod fetch;
mod hole_recheck;
mod offsets;
mod own_fetch;
mod own_reader;
mod readers;
pub(crate) mod records;
mod unknown_high_watermark;
pub(crate) mod unpack;
mod window;
mod window_bisect;
pub(crate) mod windows;

pub(crate) use client::Client;
