//! A table that changes its shape while its rows are on their way: it is sent again, and the sink
//! takes the new shape.

use std::time::Duration;

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(60);

const SENT_AGAIN: &str = "all of its rows are shipped again";

/// Keeps changing rows, through all shapes that have `id` and `n`.
fn start_writer(workspace: &Workspace, random: &mut Random) -> Writer {
    Writer::start(&workspace.source(), random.next(), |user, random, _| {
        let id = random.below(500);
        user.execute_batch(&match random.below(4) {
            0 => format!("INSERT OR REPLACE INTO t(id, n) VALUES ({id}, 0)"),
            1 => format!("DELETE FROM t WHERE id = {id}"),
            _ => format!("UPDATE t SET n = n + 1 WHERE id BETWEEN {id} AND {id} + 20"),
        })
    })
}

/// The sink's columns of the table, in order.
fn columns(workspace: &Workspace) -> String {
    let columns = "SELECT ifnull(group_concat(name, ' '), '') FROM pragma_table_info('t')";
    match workspace.rows(&workspace.sink(), columns).concat().remove(0) {
        rusqlite::types::Value::Text(columns) => columns,
        other => panic!("no list of columns but {other:?}"),
    }
}

#[test]
fn columns_that_come_go_and_change_their_names_in_mid_flight_arrive() {
    let mut random = Random::new();
    let workspace = Workspace::new("a changed table arrives").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0, v TEXT);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500) INSERT INTO t SELECT n, 0, 'v' || n FROM c",
    );
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "50"], &[]);
    ferry.wait_until_equal("the start");
    let writer = start_writer(&workspace, &mut random);
    for (round, (change, shape)) in [
        ("ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'given'", "id n v extra"),
        (
            "ALTER TABLE t RENAME COLUMN v TO \"a new name\"",
            "id n a new name extra",
        ),
        ("ALTER TABLE t DROP COLUMN \"a new name\"", "id n extra"),
        ("ALTER TABLE t ADD COLUMN v REAL", "id n extra v"),
        (
            "ALTER TABLE t RENAME COLUMN extra TO v2; ALTER TABLE t DROP COLUMN v",
            "id n v2",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        // With rows before and after it in its own transaction, it is in mid-flight for sure.
        workspace.sql(
            &source,
            &format!(
                "BEGIN IMMEDIATE; UPDATE t SET n = n + 1000; {change}; UPDATE t SET n = n + 1000 WHERE id % 2; COMMIT"
            ),
        );
        assert_ne!(columns(&workspace), shape, "the sink had the new shape before it could");
        ferry.producer.wait_for_lines(SENT_AGAIN, round + 1, LIMIT);
        assert!(
            wait_until(LIMIT, || columns(&workspace) == shape),
            "the sink has {}",
            columns(&workspace)
        );
        writer.wait_for_more(20);
    }
    writer.stop();
    ferry.end();
}

#[test]
fn a_table_dropped_and_made_anew_in_mid_flight_arrives() {
    let mut random = Random::new();
    let workspace = Workspace::new("a table made anew arrives").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, old TEXT);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500) INSERT INTO t SELECT n, 0, 'old' FROM c",
    );
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "50"], &[]);
    ferry.wait_until_equal("the start");
    let writer = start_writer(&workspace, &mut random);
    for (round, (made, shape)) in [
        // The same shape with other rows; another shape; another key; no key at all.
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, old TEXT); INSERT INTO t VALUES (7, 1, 'new')",
            "id n old",
        ),
        (
            "CREATE TABLE t(x, id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (0.5, 8, 1)",
            "x id n",
        ),
        (
            "CREATE TABLE t(id TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID; INSERT INTO t VALUES ('nine', 1)",
            "id n",
        ),
        (
            "CREATE TABLE t(n INTEGER, id INTEGER UNIQUE); INSERT INTO t VALUES (1, 10), (1, 11)",
            "n id",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        workspace.sql(
            &source,
            &format!("BEGIN IMMEDIATE; UPDATE t SET n = n + 1; DROP TABLE t; {made}; COMMIT"),
        );
        ferry.producer.wait_for_lines(SENT_AGAIN, round + 1, LIMIT);
        assert!(
            wait_until(LIMIT, || columns(&workspace) == shape),
            "the sink has {}",
            columns(&workspace)
        );
        writer.wait_for_more(20);
    }
    writer.stop();
    ferry.end();
}

#[test]
fn a_table_that_is_gone_for_a_while_is_waited_for() {
    let workspace = Workspace::new("a table that is gone is waited for").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    ferry.wait_until_equal("the start");
    workspace.sql(&source, "BEGIN; UPDATE t SET v = 'late'; DROP TABLE t; COMMIT");
    ferry
        .producer
        .wait_for_line("is gone: waiting for it to be made again", LIMIT);
    workspace.sql(
        &source,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, w); INSERT INTO t VALUES (2, 'c'), (3, 'd')",
    );
    ferry.wait_until_equal("the table was made again");
    // Under another name it is gone as well, and its triggers must not keep anybody from writing.
    workspace.sql(
        &source,
        "ALTER TABLE t RENAME TO moved; INSERT INTO moved VALUES (4, 'e')",
    );
    ferry
        .producer
        .wait_for_lines("is gone: waiting for it to be made again", 2, LIMIT);
    workspace.sql(
        &source,
        "INSERT INTO moved VALUES (5, 'f'); ALTER TABLE moved RENAME TO t",
    );
    ferry.end();
}
