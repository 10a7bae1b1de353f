//! Keys of every kind, and keys that SQLite takes for one another though they are spelled in other
//! bytes.

use super::*;

#[test]
fn an_integer_key_arrives() {
    let workspace = travels(
        "an INTEGER PRIMARY KEY, whose rows are changed, deleted and given other keys",
        &[
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, v); TEN INSERT INTO t SELECT i - 5, i FROM ten",
                10,
            ),
            (
                "UPDATE t SET id = id + 1000 WHERE v > 8; DELETE FROM t WHERE id = 0; UPDATE t SET v = 'x' WHERE id < 0",
                9,
            ),
            ("UPDATE t SET id = id - 5000", 9),
            ("DELETE FROM t", 0),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_text_key_arrives() {
    let workspace = travels(
        "a TEXT key: empty, with a zero byte, with other letters, no UTF-8, as long as a page and longer",
        &[
            (
                "CREATE TABLE t(k TEXT PRIMARY KEY, v); TEN INSERT INTO t SELECT printf('%.*c', i * 900, 'x'), i FROM ten;
                 INSERT INTO t VALUES ('', 1), (char(0), 2), ('a' || char(0), 3), ('ä\"🦀', 4), (cast(x'ff' AS TEXT), 5), ('1', 6), ('01', 7)",
                17,
            ),
            ("UPDATE t SET v = -v; UPDATE t SET k = k || '!' WHERE v IN (-2, -5, -7, -9)", 17),
            ("DELETE FROM t WHERE v >= -5", 7),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_blob_key_arrives() {
    let workspace = travels(
        "a BLOB key, among it blobs beside texts of the same bytes",
        &[
            (
                "CREATE TABLE t(k BLOB PRIMARY KEY, v); TEN INSERT INTO t SELECT zeroblob(i - 1), i FROM ten;
                 INSERT INTO t VALUES (x'61', 1), ('a', 2), (x'', 3) ON CONFLICT DO NOTHING; INSERT INTO t VALUES ('', 4)",
                13,
            ),
            ("UPDATE t SET v = 'blob' WHERE k = x'61'; UPDATE t SET k = x'ffff' WHERE k = zeroblob(3); DELETE FROM t WHERE k = ''", 12),
            ("DELETE FROM t WHERE typeof(k) = 'blob'", 1),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_real_key_arrives() {
    let workspace = travels(
        "a REAL key, to the ends of what is real",
        &[
            (
                "CREATE TABLE t(k REAL PRIMARY KEY, v); TEN INSERT INTO t SELECT i / 4.0, i FROM ten;
                 INSERT INTO t VALUES (9e999, 1), (-9e999, 2), (5e-324, 3), (1e308, 4), (0.1 + 0.2, 5), (0.3, 6)",
                16,
            ),
            (
                "UPDATE t SET k = -k WHERE v > 4; UPDATE t SET v = 'x' WHERE k > 1e300",
                16,
            ),
            ("DELETE FROM t WHERE k < 0", 7),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_composite_key_arrives() {
    let workspace = travels(
        "a key of three columns in another order than the table's",
        &[
            (
                "CREATE TABLE t(c BLOB, v, a TEXT, b INT, PRIMARY KEY(b, c, a));
                 TEN INSERT INTO t SELECT zeroblob(i % 2), i, 'a' || (i % 3), i / 6 FROM ten",
                10,
            ),
            (
                "UPDATE t SET b = b + 5 WHERE v < 4; UPDATE t SET a = a || 'x' WHERE v = 8; DELETE FROM t WHERE c = x''",
                5,
            ),
        ],
    );
    assert_same_shape(&workspace, "t");
}

#[test]
fn a_descending_integer_primary_key_arrives_though_it_is_no_rowid() {
    let workspace = travels(
        "INTEGER PRIMARY KEY DESC, which may hold what is no integer",
        &[
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY DESC, v); TEN INSERT INTO t SELECT i, i FROM ten; INSERT INTO t VALUES ('x', 1), (1.5, 2)",
                12,
            ),
            (
                "UPDATE t SET id = 'y' WHERE id = 'x'; UPDATE t SET id = id + 100 WHERE v > 5; DELETE FROM t WHERE id = 1.5",
                11,
            ),
        ],
    );
    assert_eq!(
        workspace.number(&workspace.sink(), "SELECT count(*) FROM t WHERE id = 'y'"),
        1
    );
}

#[test]
fn a_nocase_key_may_change_its_spelling() {
    for options in ["", " WITHOUT ROWID"] {
        travels(
            "a NOCASE key whose letters change, there and back again",
            &[
                (
                    &format!(
                        "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v){options}; TEN INSERT INTO t SELECT 'key' || i, i FROM ten"
                    ),
                    10,
                ),
                ("UPDATE t SET k = upper(k)", 10),
                (
                    "UPDATE t SET k = lower(k) WHERE v < 5; UPDATE t SET k = upper(k) WHERE v < 3",
                    10,
                ),
                (
                    "INSERT OR REPLACE INTO t VALUES ('Key7', 'pushed out'); INSERT INTO t VALUES ('kEY8', 0) ON CONFLICT(k) DO UPDATE SET k = excluded.k",
                    10,
                ),
                (
                    "DELETE FROM t WHERE k = 'KEY1'; INSERT INTO t VALUES ('kEy1', 'again')",
                    10,
                ),
                ("DELETE FROM t WHERE k = 'key2'; DELETE FROM t WHERE k = 'key7'", 8),
            ],
        );
    }
}

#[test]
fn nocase_keys_that_differ_behind_a_zero_byte_are_one_key() {
    let key = |letter: &str| {
        format!(
            "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v); TEN INSERT INTO t SELECT i || char(0) || '{letter}', i FROM ten"
        )
    };
    let workspace = travels("NOCASE looks no further than to a zero byte", &[(&key("a"), 10)]);
    let source = workspace.source();
    // There and back in runs of their own, so that each change travels.
    for letter in ["b", "c", "a", "B"] {
        workspace.sql(&source, &format!("UPDATE t SET k = v || char(0) || '{letter}'"));
        workspace.producer(&SMALL_BATCHES).ok();
    }
    arrives(&workspace, "t", 10);
    let again = workspace
        .connection(&source)
        .execute("INSERT INTO t VALUES ('1' || char(0) || 'z', 0)", []);
    assert!(again.is_err(), "SQLite tells them apart by now");
}

#[test]
fn an_rtrim_key_may_change_its_spaces() {
    travels(
        "an RTRIM key that gets spaces at its end, and loses them",
        &[
            (
                "CREATE TABLE t(k TEXT COLLATE RTRIM PRIMARY KEY, v); TEN INSERT INTO t SELECT 'key' || i, i FROM ten",
                10,
            ),
            ("UPDATE t SET k = k || '  ' WHERE v < 6", 10),
            (
                "UPDATE t SET k = rtrim(k) WHERE v < 3; INSERT OR REPLACE INTO t VALUES ('key9 ', 'pushed out')",
                10,
            ),
            (
                "DELETE FROM t WHERE k = 'key1'; INSERT INTO t VALUES ('key1   ', 1); DELETE FROM t WHERE k = 'key4'",
                9,
            ),
        ],
    );
}

#[test]
fn a_key_may_change_from_1_to_1_point_0() {
    let workspace = travels(
        "1 and 1.0, 0.0 and -0.0 are one key where the column has no type",
        &[
            (
                "CREATE TABLE t(k PRIMARY KEY, v); TEN INSERT INTO t SELECT i, i FROM ten; INSERT INTO t VALUES (0.0, 0), ('1', 'text')",
                12,
            ),
            (
                "UPDATE t SET k = k * 1.0 WHERE typeof(k) = 'integer' AND v < 6; UPDATE t SET k = -0.0 WHERE k = 0",
                12,
            ),
            (
                "INSERT OR REPLACE INTO t VALUES (7.0, 'pushed out'), (1, 'pushed out')",
                12,
            ),
            (
                "DELETE FROM t WHERE k = 2; INSERT INTO t VALUES (2, 'again'); DELETE FROM t WHERE k = 3; DELETE FROM t WHERE k = 0",
                10,
            ),
        ],
    );
    let reals = "SELECT count(*) FROM t WHERE typeof(k) = 'real'";
    assert_eq!(workspace.number(&workspace.sink(), reals), 3); // 4.0, 5.0, 7.0
}

#[test]
fn a_key_may_compare_by_another_collation_than_its_column() {
    for options in ["", " WITHOUT ROWID"] {
        let made = format!(
            "CREATE TABLE t(a TEXT COLLATE NOCASE, b TEXT, v, PRIMARY KEY(a COLLATE BINARY, b COLLATE NOCASE)){options};
             TEN INSERT INTO t SELECT 'a' || i, 'b', i FROM ten; TEN INSERT INTO t SELECT 'A' || i, 'b', i FROM ten"
        );
        travels(
            "a key column that is BINARY in the key and NOCASE by itself, and the other way round",
            &[
                (&made, 20),
                (
                    "UPDATE t SET b = 'B' WHERE a = 'a1' COLLATE BINARY; UPDATE t SET v = 'x' WHERE a = 'A2' COLLATE BINARY",
                    20,
                ),
                (
                    "UPDATE t SET a = 'q' WHERE a = 'A3' COLLATE BINARY; INSERT OR REPLACE INTO t VALUES ('a4', 'B', 'pushed out')",
                    20,
                ),
                (
                    "DELETE FROM t WHERE a = 'a5' COLLATE BINARY; DELETE FROM t WHERE a = 'a6'",
                    17,
                ),
            ],
        );
    }
}

#[test]
fn a_row_with_a_null_in_its_key_is_kept_back_by_name_and_the_rest_goes_on() {
    let workspace = Workspace::new("nulls in a composite primary key").of("t");
    let (source, sink) = (workspace.source(), workspace.sink());
    let made = "CREATE TABLE t(a TEXT, b INT, v, PRIMARY KEY(a, b));
                INSERT INTO t VALUES ('x', 1, 1), (NULL, 1, 2), (NULL, 1, 3), ('y', NULL, 4), ('z', 9, 5)";
    workspace.sql(&source, made);
    let kept_back = |letters: &[&str]| {
        let run = workspace
            .producer(&SMALL_BATCHES)
            .code(1)
            .says("kept back")
            .says("_rowferry_dead_letters");
        letters.iter().fold(run, |run, key| {
            run.says(&format!("t: the row {key} stays behind: its primary key holds a NULL"))
        });
        let found = workspace.rows(&source, "SELECT key FROM _rowferry_dead_letters ORDER BY key");
        let expected: Vec<_> = letters.iter().map(|key| Value::Text(key.to_string())).collect();
        assert_eq!(found.concat(), expected);
        workspace.consumer(&["--until-caught-up"]).ok();
    };
    let landed = |values: &[i64]| {
        let values: Vec<_> = values.iter().copied().map(Value::Integer).collect();
        assert_eq!(workspace.rows(&sink, "SELECT v FROM t ORDER BY v").concat(), values);
    };
    kept_back(&[r#"{"a":"y","b":null}"#, r#"{"a":null,"b":1}"#]);
    landed(&[1, 5]);
    workspace.verify(&[]).code(1).says("3 missing, 0 extra, 0 different");

    workspace.sql(
        &source,
        "UPDATE t SET a = NULL WHERE a = 'z'; INSERT INTO t VALUES ('w', 2, 6); UPDATE t SET b = 2 WHERE v = 4",
    );
    kept_back(&[r#"{"a":null,"b":1}"#, r#"{"a":null,"b":9}"#]);
    landed(&[1, 4, 6]);
    workspace.verify(&[]).code(1).says("3 missing, 0 extra, 0 different");

    workspace.sql(&source, "UPDATE t SET a = 'now ' || v WHERE a IS NULL");
    arrives(&workspace, "t", 6);
    assert_eq!(
        workspace.number(&source, "SELECT count(*) FROM _rowferry_dead_letters"),
        0
    );
}

#[test]
fn a_null_in_a_key_is_kept_back_while_following_too() {
    let workspace = Workspace::new("a null comes into a descending integer key while the producer follows").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        "CREATE TABLE t(id INTEGER PRIMARY KEY DESC, v); INSERT INTO t VALUES (1, 1)",
    );
    let mut producer = workspace.start_producer(&["--follow"]);
    producer.wait_for_line("rows to ship", FOLLOW);
    workspace.sql(&source, "INSERT INTO t VALUES (NULL, 2), (NULL, 3), (4, 4)");
    producer.wait_for_line(
        r#"t: the row {"id":null} stays behind: its primary key holds a NULL"#,
        FOLLOW,
    );
    workspace.sql(&source, "DELETE FROM t WHERE id IS NULL; INSERT INTO t VALUES (5, 5)");
    becomes_equal(&workspace);
    producer.signal(libc::SIGINT);
    producer.wait(FOLLOW);
    arrives(&workspace, "t", 3);
}

#[test]
fn spellings_that_change_between_two_full_passes_arrive() {
    for (columns, key, changes) in [
        (
            "k TEXT COLLATE NOCASE PRIMARY KEY, v",
            "'k' || i",
            "UPDATE t SET k = upper(k) WHERE v < 6",
        ),
        ("k PRIMARY KEY, v", "i", "UPDATE t SET k = k * 1.0 WHERE v < 6"),
    ] {
        let workspace = Workspace::new("a source that is only read, so that every run is a full pass").of("t");
        let made = format!("CREATE TABLE t({columns}); {TEN} INSERT INTO t SELECT {key}, i FROM ten");
        passes(
            &workspace,
            &[
                (&made, 10),
                (changes, 10),
                ("DELETE FROM t WHERE v % 2 = 1; UPDATE t SET v = -v", 5),
            ],
        );
    }
}

#[test]
fn a_source_that_keeps_text_as_utf_16_arrives() {
    let workspace = travels(
        "PRAGMA encoding = 'UTF-16le', text as key and as value",
        &[
            (
                "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
                 TEN INSERT INTO t SELECT 'ä🦀' || i, char(0, 65280 + i, 128512 + i) FROM ten",
                10,
            ),
            (
                "UPDATE t SET k = 'ö🦀\u{ffff}' WHERE k = 'ä🦀3'; DELETE FROM t WHERE k = 'ä🦀7'; INSERT INTO t VALUES ('', '')",
                10,
            ),
        ],
    );
    let encoding = |file: PathBuf| workspace.rows(&file, "PRAGMA encoding").concat();
    assert_eq!(encoding(workspace.source()), [Value::Text("UTF-16le".into())]);
    assert_eq!(encoding(workspace.sink()), [Value::Text("UTF-8".into())]);
}
