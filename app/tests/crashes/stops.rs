//! Ctrl-C and SIGTERM: exit code 0 within five seconds, whatever is going on.

use std::fs;
use std::time::Duration;

use super::{LIMIT, Scene, is_behind, wait_until_it_lands};
use crate::support::*;

/// Ctrl-C, and what service managers send.
const SIGNALS: [i32; 2] = [libc::SIGINT, libc::SIGTERM];

/// Sends the signal to both sides and fails unless both end with exit code 0 in time.
#[track_caller]
fn stop(ferry: Ferry, signal: i32) -> (Run, Run) {
    let Ferry {
        mut producer,
        mut consumer,
        ..
    } = ferry;
    producer.signal(signal);
    consumer.signal(signal);
    let ended = |process: Process| process.wait(Duration::from_secs(5)).ok().never_says("error");
    (ended(producer), ended(consumer))
}

#[test]
fn both_sides_stop_at_once_in_mid_flight() {
    let mut random = Random::new();
    let workspace = Workspace::new("a stop in mid-flight is clean").of("t");
    let scene = Scene::start(&workspace, &mut random);
    for signal in SIGNALS.repeat(3) {
        let mut ferry = Ferry::start(&workspace, &["--batch-rows", "20"], &[]);
        ferry.producer.wait_for_line("rows to ship", LIMIT);
        wait_until_it_lands(&workspace);
        let (producer, consumer) = stop(ferry, signal);
        assert!(is_behind(&workspace), "no row was in flight");
        producer.says("rows shipped");
        consumer.says("rows landed");
    }
    scene.end(Ferry::start(&workspace, &[], &[]));
}

#[test]
fn both_sides_stop_at_once_while_the_broker_hangs() {
    let mut random = Random::new();
    let cluster = Cluster::own(Config::default());
    let workspace = Workspace::on(&cluster, "a stop while the broker hangs is clean").of("t");
    let scene = Scene::start(&workspace, &mut random);
    for signal in SIGNALS {
        let mut ferry = Ferry::start(&workspace, &["--batch-rows", "20"], &[]);
        ferry.producer.wait_for_line("rows to ship", LIMIT);
        wait_until_it_lands(&workspace);
        cluster.pause_broker();
        scene.writer.wait_for_more(50); // so that the producer has something to send, and waits
        assert!(is_behind(&workspace), "no row is in flight");
        stop(ferry, signal);
        // The same when they have only just asked the broker for the first time.
        let ferry = Ferry::start(&workspace, &[], &[]);
        for side in [&ferry.producer, &ferry.consumer] {
            let connected = wait_until(LIMIT, || has_connection(side.id()));
            assert!(connected, "it never connects to the broker\n{}", side.output());
        }
        stop(ferry, signal);
        cluster.resume_broker();
    }
    scene.end(Ferry::start(&workspace, &[], &[]));
}

/// Whether a process holds an open socket.
fn has_connection(process: u32) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target.to_string_lossy().starts_with("socket:"))
}

#[test]
fn both_sides_stop_at_once_while_they_wait_for_a_lock() {
    let mut random = Random::new();
    let workspace = Workspace::new("a stop under a lock is clean").of("t");
    let scene = Scene::start(&workspace, &mut random);
    for signal in SIGNALS {
        let mut ferry = Ferry::start(&workspace, &["--batch-rows", "20"], &[]);
        ferry.producer.wait_for_line("rows to ship", LIMIT);
        wait_until_it_lands(&workspace);
        let lock = |database| {
            let other = workspace.connection(database);
            other
                .execute_batch("BEGIN IMMEDIATE")
                .expect("a lock is free for a moment");
            other
        };
        let (sink, source) = (workspace.sink(), workspace.source());
        let of_sink = lock(&sink);
        ferry.consumer.wait_for_line("another process holds the lock", LIMIT);
        // Changes that the producer ships, and then cannot note.
        ferry.pause_producer();
        scene.writer.wait_for_more(20);
        let of_source = lock(&source);
        ferry.producer.signal(libc::SIGCONT);
        ferry.producer.wait_for_line("another process holds the lock", LIMIT);
        stop(ferry, signal);
        for other in [of_sink, of_source] {
            other.execute_batch("ROLLBACK").expect("it holds the lock");
        }
    }
    scene.end(Ferry::start(&workspace, &[], &[]));
}
