//! What is known of the topics that are landed.

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct LandedTopic {
    /// The partitions whose rows this sink holds, whoever lands them.
    pub(crate) partitions: Vec<i32>,
    /// How many partitions the topic is known to have.
    pub(crate) count: i32,
}

pub(crate) type LandedTopics = HashMap<Arc<str>, LandedTopic>;
