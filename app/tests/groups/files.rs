//! The sink's file: one group lands in one file that is alive, wherever it lies; and a file that
//! goes away is missed at once.

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

#[track_caller]
fn lands_all(ws: &Workspace, consumer: &Process) {
    let equal = wait_until(LIMIT, || ws.verify(&[]).status.success());
    assert!(equal, "{}\n{}", ws.verify(&[]), consumer.output());
}

#[track_caller]
fn refused(run: Run, other: &Path, own: &Path) {
    let run = run.code(1).says("lands in another sink").says("way out");
    run.says(&other.display().to_string())
        .says(&own.display().to_string())
        .says("--group");
}

#[test]
fn a_copy_of_a_living_sink_is_refused_in_its_group_and_the_original_goes_on() {
    let ws = shipped("of a sink and its copy, one lands");
    let mut original = living(&ws, &ws.sink());
    let copy = copy(&ws);
    refused(start_in(&ws, &copy, &[]).wait(LIMIT), &ws.sink(), &copy);
    change(&ws, 1);
    lands_all(&ws, &original);
    refused(run_in(&ws, &copy), &ws.sink(), &copy);
    change(&ws, 2);
    lands_all(&ws, &original);
    assert!(original.is_running(), "{}", original.output());
    original.signal(libc::SIGTERM);
    original.wait(LIMIT).ok();
}

#[test]
fn an_original_is_refused_where_its_copy_lives_in_its_group() {
    let ws = shipped("of a sink and its copy, the one that was first lands");
    run_in(&ws, &ws.sink()).ok();
    let copy = copy(&ws);
    let mut second = start_in(&ws, &copy, &[]);
    change(&ws, 1);
    let landed = || ws.number(&copy, "SELECT count(*) FROM t WHERE version = 1") == 300;
    assert!(wait_until(LIMIT, landed), "{}", second.output());
    refused(run_in(&ws, &ws.sink()), &copy, &ws.sink());
    assert!(second.is_running(), "{}", second.output());
    second.signal(libc::SIGTERM);
    second.wait(LIMIT).ok();
}

#[test]
fn a_sink_that_was_moved_is_taken_where_nobody_else_lives() {
    let ws = shipped("a sink may be moved");
    let mut consumer = living(&ws, &ws.sink());
    // Not even one that was killed is waited for.
    consumer.signal(libc::SIGKILL);
    consumer.killed();
    let moved = ws.path("moved.db");
    for end in ["", "-wal", "-shm"] {
        let _ = fs::rename(ws.path(&format!("sink.db{end}")), ws.path(&format!("moved.db{end}"))); // there or not
    }
    change(&ws, 1);
    run_in(&ws, &moved).ok();
    ws.verify(&["--sink", moved.to_str().expect("a plain name")])
        .ok()
        .says("equal");
    // And a member that comes later shares it.
    let first = start_in(&ws, &moved, &[]);
    run_in(&ws, &moved).ok();
    drop(first);
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
