//! Files that are put back under a run, and files of earlier versions.

use super::*;
use crate::error::Kind;

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)";

impl Ferry {
    fn backup(&self) -> PathBuf {
        let copy = self.path.with_extension("backup");
        let _ = fs::remove_file(&copy);
        self.user
            .execute_batch(&format!("VACUUM INTO '{}'", copy.display()))
            .unwrap();
        copy
    }

    fn put_back(&mut self, backup: &Path) {
        let from = Connection::open(backup).unwrap();
        let copy = rusqlite::backup::Backup::new(&from, &mut self.user).unwrap();
        copy.run_to_completion(1000, Duration::ZERO, None).unwrap();
    }

    #[track_caller]
    fn has_forked(&mut self) {
        let error = self.changes.read(100, 1 << 20, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), Kind::Forked, "{error}");
    }
}

#[test]
fn an_earlier_note_of_the_same_run_is_a_fork() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    let backup = ferry.backup();
    ferry.sql("UPDATE t SET v = 7");
    ferry.assert_equal();
    ferry.put_back(&backup);
    ferry.has_forked();
    let noted = ferry.state.check().unwrap_err();
    assert_eq!(noted.kind(), Kind::Forked);
}

#[test]
fn between_two_notes_the_last_change_tells_that_the_file_was_put_back() {
    for later in [
        "",
        "UPDATE t SET v = 7",
        "UPDATE t SET v = 7; UPDATE t SET v = 8; DELETE FROM t",
    ] {
        let mut ferry = Ferry::new("t", TABLE);
        ferry.assert_equal();
        let backup = ferry.backup();
        ferry.sql("UPDATE t SET v = 7");
        assert!(ferry.step(100), "the change is read, and not noted");
        ferry.put_back(&backup);
        ferry.sql(later);
        let checkpoint = ferry.unnoted.pop_front().unwrap();
        let error = ferry.state.note(&[(checkpoint, vec![])]).unwrap_err();
        assert_eq!(error.kind(), Kind::Forked, "{later}: {error}");
        ferry.has_forked();
    }
}

#[test]
fn a_later_state_with_the_last_change_in_it_goes_on() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    ferry.sql("UPDATE t SET v = 7");
    assert!(ferry.step(100));
    let backup = ferry.backup();
    ferry.sql("UPDATE t SET v = 8 WHERE id = 1");
    ferry.put_back(&backup);
    ferry.sql("UPDATE t SET v = 9 WHERE id = 2");
    ferry.assert_equal();
}

#[test]
fn a_run_that_began_after_this_one_is_no_fork() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    SourceState::open(&ferry.path, Capture::Triggers, Stop::default())
        .unwrap()
        .begin_run(0)
        .unwrap();
    let error = ferry.changes.read(100, 1 << 20, &mut |_| Ok(())).unwrap_err();
    assert!(error.kind() == Kind::Failed && error.to_string().contains("another producer has taken over"));
}

#[test]
fn a_file_without_our_tables_is_said_to_be_one() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    SourceState::open(&ferry.path, Capture::Triggers, Stop::default())
        .unwrap()
        .uninstall()
        .unwrap();
    let error = ferry.changes.read(100, 1 << 20, &mut |_| Ok(())).unwrap_err();
    assert!(
        error.kind() == Kind::Failed && error.to_string().contains("tables are no more in the source"),
        "{error}"
    );
}

#[test]
fn a_new_epoch_is_above_all_that_it_is_told_of() {
    let mut ferry = Ferry::new("t", TABLE);
    let ahead = ferry.run.epoch + 1_000_000_000_000;
    assert!(!ferry.state.noted().unwrap().is_new);
    assert!(ferry.state.begin_run(0).unwrap().epoch > ferry.run.epoch);
    assert_eq!(ferry.state.begin_run(ahead).unwrap().epoch, ahead + 1);
    // A pass of that run has a number above it, and so has the next run.
    let pass = ferry.state.track("t", "topic", true).unwrap().pass();
    assert!(pass > ahead);
    assert!(ferry.state.begin_run(0).unwrap().epoch > pass);
}

