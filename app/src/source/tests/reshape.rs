//! The table changes its shape, or SQLite moves its rows.

use super::*;

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c); CREATE INDEX on_c ON t(c);
    INSERT INTO t VALUES (1, 'x', 1, 1), (2, 'y', 2, 2), (3, 'z', 3, 3)";

/// Whether all rows are shipped again after these statements; either way the model is equal.
#[track_caller]
fn is_sent_again(ferry: &mut Ferry, sql: &str) -> bool {
    let begun = ferry.model.begun;
    ferry.sql(sql);
    ferry.assert_equal();
    ferry.model.begun != begun
}

#[test]
fn a_changed_table_is_sent_again_in_its_new_shape() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    for sql in [
        "ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'new'",
        "ALTER TABLE t RENAME COLUMN b TO bb",
        "ALTER TABLE t RENAME COLUMN a TO aa; INSERT OR REPLACE INTO t(id, aa) VALUES (9, 'x')",
        "ALTER TABLE t RENAME COLUMN id TO key; UPDATE t SET key = 10 WHERE key = 9",
        "ALTER TABLE t DROP COLUMN bb; INSERT INTO t(key) VALUES (77)",
        "ALTER TABLE t RENAME TO t2; ALTER TABLE t2 RENAME TO T; UPDATE t SET c = 0",
        "DROP TABLE t; CREATE TABLE t(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO t VALUES ('a', 1)",
        "BEGIN; CREATE TABLE n(k TEXT, l INT, v, PRIMARY KEY(l, k)); INSERT INTO n SELECT k, 1, v FROM t;
         DROP TABLE t; ALTER TABLE n RENAME TO t; COMMIT",
        "ALTER TABLE t RENAME TO old; CREATE TABLE t(v); INSERT INTO t VALUES (1), (2); INSERT INTO old VALUES ('b', 2, 3)",
    ] {
        assert!(is_sent_again(&mut ferry, sql), "{sql}");
    }
}

#[test]
fn a_table_dropped_and_made_anew_in_the_same_shape_is_sent_again() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    assert!(is_sent_again(
        &mut ferry,
        &format!("DROP TABLE t; {TABLE}; DELETE FROM t WHERE id = 2")
    ));
}

#[test]
fn a_table_that_is_gone_is_waited_for() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    ferry.sql("DROP TABLE t");
    assert!(!ferry.step(10));
    assert!(!ferry.step(10));
    assert!(is_sent_again(
        &mut ferry,
        "CREATE TABLE t(a, b PRIMARY KEY); INSERT INTO t VALUES (1, 2)"
    ));
}

#[test]
fn a_table_that_is_gone_is_an_error_when_nobody_follows() {
    let ferry = Ferry::new("t", TABLE);
    let mut changes = ChangeReader::open(
        &ferry.path,
        Capture::Triggers,
        &ferry.run,
        &ferry.tracked,
        false,
        Stop::default(),
    )
    .unwrap();
    ferry.sql("DROP TABLE t");
    let error = changes.read(10, 1000, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("\"t\" was dropped or renamed"), "{error}");
}

#[test]
fn what_does_not_touch_the_table_sends_nothing_again() {
    let mut ferry = Ferry::new(
        "t",
        &format!("{TABLE}; CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END"),
    );
    ferry.assert_equal();
    for sql in [
        "CREATE TABLE other(x UNIQUE)",
        "CREATE INDEX on_b ON t(b)",
        "ALTER TABLE other ADD COLUMN y",
        "CREATE TRIGGER others AFTER INSERT ON other BEGIN UPDATE t SET b = 7 WHERE id = 1; END; INSERT INTO other(x) VALUES (1)",
        "ALTER TABLE other RENAME TO another",
        "DROP TABLE another",
        "DROP INDEX on_c; UPDATE t SET b = 9",
        "DROP TRIGGER mine; INSERT INTO t VALUES (8, 'q', 1, 1)",
        "CREATE VIEW v AS SELECT * FROM t",
        "ANALYZE",
    ] {
        assert!(!is_sent_again(&mut ferry, sql), "{sql}");
        ferry.restart();
        assert!(!ferry.tracked.pass_pending, "{sql}");
    }
    // The same while no producer runs: one step is seen through.
    ferry.sql("CREATE TABLE more(x); UPDATE t SET b = 10");
    ferry.restart();
    assert!(!ferry.tracked.pass_pending);
    ferry.assert_equal();
}

