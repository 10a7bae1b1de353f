//! Another process holds a database's write lock for long: a word about it, and then on it goes.

use std::time::Duration;

use rusqlite::Connection;

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
