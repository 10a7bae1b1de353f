//! Ships the rows of SQLite tables into Kafka topics.
//!
//! - `options`: what the command line says
//! - `dummies`: dummy rows

mod dummies;
mod options;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use indicatif::HumanCount;
use rowferry::broker::Cluster;
use rowferry::error::{Error, Result};
use rowferry::ship;
use rowferry::source::{Capture, SourceState};
use rowferry::stop::Stop;
use rowferry::terminal::progress::Progress;
use rowferry::terminal::{exit_with, say, start_log};

use options::Args;

const SOURCE: &str = "data/source.db";

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.broker.quiet);
    exit_with(run(args))
}

fn run(args: Args) -> Result<u8> {
    args.check()?;
    let stop = Stop::on_signals()?;
    let path = args.source.as_deref().unwrap_or(Path::new(SOURCE));
    if args.uninstall {
        return uninstall(path, stop);
    }
    if args.new_identity {
        return new_identity(path, stop);
    }
    let tables = args.tables_and_topics()?;
    let sign_key = args.broker.sign_key()?;
    // The broker is asked first: where there is none, nothing is made.
    let cluster = Cluster::connect(
        args.broker.options("rowferry-producer", args.compression)?,
        stop.clone(),
    )?;
    dummies::prepare(&args, path, &stop)?;
    let options = ship::ShipOptions {
        source: path.to_owned(),
        tables,
        capture: args.capture.into(),
        backfill: args.backfill,
        strict: args.strict,
        follow: args.follow,
        batch_rows: args.batch_rows as usize,
        sign_key,
    };
    let mut progress = Progress::new("shipped", args.broker.quiet);
    let faker = args
        .fake_every
        .map(|every| dummies::start_adding(path.to_owned(), every, args.seed, stop.clone()));
    let outcome = ship::ship(&options, &cluster, &mut progress, &stop);
    progress.finish();
    if let Some(faker) = faker {
        stop.request();
        faker.join().expect("the thread returns its errors")?;
    }
    let summary = outcome?;
    if !args.broker.quiet {
        say(progress.line());
    }
    if summary.kept_back == 0 {
        return Ok(0);
    }
    Err(Error::failed(format!(
        "{} rows were kept back: see the table _rowferry_dead_letters in {}",
        HumanCount(summary.kept_back),
        path.display()
    ))
    .way_out("its column reason says why; the next run tries them again"))
}

fn new_identity(path: &Path, stop: Stop) -> Result<u8> {
    let source = SourceState::open(path, Capture::Triggers, stop)?.new_identity()?;
    say(format!(
        "{}: a source of its own from now on ({source}): ship it to topics of its own, with --topic or --topic-prefix",
        path.display()
    ));
    Ok(0)
}

fn uninstall(path: &Path, stop: Stop) -> Result<u8> {
    let removed = SourceState::open(path, Capture::Triggers, stop)?.uninstall()?;
    let place = path.display();
    say(if removed.is_empty() {
        format!("{place}: nothing of Rowferry's was there")
    } else {
        format!("{place}: took out {}", removed.join(", "))
    });
    Ok(0)
}
