//! Changes of the source while producer and consumer run: whatever SQLite can do to a row arrives.

mod locks;
mod random;
mod reshaping;

use crate::support::*;

#[test]
fn inserts_updates_deletes_changed_keys_and_upserts_follow() {
    let workspace = Workspace::new("each kind of statement follows").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 0);
         INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    for change in [
        "INSERT INTO t VALUES (4, 'four', 4), (5, x'05', 5)",
        "INSERT INTO t(v) SELECT v || ' again' FROM t",
        "UPDATE t SET v = 2.5 WHERE id = 2",
        "UPDATE t SET v = NULL, n = -9223372036854775808 WHERE id % 2",
        "UPDATE t SET v = a.v FROM (SELECT 8 AS id, 'from another' AS v) AS a WHERE t.id = a.id",
        "DELETE FROM t WHERE id = 3",
        "UPDATE t SET id = 103 WHERE id = 1",
        "UPDATE t SET id = -id",
        "UPDATE t SET id = 0 WHERE id = -2; UPDATE t SET id = -2 WHERE id = -4; UPDATE t SET id = -4 WHERE id = 0",
        "INSERT INTO t VALUES (-5, 'upsert', 1) ON CONFLICT(id) DO UPDATE SET v = excluded.v, n = t.n + 7",
        "INSERT INTO t VALUES (-5, 'new key', 1) ON CONFLICT(id) DO UPDATE SET id = 500, v = excluded.v",
        "INSERT INTO t VALUES (500, 'ignored', 1), (501, 'not ignored', 1) ON CONFLICT DO NOTHING",
        "REPLACE INTO t VALUES (501, 'replaced', 2)",
        "UPDATE OR REPLACE t SET id = 500 WHERE id = 501",
        "UPDATE OR IGNORE t SET id = 500 WHERE id IN (-7, -8); UPDATE t SET n = 1 WHERE id = -8",
        "DELETE FROM t WHERE id = 500; INSERT INTO t VALUES (500, 'made again', 3)",
        "DELETE FROM t",
        "INSERT INTO t VALUES (1, 'after all were gone', 1)",
    ] {
        ferry.follows("t", change);
    }
    ferry.end();
}

#[test]
fn keys_that_change_only_their_spelling_or_a_part_of_them_follow() {
    let workspace = Workspace::new("changed keys follow, to the byte").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(a TEXT COLLATE NOCASE, b, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
         INSERT INTO t VALUES ('k1', 1, 'x'), ('k1', 2, 'y'), ('k2', x'01', 'z')",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    for change in [
        "UPDATE t SET a = 'K1' WHERE b = 1",
        "REPLACE INTO t VALUES ('K1', 2, 'pushes k1 out')",
        "INSERT INTO t VALUES ('K2', x'01', 'v') ON CONFLICT DO UPDATE SET a = excluded.a, v = excluded.v",
        "UPDATE OR REPLACE t SET b = 1",
        "DELETE FROM t WHERE a = 'k1'; INSERT INTO t VALUES ('k1', 1, 'small again')",
        "UPDATE t SET b = '1'",
        "UPDATE t SET b = 1.5",
        "INSERT INTO t VALUES ('s', 1, 'one'), ('s', 2, 'two')",
        "UPDATE t SET b = -b WHERE a = 's'; UPDATE t SET b = 3 + b WHERE a = 's'",
    ] {
        ferry.follows("t", change);
    }
    ferry.end();
}

/// What the source holds of a table, as text.
fn ids(workspace: &Workspace) -> String {
    let ids = "SELECT group_concat(id, ' ') FROM (SELECT id FROM t ORDER BY id)";
    match workspace.rows(&workspace.source(), ids).concat().remove(0) {
        rusqlite::types::Value::Text(ids) => ids,
        other => panic!("no list of ids but {other:?}"),
    }
}

