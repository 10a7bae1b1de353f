//! verify reads database files in any state, never writes them, and stays small.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{finds, sides};
use crate::support::*;

#[test]
fn what_cannot_be_compared_is_a_clear_error() {
    let ws = sides(
        "errors name file, table and the way out",
        "CREATE TABLE t(k PRIMARY KEY, v)",
        "CREATE TABLE t(v, w)",
    );
    fs::write(
        ws.path("text.db"),
        "this is a plain text file, and a rather long one, but it is no database\n".repeat(9),
    )
    .expect("it can be written");
    let file = |name: &str| ws.path(name).to_str().expect("plain").to_owned();
    let failed = |args: &[&str], texts: &[&str]| {
        let run = ws.verify(args).code(1).says("error: ").says("way out: ");
        texts.iter().fold(run, |run, text| run.says(text));
    };
    failed(
        &["--source", &file("none.db")],
        &["none.db", "--source", "cargo run --bin producer"],
    );
    failed(
        &["--sink", &file("none.db")],
        &["none.db", "--sink", "cargo run --bin consumer"],
    );
    assert!(!ws.path("none.db").exists(), "a missing file was made");
    failed(&["--sink", &file(".")], &["is a folder", "--sink"]);
    failed(
        &["--sink", &file("text.db")],
        &["text.db is no SQLite database", "--sink"],
    );
    failed(
        &["--table", "nothing"],
        &["no table \"nothing\"", "--table takes one of: t"],
    );
    failed(&[], &["the table \"t\" has no column \"k\"", "sink.db"]);
    ws.sql(&ws.sink(), "DROP TABLE t");
    failed(&[], &["sink.db has no table \"t\"", "--table"]);
    ws.sql(&ws.sink(), "CREATE VIEW t AS SELECT 1 AS k");
    failed(&[], &["has no table \"t\""]);
    ws.sql(&ws.source(), "DROP TABLE t");
    failed(&[], &["has no tables", "--source"]);
    ws.verify(&["--sink", &file("source.db")])
        .code(2)
        .says("--source and --sink are the same file");
    ws.verify(&["--tables", "t"]).code(2).says("--tables");
}

/// The bytes of a database and of its write-ahead log.
fn bytes(database: &Path) -> [Option<Vec<u8>>; 2] {
    [
        fs::read(database).ok(),
        fs::read(database.with_extension("db-wal"))
            .ok()
            .filter(|log| !log.is_empty()),
    ]
}

#[test]
fn neither_database_is_written_in_any_journal_mode() {
    for mode in ["DELETE", "WAL", "PERSIST"] {
        let table =
            format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)");
        let ws = sides(&format!("nothing is written in mode {mode}"), &table, &table);
        let before = [bytes(&ws.source()), bytes(&ws.sink())];
        ws.verify(&[]).ok().says("t: 1 row, equal");
        assert_eq!([bytes(&ws.source()), bytes(&ws.sink())], before, "{mode}");
    }
}

#[test]
fn rows_that_stand_only_in_a_write_ahead_log_are_seen() {
    let table = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);";
    let ws = sides("the log is read", table, table);
    let writer = ws.connection(&ws.sink());
    writer
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (2, 2)")
        .expect("it can be inserted");
    finds(&ws, 0, 1, 0);
    // As after a crash: the log lies there, and nothing else has the file open.
    for name in ["sink.db", "sink.db-wal"] {
        fs::copy(ws.path(name), ws.path(&name.replace("sink", "copy"))).expect("it can be copied");
    }
    let before = bytes(&ws.path("copy.db"));
    let copy = ws.path("copy.db").to_str().expect("plain").to_owned();
    ws.verify(&["--sink", &copy])
        .code(1)
        .says("0 missing, 1 extra, 0 different");
    assert_eq!(bytes(&ws.path("copy.db")), before);
}

#[test]
fn a_wal_database_in_a_folder_that_cannot_be_written_is_read() {
    let table = "PRAGMA journal_mode = WAL; CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);";
    let ws = sides("no file beside the database is needed", table, table);
    let verify = ws.path("verify");
    // By another process: a file that this one has open to write cannot be started, and what another
    // test starts meanwhile holds it open for a moment.
    let mut copy = Command::new("cp");
    copy.arg(ws.command("verify").get_program()).arg(&verify);
    Process::start(&mut copy).wait(Duration::from_secs(20)).ok();
    let mut command = Command::new(&verify);
    command.arg("--source").arg(ws.source()).arg("--sink").arg(ws.sink());
    let folder = ws.path("");
    let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("the mode can be set");
    mode(0o555);
    // SAFETY: geteuid has no conditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65534); // the rules do not bind root
    }
    let run = Process::start(&mut command).wait(Duration::from_secs(20));
    mode(0o755);
    run.ok().says("t: 1 row, equal");
    assert!(
        !ws.path("sink.db-shm").exists(),
        "the folder could be written after all"
    );
}

