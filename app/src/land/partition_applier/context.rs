//! What partitions work with while a round lands.

use std::sync::Arc;

use crate::land::options::{LandOptions, Sharing};
use crate::land::topics::LandedTopic;
use crate::sink::Landing;

/// The open transaction and what does not change in it.
pub(crate) struct ApplyContext<'a, 'c> {
    pub(crate) landing: &'a mut Landing<'c>,
    pub(crate) options: &'a LandOptions,
    pub(crate) topic: &'a LandedTopic,
}

impl ApplyContext<'_, '_> {
    /// Whether the partitions that this sink lands are not all of them, by the user's wish.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self.options.sharing, Sharing::Pinned(_))
    }
}

/// What comes of the records beside the rows in the sink.
#[derive(Default)]
pub(crate) struct Applied {
    /// Those that landed as lines of JSON, when they are to be printed.
    pub(crate) prints: Vec<u8>,
    /// Topics of which a full pass has landed as a whole.
    pub(crate) full_passes: Vec<Arc<str>>,
}

/// What a record did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changed the sink's rows.
    Rows,
    /// It did not.
    Nothing,
    /// It ended a full pass in the last of the partitions.
    FullPass,
}
