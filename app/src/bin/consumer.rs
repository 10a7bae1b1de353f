//! Lands Kafka topics in a SQLite database.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::HumanCount;
use rowferry::broker::{Cluster, Compression};
use rowferry::cli::{self, BrokerArgs};
use rowferry::error::Result;
use rowferry::land::{self, BadRecords, From, LandSummary, Sharing};
use rowferry::stop::Stop;
use rowferry::terminal::progress::Progress;
use rowferry::terminal::{exit_with, say, start_log};

/// Lands Kafka topics in a SQLite database: each record once and in order, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(version, after_help = cli::EXIT_CODES)]
struct Args {
    #[command(flatten)]
    broker: BrokerArgs,

    /// The database to land in, made when it is not there
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SINK", default_value = "data/sink.db")]
    sink: PathBuf,

    /// A topic to land; repeat it for more
    #[arg(long = "topic", value_name = "NAME", env = "ROWFERRY_TOPIC", default_value = "users")]
    topics: Vec<String>,

    /// The consumers of one group share the partitions and one sink file; the sink's own position
    /// decides where to read on
    #[arg(long, value_name = "NAME", env = "ROWFERRY_GROUP", default_value = "rowferry")]
    group: String,

    /// Always land just these partitions, such as 0,2, without a group: for a sink that is spread
    /// over several files
    #[arg(long, value_name = "N,N...", env = "ROWFERRY_PARTITIONS", value_delimiter = ',', conflicts_with = "group", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,

    /// How long the group waits for a member that is not heard of before others take over its
    /// partitions
    #[arg(long, value_name = "TIME", env = "ROWFERRY_SESSION_TIMEOUT", value_parser = cli::duration, default_value = "6s")]
    session_timeout: Duration,

    /// How long landing may stand still, behind a lock for example, before other members get the
    /// partitions
    #[arg(long, value_name = "TIME", env = "ROWFERRY_APPLY_TIMEOUT", value_parser = cli::duration, default_value = "5m")]
    apply_timeout: Duration,

    /// Where to start in a topic that this sink has not seen
    #[arg(long, value_enum, env = "ROWFERRY_FROM", default_value_t = From::Earliest)]
    from: From,

    /// End when everything that was there at the start has landed
    #[arg(long, env = "ROWFERRY_UNTIL_CAUGHT_UP", value_parser = cli::flag())]
    until_caught_up: bool,

    /// Each landed record as a line of JSON on stdout
    #[arg(long, env = "ROWFERRY_PRINT", value_parser = cli::flag())]
    print: bool,

    /// What to do with a record that is no row
    #[arg(long, value_enum, env = "ROWFERRY_ON_BAD_RECORD", default_value_t = BadRecords::DeadLetter)]
    on_bad_record: BadRecords,

    /// Count missing records instead of stopping: for a topic that is compacted on purpose
    #[arg(long, env = "ROWFERRY_ALLOW_GAPS", value_parser = cli::flag())]
    allow_gaps: bool,

    /// Pass over what lies between a gap and the next full pass (see producer --backfill)
    #[arg(long, env = "ROWFERRY_HEAL", value_parser = cli::flag())]
    heal: bool,

    /// Land in this table of the sink though it was there before, or give it from others' records
    /// to the source whose full pass comes; repeat it for more. It takes the shape of what comes,
    /// and a full pass removes what the source does not have
    #[arg(long, value_name = "TABLE", env = "ROWFERRY_ADOPT")]
    adopt: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.broker.quiet);
    exit_with(run(args))
}

fn run(args: Args) -> Result<u8> {
    let stop = Stop::on_signals()?;
    let mut topics = args.topics;
    topics.sort();
    topics.dedup();
    let mut partitions = args.partitions;
    partitions.sort_unstable();
    partitions.dedup();
    let options = land::LandOptions {
        sink: args.sink,
        topics,
        sharing: if partitions.is_empty() {
            Sharing::Group {
                name: args.group,
                session_timeout: args.session_timeout,
                apply_timeout: args.apply_timeout,
            }
        } else {
            Sharing::Pinned(partitions)
        },
        from: args.from,
        until_caught_up: args.until_caught_up,
        print: args.print,
        on_bad_record: args.on_bad_record,
        allow_gaps: args.allow_gaps,
        heal: args.heal,
        adopt: args.adopt,
        sign_key: args.broker.sign_key()?,
    };
    let cluster = Cluster::connect(
        args.broker.options("rowferry-consumer", Compression::None)?,
        stop.clone(),
    )?;
    let mut progress = Progress::new("landed", args.broker.quiet);
    let outcome = land::land(&options, &cluster, &mut progress, &stop);
    progress.finish();
    if !args.broker.quiet {
        // With --print, stdout belongs to the records.
        if args.print {
            eprintln!("{}", progress.line());
        } else {
            say(progress.line());
        }
    }
    report(&outcome?);
    Ok(0)
}

/// What the user should know beside the number of rows.
fn report(summary: &LandSummary) {
    let counts = &summary.counts;
    for (count, what) in [
        (
            counts.dead_letters,
            "records were no rows: see the sink's table _rowferry_dead_letters",
        ),
        (
            counts.kept_back,
            "rows were kept back by the producer: see the source's table _rowferry_dead_letters",
        ),
        (counts.gaps, "holes in the log were allowed (--allow-gaps)"),
        (counts.passed_over, "records were passed over on the way to a full pass"),
    ] {
        if count > 0 {
            log::warn!("{} {what}", HumanCount(count));
        }
    }
    if counts.skipped > 0 {
        log::info!(
            "{} records were skipped: sent twice, or replaced by a newer run",
            HumanCount(counts.skipped)
        );
    }
    for place in &summary.partial {
        log::warn!("{place}: rows from before the first contact are missing; `producer --backfill` brings them");
    }
    for (place, (goes_on, newest)) in &summary.late {
        log::warn!(
            "{place}: the last records are of run {goes_on} and were skipped, because run {newest} had replaced it; if no producer of that source runs, start it again"
        );
    }
    for place in &summary.healing {
        log::warn!("{place}: still waiting for the full pass that heals a gap: run `producer --backfill`");
    }
}
