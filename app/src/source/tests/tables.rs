//! Every kind of table.

use super::*;

const VALUES: &str =
    "(1, 'a', -9223372036854775808), (2, NULL, 9223372036854775807), (3, x'00ff', 0.1), (4, '', 9e999),
    (5, cast(x'ff00' AS TEXT), -9e999), (6, 'é😀', 5e-324), (7, x'', 1e308), (8, 1, '2'), (9, 1.0, x'31')";

fn check(table: &str, columns: &str, sql: &str) {
    let name = quote(table);
    let mut ferry = Ferry::new(table, &format!("CREATE TABLE {name}({columns}; {sql}"));
    ferry.assert_equal();
    ferry.sql(
        &format!("UPDATE {name} SET v = 'changed' WHERE rowid_or_key_is_even; DELETE FROM {name} WHERE 0")
            .replace("WHERE rowid_or_key_is_even", "WHERE v IS NOT NULL"),
    );
    ferry.assert_equal();
    ferry.sql(&format!("DELETE FROM {name}"));
    ferry.assert_equal();
    assert!(ferry.model.rows.is_empty());
}

#[test]
fn a_table_of_every_kind_is_shipped() {
    let rows = format!("INSERT INTO t(k, v, w) VALUES {VALUES}");
    for columns in [
        "k INTEGER PRIMARY KEY, v, w)",
        "k INTEGER PRIMARY KEY DESC, v, w)",
        "k TEXT PRIMARY KEY, v, w)",
        "k, v, w, PRIMARY KEY(k, w))",
        "k, v, w)",
        "k, v, w, rowid, _rowid_)",
        "k INTEGER PRIMARY KEY, v, w) WITHOUT ROWID",
        "k, v, w, PRIMARY KEY(w, k)) WITHOUT ROWID",
        "k, v, w, PRIMARY KEY(k DESC, w)) WITHOUT ROWID",
        "k TEXT COLLATE NOCASE, v, w, PRIMARY KEY(k COLLATE RTRIM)) WITHOUT ROWID",
        "k BLOB, v, w, PRIMARY KEY(w DESC, k DESC)) WITHOUT ROWID",
        "k INTEGER PRIMARY KEY, v ANY, w ANY) STRICT",
        "k ANY PRIMARY KEY, v ANY, w ANY) STRICT",
        "k REAL PRIMARY KEY, v, w, g AS (k || 'x') STORED, h AS (v))",
    ] {
        check("t", columns, &rows);
    }
}

#[test]
fn names_may_be_anything() {
    for table in ["select", "a b", "a\"b'c", "größe", "new", "OLD", "[x]", "x;--"] {
        let name = quote(table);
        let columns = "\"group\" TEXT, v, \"a\"\"b \" UNIQUE, \"ö\" COLLATE NOCASE UNIQUE, PRIMARY KEY(\"group\"))";
        let sql = format!(
            "INSERT INTO {name} VALUES ('a', 1, 2, 'x'), ('b', 2, 3, 'y');
             CREATE UNIQUE INDEX \"i(\" ON {name}(\"a\"\"b \" + 1) WHERE {name}.\"ö\" > ''"
        );
        check(table, columns, &sql);
    }
}

#[test]
fn a_null_in_a_primary_key_is_refused_by_name() {
    let sql = "CREATE TABLE t(a TEXT, b INT, v, PRIMARY KEY(a, b)); INSERT INTO t VALUES ('x', 1, 1), (NULL, 1, 2), (NULL, 1, 3)";
    let mut ferry = Ferry::new("t", sql);
    ferry.assert_equal();
    assert_eq!(ferry.model.refused, vec![vec![Value::Null, Value::Integer(1)]; 2]);
    ferry.sql("INSERT INTO t VALUES ('y', NULL, 4)");
    ferry.assert_equal();
    assert_eq!(ferry.model.refused.len(), 3);
    ferry.sql("DELETE FROM t WHERE a IS NULL");
    ferry.assert_equal();
    assert_eq!(ferry.model.refused.len(), 3);
}

