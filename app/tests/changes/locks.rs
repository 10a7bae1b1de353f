//! Another process holds a database's write lock for long: a word about it, and then on it goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(30);

fn workspace(journal: &str) -> Workspace {
    let workspace = Workspace::new("a lock is waited for").of("t");
    let source = format!(
        "PRAGMA journal_mode = {journal}; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')"
    );
    workspace.sql(&workspace.source(), &source);
    workspace
}

/// Commits a change of the source and takes the lock before the producer can come between.
fn change_and_lock(ferry: &mut Ferry, user: &Connection, lock: &str) {
    ferry.pause_producer();
    let statements =
        format!("INSERT INTO t(v) VALUES ('before the lock'); {lock}; UPDATE t SET v = 'under the lock' WHERE id = 1");
    user.execute_batch(&statements).expect("the lock is free");
    ferry.producer.signal(libc::SIGCONT);
}

#[test]
fn a_long_write_lock_on_the_source_is_waited_for_while_rows_go_on() {
    let workspace = workspace("wal");
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    ferry.wait_until_equal("the start");
    let user = workspace.connection(&workspace.source());
    change_and_lock(&mut ferry, &user, "BEGIN IMMEDIATE");
    let warning = ferry.producer.wait_for_line("another process holds the lock", LIMIT);
    assert!(warning.contains("warn") && warning.contains("source.db"), "{warning}");
    ferry.wait_until_equal("the change before the lock, which can be read and sent");
    user.execute_batch("COMMIT").expect("it holds the lock");
    ferry.follows("t", "INSERT INTO t(v) VALUES ('after the lock')");
    ferry.end();
}

#[test]
fn a_lock_that_shuts_out_readers_of_the_source_is_waited_for() {
    let workspace = workspace("delete");
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    ferry.wait_until_equal("the start");
    let user = workspace.connection(&workspace.source());
    change_and_lock(&mut ferry, &user, "BEGIN EXCLUSIVE");
    ferry.producer.wait_for_line("another process holds the lock", LIMIT);
    // One that starts under the lock waits as well.
    let mut second = workspace.start_producer(&[]);
    second.wait_for_line("another process holds the lock", LIMIT);
    second.signal(libc::SIGINT);
    second.wait(Duration::from_secs(5)).ok();
    user.execute_batch("COMMIT").expect("it holds the lock");
    ferry.follows("t", "DELETE FROM t WHERE id = 1");
    ferry.end();
}

#[test]
fn a_long_write_lock_on_the_sink_is_waited_for() {
    let workspace = workspace("wal");
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    ferry.wait_until_equal("the start");
    let other = workspace.connection(&workspace.sink());
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    workspace.sql(&workspace.source(), "INSERT INTO t(v) VALUES ('b'), ('c')");
    let warning = ferry.consumer.wait_for_line("another process holds the lock", LIMIT);
    assert!(warning.contains("warn") && warning.contains("sink.db"), "{warning}");
    workspace.verify(&[]).code(1).says("missing in the sink");
    other.execute_batch("ROLLBACK").expect("it holds the lock");
    ferry.follows("t", "UPDATE t SET v = 'on it goes'");
    ferry.end();
}

/// Commits all the time, waiting for locks up to 5 s, until `enough`: each time all rows get the
/// next number. How often it did.
fn number_all_rows(user: Connection, enough: &AtomicBool) -> u64 {
    let mut commits = 0;
    while !enough.load(Ordering::Relaxed) {
        let done = user.execute_batch("UPDATE t SET v = v + 1");
        done.unwrap_or_else(|e| panic!("commit {}: {e}", commits + 1));
        commits += 1;
        thread::sleep(Duration::from_millis(5)); // its pace
    }
    commits
}

#[test]
fn a_source_that_is_only_read_is_free_for_writers_while_the_broker_is_away() {
    const ROWS: i64 = 5000;
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    let workspace = Workspace::on(&cluster, "a pass that waits for a broker holds up no commit").of("t");
    workspace.sql(
        &workspace.source(),
        &format!(
            "PRAGMA journal_mode = DELETE; CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER);
             WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS}) INSERT INTO t SELECT n, 1 FROM c"
        ),
    );
    let user = workspace.connection(&workspace.source());
    user.busy_timeout(Duration::from_secs(5)).expect("a timeout can be set");
    let args = ["--capture", "none", "--batch-rows", "50"];
    // In the middle of the pass the broker goes away.
    proxy.set(Fault::LoseRequestAfter(Request::Produce, 5));
    let mut producer = workspace.start_producer(&args);
    producer.wait_for_line("trying again", LIMIT);
    let enough = &AtomicBool::new(false);
    let commits = thread::scope(|scope| {
        let writer = scope.spawn(move || number_all_rows(user, enough));
        let numbered = wait_until(LIMIT, || {
            writer.is_finished() || workspace.number(&workspace.source(), "SELECT max(v) FROM t") > 20
        });
        let in_the_middle = producer.is_running() && proxy.struck() > 0;
        proxy.set(Fault::Pass);
        producer.wait(LIMIT).ok();
        enough.store(true, Ordering::Relaxed);
        assert!(numbered && in_the_middle, "the pass did not wait for the broker");
        writer.join().expect("no commit fails")
    });
    assert!(commits > 20);
    workspace.consumer(&["--until-caught-up"]).ok();
    let landed = workspace.rows(&workspace.sink(), "SELECT count(*), min(v), max(v) FROM t");
    let of_one_moment = [ROWS, 1, 1].map(Value::Integer).to_vec();
    assert_eq!(landed, [of_one_moment], "the rows as they were when the pass began");
    workspace.producer(&args).ok();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(&workspace);
}
