//! What the consumer was asked to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::wire::sign::SignKey;

/// What the consumer was asked to do.
#[derive(Debug, Clone)]
pub struct LandOptions {
    /// The database to land in.
    pub sink: PathBuf,
    /// The topics to land.
    pub topics: Vec<String>,
    /// Which of their partitions.
    pub sharing: Sharing,
    /// Where to start in what is new to the sink.
    pub from: From,
    /// End when all that was there at the start has landed.
    pub until_caught_up: bool,
    /// Each landed record as a line of JSON on stdout.
    pub print: bool,
    /// What to do with a record that is no row.
    pub on_bad_record: BadRecords,
    /// Count holes instead of stopping at them.
    pub allow_gaps: bool,
    /// Pass over what lies between a gap and the next full pass.
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
        /// The group's name.
        name: String,
        /// How long the group waits for a member that it hears nothing of.
        session_timeout: Duration,
        /// How long a transaction may take before the partitions are given to other members.
        apply_timeout: Duration,
    },
    /// Always these.
    Pinned(Vec<i32>),
}

/// Where to start in a partition that this sink has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)] // --help would show them
pub enum From {
    Earliest,
    Latest,
}

/// What to do with a record that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)] // --help would show them
pub enum BadRecords {
    /// Keep it in the sink's table _rowferry_dead_letters and go on.
    DeadLetter,
    Stop,
}
