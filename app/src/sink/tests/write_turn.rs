//! Several consumers that share one sink file.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::error::Kind;
use crate::sink::open::{LOG_PAGES, PAGE};

/// The lock file of the sink, held as by another process.
fn held_turnstile(folder: &Folder) -> File {
    let file = File::open(folder.0.join("sink.db-turn")).unwrap();
    file.try_lock().unwrap();
    file
}

#[test]
fn who_commits_and_begins_again_at_once_leaves_the_others_their_share() {
    let folder = Folder::new();
    land(&mut folder.sink(), &schema("t", &[("id", "INTEGER", 1)]), &[]);
    let over = AtomicBool::new(false);
    let consumer = |partition: i32| {
        let (mut sink, mut at, mut count) = (folder.sink(), position(partition), 0);
        while !over.load(Ordering::Relaxed) {
            let mut landing = sink.begin().unwrap();
            let expected = (count > 0).then_some(at.next_offset);
            at.next_offset += 1;
            landing.move_position(&at, expected).unwrap();
            thread::sleep(Duration::from_millis(5)); // the work
            landing.commit().unwrap();
            count += 1;
        }
        count
    };
    let counts: Vec<u32> = thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|i| scope.spawn(move || consumer(i))).collect();
        thread::sleep(Duration::from_secs(3));
        over.store(true, Ordering::Relaxed);
        consumers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    let all: u32 = counts.iter().sum();
    assert!(all > 60, "{counts:?}");
    assert!(
        counts.iter().all(|count| count * 6 > all),
        "someone had less than half of a third: {counts:?}"
    );
}

#[test]
fn the_log_stays_short_while_several_consumers_are_busy() {
    let folder = Folder::new();
    let shape = Arc::new(schema("t", &[("id", "INTEGER", 1), ("v", "BLOB", 0)]));
    // The last one to close the file removes the log.
    let last = folder.sink();
    let consumer = |partition: i32| {
        let (mut sink, mut at) = (folder.sink(), position(partition));
        for n in 0..50 {
            let mut landing = sink.begin().unwrap();
            landing.schema(&mut at, &shape, None).unwrap();
            let row = [int(partition.into()), blob(&vec![n; 1 << 20])];
            landing.upsert(&at, None, &row).unwrap();
            landing.commit().unwrap();
        }
    };
    thread::scope(|scope| {
        (0..3).for_each(|i| drop(scope.spawn(move || consumer(i))));
    });
    let log = fs::metadata(folder.0.join("sink.db-wal")).unwrap().len();
    let usual = LOG_PAGES as u64 * u64::from(PAGE);
    assert!(
        (usual..2 * usual).contains(&log),
        "the log has come to {log} bytes, with {usual} as its usual length"
    );
    drop(last);
    assert_eq!(
        query(&folder.user(), "SELECT id, length(v) FROM t"),
        [0, 1, 2].map(|id| [int(id), int(1 << 20)])
    );
}

#[test]
fn a_turnstile_that_is_never_given_back_only_delays() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let held = held_turnstile(&folder);
    let started = Instant::now();
    land(&mut sink, &schema("t", &[("id", "INTEGER", 1)]), &[vec![int(1)]]);
    let waited = started.elapsed();
    assert!(
        waited >= Duration::from_millis(400),
        "nothing was waited for: {waited:?}"
    );
    assert!(waited < Duration::from_secs(5), "it waited for {waited:?}");
    assert_eq!(query(&folder.user(), "SELECT * FROM t"), [[int(1)]]);
    drop(held);
}

#[test]
fn a_wish_to_stop_ends_the_wait_in_the_turnstile() {
    let folder = Folder::new();
    let stop = Stop::default();
    let mut sink = Sink::open(&folder.sink_path(), stop.clone()).unwrap();
    let held = held_turnstile(&folder);
    let asker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stop.request();
    });
    let error = sink.begin().err().expect("the turn is taken");
    assert_eq!(error.kind(), Kind::Stopped);
    asker.join().unwrap();
    drop(held);
}

#[test]
fn a_sink_without_a_turnstile_is_a_sink_too() {
    let folder = Folder::new();
    symlink("no/such/folder/turn", folder.0.join("sink.db-turn")).unwrap();
    land(
        &mut folder.sink(),
        &schema("t", &[("id", "INTEGER", 1)]),
        &[vec![int(1)]],
    );
    assert!(File::open(folder.0.join("sink.db-turn")).is_err(), "it has one");
    assert_eq!(query(&folder.user(), "SELECT * FROM t"), [[int(1)]]);
}

#[test]
fn a_sink_has_one_turnstile_whatever_link_leads_to_it() {
    let folder = Folder::new();
    drop(folder.sink());
    let link = folder.0.join("link.db");
    symlink(folder.sink_path(), &link).unwrap();
    drop(Sink::open(&link, Stop::default()).unwrap());
    assert!(folder.0.join("sink.db-turn").exists());
    assert!(!folder.0.join("link.db-turn").exists());
}

#[test]
fn the_turnstile_is_no_way_to_another_file() {
    let folder = Folder::new();
    let (turn, victim, dangling) = (
        folder.0.join("sink.db-turn"),
        folder.0.join("victim"),
        folder.0.join("none"),
    );
    fs::write(&victim, "theirs").unwrap();
    let schema = schema("t", &[("id", "INTEGER", 1)]);
    for target in [&victim, &dangling] {
        symlink(target, &turn).unwrap();
        land(&mut folder.sink(), &schema, &[]);
        assert_eq!(fs::read(&victim).unwrap(), b"theirs");
        assert!(!dangling.exists());
        fs::remove_file(&turn).unwrap();
    }
    // What stands there in its own right is not cut, and a pipe is not waited for.
    fs::write(&turn, "kept").unwrap();
    land(&mut folder.sink(), &schema, &[]);
    assert_eq!(fs::read(&turn).unwrap(), b"kept");
    fs::remove_file(&turn).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&turn).status().unwrap();
    assert!(made.success());
    land(&mut folder.sink(), &schema, &[]);
}
