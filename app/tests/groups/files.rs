//! The sink's file: one that goes away is missed at once.

use std::fs;
use std::path::Path;

use super::{LIMIT, fill};
use crate::support::*;

/// A consumer of one group, whichever file it lands in.
fn start_in(ws: &Workspace, file: &Path, args: &[&str]) -> Process {
    let sink = file.to_str().expect("the temporary folder has a plain name");
    ws.start_consumer(&[&["--group", ws.topic(), "--sink", sink], args].concat())
}

fn run_in(ws: &Workspace, file: &Path) -> Run {
    start_in(ws, file, &["--until-caught-up"]).wait(LIMIT)
}

/// A workspace with rows in the log.
fn shipped(sentence: &str) -> Workspace {
    let ws = Workspace::new(sentence).of("t");
    fill(&ws, 300);
    ws.producer(&[]).ok();
    ws
}

/// Copies the sink, whoever has it open.
fn copy(ws: &Workspace) -> std::path::PathBuf {
    let copy = ws.path("copy.db");
    ws.sql(&ws.sink(), &format!("VACUUM INTO '{}'", copy.display()));
    copy
}

/// A sink that has landed everything and lives.
fn living(ws: &Workspace, file: &Path) -> Process {
    let mut consumer = start_in(ws, file, &[]);
    consumer.wait_for_line("all of the table has landed", LIMIT);
    consumer
}

fn change(ws: &Workspace, version: u32) {
    ws.sql(&ws.source(), &format!("UPDATE t SET version = {version}"));
    ws.producer(&[]).ok();
}

#[test]
fn a_sink_that_is_removed_under_its_idle_consumer_stops_it() {
    let ws = shipped("a sink that is gone is missed");
    let consumer = living(&ws, &ws.sink());
    fs::remove_file(ws.sink()).expect("it can be removed");
    let run = consumer.wait(LIMIT).code(1).says(&ws.sink().display().to_string());
    run.says("was moved, removed or replaced").says("way out");
    assert!(!ws.sink().exists(), "it was made anew");
}

#[test]
fn a_sink_that_is_replaced_under_its_consumer_stops_it_and_the_next_goes_on_with_the_new_file() {
    let ws = shipped("what lands in a file that is gone has not landed");
    let consumer = living(&ws, &ws.sink());
    let copy = copy(&ws);
    fs::rename(copy, ws.sink()).expect("it can be renamed");
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(ws.path(&format!("sink.db{end}"))); // there or not
    }
    change(&ws, 1);
    let run = consumer.wait(LIMIT).code(1).says(&ws.sink().display().to_string());
    run.says("was moved, removed or replaced").says("way out");
    run_in(&ws, &ws.sink()).ok();
    assert_equal(&ws);
}
