//! Runs, progress, dead letters, and what is left behind.

use super::*;

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4)";

#[test]
fn each_run_has_a_larger_epoch_and_knows_the_one_before() {
    let mut ferry = Ferry::new("t", TABLE);
    let first = ferry.run.clone();
    assert!(first.is_first);
    assert!(first.source.len() == 12 && first.epoch > 1_700_000_000_000_000);
    // The clock is set back by a year.
    let ahead = 31_536_000_000_000;
    ferry.sql(&format!("UPDATE _rowferry_run SET epoch = epoch + {ahead}"));
    ferry.restart();
    assert_eq!(ferry.run.source, first.source);
    assert!(!ferry.run.is_first);
    assert_eq!(ferry.run.epoch, first.epoch + ahead + 1);
}

#[test]
fn tables_that_an_earlier_version_made_are_gone_on_with() {
    let folder = Folder::new();
    let path = folder.file("source.db");
    let user = Connection::open(&path).unwrap();
    let earlier = "
        CREATE TABLE _rowferry_run(format INTEGER, source TEXT, epoch INTEGER, notes INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE _rowferry_tracked(
            name TEXT COLLATE NOCASE PRIMARY KEY, topic TEXT, shape TEXT, guards TEXT, schema_version INTEGER,
            pass INTEGER, pending INTEGER, cursor BLOB, shipped INTEGER, id TEXT, mark INTEGER);
        CREATE TABLE _rowferry_acked(
            topic TEXT, partition INTEGER, epoch INTEGER, seq INTEGER, offset INTEGER, stood INTEGER,
            PRIMARY KEY (topic, partition));
        CREATE TABLE _rowferry_layout(topic TEXT PRIMARY KEY, partitions INTEGER, moved INTEGER);
        CREATE TABLE _rowferry_dead_letters(
            source_table TEXT COLLATE NOCASE, key TEXT, packed BLOB, reason TEXT, at TEXT,
            PRIMARY KEY (source_table, key));
        INSERT INTO _rowferry_run VALUES (2, 'abcdef012345', 1700000000000001, 7);";
    user.execute_batch(earlier).unwrap();
    user.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)")
        .unwrap();
    let (_, run, tracked, _) = start(&path, "t", "topic", false).unwrap();
    assert_eq!((run.source.as_str(), run.is_first), ("abcdef012345", false));
    assert!(tracked.full);
    let kept: String = user
        .query_row("SELECT guards FROM _rowferry_tracked", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, r#"["\"v\" COLLATE \"BINARY\" = NEW.\"v\""]"#);
}

#[test]
fn two_copies_of_a_source_never_begin_the_same_run() {
    let folder = Folder::new();
    let [one, two] = [folder.file("one.db"), folder.file("two.db")];
    let begin = |path: &Path| {
        SourceState::open(path, Capture::Triggers, Stop::default())
            .unwrap()
            .begin_run(0)
            .unwrap()
    };
    Connection::open(&one).unwrap().execute_batch(TABLE).unwrap();
    begin(&one);
    fs::copy(&one, &two).unwrap();
    let runs = [begin(&one), begin(&two), begin(&one), begin(&two)];
    assert!(runs.iter().all(|run| run.source == runs[0].source), "{runs:?}");
    assert!(runs.is_sorted_by(|a, b| a.epoch < b.epoch), "{runs:?}");
}

#[test]
fn a_pass_goes_on_where_it_was_noted_and_begins_once() {
    for table in [
        "t(id INTEGER PRIMARY KEY, v)",
        "t(id TEXT PRIMARY KEY, v) WITHOUT ROWID",
        "t(id TEXT PRIMARY KEY, v)",
        "t(id, v, PRIMARY KEY(id, v)) WITHOUT ROWID",
        "t(id, v)",
    ] {
        let sql = format!("CREATE TABLE {table}; INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4)");
        let mut ferry = Ferry::new("t", &sql);
        assert!(ferry.tracked.pass_pending && ferry.tracked.full && ferry.tracked.rows_waiting == 4);
        ferry.step(2);
        ferry.restart();
        assert!(ferry.tracked.full, "nothing was noted");
        ferry.step(2);
        ferry.note();
        let begun = ferry.model.begun;
        ferry.step(1);
        ferry.restart();
        assert!(ferry.tracked.pass_pending && !ferry.tracked.full);
        let events = ferry.model.events;
        ferry.sql("UPDATE t SET v = 9 WHERE v = 1");
        ferry.assert_equal();
        assert_eq!(ferry.model.begun, begun);
        assert!(ferry.model.events - events <= 5, "{}", ferry.model.events - events);
        ferry.restart();
        assert!(!ferry.tracked.pass_pending && ferry.tracked.rows_waiting == 0);
        assert_eq!(ferry.drain(), 0);
    }
}

#[test]
fn backfill_and_another_topic_send_all_again() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    ferry.restart_with(true);
    assert_eq!(ferry.drain(), 6);
    ferry.assert_equal();
    let (_, _, tracked, _) = start(&ferry.path, "T", "another", false).unwrap();
    assert!(tracked.full && tracked.table == "t");
}

