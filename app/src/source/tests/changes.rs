//! Every kind of change.

use super::*;

const USERS: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, email TEXT COLLATE NOCASE UNIQUE, v);
    INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, NULL, 4)";

/// After these statements the model is equal, with so many events (0: any number).
#[track_caller]
fn follows(table: &str, statements: &[(&str, u64)]) {
    let mut ferry = Ferry::new("t", table);
    ferry.assert_equal();
    for (sql, events) in statements {
        ferry.sql(sql);
        let found = ferry.drain();
        assert!(*events == 0 || found == *events, "{found} events: {sql}");
        ferry.assert_equal();
    }
}

#[test]
fn ordinary_changes_follow() {
    follows(
        USERS,
        &[
            ("INSERT INTO t VALUES (9, 'x', 1)", 1),
            ("UPDATE t SET v = v + 1 WHERE id < 3", 2),
            ("UPDATE t SET id = 20 WHERE id = 2", 2),
            ("UPDATE t SET rowid = 21 WHERE id = 20", 2),
            ("UPDATE t SET _rowid_ = 2 WHERE id = 21", 2),
            ("DELETE FROM t WHERE id = 1", 1),
            (
                "INSERT INTO t VALUES (9, 'z', 1) ON CONFLICT(id) DO UPDATE SET v = 99",
                1,
            ),
            ("INSERT OR IGNORE INTO t VALUES (9, 'y', 1)", 0),
            (
                "BEGIN; UPDATE t SET v = 5; UPDATE t SET v = 6; UPDATE t SET v = 7; COMMIT",
                4,
            ),
            ("BEGIN; UPDATE t SET v = 8; DELETE FROM t; ROLLBACK", 0),
            (
                "BEGIN; UPDATE t SET v = 0; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; COMMIT",
                4,
            ),
            ("DELETE FROM t", 4),
            ("INSERT INTO t(email) VALUES ('again')", 1),
        ],
    );
}

#[test]
fn rows_that_a_replace_pushes_out_follow() {
    for recursive in ["PRAGMA recursive_triggers = ON; ", "PRAGMA recursive_triggers = OFF; "] {
        follows(
            &format!("{recursive}{USERS}"),
            &[
                ("INSERT OR REPLACE INTO t VALUES (9, 'A', 1)", 2),
                ("REPLACE INTO t VALUES (2, 'C', 1)", 2),
                ("UPDATE OR REPLACE t SET email = 'a' WHERE id = 2", 2),
                ("UPDATE OR REPLACE t SET id = 4 WHERE id = 2", 2),
                ("INSERT OR REPLACE INTO t(email) VALUES ('A')", 2),
            ],
        );
    }
}

#[test]
fn a_replace_that_the_table_declares_is_followed() {
    follows(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT REPLACE, b NOT NULL DEFAULT 'x' UNIQUE, v);
         INSERT INTO t VALUES (1, 1, 'x', 1), (2, 2, 'y', 2), (3, 3, 'z', 3)",
        &[
            ("INSERT INTO t VALUES (4, 3, 'w', 4)", 2),
            ("UPDATE t SET a = 1 WHERE id = 4", 2),
            ("INSERT OR REPLACE INTO t VALUES (5, 5, NULL, 5)", 0),
            ("INSERT OR REPLACE INTO t VALUES (6, 6, NULL, 6)", 2),
            ("UPDATE OR REPLACE t SET b = NULL WHERE id = 2", 2),
        ],
    );
}

#[test]
fn rows_that_make_room_for_a_rowid_follow() {
    follows(
        "CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)",
        &[
            ("UPDATE OR REPLACE t SET rowid = 2 WHERE k = 'a'", 2),
            ("INSERT OR REPLACE INTO t(oid, k) VALUES (3, 'd')", 2),
            ("UPDATE t SET v = 1", 2),
        ],
    );
}

