//! Ships the rows of SQLite tables into Kafka topics.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rowferry::broker::{Cluster, Compression};
use rowferry::cli::{self, BrokerArgs};
use rowferry::error::{Error, Result};
use rowferry::ship;
use rowferry::source::{self, Capture, SourceState};
use rowferry::stop::Stop;
use rowferry::terminal::progress::{Progress, thousands};

const SOURCE: &str = "data/source.db";
const TABLE: &str = source::dummy::TABLE;
const ROWS: u64 = 1000;

/// Ships the rows of SQLite tables into Kafka topics: what has not been shipped yet, then (with --follow) every change.
#[derive(Debug, Parser)]
#[command(version, after_help = cli::EXIT_CODES)]
struct Args {
    #[command(flatten)]
    broker: BrokerArgs,

    /// The database to ship from [default: data/source.db, made with 1,000 dummy users when it is not there]
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SOURCE")]
    source: Option<PathBuf>,

    /// A table to ship; repeat it for more
    #[arg(long = "table", value_name = "NAME", env = "ROWFERRY_TABLE", default_value = TABLE)]
    tables: Vec<String>,

    /// The topic, when one table is shipped [default: the table's name]
    #[arg(long, value_name = "NAME", env = "ROWFERRY_TOPIC", conflicts_with = "topic_prefix")]
    topic: Option<String>,

    /// What stands before a table's name to make its topic
    #[arg(long, value_name = "TEXT", env = "ROWFERRY_TOPIC_PREFIX", default_value = "")]
    topic_prefix: String,

    /// Stay, and ship changes as they come, until Ctrl-C
    #[arg(long, env = "ROWFERRY_FOLLOW", value_parser = cli::flag())]
    follow: bool,

    /// Add N dummy rows to the table `users` first
    #[arg(long, value_name = "N", env = "ROWFERRY_FAKE", allow_negative_numbers = true)]
    fake: Option<u64>,

    /// With --follow: add a dummy row to the table `users` every so often (3s, 500ms, 1m)
    #[arg(long, value_name = "TIME", env = "ROWFERRY_FAKE_EVERY", value_parser = cli::duration)]
    fake_every: Option<Duration>,

    /// The seed of the dummy rows: the same seed makes the same rows
    #[arg(
        long,
        value_name = "N",
        env = "ROWFERRY_SEED",
        allow_negative_numbers = true,
        default_value_t = 1
    )]
    seed: u64,

    /// Rows a batch: what is read, sent and acknowledged together
    #[arg(long, value_name = "N", env = "ROWFERRY_BATCH_ROWS", allow_negative_numbers = true, default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch_rows: u32,

    /// How batches are compressed on the way
    #[arg(long, value_enum, env = "ROWFERRY_COMPRESSION", default_value_t = Compression::None)]
    compression: Compression,

    /// How changes are noticed: by triggers in the source, or not at all (the source is only read, and every run is a full pass)
    #[arg(long, value_enum, env = "ROWFERRY_CAPTURE", default_value_t = CaptureArg::Triggers)]
    capture: CaptureArg,

    /// A full pass: send all rows again; the sink removes what is gone. Heals every gap (see consumer --heal)
    #[arg(long, env = "ROWFERRY_BACKFILL", value_parser = cli::flag())]
    backfill: bool,

    /// Stop with exit code 3, instead of sending all rows again, where a topic was made anew
    #[arg(long, env = "ROWFERRY_STRICT", value_parser = cli::flag())]
    strict: bool,

    /// Make the file a source of its own, and end: for a copy of a source that is to be shipped beside its original, to other topics
    #[arg(long, env = "ROWFERRY_NEW_IDENTITY", value_parser = cli::flag())]
    new_identity: bool,

    /// Take Rowferry's triggers and tables out of the source, and end
    #[arg(long, env = "ROWFERRY_UNINSTALL", value_parser = cli::flag())]
    uninstall: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CaptureArg {
    Triggers,
    None,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::start_log(args.broker.quiet);
    cli::exit_with(run(args))
}

