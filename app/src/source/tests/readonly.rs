//! A source that is only read.

use super::*;
use crate::source::file::SourceFile;

fn ship_all(path: &Path) -> (Model, Run) {
    let (mut state, run, tracked, mut changes) = start_with(path, "t", "topic", false, Capture::None).unwrap();
    assert!(tracked.full && tracked.pass_pending && tracked.acked.is_empty());
    let mut model = Model::default();
    while let Some(checkpoint) = changes.read(2, 1000, &mut |event| model.take(event)).unwrap() {
        state.note(&[(checkpoint.clone(), vec![])]).unwrap();
    }
    state
        .dead_letter("t", &[Value::Integer(1)], "{\"id\":1}", "too large")
        .unwrap();
    assert_eq!(state.dead_letters().unwrap(), 1);
    (model, run)
}

#[test]
fn a_source_that_is_only_read_keeps_every_byte() {
    for mode in ["DELETE", "WAL"] {
        let folder = Folder::new();
        let path = folder.file("source.db");
        let user = Connection::open(&path).unwrap();
        user.execute_batch(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)"
        ))
        .unwrap();
        drop(user);
        let state = || {
            (
                fs::read(&path).unwrap(),
                fs::metadata(&path).unwrap().modified().unwrap(),
            )
        };
        let before = state();
        let (first, run) = ship_all(&path);
        let (second, again) = ship_all(&path);
        assert_eq!((first.rows.len(), first.events, second.events), (3, 5, 5));
        assert!(second.begun > first.begun && again.epoch > run.epoch);
        assert!(run.source == again.source && run.source.starts_with("ro-") && run.is_first);
        assert!(state() == before, "{mode}");
    }
}

#[test]
fn one_pass_reads_one_state_and_holds_nobody_up() {
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "WAL"] {
        let folder = Folder::new();
        let path = folder.file("source.db");
        let user = Connection::open(&path).unwrap();
        user.busy_timeout(Duration::ZERO).unwrap();
        user.execute_batch(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)"
        ))
        .unwrap();
        let (_, _, _, mut changes) = start_with(&path, "t", "topic", false, Capture::None).unwrap();
        let mut model = Model::default();
        changes.read(1, 1000, &mut |event| model.take(event)).unwrap();
        for change in [
            "DELETE FROM t WHERE id = 3",
            "ALTER TABLE t ADD COLUMN w",
            "INSERT INTO t(v) VALUES (4)",
        ] {
            user.execute_batch(change)
                .unwrap_or_else(|e| panic!("{mode}, {change}: {e}"));
            assert!(changes.read(1, 1000, &mut |event| model.take(event)).unwrap().is_some());
        }
        while changes.read(1, 1000, &mut |event| model.take(event)).unwrap().is_some() {}
        let row = |id: i64| {
            (
                packed(&[Value::Integer(id)]),
                packed(&[Value::Integer(id), Value::Integer(id)]),
            )
        };
        assert_eq!(model.rows, HashMap::from([row(1), row(2), row(3)]), "{mode}");
    }
}

#[test]
fn the_copy_of_one_moment_is_exact() {
    let values = "VALUES (1, 1), (2.0, 1.0), (-3, 1e300), (4, 9007199254740993), (5, -0.0), (6, ''), (7, x''), (8, NULL),
        (9, x'00ff'), (10, CAST(x'ff00fe' AS TEXT)), (-9223372036854775808, 'low'), (9223372036854775807, 'high'), (11, 0.1)";
    for encoding in ["UTF-8", "UTF-16le", "UTF-16be"] {
        for table in [
            "t(id INTEGER PRIMARY KEY, v)",
            "t(id PRIMARY KEY, v REAL)",
            "t(id, v TEXT)",
            "t(id TEXT COLLATE NOCASE PRIMARY KEY, v ANY) WITHOUT ROWID",
            "t(v, id, PRIMARY KEY(id DESC, v)) WITHOUT ROWID",
            "t(rowid TEXT, c1 INTEGER, g AS (c1 + 1) STORED)",
        ] {
            let columns = if table.contains("c1") { "rowid, c1" } else { "id, v" };
            let insert = if table.contains("(id DESC, v)") {
                values.replace("NULL", "'none'")
            } else {
                values.to_owned()
            };
            let mut ferry = Ferry::new(
                "t",
                &format!("PRAGMA encoding = '{encoding}'; CREATE TABLE {table}; INSERT INTO t({columns}) {insert}"),
            );
            (ferry.state, ferry.run, ferry.tracked, ferry.changes) =
                start_with(&ferry.path, "t", "topic", false, Capture::None).unwrap();
            while ferry.step(4) {}
            let (table_now, rows) = (ferry.table(), ferry.model.rows.len());
            assert!(
                ferry.model.rows == table_now,
                "{encoding}, {table}: {rows} of {}",
                table_now.len()
            );
            assert_eq!(rows, 13, "{encoding}, {table}");
        }
    }
}

#[test]
fn a_file_that_is_read_without_locks_may_not_change_meanwhile() {
    let folder = Folder::new();
    let path = folder.file("shop.db");
    let user = Connection::open(&path).unwrap();
    user.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
        .unwrap();
    let file = SourceFile::open(&path, false, &Stop::default()).unwrap();
    let file = file.without_locks();
    file.check_unchanged().unwrap();
    user.execute_batch(&format!(
        "INSERT INTO t SELECT value FROM json_each('[{}]')",
        (2..3000).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
    ))
    .unwrap();
    let error = file.check_unchanged().unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
}