#[test]
fn rows_whose_keys_differ_only_in_spelling_beside_a_null_are_each_refused() {
    let sql = "CREATE TABLE t(a TEXT COLLATE NOCASE, b, PRIMARY KEY(a, b)); INSERT INTO t VALUES ('K', NULL)";
    let mut ferry = Ferry::new("t", sql);
    ferry.assert_equal();
    ferry.sql("INSERT INTO t VALUES ('k', NULL)");
    ferry.assert_equal();
    let spellings: Vec<_> = ferry.model.refused.iter().map(|key| key[0].clone()).collect();
    assert_eq!(spellings, [Value::Text(b"K".into()), Value::Text(b"k".into())]);
}

#[test]
fn five_hundred_columns_are_shipped() {
    let columns = (0..500).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", ");
    let ones = vec!["1"; 500].join(", ");
    let sql = format!("CREATE TABLE t({columns}, PRIMARY KEY(c7)); INSERT INTO t VALUES ({ones})");
    let mut ferry = Ferry::new("t", &sql);
    ferry.assert_equal();
    ferry.sql("UPDATE t SET c499 = 2");
    assert_eq!(ferry.drain(), 1);
    ferry.assert_equal();
}

#[test]
fn a_table_that_is_named_like_a_function_of_sqlites_hides_nothing() {
    for table in [
        "pragma_table_list",
        "pragma_table_xinfo",
        "PRAGMA_index_list",
        "pragma_index_xinfo",
        "pragma_table_info",
    ] {
        let sql = format!(
            "CREATE TABLE {table}(k INTEGER PRIMARY KEY, v UNIQUE, d NOT NULL DEFAULT 7, g AS (v || 1));
             INSERT INTO {table}(k, v) VALUES (1, 'a'), (2, 'b')"
        );
        let mut ferry = Ferry::new(table, &sql);
        ferry.assert_equal();
        ferry.sql(&format!("INSERT OR REPLACE INTO {table}(k, v) VALUES (3, 'a')"));
        ferry.assert_equal();
        assert_eq!(ferry.model.rows.len(), 2);
    }
}

#[test]
fn two_thousand_columns_are_shipped_where_they_have_a_key() {
    let columns = (0..2000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", ");
    let ones = vec!["1"; 1999].join(", ");
    for (key, without) in [("", ""), ("INTEGER", ""), ("", " WITHOUT ROWID")] {
        let columns = columns.replacen("c0,", &format!("c0 {key} PRIMARY KEY,"), 1);
        let sql =
            format!("CREATE TABLE t({columns}){without}; INSERT INTO t VALUES (1, {ones}), (2, {ones}), (3, {ones})");
        let mut ferry = Ferry::new("t", &sql);
        assert!(ferry.step(2));
        ferry.note();
        ferry.restart();
        ferry.assert_equal();
        ferry.sql("UPDATE t SET c1999 = 2 WHERE c0 = 2; DELETE FROM t WHERE c0 = 1");
        ferry.assert_equal();
        assert_eq!(ferry.model.rows.len(), 2);
    }
    let folder = Folder::new();
    let path = folder.file("source.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!("CREATE TABLE t({columns})"))
        .unwrap();
    let error = start(&path, "t", "topic", false).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("2000 columns and no primary key") && error.contains("way out"),
        "{error}"
    );
}

/// `x'...'` of these UTF-16 units as text, in the database's own byte order.
fn utf16(encoding: &str, units: &[u16]) -> String {
    let bytes = units.iter().flat_map(|unit| match encoding {
        "UTF-16be" => unit.to_be_bytes(),
        _ => unit.to_le_bytes(),
    });
    format!(
        "CAST(x'{}' AS TEXT)",
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    )
}

