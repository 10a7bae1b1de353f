//! The producer's options.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rowferry::broker::Compression;
use rowferry::cli::{self, BrokerArgs};
use rowferry::error::{Error, Result};
use rowferry::source::{Capture, dummy};

/// Ships the rows of SQLite tables into Kafka topics: what has not been shipped yet, then (with
/// --follow) every change.
#[derive(Debug, Parser)]
#[command(version, after_help = cli::EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub broker: BrokerArgs,

    /// The database to ship from [default: data/source.db, made with 1,000 dummy users when it is
    /// not there]
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SOURCE")]
    pub source: Option<PathBuf>,

    /// A table to ship; repeat it for more
    #[arg(long = "table", value_name = "NAME", env = "ROWFERRY_TABLE", default_value = dummy::TABLE)]
    pub tables: Vec<String>,

    /// The topic, when one table is shipped [default: the table's name]
    #[arg(long, value_name = "NAME", env = "ROWFERRY_TOPIC", conflicts_with = "topic_prefix")]
    pub topic: Option<String>,

    /// What stands before a table's name to make its topic
    #[arg(long, value_name = "TEXT", env = "ROWFERRY_TOPIC_PREFIX", default_value = "")]
    pub topic_prefix: String,

    /// Stay, and ship changes as they come, until Ctrl-C
    #[arg(long, env = "ROWFERRY_FOLLOW", value_parser = cli::flag())]
    pub follow: bool,

    /// Add N dummy rows to the table `users` first
    #[arg(long, value_name = "N", env = "ROWFERRY_FAKE", allow_negative_numbers = true)]
    pub fake: Option<u64>,

    /// With --follow: add a dummy row to the table `users` every so often (3s, 500ms, 1m)
    #[arg(long, value_name = "TIME", env = "ROWFERRY_FAKE_EVERY", value_parser = cli::duration)]
    pub fake_every: Option<Duration>,

    /// The seed of the dummy rows: the same seed makes the same rows
    #[arg(
        long,
        value_name = "N",
        env = "ROWFERRY_SEED",
        allow_negative_numbers = true,
        default_value_t = 1
    )]
    pub seed: u64,

    /// Rows a batch: what is read, sent and acknowledged together
    #[arg(long, value_name = "N", env = "ROWFERRY_BATCH_ROWS", allow_negative_numbers = true, default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch_rows: u32,

    /// How batches are compressed on the way
    #[arg(long, value_enum, env = "ROWFERRY_COMPRESSION", default_value_t = Compression::None)]
    pub compression: Compression,

    /// How changes are noticed: by triggers in the source, or not at all (the source is only read,
    /// and every run is a full pass)
    #[arg(long, value_enum, env = "ROWFERRY_CAPTURE", default_value_t = CaptureArg::Triggers)]
    pub capture: CaptureArg,

    /// A full pass: send all rows again; the sink removes what is gone. Heals every gap (see
    /// consumer --heal)
    #[arg(long, env = "ROWFERRY_BACKFILL", value_parser = cli::flag())]
    pub backfill: bool,

    /// Stop with exit code 3, instead of sending all rows again, where a topic was made anew
    #[arg(long, env = "ROWFERRY_STRICT", value_parser = cli::flag())]
    pub strict: bool,

    /// Make the file a source of its own, and end: for a copy of a source that is to be shipped
    /// beside its original, to other topics
    #[arg(long, env = "ROWFERRY_NEW_IDENTITY", value_parser = cli::flag())]
    pub new_identity: bool,

    /// Take Rowferry's triggers and tables out of the source, and end
    #[arg(long, env = "ROWFERRY_UNINSTALL", value_parser = cli::flag())]
    pub uninstall: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CaptureArg {
    Triggers,
    None,
}

impl From<CaptureArg> for Capture {
    fn from(capture: CaptureArg) -> Self {
        match capture {
            CaptureArg::Triggers => Capture::Triggers,
            CaptureArg::None => Capture::None,
        }
    }
}

impl Args {
    /// Refuses options that contradict each other. A flag that is false in the environment
    /// contradicts nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: &str, way_out: &str| Err(Error::usage(what).way_out(way_out));
        if self.uninstall && self.new_identity {
            return wrong(
                "--uninstall takes out what --new-identity changes",
                "leave out one or the other",
            );
        }
        for (ends, name) in [(self.uninstall, "--uninstall"), (self.new_identity, "--new-identity")] {
            if ends && (self.follow || self.backfill) {
                return wrong(
                    &format!("{name} ships nothing, and --follow and --backfill do"),
                    "leave out one or the other",
                );
            }
        }
        if self.capture == CaptureArg::None && self.follow {
            return wrong(
                "--follow needs triggers, and --capture none installs none",
                "leave out one of them: with --capture none every run sends the whole table",
            );
        }
        if self.fake_every.is_some() && !self.follow {
            return wrong(
                "--fake-every adds rows as long as the producer stays",
                "add --follow, or add rows once with --fake N",
            );
        }
        Ok(())
    }

    /// Each table and the topic that it goes to.
    pub(crate) fn tables_and_topics(&self) -> Result<Vec<(String, String)>> {
        let topic_of = |table: &String| match &self.topic {
            Some(topic) => topic.clone(),
            None => format!("{}{table}", self.topic_prefix),
        };
        if self.topic.is_some() && self.tables.len() > 1 {
            return Err(Error::usage("--topic names one topic, but there are several --table")
                .way_out("use --topic-prefix: each table has a topic of its own"));
        }
        Ok(self
            .tables
            .iter()
            .map(|table| (table.clone(), topic_of(table)))
            .collect())
    }
}
