//! Tables that change their schema between two runs, and rowids that a VACUUM gives anew.

use super::*;

#[test]
fn a_table_whose_columns_change_between_two_runs_arrives() {
    let workspace = travels(
        "columns are added, renamed and dropped",
        &[
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT, c); TEN INSERT INTO t SELECT i, i, 'b' || i, i FROM ten",
                10,
            ),
            ("ALTER TABLE t ADD COLUMN d INT NOT NULL DEFAULT 7", 10),
            (
                "ALTER TABLE t RENAME COLUMN a TO \"new name\"; UPDATE t SET \"new name\" = 'x' WHERE id < 3",
                10,
            ),
            ("ALTER TABLE t DROP COLUMN b; DELETE FROM t WHERE id = 1", 9),
            // The columns change their names with one another, which leaves all names as they were.
            (
                "ALTER TABLE t RENAME COLUMN c TO x; ALTER TABLE t RENAME COLUMN d TO c; ALTER TABLE t RENAME COLUMN x TO d",
                9,
            ),
            ("ALTER TABLE t RENAME COLUMN id TO key; INSERT INTO t(c) VALUES (1)", 10),
            ("ALTER TABLE t ADD COLUMN g AS (c || d)", 10),
        ],
    );
    assert_eq!(
        workspace.number(&workspace.sink(), "SELECT count(*) FROM t WHERE c = 7 AND d > 1"),
        9
    );
}

#[test]
fn several_changes_of_a_schema_may_land_at_once() {
    let workspace = Workspace::new("a consumer that sees three schemas in one go").of("t");
    for statements in [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        "ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a WHERE id = 2; DELETE FROM t WHERE id = 1",
        "ALTER TABLE t RENAME COLUMN a TO c; INSERT INTO t VALUES (4, 'four', 4)",
        "ALTER TABLE t DROP COLUMN c; UPDATE t SET b = 'last' WHERE id = 3",
    ] {
        workspace.sql(&workspace.source(), statements);
        workspace.producer(&[]).ok();
    }
    arrives(&workspace, "t", 3);
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_table_that_is_made_anew_with_another_key_arrives() {
    let rows = "TEN INSERT INTO t SELECT i, 'k' || i, i FROM ten";
    let made = |columns: &str| format!("DROP TABLE IF EXISTS t; CREATE TABLE t{columns}; {rows}");
    let keys = [
        "(id INTEGER PRIMARY KEY, k TEXT, v)",
        "(id INTEGER, k TEXT PRIMARY KEY, v)",
        "(id INTEGER, k TEXT, v, PRIMARY KEY(v, id)) WITHOUT ROWID",
        "(id INTEGER, k TEXT, v)",
        "(id INTEGER, k TEXT, v, PRIMARY KEY(id, k))",
        "(id INTEGER PRIMARY KEY, k TEXT, v ANY) STRICT",
    ]
    .map(made);
    let steps: Vec<_> = keys.iter().map(|statements| (statements.as_str(), 10)).collect();
    let workspace = travels("the same columns with other keys", &steps);
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_table_that_is_dropped_and_made_anew_arrives_without_its_old_rows() {
    travels(
        "the same table with other rows, then with other columns and types",
        &[
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, v); TEN INSERT INTO t SELECT i, i FROM ten",
                10,
            ),
            (
                "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (3, 'new'), (300, 'new')",
                2,
            ),
            (
                "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, v REAL, w); INSERT INTO t VALUES (3, 3, 3)",
                1,
            ),
            (
                "CREATE TABLE u(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO u VALUES (1, 2); DROP TABLE t; ALTER TABLE u RENAME TO t",
                1,
            ),
            ("DELETE FROM t", 0),
        ],
    );
}

#[test]
fn a_table_that_gets_another_name_arrives_under_it() {
    let workspace = travels(
        "ALTER TABLE RENAME TO between two runs",
        &[(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); TEN INSERT INTO t SELECT i, i FROM ten",
            10,
        )],
    );
    workspace.sql(
        &workspace.source(),
        "DELETE FROM t WHERE id = 1; ALTER TABLE t RENAME TO u; UPDATE u SET v = 'x' WHERE id = 2",
    );
    let workspace = workspace.of("u");
    arrives(&workspace, "u", 9);
    workspace.sql(&workspace.source(), "DELETE FROM u WHERE id = 2");
    arrives(&workspace, "u", 8);
}

/// The rowids of `t` in the order of its values.
fn rowids(workspace: &Workspace) -> Vec<Vec<Value>> {
    workspace.rows(&workspace.source(), "SELECT rowid, v FROM t ORDER BY v")
}

#[test]
fn a_vacuum_that_renumbers_rowids_while_no_producer_runs_is_noticed() {
    let workspace = travels(
        "a VACUUM between two runs",
        &[
            ("CREATE TABLE t(v); TEN INSERT INTO t SELECT i FROM ten", 10),
            ("DELETE FROM t WHERE v IN (2, 3, 7)", 7),
        ],
    );
    let before = rowids(&workspace);
    workspace.sql(&workspace.source(), "VACUUM");
    assert_ne!(rowids(&workspace), before, "the VACUUM has renumbered nothing");
    workspace.sql(
        &workspace.source(),
        "UPDATE t SET v = -v WHERE rowid = 2; DELETE FROM t WHERE rowid = 5",
    );
    arrives(&workspace, "t", 6);
}

#[test]
fn a_vacuum_that_renumbers_rowids_while_the_producer_follows_is_noticed() {
    let workspace = Workspace::new("a VACUUM under a following producer").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        &format!("CREATE TABLE t(v); {TEN} INSERT INTO t SELECT i FROM ten"),
    );
    let mut producer = workspace.start_producer(&["--follow", "--batch-rows", "3"]);
    becomes_equal(&workspace);
    for round in 1..=2 {
        workspace.sql(
            &source,
            &format!("DELETE FROM t WHERE v = {round} + 1; INSERT INTO t VALUES (100 * {round})"),
        );
        let before = rowids(&workspace);
        workspace.sql(&source, "VACUUM");
        assert_ne!(rowids(&workspace), before, "the VACUUM has renumbered nothing");
        workspace.sql(&source, "UPDATE t SET v = v + 1000 WHERE rowid = 4");
        producer.wait_for_lines("has changed: all of its rows are shipped again", round, FOLLOW);
        becomes_equal(&workspace);
    }
    producer.signal(libc::SIGINT);
    producer.wait(FOLLOW).ok();
    arrives(&workspace, "t", 10);
}

#[test]
fn a_vacuum_that_renumbers_rowids_between_two_full_passes_arrives() {
    let workspace = Workspace::new("a VACUUM of a source that is only read").of("t");
    let made = format!("CREATE TABLE t(v); {TEN} INSERT INTO t SELECT i FROM ten");
    passes(&workspace, &[(&made, 10), ("DELETE FROM t WHERE v IN (1, 5)", 8)]);
    let before = rowids(&workspace);
    workspace.sql(&workspace.source(), "VACUUM");
    assert_ne!(rowids(&workspace), before, "the VACUUM has renumbered nothing");
    passes(&workspace, &[("INSERT INTO t VALUES (11)", 9)]);
}