#[test]
fn rows_that_a_generated_column_pushes_out_follow() {
    for (kind, index) in [
        ("VIRTUAL", "g"),
        ("STORED", "g"),
        ("VIRTUAL", "h"),
        ("STORED", "lower(h)"),
        ("VIRTUAL", "d, h DESC"),
    ] {
        follows(
            &format!(
                "CREATE TABLE t(k TEXT PRIMARY KEY, b, c, g AS (b || '-' || c) {kind}, d DEFAULT 0, h TEXT AS ([G] || d) {kind});
                 CREATE UNIQUE INDEX i ON t({index});
                 INSERT INTO t VALUES ('k1', 2, 'x', 0), ('k2', 1, 'x', 0), ('k3', 3, 'x', 0)"
            ),
            &[
                ("UPDATE OR REPLACE t SET b = 2 WHERE k = 'k2'", 2),
                ("INSERT OR REPLACE INTO t(k, b, c) VALUES ('k4', 3, 'x')", 2),
                ("UPDATE OR REPLACE t SET k = 'k5', c = 'x' WHERE k = 'k4'", 2),
                ("UPDATE OR REPLACE t SET c = 'x' WHERE k = 'k5'", 1),
            ],
        );
    }
}

#[test]
fn a_comment_in_a_definition_takes_nothing_with_it() {
    follows(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, b NOT NULL DEFAULT (1 -- c
         ) UNIQUE, g AS (b || 'x' -- c
         ) UNIQUE, v);
         CREATE UNIQUE INDEX i ON t(v + 1 -- c
         ) WHERE v > 0 -- c
         ;
         INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)",
        &[
            ("INSERT OR REPLACE INTO t VALUES (4, NULL, 4)", 2),
            ("INSERT OR REPLACE INTO t VALUES (5, 5, 3)", 2),
        ],
    );
}

#[test]
fn a_default_in_the_place_of_a_null_is_seen_through_a_generated_column() {
    for index in ["g", "lower(h)"] {
        follows(
            &format!(
                "CREATE TABLE t(k TEXT PRIMARY KEY, b INT NOT NULL DEFAULT 7, g TEXT AS (b || '-'), h AS (g || 'x') STORED);
                 CREATE UNIQUE INDEX i ON t({index});
                 INSERT INTO t VALUES ('k1', 7), ('k2', 1), ('k3', 2)"
            ),
            &[
                ("INSERT OR REPLACE INTO t VALUES ('k4', NULL)", 2),
                ("UPDATE OR REPLACE t SET b = NULL WHERE k = 'k2'", 2),
                ("UPDATE OR REPLACE t SET b = 2 WHERE k = 'k2'", 2),
            ],
        );
    }
}

#[test]
fn a_generated_column_keeps_no_other_column_from_being_dropped() {
    let mut ferry = Ferry::new(
        "t",
        "CREATE TABLE t(k TEXT PRIMARY KEY, b, x, g AS (b + 1) UNIQUE, y); INSERT INTO t VALUES ('k', 1, 2, 3)",
    );
    ferry.assert_equal();
    ferry.sql("ALTER TABLE t DROP COLUMN x; ALTER TABLE t DROP COLUMN y");
    ferry.assert_equal();
}

#[test]
fn a_row_whose_key_looks_like_none_is_pushed_out() {
    for columns in ["id INTEGER PRIMARY KEY, u UNIQUE, v", "u UNIQUE, v"] {
        for id in [-1, 0, 1, i64::MIN, i64::MAX] {
            follows(
                &format!("CREATE TABLE t({columns}); INSERT INTO t(rowid, u) VALUES ({id}, 'a'), (7, 'b')"),
                &[
                    ("INSERT OR REPLACE INTO t(u) VALUES ('a')", 2),
                    ("INSERT OR REPLACE INTO t(rowid, u) VALUES (-1, 'b')", 2),
                    ("INSERT OR REPLACE INTO t(rowid, u) VALUES (-1, 'a'), (NULL, 'a')", 0),
                ],
            );
        }
    }
}