#[test]
fn keys_that_the_log_holds_are_sent_again_in_one_transaction_with_the_place() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    let run = ferry.state.begin_run(0).unwrap();
    let tracked = ferry.state.track("t", "topic", false).unwrap();
    let keys = [2, 9, 2].map(|id| vec![Value::Integer(id)]);
    ferry.state.keep_keys("topic", &keys).unwrap();
    ferry.state.keep_keys("another", &keys).unwrap();
    let fence = Acked {
        partition: 0,
        epoch: run.epoch,
        seq: 1,
        offset: 44,
        stood: Some(u64::MAX),
    };
    assert_eq!(ferry.state.settle(&[(&tracked, vec![fence], None)]).unwrap(), 2);
    assert_eq!(ferry.state.acked("topic").unwrap(), [fence]);
    let mut changes =
        ChangeReader::open(&ferry.path, Capture::Triggers, &run, &tracked, true, Stop::default()).unwrap();
    let mut given = Vec::new();
    changes
        .read(100, 1 << 20, &mut |event| {
            given.push(match event {
                Event::Upsert { key, .. } => format!("{key:?}"),
                Event::Delete { key } => format!("gone {key:?}"),
                other => panic!("{other:?}"),
            });
            Ok(())
        })
        .unwrap();
    assert_eq!(given, ["[Integer(2)]", "gone [Integer(9)]"]);
}

#[test]
fn tables_of_the_first_format_are_brought_up_to_date_with_their_changes() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    ferry.sql("UPDATE t SET v = 7 WHERE id = 2");
    ferry.sql(
        "CREATE TABLE old AS SELECT * FROM _rowferry_outbox_t; DROP TABLE _rowferry_outbox_t;
         CREATE TABLE _rowferry_outbox_t(seq INTEGER PRIMARY KEY, k1);
         INSERT INTO _rowferry_outbox_t SELECT seq, k1 FROM old; DROP TABLE old;
         ALTER TABLE _rowferry_run DROP COLUMN notes; ALTER TABLE _rowferry_acked DROP COLUMN stood;
         ALTER TABLE _rowferry_acked DROP COLUMN topic_id;
         UPDATE _rowferry_run SET format = 1; PRAGMA writable_schema = RESET;",
    );
    let version: i64 = ferry
        .user
        .query_row("PRAGMA schema_version", [], |row| row.get(0))
        .unwrap();
    ferry.sql(&format!("UPDATE _rowferry_tracked SET schema_version = {version}"));
    let passes = ferry.model.begun;
    ferry.restart();
    assert_eq!(ferry.tracked.rows_waiting, 1);
    ferry.assert_equal();
    assert_eq!(ferry.model.begun, passes, "what was known is not sent again");
    ferry.sql("UPDATE t SET v = 8");
    ferry.assert_equal();
}

#[test]
fn a_copy_by_sqlites_backup_goes_on_where_the_log_tells_of_later_reads() {
    for (kept, goes_on) in [(&[9][..], true), (&[2, 9], true), (&[2], false), (&[], false)] {
        let mut ferry = Ferry::new("t", TABLE);
        ferry.assert_equal();
        ferry.sql("UPDATE t SET v = 7 WHERE id = 2");
        let copy = ferry.path.with_extension("copy");
        {
            let mut to = Connection::open(&copy).unwrap();
            let backup = rusqlite::backup::Backup::new(&ferry.user, &mut to).unwrap();
            backup.run_to_completion(1000, Duration::ZERO, None).unwrap();
        }
        let mut state = SourceState::open(&copy, Capture::Triggers, Stop::default()).unwrap();
        state.noted().unwrap();
        let keys: Vec<_> = kept.iter().map(|&id| vec![Value::Integer(id)]).collect();
        if !keys.is_empty() {
            state.keep_keys("topic", &keys).unwrap();
        }
        state.begin_run(0).unwrap();
        let tracked = state.track("t", "topic", false).unwrap();
        assert_eq!(tracked.full, !goes_on, "{kept:?}");
    }
}

#[test]
fn a_file_that_was_built_anew_from_a_dump_sends_all_rows_whatever_its_schemas_version_says() {
    for table in ["t(id INTEGER PRIMARY KEY, v)", "t(id, v)"] {
        let sql =
            format!("CREATE TABLE {table}; INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); DELETE FROM t WHERE id = 2");
        let mut ferry = Ferry::new("t", &sql);
        ferry.assert_equal();
        ferry.restart();
        assert!(!ferry.tracked.full, "nothing has happened to it");
        // As a dump makes it: all tables have their rows, and no rowids of their own.
        ferry.sql("UPDATE _rowferry_run SET rowid = 1");
        ferry.restart();
        assert!(ferry.tracked.full, "{table}");
        ferry.assert_equal();
        ferry.restart();
        assert!(!ferry.tracked.full, "{table}");
    }
}
