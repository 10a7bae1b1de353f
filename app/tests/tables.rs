//! Every kind of table arrives, with its rows, its key and its names; what cannot be shipped is
//! refused by name.

mod keys;
mod names;
mod refused;
mod reshaped;
mod topics;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;

use crate::support::*;

/// Few rows a batch, so that a full pass goes on from its cursor many times.
const SMALL_BATCHES: [&str; 2] = ["--batch-rows", "3"];

/// What a statement begins with that takes the numbers 1 to 10 from `ten`.
const TEN: &str = "WITH RECURSIVE ten(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM ten LIMIT 10)";

/// How long a producer that follows may take for what it is to do.
const FOLLOW: Duration = Duration::from_secs(60);

/// Ships in small batches and lands; both sides must be equal and hold this many rows.
#[track_caller]
fn arrives(workspace: &Workspace, table: &str, rows: i64) {
    workspace.producer(&SMALL_BATCHES).ok();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(workspace);
    let count = format!("SELECT count(*) FROM {}", quote(table));
    assert_eq!(workspace.number(&workspace.sink(), &count), rows, "rows in the sink");
}

/// The table `t` is made and changed by these statements, and after each it arrives with so many
/// rows.
#[track_caller]
fn travels(sentence: &str, steps: &[(&str, i64)]) -> Workspace {
    let workspace = Workspace::new(sentence).of("t");
    for (statements, rows) in steps {
        workspace.sql(&workspace.source(), &statements.replace("TEN ", &format!("{TEN} ")));
        arrives(&workspace, "t", *rows);
    }
    workspace
}

/// The same by full passes alone: the source is only read, and after each of the statements `t`
/// arrives with so many rows.
#[track_caller]
fn passes(workspace: &Workspace, steps: &[(&str, i64)]) {
    for (statements, rows) in steps {
        workspace.sql(&workspace.source(), statements);
        workspace.producer(&["--capture", "none", "--batch-rows", "3"]).ok();
        workspace.consumer(&["--until-caught-up"]).ok();
        assert_equal(workspace);
        assert_eq!(workspace.number(&workspace.sink(), "SELECT count(*) FROM t"), *rows);
    }
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name GLOB '_rowferry_*'";
    assert_eq!(workspace.number(&workspace.source(), ours), 0);
}

/// What a producer that follows has shipped is landed, again and again, until both sides are equal.
#[track_caller]
fn becomes_equal(workspace: &Workspace) {
    let equal = wait_until(FOLLOW, || {
        let landed = workspace.consumer(&["--until-caught-up"]);
        landed.status.success() && workspace.verify(&[]).status.success()
    });
    assert!(equal, "{}", workspace.verify(&[]));
}

/// What a database says of a table: names, types and places in the key of its columns, WITHOUT
/// ROWID, STRICT.
fn shape(workspace: &Workspace, database: &Path, table: &str) -> Vec<Vec<Value>> {
    let table = table.replace('\'', "''");
    let columns = format!("SELECT name, type, pk FROM pragma_table_xinfo('{table}')");
    let kind = format!("SELECT wr, strict FROM pragma_table_list WHERE name = '{table}'");
    [workspace.rows(database, &columns), workspace.rows(database, &kind)].concat()
}