#[test]
fn rows_that_a_replace_pushes_out_by_another_unique_index_go_from_the_sink_too() {
    let workspace = Workspace::new("rows that are pushed out go").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, plain TEXT UNIQUE, folded TEXT COLLATE NOCASE, part INTEGER,
            active INTEGER NOT NULL DEFAULT 0, name TEXT, a INTEGER, b INTEGER, own TEXT UNIQUE ON CONFLICT REPLACE);
         CREATE UNIQUE INDEX folds ON t(folded);
         CREATE UNIQUE INDEX partly ON t(part) WHERE active = 1;
         CREATE UNIQUE INDEX expressed ON t(lower(name), a + b DESC);
         INSERT INTO t VALUES (1, 'p1', 'f1', 1, 1, 'Ann', 1, 2, 'o1'), (2, 'p2', 'f2', 2, 1, 'Bob', 1, 2, 'o2'),
            (3, 'p3', 'f3', 3, 0, 'Cid', 1, 2, 'o3'), (4, 'p4', 'f4', 4, 1, 'Dan', 1, 2, 'o4'),
            (5, 'p5', 'f5', 5, 1, 'Eve', 1, 2, 'o5'), (6, 'p6', 'f6', 6, 1, 'Fay', 1, 2, 'o6'),
            (7, 'p7', 'f7', 7, 1, 'Gus', 1, 2, 'o7'), (8, 'p8', 'f8', 8, 1, 'Hal', 1, 2, 'o8'),
            (9, 'p9', 'f9', 9, 1, 'Ida', 1, 2, 'o9')",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    let all = "1 2 3 4 5 6 7 8 9";
    assert_eq!(ids(&workspace), all);
    for (change, left) in [
        (
            "INSERT OR REPLACE INTO t(id, plain) VALUES (11, 'p1')",
            "2 3 4 5 6 7 8 9 11",
        ),
        (
            "INSERT OR REPLACE INTO t(id, folded) VALUES (12, 'F2')",
            "3 4 5 6 7 8 9 11 12",
        ),
        (
            "REPLACE INTO t(id, part, active) VALUES (13, 3, 1)",
            "3 4 5 6 7 8 9 11 12 13",
        ),
        (
            "REPLACE INTO t(id, part, active) VALUES (14, 4, 1)",
            "3 5 6 7 8 9 11 12 13 14",
        ),
        (
            "REPLACE INTO t(id, name, a, b) VALUES (15, 'EVE', 3, 0)",
            "3 6 7 8 9 11 12 13 14 15",
        ),
        (
            "UPDATE OR REPLACE t SET plain = 'p6' WHERE id = 11",
            "3 7 8 9 11 12 13 14 15",
        ),
        (
            "UPDATE OR REPLACE t SET folded = 'F7' WHERE id = 12",
            "3 8 9 11 12 13 14 15",
        ),
        ("UPDATE OR REPLACE t SET part = 8 WHERE id = 13", "3 9 11 12 13 14 15"),
        (
            "UPDATE OR REPLACE t SET name = 'cID', a = 2, b = 1 WHERE id = 14",
            "9 11 12 13 14 15",
        ),
        ("INSERT INTO t(id, own) VALUES (16, 'o9')", "11 12 13 14 15 16"),
        ("UPDATE t SET own = 'o9' WHERE id = 15", "11 12 13 14 15"),
        (
            "UPDATE OR REPLACE t SET id = 11, plain = 'p0' WHERE id = 12",
            "11 13 14 15",
        ),
        ("REPLACE INTO t VALUES (20, 'p0', 'x', 8, 1, 'CID', 1, 2, 'o9')", "20"),
    ] {
        ferry.follows("t", change);
        assert_eq!(ids(&workspace), left, "{change}");
    }
    ferry.end();
}