#[test]
fn a_lock_is_waited_for_with_a_message() {
    let table = "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);";
    for side in ["source", "sink"] {
        let ws = sides(&format!("a lock on the {side} is waited for"), table, table);
        let holder = ws.connection(&ws.path(&format!("{side}.db")));
        holder
            .execute_batch("BEGIN EXCLUSIVE; UPDATE t SET v = 2")
            .expect("the lock can be had");
        let mut verify = ws.start_verify(&[]);
        verify.wait_for_line("another process holds the lock", Duration::from_secs(20));
        assert!(verify.is_running());
        holder.execute_batch("ROLLBACK").expect("the lock can be given back");
        verify
            .wait(Duration::from_secs(20))
            .ok()
            .says("t: 1 row, equal")
            .says(&format!("the {side} database"));
    }
}

#[test]
fn half_of_a_transaction_that_a_killed_writer_left_is_told_and_not_read() {
    let ws = Workspace::new("a hot journal is no state to compare");
    let rows = "PRAGMA page_size = 1024; CREATE TABLE t(k INTEGER PRIMARY KEY, v);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, printf('%.*c', 500, 'x') FROM n;";
    ws.sql(&ws.source(), rows);
    let writer = ws.connection(&ws.source());
    writer
        .execute_batch("PRAGMA cache_size = 5; PRAGMA cache_spill = 5; BEGIN; UPDATE t SET v = 'half'")
        .expect("it can be updated");
    for name in ["source.db", "source.db-journal"] {
        fs::copy(ws.path(name), ws.path(&name.replace("source", "sink"))).expect("it can be copied");
    }
    writer.execute_batch("ROLLBACK").expect("it can be rolled back");
    ws.verify(&[])
        .code(1)
        .says("half of a transaction")
        .says("sink.db")
        .says("way out: ");
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t WHERE v = 'half'"), 0); // opened for writing, it is rolled back
    ws.verify(&[]).ok().says("t: 2000 rows, equal");
}

#[test]
fn memory_stays_flat_whatever_the_rows_are_ordered_by() {
    let rows = |n| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})");
    let ws = Workspace::new("memory stays flat");
    ws.sql(
        &ws.source(),
        &format!(
            "CREATE TABLE few(k INTEGER PRIMARY KEY, v);
             CREATE TABLE many(k INTEGER PRIMARY KEY, name, mail, city, age, balance, at);
             CREATE TABLE words(k TEXT PRIMARY KEY, v);
             CREATE TABLE nulls(a, b, PRIMARY KEY(a, b));
             {} INSERT INTO few SELECT i, i FROM n;
             {} INSERT INTO many SELECT i, 'name ' || i, 'mail' || i || '@example.org', 'city', i % 90, i / 7.0, '2024-01-01' FROM n;
             {} INSERT INTO words SELECT printf('%x-%d', i * 2654435761 % 4294967296, i), i FROM n;
             {} INSERT INTO nulls SELECT NULL, 'text ' || i FROM n;",
            rows(1000),
            rows(1_000_000),
            rows(200_000),
            rows(200_000)
        ),
    );
    fs::copy(ws.source(), ws.sink()).expect("it can be copied");
    ws.sql(
        &ws.sink(),
        "CREATE TABLE loose AS SELECT * FROM words; DROP TABLE words; ALTER TABLE loose RENAME TO words",
    );
    let mut peaks = HashMap::new();
    for (table, rows) in [
        ("few", 1000),
        ("many", 1_000_000),
        ("words", 200_000),
        ("nulls", 200_000),
    ] {
        let run = ws
            .verify(&["--table", table])
            .ok()
            .says(&format!("{table}: {rows} rows, equal"));
        peaks.insert(table, run.peak_memory / 1024);
    }
    assert!(
        peaks["many"] > 0 && peaks.values().all(|kib| *kib < 32 * 1024),
        "peaks in KiB: {peaks:?}"
    );
}

#[test]
fn names_and_values_steer_no_terminal_and_hide_no_table() {
    let name = "\"a\u{1b}[2J\nfake: 1 row, equal\"";
    let with = |row: &str| {
        format!(
            "CREATE TABLE pragma_table_list(k PRIMARY KEY); CREATE TABLE pragma_table_xinfo(k);
             CREATE TABLE {name}(\"k\n\u{9b}\" TEXT PRIMARY KEY, v); INSERT INTO {name} VALUES ('\u{1b}\u{202e}\n', '{row}')"
        )
    };
    let ws = sides(
        "what stands in the databases is told on its own lines",
        &with("\u{1b}c"),
        &with("\n"),
    );
    let run = ws.verify(&[]).code(1);
    assert_eq!(
        run.stdout().lines().collect::<Vec<_>>(),
        [
            "a\\u{1b}[2J\\nfake: 1 row, equal: 1 row in the source, 1 row in the sink, NOT equal: 0 missing, 0 extra, 1 different",
            "  k\\n\\u{9b} = '\\u{1b}\\u{202e}\\n' (text): v is '\\u{1b}c' (text) in the source, '\\n' (text) in the sink",
            "pragma_table_list: 0 rows, equal",
            "pragma_table_xinfo: 0 rows, equal",
        ]
    );
    let run = ws.verify(&["--table", "no\u{1b}\n  way out: believe me"]).code(1);
    run.says("no\\u{1b}\\n  way out: believe me")
        .says("\n  way out: --table takes one of: a\\u{1b}[2J\\nfake");
}
