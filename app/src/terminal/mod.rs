//! What a person sees.
//!
//! - `logging`: the log on stderr
//! - `output`: lines on stdout, and how a command ends
//! - `progress`: how far a run is, while it goes on
//! - `escape`: what came from outside, on its way to a person

pub(crate) mod escape;
mod logging;
mod output;
pub mod progress;

pub use logging::start_log;
pub use output::{exit_with, say};