#[test]
fn what_was_acknowledged_is_remembered_for_each_topic() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.step(100);
    let checkpoint = ferry.unnoted.pop_front().unwrap();
    let acked = |partition, seq| Acked {
        partition,
        epoch: 5,
        seq,
        offset: 7,
        stood: None,
    };
    ferry
        .state
        .note(&[(checkpoint.clone(), vec![acked(1, 10), acked(0, 11)])])
        .unwrap();
    ferry.sql("UPDATE t SET v = 0");
    ferry.step(100);
    let checkpoint = ferry.unnoted.pop_front().unwrap();
    ferry.state.note(&[(checkpoint.clone(), vec![acked(1, 12)])]).unwrap();
    ferry.restart();
    assert_eq!(ferry.tracked.acked, [acked(0, 11), acked(1, 12)]);
    assert_eq!(ferry.state.track("t", "another", false).unwrap().acked, []);
}

#[test]
fn a_producer_that_was_taken_over_reads_and_notes_nothing() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    ferry.sql("UPDATE t SET v = 7");
    ferry.step(100);
    let checkpoint = ferry.unnoted.pop_front().unwrap();
    let (_, _, second, _) = start(&ferry.path, "t", "topic", false).unwrap();
    assert_eq!(second.rows_waiting, 4);
    let error = ferry.state.note(&[(checkpoint.clone(), vec![])]).unwrap_err();
    assert!(
        error.to_string().contains("another producer has taken over") && error.exit_code() == 1,
        "{error}"
    );
    for change in ["UPDATE t SET v = 8", "ALTER TABLE t ADD COLUMN w"] {
        ferry.sql(change);
        let error = ferry.changes.read(10, 1000, &mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("another producer has taken over"), "{error}");
    }
    ferry.restart();
    ferry.assert_equal();
}

#[test]
fn a_producer_that_was_taken_over_begins_no_other_run() {
    let mut ferry = Ferry::new("t", TABLE);
    let second = ferry.state.begin_run(0).unwrap();
    assert!(second.epoch > ferry.run.epoch);
    let (mut other, run, ..) = start(&ferry.path, "t", "topic", false).unwrap();
    let error = ferry.state.begin_run(0).unwrap_err().to_string();
    assert!(error.contains("another producer has taken over this source"), "{error}");
    assert!(other.begin_run(0).unwrap().epoch > run.epoch);
}

#[test]
fn a_batch_that_was_not_taken_is_given_again() {
    let mut ferry = Ferry::new("t", TABLE);
    for sql in ["", "UPDATE t SET v = v + 1"] {
        ferry.sql(sql);
        let mut count = 0;
        let refused = ferry.changes.read(100, 1000, &mut |_| {
            count += 1;
            if count == 3 { Err(Error::failed("no")) } else { Ok(()) }
        });
        assert_eq!(refused.unwrap_err().to_string(), "no");
        ferry.assert_equal();
    }
}

#[test]
fn dead_letters_are_tried_again_by_the_next_run() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    let key = [Value::Integer(2)];
    for reason in ["too large", "still too large"] {
        ferry.state.dead_letter("t", &key, "{\"id\":2}", reason).unwrap();
    }
    assert_eq!(ferry.state.dead_letters().unwrap(), 1);
    ferry.restart();
    assert_eq!(
        (ferry.tracked.dead_letters_requeued, ferry.tracked.rows_waiting),
        (1, 1)
    );
    assert_eq!(ferry.state.dead_letters().unwrap(), 0);
    assert_eq!(ferry.drain(), 1);
    ferry.state.dead_letter("t", &key, "{\"id\":2}", "too large").unwrap();
    ferry.restart_with(true);
    assert_eq!(ferry.tracked.dead_letters_requeued, 1);
    assert_eq!(ferry.drain(), 6);
}