#[test]
fn a_row_that_a_rowid_yet_to_be_given_pushes_out_follows() {
    for (key, g, index) in [
        ("INTEGER PRIMARY KEY", "g AS (id % 3)", "g"),
        (
            "INTEGER PRIMARY KEY",
            "g AS (id % 3) STORED, h AS (g || 'x')",
            "lower(h)",
        ),
        ("INTEGER PRIMARY KEY AUTOINCREMENT", "g AS (id % 3)", "g"),
        ("INTEGER PRIMARY KEY", "g", "id % 3"),
    ] {
        follows(
            &format!(
                "CREATE TABLE t(id {key}, v, {g}); CREATE UNIQUE INDEX i ON t({index});
                 INSERT INTO t(id) VALUES (-1), (3), (7); DELETE FROM t WHERE id = 7"
            ),
            &[
                ("INSERT OR REPLACE INTO t(v) VALUES (1)", 0),
                ("INSERT OR REPLACE INTO t(v) VALUES (2)", 0),
                ("INSERT OR REPLACE INTO t(v) VALUES (3), (4), (5)", 0),
                ("INSERT OR REPLACE INTO t(id) VALUES (-1)", 0),
                ("INSERT OR REPLACE INTO t(v) SELECT v FROM t", 0),
                (
                    "UPDATE OR REPLACE t SET id = id + 1 WHERE id = (SELECT min(id) FROM t)",
                    0,
                ),
            ],
        );
    }
}

#[test]
fn spellings_of_a_key_are_told_apart() {
    follows(
        "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v); INSERT INTO t VALUES ('k1', 1), ('k2', 2)",
        &[
            ("INSERT OR REPLACE INTO t VALUES ('K1', 3)", 2),
            ("UPDATE t SET k = 'K2' WHERE k = 'k2'", 2),
            ("DELETE FROM t WHERE k = 'k1'", 1),
        ],
    );
    follows(
        "CREATE TABLE t(k PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO t VALUES (1, 1), (0.0, 2), ('1', 3)",
        &[
            ("INSERT OR REPLACE INTO t VALUES (1.0, 4)", 2),
            ("UPDATE t SET k = 1 WHERE v = 4", 2),
            ("UPDATE t SET k = x'31' WHERE k = '1'", 2),
        ],
    );
    follows(
        "CREATE TABLE t(k TEXT COLLATE NOCASE, v, PRIMARY KEY(k COLLATE BINARY)); INSERT INTO t VALUES ('k1', 1), ('K1', 2)",
        &[
            ("DELETE FROM t WHERE v = 1", 1),
            ("INSERT INTO t VALUES ('k1', 3)", 1),
            ("UPDATE t SET v = 4", 2),
        ],
    );
}

#[test]
fn expressions_and_filters_of_unique_indexes_are_obeyed() {
    follows(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b, live, g AS (b * 2));
         CREATE UNIQUE INDEX i1 ON t(lower(a) DESC, b) WHERE live /* only those */ > 0 -- end
         ; CREATE UNIQUE INDEX i2 ON t(CASE WHEN a = 7 THEN b END);
         CREATE UNIQUE INDEX i3 ON t(g) WHERE t.live = 2;
         INSERT INTO t VALUES (1, 'x', 1, 1), (2, 'x', 1, 0), (3, '7', 9, 0), (4, 'q', 4, 2)",
        &[
            ("INSERT OR REPLACE INTO t VALUES (11, 'X', 1, 1)", 2),
            ("INSERT OR REPLACE INTO t VALUES (12, 7, 9, 0)", 2),
            ("INSERT OR REPLACE INTO t VALUES (13, 'r', 4, 2)", 2),
            ("UPDATE OR REPLACE t SET a = 'x', live = 1 WHERE id = 2", 2),
        ],
    );
}

