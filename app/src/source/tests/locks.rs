//! What the user's own writers feel of us.

use std::thread;

use super::*;

/// The journal modes in which a reader holds up a commit.
const ROLLBACK: [&str; 3] = ["DELETE", "TRUNCATE", "PERSIST"];

#[test]
fn waiting_for_a_change_takes_no_lock() {
    for mode in ROLLBACK {
        let mut ferry = Ferry::new(
            "t",
            &format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY)"),
        );
        ferry.assert_equal();
        let Ferry { mut feed, user, .. } = ferry;
        // The last look comes a tick after the last change.
        assert!(!feed.wait(Duration::from_millis(100), &Stop::default()).unwrap());
        let waits = thread::spawn(move || feed.wait(Duration::from_secs(1), &Stop::default()).unwrap());
        user.busy_timeout(Duration::ZERO).unwrap();
        while !waits.is_finished() {
            user.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")
                .unwrap_or_else(|e| panic!("{mode}: {e}"));
        }
        assert!(!waits.join().unwrap(), "nothing has changed");
    }
}

#[test]
fn each_change_is_noticed_at_once() {
    for mode in [&ROLLBACK[..], &["WAL"]].concat() {
        let mut ferry = Ferry::new(
            "t",
            &format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v)"),
        );
        ferry.sql("INSERT INTO t VALUES (1, 0)");
        ferry.assert_equal();
        for change in 0..200 {
            ferry.sql(&format!("UPDATE t SET v = {change}"));
            assert!(ferry.feed.wait(Duration::from_secs(60), &Stop::default()).unwrap());
            ferry.assert_equal();
        }
    }
}
