//! What a person sees.
//!
//! - `progress`: how far a run is, while it goes on
//! - `escape`: what came from outside, on its way to a person

pub(crate) mod escape;
pub mod progress;
