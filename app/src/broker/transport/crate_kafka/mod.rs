//! The crate `kafka`, and all that its faults need.
//!
//! - `worker`: the thread that owns a client of the crate
//! - `window`: how many bytes to ask a partition for
//! - `hole_recheck`: answers that are not believed at once; `window_bisect`, `batch_header`: what the second look needs
//! - `unknown_high_watermark`: whether a new leader knows yet how far its log goes
//! - `unpack`: compressed batches, looked into before the crate unpacks them

pub(crate) mod batch_header;
mod hole_recheck;
pub(crate) mod unknown_high_watermark;
pub(crate) mod unpack;
pub(crate) mod window;
mod window_bisect;
pub(crate) mod worker;
