//! A single broker ends and begins again while both sides are started all the time: no start meets
//! a broker that is not itself yet, and ends in a false alarm.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;

/// How many starts are tried at least, and how many of them must have met a broker that takes
/// connections and is not ready.
const STARTS: usize = 120;
const MET: usize = 5;

/// How long the broker may take to do that.
const LIMIT: Duration = Duration::from_secs(420);

/// How long the broker is left in peace between two ends.
const PEACE: Duration = Duration::from_secs(3);

/// What a side says while it waits for a broker.
const WAITS: &str = "trying again for up to";

#[test]
fn every_start_while_a_broker_restarts_ends_well_or_finds_no_broker() {
    let cluster = Cluster::own(Config::default());
    let w = Workspace::on(&cluster, "a broker that restarts is no reason for a false alarm").of("t");
    w.sql(
        &w.source(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    let sinks: Vec<String> = (1..=3).map(|n| format!("sink-{n}.db")).collect();
    w.producer(&[]).ok();
    for sink in &sinks {
        w.consumer(&["--sink", sink, "--until-caught-up"]).ok();
    }

    let over = AtomicBool::new(false);
    let (mut ends, mut met) = (BTreeMap::<String, usize>::new(), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let done = Over(&over);
            let mut kill = true;
            while !done.0.load(Ordering::Relaxed) {
                if kill {
                    cluster.kill_broker();
                } else {
                    cluster.end_broker();
                }
                kill = !kill;
                cluster.start_broker();
                thread::sleep(PEACE);
            }
        });
        let done = Over(&over);
        let began = Instant::now();
        let start = |side: usize| match side {
            0 => w.start_producer(&[]),
            _ => w.start_consumer(&["--sink", &sinks[side - 1], "--until-caught-up"]),
        };
        let mut running: Vec<Process> = (0..=sinks.len()).map(start).collect();
        let mut started = running.len();
        while !running.is_empty() {
            thread::sleep(Duration::from_millis(50));
            let more = !done.0.load(Ordering::Relaxed) && (started < STARTS || met < MET) && began.elapsed() < LIMIT;
            for side in (0..running.len()).rev() {
                if running[side].is_running() {
                    continue;
                }
                let run = if more {
                    started += 1;
                    std::mem::replace(&mut running[side], start(side))
                } else {
                    running.remove(side)
                }
                .wait(LIMIT);
                met += usize::from(run.stderr().contains(WAITS));
                *ends.entry(end(run)).or_default() += 1;
            }
        }
        eprintln!("{started} starts, {met} of which met a broker that was not ready: {ends:?}");
    });
    let tried: usize = ends.values().sum();
    assert!(
        tried >= STARTS && met >= MET,
        "{tried} starts, and {met} met a broker that was not ready"
    );
    w.producer(&[]).ok();
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
}

/// How a start ended; fails where that is a false alarm.
#[track_caller]
fn end(run: Run) -> String {
    let nobody = run.status.code() == Some(1)
        && run.stderr().contains("no Kafka broker answers at")
        && run.stderr().contains("it cannot be reached");
    if nobody {
        return "1: no broker answers".to_owned();
    }
    run.ok();
    "0".to_owned()
}

/// Ends both threads of the test as soon as one of them has, however it did.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