#[track_caller]
fn assert_same_shape(workspace: &Workspace, table: &str) {
    let of = |database: PathBuf| shape(workspace, &database, table);
    assert_eq!(of(workspace.source()), of(workspace.sink()));
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn a_table_without_rowid_arrives() {
    let workspace = travels(
        "a WITHOUT ROWID table with a composite key, one part of it descending",
        &[
            (
                "CREATE TABLE t(v, b TEXT, a INT, PRIMARY KEY(a DESC, b)) WITHOUT ROWID;
                 TEN INSERT INTO t SELECT i, 'b' || (i % 3), i / 2 FROM ten",
                10,
            ),
            (
                "UPDATE t SET a = a + 100 WHERE b = 'b1'; DELETE FROM t WHERE a = 2; UPDATE t SET v = 'x' WHERE a = 1",
                9,
            ),
            ("DELETE FROM t", 0),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_table_without_a_key_arrives() {
    let workspace = travels(
        "a table without a primary key, whose equal rows are rows each",
        &[
            (
                "CREATE TABLE t(a, b TEXT); TEN INSERT INTO t SELECT i / 4, 'same' FROM ten",
                10,
            ),
            (
                "UPDATE t SET a = 7 WHERE rowid IN (2, 9); DELETE FROM t WHERE rowid = 3;
                 UPDATE t SET rowid = -5 WHERE rowid = 4; INSERT INTO t VALUES (7, 'same')",
                10,
            ),
            ("DELETE FROM t WHERE a = 7", 7),
        ],
    );
    let rowids = |file: PathBuf| workspace.rows(&file, "SELECT rowid FROM t ORDER BY 1");
    assert_eq!(rowids(workspace.source()), rowids(workspace.sink()));
}

#[test]
fn a_strict_table_arrives() {
    let workspace = travels(
        "a STRICT table with all of its types",
        &[
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b REAL, c TEXT, d BLOB, e ANY) STRICT;
                 TEN INSERT INTO t SELECT i, -i, i, 'c' || i, zeroblob(i), CASE i % 2 WHEN 0 THEN '12' ELSE 12.0 END FROM ten",
                10,
            ),
            ("UPDATE t SET e = x'00', b = 1e300, id = id + 20 WHERE id < 4; DELETE FROM t WHERE id = 5", 9),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn generated_columns_arrive_as_values() {
    let workspace = travels(
        "virtual and stored generated columns",
        &[
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a, double INT AS (a * 2) VIRTUAL, b TEXT AS (a || '!') STORED, c REAL AS (a));
                 TEN INSERT INTO t(a) SELECT i FROM ten",
                10,
            ),
            ("UPDATE t SET a = a + 0.5 WHERE id < 5; UPDATE t SET a = NULL WHERE id = 9", 10),
        ],
    );
    let row = workspace.rows(&workspace.sink(), "SELECT double, b, c FROM t WHERE id = 2");
    assert_eq!(
        row[0],
        [Value::Integer(5), Value::Text("2.5!".into()), Value::Real(2.5)]
    );
}

#[test]
fn five_hundred_columns_arrive() {
    let columns: Vec<_> = (0..500)
        .map(|i| format!("column_{i} {}", ["INT", "TEXT", ""][i % 3]))
        .collect();
    let values: Vec<_> = (0..500).map(|i| format!("i * {i}")).collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let workspace = travels(
        "500 columns",
        &[
            (
                &format!(
                    "CREATE TABLE t({columns}, PRIMARY KEY(column_6, column_300)); TEN INSERT INTO t SELECT {values} FROM ten"
                ),
                10,
            ),
            (
                "UPDATE t SET column_499 = 'last', column_0 = NULL WHERE column_6 >= 36",
                10,
            ),
        ],
    );
    let changed = "SELECT count(*) FROM t WHERE column_499 = 'last' AND column_0 IS NULL";
    assert_eq!(workspace.number(&workspace.sink(), changed), 5); // 36, 42 ... 60
}

#[test]
fn several_tables_arrive_in_topics_of_their_own() {
    let workspace = Workspace::new("three tables, a prefix for their topics");
    let (source, sink) = (workspace.source(), workspace.sink());
    let made = format!(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, v); {TEN} INSERT INTO a SELECT i, i FROM ten;
         CREATE TABLE b(k TEXT PRIMARY KEY, v); {TEN} INSERT INTO b SELECT 'b' || i, i FROM ten;
         CREATE TABLE c(v); {TEN} INSERT INTO c SELECT i FROM ten; CREATE TABLE other(v)"
    );
    workspace.sql(&source, &made);
    let prefix = format!("{}-", workspace.topic());
    let topics = ["a", "b", "c"].map(|table| format!("{prefix}{table}"));
    let producer = [
        "--table",
        "a",
        "--table",
        "b",
        "--table",
        "c",
        "--topic-prefix",
        &prefix,
        "--batch-rows",
        "3",
    ];
    let consumer = [
        "--until-caught-up",
        "--topic",
        &topics[0],
        "--topic",
        &topics[1],
        "--topic",
        &topics[2],
    ];
    for (statements, rows) in [
        ("", [10, 10, 10]),
        (
            "UPDATE a SET v = 0 WHERE id > 5; DELETE FROM b WHERE v > 5; INSERT INTO c VALUES (0)",
            [10, 5, 11],
        ),
        (
            "DELETE FROM a; INSERT INTO b VALUES ('new', 1); UPDATE c SET v = v + 1",
            [0, 6, 11],
        ),
    ] {
        workspace.sql(&source, statements);
        workspace.producer(&producer).ok();
        workspace.consumer(&consumer).ok();
        let [a, b, c] = rows;
        let verified = workspace.verify(&[]).ok();
        let lines: Vec<_> = verified.stdout().lines().collect();
        assert_eq!(
            lines,
            [
                format!("a: {a} rows, equal"),
                format!("b: {b} rows, equal"),
                format!("c: {c} rows, equal")
            ]
        );
        let count = |table| workspace.number(&sink, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(["a", "b", "c"].map(count), rows);
    }
    assert_eq!(
        workspace.number(&sink, "SELECT count(*) FROM sqlite_schema WHERE name = 'other'"),
        0
    );
}

#[test]
fn several_tables_in_one_topic_are_a_wrong_usage() {
    let workspace = Workspace::new("--topic with two tables");
    workspace.sql(&workspace.source(), "CREATE TABLE a(v); CREATE TABLE b(v)");
    let run = workspace.producer(&["--table", "a", "--table", "b"]).code(2);
    run.says("--topic names one topic, but there are several --table")
        .says("--topic-prefix");
}

#[test]
fn two_thousand_columns_with_a_key_arrive() {
    let columns = (1..2000).map(|i| format!(", c{i}")).collect::<String>();
    let ones = ", 1".repeat(1999);
    travels(
        "a table of as many columns as SQLite allows, without INTEGER PRIMARY KEY",
        &[
            (
                &format!(
                    "CREATE TABLE t(k TEXT PRIMARY KEY{columns}); INSERT INTO t VALUES ('a'{ones}), ('b'{ones}), ('c'{ones}), ('d'{ones})"
                ),
                4,
            ),
            ("UPDATE t SET c1999 = 2 WHERE k = 'b'; DELETE FROM t WHERE k = 'a'", 3),
        ],
    );
}

#[test]
fn text_that_is_no_utf16_stays_behind_and_is_told() {
    let workspace = Workspace::new("half of a surrogate pair in a UTF-16 source").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 'é😀'), ('b', 1);
         INSERT INTO t VALUES (CAST(x'00d8' AS TEXT), 2), ('c', CAST(x'610000dc' AS TEXT))",
    );
    for _ in 0..2 {
        workspace.producer(&[]).code(1).says("no UTF-16");
        workspace.consumer(&["--until-caught-up"]).ok();
        assert_eq!(workspace.number(&workspace.sink(), "SELECT count(*) FROM t"), 2);
        workspace.verify(&[]).code(1);
    }
    workspace.sql(
        &source,
        "UPDATE t SET k = 'd' WHERE v = 2; UPDATE t SET v = 3 WHERE k = 'c'",
    );
    workspace.producer(&[]).code(1);
    workspace.producer(&["--backfill"]).ok();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(&workspace);
}