#[test]
fn changes_by_the_users_own_triggers_follow() {
    let workspace = Workspace::new("what triggers change follows").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER DEFAULT 0);
         CREATE TABLE orders(id INTEGER PRIMARY KEY, t_id INTEGER);
         CREATE TRIGGER counts AFTER INSERT ON orders BEGIN UPDATE t SET n = n + 1 WHERE id = NEW.t_id; END;
         CREATE TRIGGER again AFTER INSERT ON t WHEN NEW.v = 'twin' BEGIN INSERT INTO t(v) VALUES ('the other'); END;
         CREATE TRIGGER makes_room BEFORE INSERT ON t WHEN NEW.v = 'room' BEGIN DELETE FROM t WHERE v = 'old'; END;
         INSERT INTO t(v) VALUES ('old'), ('b'), ('c'), ('d')",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    for change in [
        "INSERT INTO orders(t_id) VALUES (2), (2), (3)",
        "INSERT INTO t(v) VALUES ('twin')",
        "INSERT INTO t(v) VALUES ('room')",
        // Triggers that come while the producer runs.
        "CREATE TRIGGER keeps AFTER DELETE ON t BEGIN INSERT INTO t(v) VALUES ('was ' || OLD.v); END;
         DELETE FROM t WHERE id = 2",
        "CREATE TRIGGER moves AFTER UPDATE OF v ON t WHEN NEW.id < 1000 BEGIN UPDATE t SET id = id + 1000 WHERE id = NEW.id; END;
         UPDATE t SET v = v || ' moved' WHERE id IN (3, 4)",
        "CREATE VIEW shown AS SELECT id, v FROM t;
         CREATE TRIGGER through INSTEAD OF UPDATE ON shown BEGIN UPDATE t SET n = -1 WHERE id = OLD.id; END;
         UPDATE shown SET v = 'through a view'",
        "CREATE TRIGGER spares BEFORE DELETE ON t WHEN OLD.v GLOB '*moved' BEGIN SELECT RAISE(IGNORE); END; DELETE FROM t",
        "PRAGMA recursive_triggers = ON;
         REPLACE INTO t SELECT id, 'fires delete triggers', 1 FROM t WHERE v GLOB 'was*' LIMIT 1",
    ] {
        ferry.follows("t", change);
    }
    let spared = "SELECT count(*) FROM t WHERE v GLOB '*moved' AND id > 1000 AND n = -1";
    assert_eq!(workspace.number(&workspace.source(), spared), 2);
    ferry.end();
}

#[test]
fn foreign_keys_that_cascade_follow() {
    let workspace = Workspace::new("what foreign keys do follows").of("child");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(p INTEGER REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, n INTEGER,
            s INTEGER REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE, PRIMARY KEY (p, n));
         INSERT INTO parent VALUES (1), (2), (3), (4);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400)
         INSERT INTO child SELECT n % 4 + 1, n, n / 7 % 4 + 1 FROM c",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    let left = || workspace.number(&workspace.source(), "SELECT count(*) FROM child");
    ferry.follows("child", "PRAGMA foreign_keys = ON; DELETE FROM parent WHERE id = 1");
    assert_eq!(left(), 300);
    ferry.follows(
        "child",
        "PRAGMA foreign_keys = ON; UPDATE parent SET id = 30 WHERE id = 3",
    );
    assert_eq!(
        workspace.number(&workspace.source(), "SELECT count(*) FROM child WHERE p = 30"),
        100
    );
    ferry.follows("child", "PRAGMA foreign_keys = ON; DELETE FROM parent WHERE id > 2");
    assert_eq!(left(), 100);
    ferry.follows("child", "PRAGMA foreign_keys = ON; DELETE FROM parent");
    assert_eq!(left(), 0);
    ferry.end();
}

#[test]
fn thousands_of_changes_in_one_transaction_follow() {
    let workspace = Workspace::new("large transactions follow").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER)",
    );
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "700"], &[]);
    for change in [
        "BEGIN;
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10000)
         INSERT INTO t SELECT n, hex(randomblob(20)), n FROM c;
         COMMIT",
        "BEGIN; UPDATE t SET n = n + 1; UPDATE t SET v = lower(v) WHERE id % 3 = 0; COMMIT",
        "BEGIN; DELETE FROM t WHERE id % 2; UPDATE t SET id = id + 1000000; UPDATE t SET id = id - 999999 WHERE id % 3 = 0; COMMIT",
        "BEGIN; DELETE FROM t; INSERT INTO t VALUES (1, 'alone', 1); COMMIT",
    ] {
        ferry.follows("t", change);
    }
    ferry.end();
}

