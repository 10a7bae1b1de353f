//! What the producer was asked to do.

use std::path::PathBuf;

use crate::source::Capture;
use crate::wire::sign::SignKey;

#[derive(Debug, Clone)]
pub struct Options {
    pub source: PathBuf,
    /// Table and topic.
    pub tables: Vec<(String, String)>,
    pub capture: Capture,
    pub backfill: bool,
    /// Stop, instead of sending all rows again, where a topic was made anew.
    pub strict: bool,
    /// Stay, and ship changes as they come.
    pub follow: bool,
    pub batch_rows: usize,
    /// What signs each record, and has signed what is believed when the log is read back.
    pub sign_key: Option<SignKey>,
}
