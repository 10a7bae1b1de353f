//! Membership of a consumer group, and the offsets that the group shows to others.
//!
//! - `member`: a place in a group, as the rest of the program sees it
//! - `session`: what keeps it, from the first JoinGroup to LeaveGroup
//! - `coordinator`: the broker that coordinates the group
//! - `range_assignor`: who gets which partitions
//! - `offsets`: the group's committed offsets

mod coordinator;
pub(crate) mod member;
pub(crate) mod offsets;
pub(crate) mod range_assignor;
mod session;

pub use member::{Assignment, GroupConfig, Member, Membership};
pub use offsets::{Committed, Group};
