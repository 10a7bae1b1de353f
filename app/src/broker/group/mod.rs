//! Membership of a consumer group, and the offsets that the group shows to others.
//!
//! - `member`: a place in a group, as the rest of the program sees it
//! - `membership`: what a member and its session share
//! - `commands`: what the rest of the program tells the session
//! - `session`: what keeps the place, from the first JoinGroup to LeaveGroup
//! - `partition_watch`: whether the group's topics got other partitions
//! - `protocol`: the member's requests, and what the answers mean for it
//! - `range_assignor`: who gets which partitions
//! - `client`: the seam between these rules and the network
//! - `coordinator`: the broker that coordinates the group
//! - `fake`: one that a test scripts
//! - `offsets`: the group's committed offsets

mod client;
mod commands;
mod coordinator;
#[cfg(test)]
mod fake;
mod member;
mod membership;
mod offsets;
mod partition_watch;
mod protocol;
pub(crate) mod range_assignor;
mod session;

pub use member::Member;
pub use membership::{Assignment, GroupConfig, Membership};
pub use offsets::{Committed, Group};
