//! A source that is only read.

use super::*;

fn ship_all(path: &Path) -> (Model, Run) {
    let (mut ledger, run, tracked, mut feed) = start_with(path, "t", "topic", false, Capture::None).unwrap();
    assert!(tracked.full && tracked.pass_pending && tracked.acked.is_empty());
    let mut model = Model::default();
    while let Some(mark) = feed.read(2, 1000, &mut |event| model.take(event)).unwrap() {
        ledger.note(&[(mark.clone(), vec![])]).unwrap();
    }
    ledger
        .dead_letter("t", &[Value::Integer(1)], "{\"id\":1}", "too large")
        .unwrap();
    assert_eq!(ledger.dead_letters().unwrap(), 1);
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
fn one_pass_reads_one_state() {
    let folder = Folder::new();
    let path = folder.file("source.db");
    let user = Connection::open(&path).unwrap();
    user.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
    )
    .unwrap();
    let (_, _, _, mut feed) = start_with(&path, "t", "topic", false, Capture::None).unwrap();
    let mut model = Model::default();
    feed.read(1, 1000, &mut |event| model.take(event)).unwrap();
    user.execute_batch("DELETE FROM t WHERE id = 3; ALTER TABLE t ADD COLUMN w")
        .unwrap();
    while feed.read(1, 1000, &mut |event| model.take(event)).unwrap().is_some() {}
    assert_eq!(model.rows.len(), 3);
}

#[test]
fn a_file_in_wal_mode_without_its_log_is_read_without_locks() {
    let folder = Folder::new();
    let path = folder.file("a b%?#.db");
    let user = Connection::open(&path).unwrap();
    user.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(user);
    let mut file = super::super::file::File::open(&path, false, &Stop::default()).unwrap();
    assert!(file.is_quiet_wal());
    file.reopen_unlocked().unwrap();
    let rows: i64 = file
        .conn
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
    file.check_unchanged().unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO t VALUES (2)")
        .unwrap();
    let error = file.check_unchanged().unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
}
