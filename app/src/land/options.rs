//! What the consumer was asked to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::wire::sign::SignKey;

#[derive(Debug, Clone)]
pub struct Options {
    pub sink: PathBuf,
    pub topics: Vec<String>,
    pub sharing: Sharing,
    pub from: From,
    pub until_caught_up: bool,
    /// Each landed record as a line of JSON on stdout.
    pub print: bool,
    pub on_bad_record: BadRecords,
    pub allow_gaps: bool,
    pub heal: bool,
    /// Tables of the sink that may be landed in though they are not the consumer's, or are given
    /// from others to a source.
    pub adopt: Vec<String>,
    /// Nothing lands that was not signed by it.
    pub sign_key: Option<SignKey>,
}

/// Which partitions of the topics a consumer lands.
#[derive(Debug, Clone)]
pub enum Sharing {
    /// Those that the members of a group assign among themselves.
    Group {
        name: String,
        session_timeout: Duration,
        /// How long a transaction may take before the partitions are given to other members.
        apply_timeout: Duration,
    },
    /// Always these.
    Pinned(Vec<i32>),
}

/// Where to start in a partition that this sink has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    Earliest,
    Latest,
}

/// What to do with a record that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BadRecords {
    /// Keep it in the sink's table _rowferry_dead_letters and go on.
    DeadLetter,
    Stop,
}