fn run(args: Args) -> Result<u8> {
    check(&args)?;
    let stop = Stop::on_signals()?;
    let path = args.source.as_deref().unwrap_or(Path::new(SOURCE));
    let capture = match args.capture {
        CaptureArg::Triggers => Capture::Triggers,
        CaptureArg::None => Capture::None,
    };
    if args.uninstall {
        return uninstall(path, stop);
    }
    if args.new_identity {
        return new_identity(path, stop);
    }
    let tables = tables_and_topics(&args)?;
    let sign_key = args.broker.sign_key()?;
    // The broker is asked first: where there is none, nothing is made.
    let cluster = Cluster::connect(
        args.broker.options("rowferry-producer", args.compression)?,
        stop.clone(),
    )?;
    prepare_dummy(&args, path, &stop)?;
    let options = ship::Options {
        source: path.to_owned(),
        tables,
        capture,
        backfill: args.backfill,
        strict: args.strict,
        follow: args.follow,
        batch_rows: args.batch_rows as usize,
        sign_key,
    };
    let mut progress = Progress::new("shipped", args.broker.quiet);
    let faker = args
        .fake_every
        .map(|every| start_faker(path.to_owned(), every, args.seed, stop.clone()));
    let outcome = ship::ship(&options, &cluster, &mut progress, &stop);
    progress.finish();
    if let Some(faker) = faker {
        stop.request();
        faker.join().expect("the faker returns its errors")?;
    }
    let summary = outcome?;
    if !args.broker.quiet {
        cli::say(progress.line());
    }
    if summary.kept_back == 0 {
        return Ok(0);
    }
    Err(Error::failed(format!(
        "{} rows were kept back: see the table _rowferry_dead_letters in {}",
        thousands(summary.kept_back),
        path.display()
    ))
    .way_out("its column reason says why; the next run tries them again"))
}

/// Refuses options that contradict each other. A flag that is false in the environment contradicts nothing.
fn check(args: &Args) -> Result<()> {
    let wrong = |what: &str, way_out: &str| Err(Error::usage(what).way_out(way_out));
    if args.uninstall && args.new_identity {
        return wrong(
            "--uninstall takes out what --new-identity changes",
            "leave out one or the other",
        );
    }
    for (ends, name) in [(args.uninstall, "--uninstall"), (args.new_identity, "--new-identity")] {
        if ends && (args.follow || args.backfill) {
            return wrong(
                &format!("{name} ships nothing, and --follow and --backfill do"),
                "leave out one or the other",
            );
        }
    }
    if args.capture == CaptureArg::None && args.follow {
        return wrong(
            "--follow needs triggers, and --capture none installs none",
            "leave out one of them: with --capture none every run sends the whole table",
        );
    }
    if args.fake_every.is_some() && !args.follow {
        return wrong(
            "--fake-every adds rows as long as the producer stays",
            "add --follow, or add rows once with --fake N",
        );
    }
    Ok(())
}

fn tables_and_topics(args: &Args) -> Result<Vec<(String, String)>> {
    let topic_of = |table: &String| match &args.topic {
        Some(topic) => topic.clone(),
        None => format!("{}{table}", args.topic_prefix),
    };
    if args.topic.is_some() && args.tables.len() > 1 {
        return Err(Error::usage("--topic names one topic, but there are several --table")
            .way_out("use --topic-prefix: each table has a topic of its own"));
    }
    Ok(args
        .tables
        .iter()
        .map(|table| (table.clone(), topic_of(table)))
        .collect())
}

/// Makes the default database, and adds the dummy rows that were asked for.
fn prepare_dummy(args: &Args, path: &Path, stop: &Stop) -> Result<()> {
    let missing = !path.exists();
    if missing && args.source.is_none() {
        source::dummy::create_if_missing(path, ROWS, args.seed, stop)?;
        log::info!("made {} with {} dummy users", path.display(), thousands(ROWS));
    } else if missing && (args.fake.is_some() || args.fake_every.is_some()) {
        source::dummy::create_if_missing(path, 0, args.seed, stop)?;
        log::info!("made {}", path.display());
    } else if missing {
        return Err(
            Error::failed(format!("--source {}: there is no such file", path.display()))
                .way_out("name a database that is there, or add --fake 1000 to make one with dummy users"),
        );
    }
    if let Some(rows) = args.fake.filter(|&rows| rows > 0) {
        source::dummy::add(path, TABLE, rows, args.seed, stop)?;
        log::info!("added {} dummy users to {}", thousands(rows), path.display());
    }
    Ok(())
}

/// Adds a dummy row every so often; when it cannot, the program ends.
fn start_faker(path: PathBuf, every: Duration, seed: u64, stop: Stop) -> JoinHandle<Result<()>> {
    thread::spawn(move || {
        while stop.sleep(every).is_ok() {
            source::dummy::add(&path, TABLE, 1, seed, &stop).inspect_err(|_| stop.request())?;
        }
        Ok(())
    })
}

fn new_identity(path: &Path, stop: Stop) -> Result<u8> {
    let source = SourceState::open(path, Capture::Triggers, stop)?.new_identity()?;
    cli::say(format!(
        "{}: a source of its own from now on ({source}): ship it to topics of its own, with --topic or --topic-prefix",
        path.display()
    ));
    Ok(0)
}

fn uninstall(path: &Path, stop: Stop) -> Result<u8> {
    let removed = SourceState::open(path, Capture::Triggers, stop)?.uninstall()?;
    let place = path.display();
    cli::say(match removed.is_empty() {
        true => format!("{place}: nothing of Rowferry's was there"),
        false => format!("{place}: took out {}", removed.join(", ")),
    });
    Ok(0)
}