/// Changes of the schema that end where they began, with rows that no trigger sees. T stands for
/// the table's own statement, TRIGGERS for ours.
const THERE_AND_BACK: [&str; 8] = [
    "ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN c INT DEFAULT 0",
    "ALTER TABLE t RENAME COLUMN b TO x; ALTER TABLE t RENAME COLUMN c TO b; ALTER TABLE t RENAME COLUMN x TO c; UPDATE t SET c = 5;
     ALTER TABLE t RENAME COLUMN c TO x; ALTER TABLE t RENAME COLUMN b TO c; ALTER TABLE t RENAME COLUMN x TO b",
    "CREATE UNIQUE INDEX tmp ON t(b); INSERT OR REPLACE INTO t(id, a, b) VALUES (77, 'new', 2); DROP INDEX tmp",
    "DROP TRIGGER _rowferry_delete_t; DELETE FROM t WHERE id = 2; TRIGGERS",
    "DROP TRIGGER _rowferry_update_t; UPDATE t SET b = b + 100; TRIGGERS",
    "DROP TABLE t; T; INSERT INTO t VALUES (1, 'x', 'other', 1); TRIGGERS",
    "CREATE TABLE n(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c INT DEFAULT 0); INSERT INTO n SELECT id, a, b || 'n', c FROM t;
     DROP TABLE t; ALTER TABLE n RENAME TO t; TRIGGERS",
    "CREATE TRIGGER hides AFTER UPDATE ON t BEGIN SELECT RAISE(IGNORE); END; UPDATE t SET b = 'hidden'; DROP TRIGGER hides",
];

#[test]
fn a_schema_that_ends_where_it_began_sends_the_table_again() {
    const T: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c INT DEFAULT 0)";
    let rows = "INSERT INTO t VALUES (1, 'x', 1, 1), (2, 'y', 2, 2), (3, 'z', 3, 3)";
    for sql in THERE_AND_BACK {
        for together in [false, true] {
            for stopped in [false, true] {
                let mut ferry = Ferry::new("t", &format!("{T}; {rows}"));
                ferry.assert_equal();
                let triggers: Vec<String> = ferry
                    .user
                    .prepare("SELECT sql || ';' FROM sqlite_schema WHERE type = 'trigger'")
                    .unwrap()
                    .query_map([], |row| row.get(0))
                    .unwrap()
                    .map(|sql: rusqlite::Result<String>| {
                        sql.unwrap().replace("CREATE TRIGGER", "CREATE TRIGGER IF NOT EXISTS")
                    })
                    .collect();
                let sql = sql
                    .replace("TRIGGERS", &triggers.concat())
                    .replace("T;", &format!("{T};"));
                ferry.sql(&if together {
                    format!("BEGIN; {sql}; COMMIT")
                } else {
                    sql.clone()
                });
                let begun = ferry.model.begun;
                if stopped {
                    ferry.restart();
                    assert!(ferry.tracked.full, "{sql}");
                }
                ferry.assert_equal();
                assert!(ferry.model.begun > begun, "{sql}");
                ferry.sql("UPDATE t SET b = 'after'; DELETE FROM t WHERE id = 1");
                ferry.assert_equal();
            }
        }
    }
}

#[test]
fn what_changed_a_table_leaves_others_alone() {
    let mut ferry = Ferry::new("t", &format!("{TABLE}; CREATE TABLE other(k PRIMARY KEY, v)"));
    ferry.assert_equal();
    ferry.state.track("other", "topic2", false).unwrap();
    // What another table's change makes us do to its triggers is no step of the user's.
    ferry.sql("ALTER TABLE other ADD COLUMN w");
    ferry.state.track("other", "topic2", false).unwrap();
    let begun = ferry.model.begun;
    ferry.sql("UPDATE t SET b = 5");
    ferry.assert_equal();
    assert_eq!(ferry.model.begun, begun);
    ferry.restart();
    assert!(!ferry.tracked.full);
}

#[test]
fn what_an_earlier_version_kept_is_read() {
    let old = "UPDATE _rowferry_tracked SET shape = 'TableSchema { table: \"t\", columns: [] }'";
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    ferry.sql(&format!("{old}; UPDATE t SET b = 8"));
    ferry.restart();
    assert!(!ferry.tracked.full, "nothing has changed but the form");
    ferry.assert_equal();
    ferry.sql("CREATE TABLE other(x)");
    ferry.restart();
    assert!(!ferry.tracked.full, "the form is today's");
    ferry.sql(&format!("{old}; CREATE TABLE more(x)"));
    ferry.restart();
    assert!(ferry.tracked.full, "what changed cannot be told");
    let shape: String = ferry
        .user
        .query_row("SELECT shape FROM _rowferry_tracked", [], |row| row.get(0))
        .unwrap();
    let kept: serde_json::Value = serde_json::from_str(&shape).unwrap();
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c)";
    assert_eq!(
        (kept["v"].as_u64(), kept["sql"].as_str(), kept["root"].as_u64()),
        (Some(1), Some(sql), Some(2))
    );
    assert_eq!(kept["unique"], serde_json::json!([["sqlite_autoindex_t_1", null, 3]]));
    assert_eq!(kept["triggers"][0][0], "_rowferry_insert_t");
}

#[test]
fn a_look_that_finds_nothing_to_do_leaves_the_schema_alone() {
    let mut ferry = Ferry::new(
        "t",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, \"g 1\" AS (a || id) UNIQUE)",
    );
    let version = |ferry: &Ferry| -> i64 {
        ferry
            .user
            .query_row("PRAGMA schema_version", [], |row| row.get(0))
            .unwrap()
    };
    ferry.assert_equal();
    let before = version(&ferry);
    ferry.restart();
    ferry.assert_equal();
    assert_eq!(version(&ferry), before);
}