#[test]
fn the_letter_of_a_null_key_is_written_again_for_as_long_as_there_is_such_a_row() {
    let mut ferry = Ferry::new(
        "t",
        "CREATE TABLE t(a, b, PRIMARY KEY(a, b)); INSERT INTO t VALUES (NULL, 1), (1, 1)",
    );
    ferry.assert_equal();
    let key = ferry.model.refused.pop().unwrap();
    ferry
        .state
        .dead_letter("t", &key, "{\"a\":null,\"b\":1}", "null")
        .unwrap();
    ferry.restart();
    assert_eq!((ferry.state.dead_letters().unwrap(), ferry.drain()), (0, 1));
    assert_eq!(ferry.model.refused, [key]);
    ferry
        .state
        .dead_letter("t", &ferry.model.refused[0], "{\"a\":null,\"b\":1}", "null")
        .unwrap();
    ferry.sql("INSERT INTO t VALUES (NULL, 2); UPDATE t SET a = 2 WHERE b = 1 AND a IS NULL");
    ferry.restart();
    assert_eq!(ferry.state.dead_letters().unwrap(), 0);
    ferry.model.refused.clear();
    ferry.assert_equal();
    assert_eq!(ferry.model.refused, [[Value::Null, Value::Integer(2)]]);
    assert_eq!(ferry.model.rows.len(), 2);
}

#[test]
fn uninstall_leaves_the_source_as_it_was() {
    let schema_of = |conn: &Connection| -> Vec<String> {
        let mut statement = conn
            .prepare("SELECT type || name || ifnull(sql, '') FROM sqlite_schema ORDER BY 1")
            .unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(|row| row.unwrap())
            .collect()
    };
    let folder = Folder::new();
    let path = folder.file("source.db");
    let user = Connection::open(&path).unwrap();
    user.execute_batch(&format!(
        "{TABLE}; CREATE TABLE \"o\"\"x\"(k UNIQUE); CREATE TRIGGER u AFTER INSERT ON t BEGIN SELECT 1; END"
    ))
    .unwrap();
    let before = schema_of(&user);
    let (mut state, ..) = start(&path, "t", "topic", false).unwrap();
    state.track("o\"x", "topic2", false).unwrap();
    assert_eq!(super::super::tracked_tables(&user).unwrap(), ["o\"x", "t"]);
    assert_ne!(schema_of(&user), before);
    let removed = SourceState::open(&path, Capture::Triggers, Stop::default())
        .unwrap()
        .uninstall()
        .unwrap();
    assert_eq!(removed.len(), 3 + 5 + 2 + 5, "{removed:?}");
    assert_eq!(schema_of(&user), before);
    assert_eq!(super::super::tracked_tables(&user).unwrap(), [""; 0]);
}

#[test]
fn what_cannot_be_opened_is_told_with_a_way_out() {
    let folder = Folder::new();
    let refused = |name: &str, bytes: Option<&[u8]>, reason: &str| {
        let path = folder.file(name);
        bytes.inspect(|bytes| fs::write(&path, bytes).unwrap());
        let error = SourceState::open(&path, Capture::Triggers, Stop::default())
            .err()
            .expect("an error")
            .to_string();
        assert!(
            error.contains(reason) && error.contains("way out") && error.contains(path.to_str().unwrap()),
            "{error}"
        );
    };
    refused("none.db", None, "cannot open");
    refused("", None, "is a folder");
    refused("text.db", Some(&[b'x'; 5000]), "is not a SQLite database");
}

#[test]
fn a_lock_is_waited_for_and_the_wait_can_be_stopped() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    let stop = Stop::default();
    let mut state = SourceState::open(&ferry.path, Capture::Triggers, stop.clone()).unwrap();
    ferry.sql("BEGIN EXCLUSIVE; UPDATE t SET v = 0");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| (ferry.changes.read(100, 1000, &mut |_| Ok(())), ferry.state.begin_run(0)));
        let stopped = scope.spawn(|| state.begin_run(0));
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!waiting.is_finished() && !stopped.is_finished());
        stop.request();
        std::thread::sleep(Duration::from_millis(100));
        assert!(stopped.is_finished() && !waiting.is_finished());
        assert_eq!(stopped.join().unwrap().unwrap_err().exit_code(), 0);
        ferry.user.execute_batch("COMMIT").unwrap();
        let (read, begun) = waiting.join().unwrap();
        assert!(read.unwrap().is_some() && begun.is_ok());
    });
}

#[test]
fn a_wait_ends_when_something_changes() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    let stop = Stop::default();
    assert!(ferry.changes.read(10, 10, &mut |_| Ok(())).unwrap().is_none());
    assert!(!ferry.changes.wait(Duration::from_millis(20), &stop).unwrap());
    ferry.sql("UPDATE t SET v = 0");
    assert!(ferry.changes.wait(Duration::from_secs(60), &stop).unwrap());
    assert!(ferry.step(10));
    stop.request();
    assert_eq!(
        ferry
            .changes
            .wait(Duration::from_secs(60), &stop)
            .unwrap_err()
            .exit_code(),
        0
    );
}
