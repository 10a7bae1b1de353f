//! Compares the tables of the source database with those of the sink database, or of several.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rowferry::error::Result;
use rowferry::terminal::{exit_with, say, start_log};
use rowferry::{cli, verify};

/// Compares tables of a SQLite database with those of another one, or of several, value by value
/// and storage class by storage class.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 equal, 1 different or an error, 2 wrong usage")]
struct Args {
    /// The database that rows come from
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SOURCE", default_value = "data/source.db")]
    source: PathBuf,
    /// The database that they have landed in; repeat it for rows that are spread over several: each
    /// must be in just one
    #[arg(
        long = "sink",
        value_name = "FILE",
        env = "ROWFERRY_SINK",
        default_value = "data/sink.db"
    )]
    sinks: Vec<PathBuf>,
    /// A table to compare, once for each [default: the tables of the source that are shipped, or
    /// all where none is]
    #[arg(long = "table", value_name = "NAME", env = "ROWFERRY_TABLE")]
    tables: Vec<String>,
    /// Say nothing of tables that are equal
    #[arg(long, env = "ROWFERRY_QUIET", value_parser = cli::flag())]
    quiet: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.quiet);
    exit_with(run(&args))
}

fn run(args: &Args) -> Result<u8> {
    let mut all_equal = true;
    verify::verify(&args.source, &args.sinks, &args.tables, |report| {
        all_equal &= report.is_equal();
        if !(args.quiet && report.is_equal()) {
            say(report);
            report.findings().for_each(say);
        }
    })?;
    Ok(if all_equal { 0 } else { 1 })
}