#[test]
fn a_new_unique_index_is_guarded_and_a_dropped_one_is_not() {
    let mut ferry = Ferry::new("t", TABLE);
    ferry.assert_equal();
    let sql = "CREATE UNIQUE INDEX on_b ON t(b) WHERE b > 1; INSERT OR REPLACE INTO t VALUES (20, 'n', 2, 2)";
    assert!(
        is_sent_again(&mut ferry, sql),
        "rows may have gone before the triggers knew the index"
    );
    assert!(!is_sent_again(
        &mut ferry,
        "INSERT OR REPLACE INTO t VALUES (21, 'm', 3, 2)"
    ));
    assert!(!is_sent_again(&mut ferry, "DROP INDEX on_b"));
    assert!(is_sent_again(&mut ferry, "ALTER TABLE t DROP COLUMN b"));
    assert!(!is_sent_again(
        &mut ferry,
        "INSERT OR REPLACE INTO t(id, a) VALUES (31, 'm')"
    ));
}

#[test]
fn our_own_tables_for_another_table_are_no_change() {
    let mut ferry = Ferry::new(
        "t",
        &format!("{TABLE}; CREATE TABLE other(k PRIMARY KEY); INSERT INTO other VALUES (1)"),
    );
    ferry.step(1);
    let begun = ferry.model.begun;
    ferry.state.track("other", "topic2", false).unwrap();
    ferry.state.track("other", "topic2", true).unwrap();
    ferry.assert_equal();
    assert_eq!(ferry.model.begun, begun);
}

#[test]
fn a_vacuum_that_moves_rowids_is_noticed() {
    for (columns, sent_again) in [
        ("k, v", true),
        ("k TEXT PRIMARY KEY, v", false),
        ("k INTEGER PRIMARY KEY, v", false),
    ] {
        let sql = format!("CREATE TABLE t({columns}); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)");
        let mut ferry = Ferry::new("t", &sql);
        ferry.assert_equal();
        ferry.sql("DELETE FROM t WHERE v = 2");
        assert_eq!(is_sent_again(&mut ferry, "VACUUM"), sent_again, "{columns}");
        // Also while no producer runs.
        ferry.sql("DELETE FROM t WHERE v = 3; VACUUM");
        ferry.restart();
        assert_eq!(ferry.tracked.full, sent_again, "{columns}");
        ferry.assert_equal();
    }
}

#[test]
fn a_vacuum_in_the_middle_of_a_pass_starts_it_again_where_rowids_move() {
    for (columns, sent_again) in [("k TEXT PRIMARY KEY, v", true), ("k INTEGER PRIMARY KEY, v", false)] {
        for restart in [false, true] {
            let sql = format!("CREATE TABLE t({columns}); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)");
            let mut ferry = Ferry::new("t", &sql);
            ferry.sql("DELETE FROM t WHERE v = 1");
            assert!(ferry.step(2));
            ferry.note();
            let begun = ferry.model.begun;
            ferry.sql("VACUUM");
            if restart {
                ferry.restart();
            }
            ferry.assert_equal();
            assert_eq!(ferry.model.begun != begun, sent_again, "{columns}");
        }
    }
}

#[test]
fn a_topic_carries_one_table_which_may_change_its_name() {
    let mut ferry = Ferry::new(
        "t",
        &format!("{TABLE}; CREATE TABLE u(id INTEGER PRIMARY KEY); INSERT INTO u VALUES (9)"),
    );
    ferry.assert_equal();
    assert_eq!(ferry.tracked.id, "t");
    let error = ferry.state.track("u", "topic", false).unwrap_err().to_string();
    assert!(
        error.contains("topic \"topic\" carries table \"t\"") && error.contains("way out"),
        "{error}"
    );
    assert_eq!(ferry.state.track("u", "another", false).unwrap().id, "u");
    ferry.assert_equal();
    ferry.sql("UPDATE t SET b = 3; ALTER TABLE t RENAME TO v; UPDATE v SET b = 4; CREATE TABLE T2(x)");
    ferry.table = "v".into();
    ferry.restart();
    assert_eq!((ferry.tracked.id.as_str(), ferry.tracked.full), ("t", true));
    ferry.assert_equal();
    let ours = "SELECT group_concat(name) FROM sqlite_schema WHERE name GLOB '_rowferry_*_t'";
    let left: Option<String> = ferry.user.query_row(ours, [], |row| row.get(0)).unwrap();
    assert_eq!(left, None, "nothing of the old name is left");
    // A new table under the old name is another one.
    ferry.sql("CREATE TABLE t(x PRIMARY KEY)");
    let id = ferry.state.track("t", "third", false).unwrap().id;
    assert!(id.starts_with("t-") && id.len() == 10, "{id}");
    ferry.restart();
    assert_eq!((ferry.tracked.id.as_str(), ferry.tracked.full), ("t", false));
    assert_eq!(ferry.state.track("t", "third", false).unwrap().id, id);
}