#[test]
fn text_in_utf16_is_shipped_or_refused_by_name() {
    for encoding in ["UTF-16le", "UTF-16be"] {
        for table in [
            "k TEXT PRIMARY KEY, v",
            "k TEXT PRIMARY KEY, v) WITHOUT ROWID -- ",
            "k TEXT, v, n INT DEFAULT 0, PRIMARY KEY(n, k)",
        ] {
            let mut ferry = Ferry::new("t", &format!("PRAGMA encoding = '{encoding}'; CREATE TABLE t({table})"));
            let text = |units: &[u16]| utf16(encoding, units);
            let (broken, other) = (text(&[0x61, 0xd800, 0x62]), text(&[0xdfff]));
            ferry.sql(&format!(
                "INSERT INTO t(k, v) VALUES ('a', 'é😀'), ({broken}, 1), ('b', {other}), ({}, 2), ('c', {}), ('d', x'00d8'), ({other}, 3), ('e', 4)",
                text(&[0xffff]),
                text(&[0xfffe, 0x41])
            ));
            ferry.restart();
            let good = |ferry: &Ferry| ferry.model.rows.len();
            while ferry.step(1) {
                ferry.note();
            }
            assert_eq!((good(&ferry), ferry.model.refused.len()), (5, 3), "{table}");
            // Changes of them, and those that make one of them good, or bad.
            ferry.sql(&format!("UPDATE t SET v = 9 WHERE k = {broken}; UPDATE t SET v = {other} WHERE k = 'a'; UPDATE t SET v = 5 WHERE k = 'b'"));
            ferry.model.refused.clear();
            ferry.drain();
            assert_eq!((good(&ferry), ferry.model.refused.len()), (6, 2), "{table}");
            ferry.sql(&format!("DELETE FROM t WHERE k = {broken} OR k = {other}; UPDATE t SET k = 'f' WHERE k = {}; UPDATE t SET v = 1 WHERE k = 'a'", text(&[0xffff])));
            ferry.assert_equal();
            assert_eq!((good(&ferry), ferry.model.refused.len()), (6, 2), "{table}");
        }
    }
}

#[test]
fn a_row_whose_key_cannot_be_looked_up_stays_a_dead_letter() {
    let broken = utf16("UTF-16le", &[0xd800]);
    let mut ferry = Ferry::new(
        "t",
        &format!(
            "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ({broken}, 1), ('a', 1)"
        ),
    );
    for backfill in [false, false, true, false] {
        ferry.restart_with(backfill);
        let (refused, before) = (&mut ferry.model.refused, ferry.state.dead_letters().unwrap());
        assert_eq!(before, u64::from(!ferry.tracked.full && before > 0));
        refused.clear();
        ferry.drain();
        for key in &ferry.model.refused {
            ferry
                .state
                .dead_letter("t", key, "{\"k\":\"?\"}", crate::source::utf16::BROKEN_KEY)
                .unwrap();
        }
        assert_eq!(ferry.state.dead_letters().unwrap(), 1);
    }
    ferry.sql(&format!("DELETE FROM t WHERE k = {broken}"));
    ferry.restart_with(true);
    ferry.assert_equal();
    assert_eq!(ferry.state.dead_letters().unwrap(), 0);
}

#[test]
fn the_ends_of_the_rowids_are_shipped() {
    let sql = "CREATE TABLE t(v); INSERT INTO t(rowid, v)
               VALUES (-9223372036854775808, 1), (9223372036854775807, 2), (0, 3), (-1, 4)";
    let mut ferry = Ferry::new("t", sql);
    while ferry.step(1) {
        ferry.note();
    }
    ferry.assert_equal();
    assert_eq!(ferry.model.rows.len(), 4);
}

#[test]
fn a_batch_ends_at_its_bytes() {
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);
               INSERT INTO t SELECT value, zeroblob(600000) FROM generate_series(1, 5)";
    let series =
        "WITH RECURSIVE generate_series(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM generate_series LIMIT 5)";
    let sql = sql
        .replace("INSERT", &format!("{series} INSERT"))
        .replace("generate_series(1, 5)", "generate_series");
    let mut ferry = Ferry::new("t", &sql);
    assert!(ferry.step(100));
    assert_eq!(ferry.model.rows.len(), 2);
    ferry.assert_equal();
    ferry.sql("UPDATE t SET v = zeroblob(700000)");
    let before = ferry.model.events;
    assert!(ferry.step(100));
    assert_eq!(ferry.model.events - before, 2);
    ferry.assert_equal();
}
