//! What the producer was asked to do.

use std::path::PathBuf;

use crate::source::Capture;
use crate::wire::sign::SignKey;

/// What the producer was asked to do.
#[derive(Debug, Clone)]
pub struct ShipOptions {
    /// The database to ship.
    pub source: PathBuf,
    /// Table and topic.
    pub tables: Vec<(String, String)>,
    /// How changes are found.
    pub capture: Capture,
    /// Send all rows again.
    pub backfill: bool,
    /// Stop, instead of sending all rows again, where a topic was made anew.
    pub strict: bool,
    /// Stay, and ship changes as they come.
    pub follow: bool,
    /// How many rows a batch has at most.
    pub batch_rows: usize,
    /// What signs each record, and has signed what is believed when the log is read back.
    pub sign_key: Option<SignKey>,
}