#[test]
fn the_users_own_triggers_and_cascades_follow() {
    let mut ferry = Ferry::new(
        "t",
        "PRAGMA foreign_keys = ON;
         CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE t(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL, v, touched);
         CREATE TRIGGER touch AFTER UPDATE OF v ON t BEGIN UPDATE t SET touched = 1 WHERE id = NEW.id OR id = 3; END;
         CREATE TRIGGER twin BEFORE DELETE ON t WHEN OLD.v = 'twin' BEGIN DELETE FROM t WHERE id = OLD.id + 100; END;
         INSERT INTO parent VALUES (1), (2), (3);
         INSERT INTO t VALUES (1, 1, 1, 0), (2, 1, 1, 0), (3, 2, 1, 0), (4, 3, 'twin', 0), (104, NULL, 1, 0)",
    );
    ferry.assert_equal();
    for (sql, events) in [
        ("UPDATE t SET v = 2 WHERE id = 1", 2),
        ("DELETE FROM parent WHERE id = 1", 2),
        ("UPDATE parent SET id = 20 WHERE id = 2", 1),
        ("DELETE FROM t WHERE id = 4", 2),
    ] {
        ferry.sql(sql);
        assert_eq!(ferry.drain(), events, "{sql}");
        ferry.assert_equal();
    }
}

/// A trigger that keeps the change and lets no trigger run behind it.
const HIDES: [&str; 2] = ["SELECT RAISE(IGNORE)", "INSERT INTO full VALUES (1)"];

#[test]
fn a_users_trigger_that_hides_changes_from_older_ones_hides_none() {
    for body in HIDES {
        for moment in ["AFTER", "BEFORE"] {
            for made in ["before us", "while following", "while stopped"] {
                let triggers: String = ["INSERT", "UPDATE", "DELETE"]
                    .map(|change| format!("CREATE TRIGGER hides_{change} {moment} {change} ON t BEGIN {body}; END;"))
                    .concat();
                let made_first = if made == "before us" { &triggers } else { "" };
                let mut ferry = Ferry::new(
                    "t",
                    &format!("{USERS}; CREATE TABLE full(x UNIQUE); INSERT INTO full VALUES (1); {made_first}"),
                );
                ferry.assert_equal();
                let changes = |ferry: &Ferry, i: i64| {
                    let id = 100 * i;
                    for sql in [
                        format!("INSERT OR FAIL INTO t VALUES ({id}, {id}, 1)"),
                        format!("UPDATE OR FAIL t SET v = {i} + 10 WHERE id = 1"),
                        format!("DELETE FROM t WHERE id = {i}"),
                        format!("INSERT OR REPLACE INTO t VALUES ({id} + 1, 'c', 1)"),
                    ] {
                        let _ = ferry.user.execute_batch(&sql);
                    }
                };
                if made != "before us" {
                    ferry.sql(&triggers);
                }
                changes(&ferry, 2);
                if made == "while stopped" {
                    ferry.restart();
                }
                ferry.assert_equal();
                // Ours are the first again, also for a connection that has read the schema anew.
                changes(&ferry, 3);
                ferry.user = Connection::open(&ferry.path).unwrap();
                changes(&ferry, 4);
                ferry.assert_equal();
            }
        }
    }
}

#[test]
fn thousands_of_changes_in_one_transaction_follow() {
    let mut ferry = Ferry::new("t", USERS);
    ferry.assert_equal();
    let many = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n LIMIT 5000)";
    ferry.sql(&format!(
        "BEGIN; {many} INSERT INTO t SELECT i, i, 0 FROM n; UPDATE t SET v = id; DELETE FROM t WHERE id % 3 = 0; COMMIT"
    ));
    while ferry.step(1000) {
        ferry.note();
    }
    ferry.assert_equal();
    let left: i64 = ferry
        .user
        .query_row("SELECT count(*) FROM _rowferry_outbox_t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1, "the outbox keeps its last number only");
}
