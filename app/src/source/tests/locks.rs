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
        let Ferry { mut changes, user, .. } = ferry;
        // The last look comes a tick after the last change.
        assert!(!changes.wait(Duration::from_millis(100), &Stop::default()).unwrap());
        let waits = thread::spawn(move || changes.wait(Duration::from_secs(1), &Stop::default()).unwrap());
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
            assert!(ferry.changes.wait(Duration::from_secs(60), &Stop::default()).unwrap());
            ferry.assert_equal();
        }
    }
}

#[test]
fn a_note_that_does_not_wait_leaves_the_file_to_others() {
    // A writer in every mode, and where readers hold up a commit, a reader too.
    let locks = ROLLBACK
        .iter()
        .flat_map(|mode| [(*mode, "BEGIN IMMEDIATE"), (*mode, "BEGIN")]);
    for (mode, lock) in locks.chain([("WAL", "BEGIN IMMEDIATE")]) {
        let table = format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
        let mut ferry = Ferry::new("t", &table);
        ferry.assert_equal();
        ferry.sql("INSERT INTO t VALUES (1, 1)");
        assert!(ferry.step(10));
        let note = [(ferry.unnoted.pop_front().unwrap(), vec![])];
        let waiting = |ferry: &Ferry| {
            let sql = "SELECT max(seq) - (SELECT shipped FROM _rowferry_tracked) FROM _rowferry_outbox_t";
            ferry.user.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        ferry.sql(lock);
        assert_eq!(waiting(&ferry), 1, "{mode}, {lock}");
        assert!(!ferry.state.try_note(&note).unwrap(), "{mode}, {lock}");
        assert_eq!(waiting(&ferry), 1, "{mode}, {lock}");
        ferry.sql("UPDATE t SET v = 2; COMMIT");
        assert!(ferry.state.try_note(&note).unwrap(), "{mode}, {lock}");
        assert_eq!(waiting(&ferry), 1, "the change since: {mode}, {lock}");
        ferry.assert_equal();
    }
}

#[test]
fn the_last_mark_of_a_table_says_all_that_those_before_it_say() {
    let mut ferry = Ferry::new(
        "t",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
    );
    let kinds = |ferry: &mut Ferry| {
        while ferry.step(1) {}
        let checkpoints: Vec<Checkpoint> = ferry.unnoted.drain(..).collect();
        let pairs = checkpoints
            .windows(2)
            .map(|pair| pair[1].covers(&pair[0]))
            .collect::<Vec<_>>();
        (pairs, checkpoints)
    };
    let (pairs, checkpoints) = kinds(&mut ferry);
    assert_eq!(pairs, [true, true, false], "the end of a pass is not a place in it");
    ferry
        .state
        .note(&[(checkpoints[2].clone(), vec![]), (checkpoints[3].clone(), vec![])])
        .unwrap();
    ferry.sql("UPDATE t SET v = 9");
    let (pairs, changes) = kinds(&mut ferry);
    assert_eq!(pairs, [true, true]);
    assert!(!changes[0].covers(&checkpoints[3]) && !checkpoints[3].covers(&changes[0]));
    ferry.state.note(&[(changes[2].clone(), vec![])]).unwrap();
    ferry.restart();
    assert_eq!(ferry.drain(), 0, "nothing is left to ship");
}

#[test]
fn rows_are_given_on_without_a_lock() {
    for mode in ROLLBACK {
        let mut ferry = Ferry::new(
            "t",
            &format!(
                "PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2)"
            ),
        );
        ferry.user.busy_timeout(Duration::ZERO).unwrap();
        let Ferry {
            changes, user, model, ..
        } = &mut ferry;
        let mut given = 0;
        for change in [
            "INSERT INTO t VALUES (3, 3)",
            "UPDATE t SET v = 4",
            "DELETE FROM t WHERE id = 1",
        ] {
            while let Some(_mark) = changes
                .read(10, 1 << 20, &mut |event| {
                    user.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")
                        .unwrap_or_else(|e| panic!("{mode}: {e}"));
                    given += 1;
                    model.take(event)
                })
                .unwrap()
            {}
            user.execute_batch(change).unwrap();
        }
        assert_eq!(given, 4 + 1 + 3, "begin, two rows, end; then changes");
        ferry.assert_equal();
    }
}