#[test]
fn what_is_rolled_back_never_arrives() {
    let workspace = Workspace::new("rollbacks leave nothing behind").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, u TEXT UNIQUE);
         INSERT INTO t VALUES (1, 'one', 'a'), (2, 'two', 'b'), (3, 'three', 'c')",
    );
    let mut ferry = Ferry::start(&workspace, &[], &["--print"]);
    ferry.wait_until_equal("the start");
    let user = workspace.connection(&workspace.source());
    let fails = |statement: &str| assert!(user.execute_batch(statement).is_err(), "this is to fail: {statement}");
    let insert = "INSERT INTO t VALUES (10, 'rolled back', 'x')";
    user.execute_batch(&format!("BEGIN; {insert}; DELETE FROM t WHERE id < 10; ROLLBACK"))
        .expect("it is rolled back");
    user.execute_batch(&format!(
        "SAVEPOINT s; {insert}; REPLACE INTO t VALUES (11, 'rolled back', 'a'); ROLLBACK TO s; RELEASE s"
    ))
    .expect("it is rolled back");
    // Statements that fail: the whole statement goes, or the whole transaction, or what came after
    // the failure.
    fails("INSERT INTO t VALUES (12, 'rolled back', 'y'), (13, 'rolled back', 'a')");
    fails("UPDATE t SET v = 'rolled back', u = 'same'");
    fails("BEGIN; UPDATE t SET v = 'rolled back'; INSERT OR ROLLBACK INTO t VALUES (1, 'rolled back', 'q')");
    fails("INSERT OR FAIL INTO t VALUES (14, 'stays', 'z'), (15, 'rolled back', 'a'), (16, 'rolled back', 'w')");
    user.execute_batch(&format!(
        "BEGIN; UPDATE t SET v = 'kept' WHERE id = 2; SAVEPOINT s; {insert}; ROLLBACK TO s; COMMIT"
    ))
    .expect("the part before the savepoint is kept");
    let (_, consumer) = ferry.end();
    assert_eq!(
        workspace.number(&workspace.sink(), "SELECT count(*) FROM t WHERE v IN ('stays', 'kept')"),
        2
    );
    consumer
        .says(r#""v":"stays""#)
        .says(r#""v":"kept""#)
        .never_says("rolled back");
}

/// Everything in the database's schema.
const SCHEMA: &str = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";

#[test]
fn uninstall_leaves_the_sources_schema_as_it_was() {
    for journal in ["wal", "delete"] {
        let workspace = Workspace::new("uninstall leaves nothing behind").of("t");
        let source = workspace.source();
        workspace.sql(
            &source,
            &format!(
                "PRAGMA journal_mode = {journal};
                 CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT UNIQUE);
                 CREATE INDEX mine ON t(u); CREATE VIEW seen AS SELECT u FROM t; CREATE TABLE log(u);
                 CREATE TRIGGER own AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.u); END;
                 INSERT INTO t(u) VALUES ('a'), ('b')"
            ),
        );
        let before = workspace.rows(&source, SCHEMA);
        let mut ferry = Ferry::start(&workspace, &[], &[]);
        ferry.follows("t", "INSERT INTO t(u) VALUES ('c')");
        ferry.end();
        assert!(
            workspace.rows(&source, SCHEMA).len() > before.len(),
            "nothing was installed"
        );
        workspace.producer(&["--uninstall"]).ok().says("took out");
        assert_eq!(workspace.rows(&source, SCHEMA), before);
        assert_eq!(
            workspace.rows(&source, "PRAGMA journal_mode").concat(),
            [journal.to_owned().into()]
        );
        workspace
            .producer(&["--uninstall"])
            .ok()
            .says("nothing of Rowferry's was there");
        // Installed again it is a new source to the sink, which follows it when it is told to; what
        // happened meanwhile arrives too.
        workspace.sql(
            &source,
            "DELETE FROM t WHERE u = 'a'; UPDATE t SET u = 'B' WHERE u = 'b'",
        );
        workspace.producer(&[]).ok();
        let stopped = workspace.consumer(&["--until-caught-up"]).code(3);
        stopped
            .says("comes from another source database")
            .says("consumer --heal");
        workspace.consumer(&["--until-caught-up", "--heal"]).ok();
        assert_equal(&workspace);
    }
}
