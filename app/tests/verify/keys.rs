//! Rows are paired rightly whatever the key is.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql};

use super::{finds, sides};
use crate::support::*;

#[test]
fn keys_are_equal_by_exact_bytes_whatever_their_collation() {
    let nocase = "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE, v);";
    let rtrim = "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE RTRIM, v);";
    let plain = "CREATE TABLE t(k PRIMARY KEY, v);";
    let pairs = [
        (nocase, "'k1'", "'K1'"),
        (rtrim, "'k1'", "'k1  '"),
        (plain, "1", "1.0"),
        (plain, "'a'", "x'61'"),
    ];
    for (table, ours, theirs) in pairs {
        let rows = |key| format!("{table} INSERT INTO t VALUES ({key}, 0), ('z', 0)");
        let ws = sides(
            &format!("{ours} is another key than {theirs}"),
            &rows(ours),
            &rows(theirs),
        );
        finds(&ws, 1, 1, 0);
        // The same where no index helps, because the sink's table has another key or none.
        for other in ["CREATE TABLE t(k, v);", "CREATE TABLE t(k, v, PRIMARY KEY(v, k));"] {
            let rows = |table, key| format!("{table} INSERT INTO t VALUES ({key}, 0), ('z', 0)");
            let ws = sides("only the sink's key is other", &rows(table, ours), &rows(other, ours));
            ws.verify(&[]).ok();
            let ws = sides(
                "both the key and its spelling are other",
                &rows(table, ours),
                &rows(other, theirs),
            );
            finds(&ws, 1, 1, 0);
        }
    }
}

#[test]
fn a_row_that_stands_twice_in_the_sink_is_extra() {
    let ws = sides(
        "a doubled row is seen",
        "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2)",
        "CREATE TABLE t(k, v); INSERT INTO t VALUES (1, 1), (2, 2), (2, 2)",
    );
    finds(&ws, 0, 1, 0).says("k = 2 (integer): only in the sink");
}

#[test]
fn keys_of_several_columns_are_compared_in_every_kind_of_table() {
    let rows = "INSERT INTO t VALUES ('a', 2, 'x'), ('a', 10, 'y'), ('B', 1, 'z'), ('b', 1.5, 'w'), (x'00', 0, 'v')";
    for kind in ["", "WITHOUT ROWID"] {
        for key in [
            "a, b",
            "b, a",
            "a DESC, b",
            "a COLLATE NOCASE, b",
            "b, a COLLATE RTRIM DESC",
        ] {
            let table = format!("CREATE TABLE t(a, b, v, PRIMARY KEY({key})) {kind}; {rows}");
            let ws = sides(&format!("a key of {key} {kind}"), &table, &table);
            ws.verify(&[]).ok().says("t: 5 rows, equal");
            ws.sql(
                &ws.sink(),
                "UPDATE t SET v = 'new' WHERE b = 10; DELETE FROM t WHERE b = 1; INSERT INTO t VALUES ('c', 1, 0)",
            );
            finds(&ws, 1, 1, 1);
        }
    }
}

#[test]
fn tables_without_a_key_are_compared_by_rowid() {
    let table =
        "CREATE TABLE t(rowid, v); INSERT INTO t(_rowid_, rowid, v) VALUES (-5, 1, 'a'), (7, 1, 'a'), (9, 1, 'b')";
    let ws = sides("a table without a key", table, table);
    ws.verify(&[]).ok().says("t: 3 rows, equal");
    ws.sql(
        &ws.sink(),
        "UPDATE t SET _rowid_ = 8 WHERE _rowid_ = 7; UPDATE t SET v = 'c' WHERE _rowid_ = 9",
    );
    finds(&ws, 1, 1, 1).says("rowid = 7 (integer): missing in the sink");
}

#[test]
fn rows_with_a_null_in_their_key_are_compared_as_whole_rows() {
    let table = "CREATE TABLE t(a TEXT, b INT, v, PRIMARY KEY(a, b));";
    let rows = "INSERT INTO t VALUES (NULL, 1, 'x'), (NULL, 1, 'x'), (NULL, 1, 'y'), ('a', NULL, 0), (NULL, NULL, NULL), ('a', 1, 1);";
    let shuffled = "INSERT INTO t VALUES ('a', NULL, 0), (NULL, 1, 'y'), ('a', 1, 1), (NULL, NULL, NULL), (NULL, 1, 'x'), (NULL, 1, 'x');";
    let ws = sides(
        "nulls in keys",
        &format!("{table} {rows}"),
        &format!("{table} {shuffled}"),
    );
    ws.verify(&[]).ok().says("t: 6 rows, equal");
    ws.sql(&ws.sink(), "DELETE FROM t WHERE oid = (SELECT max(oid) FROM t)");
    finds(&ws, 1, 0, 0).says("a = null, b = 1 (integer): missing in the sink");
    ws.sql(&ws.sink(), "INSERT INTO t VALUES (NULL, 1, 'Y')");
    finds(&ws, 1, 1, 0);
}

/// A value of any class, out of few enough that spellings meet.
pub(super) fn any_value(random: &mut Random, utf8_only: bool) -> Value {
    let letters = [
        "a",
        "A",
        "b",
        "B",
        "é",
        "\u{1f600}",
        " ",
        "  ",
        "_",
        "Z",
        "z",
        "[",
        "\0",
        "\u{ffff}",
    ];
    match random.below(if utf8_only { 5 } else { 6 }) {
        0 => Value::Integer(random.next() as i64 >> random.below(64)),
        1 => Value::Integer((1 << 53) + random.below(5) as i64 - 2),
        2 => Value::Real(*random.pick(&[
            9007199254740992.0,
            9007199254740994.0,
            -0.5,
            0.5,
            9.3e18,
            -9.3e18,
            1e300,
            f64::INFINITY,
            1.5,
        ])),
        3 => Value::Blob(
            (0..random.below(3))
                .map(|_| *random.pick(if utf8_only { b"aAb\0" } else { b"aAb\0\xff" }))
                .collect(),
        ),
        4 => Value::Text((0..random.below(4)).map(|_| *random.pick(&letters)).collect()),
        _ => Value::Blob(vec![0xff; random.below(3) as usize]),
    }
}

/// Inserts rows, a key of one value being there once; those of `as_text` go in as text that need be
/// no UTF-8.
pub(super) fn fill(connection: &Connection, rows: &[(Value, Value)]) -> Vec<(Value, Value)> {
    struct Bytes<'a>(&'a Value);
    impl ToSql for Bytes<'_> {
        fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
            Ok(ToSqlOutput::Borrowed(match self.0 {
                Value::Blob(bytes) if bytes.starts_with(&[0xff]) => ValueRef::Text(bytes),
                value => value.into(),
            }))
        }
    }
    let insert = || -> rusqlite::Result<_> {
        connection.execute_batch("BEGIN")?;
        let mut statement = connection.prepare("INSERT OR IGNORE INTO t VALUES (?, ?)")?;
        let mut kept = Vec::new();
        for (key, value) in rows {
            if statement.execute([Bytes(key), Bytes(value)])? == 1 {
                kept.push((key.clone(), value.clone()));
            }
        }
        connection.execute_batch("COMMIT")?;
        Ok(kept)
    };
    insert().expect("the rows can be inserted")
}

#[test]
fn keys_of_any_class_are_paired_in_any_order_of_the_tables() {
    let mut random = Random::new();
    let tables = [
        "k PRIMARY KEY, v",
        "k COLLATE NOCASE PRIMARY KEY, v",
        "k COLLATE RTRIM PRIMARY KEY, v",
        "k, v",
    ];
    for (our_table, their_table, encoding) in [
        (tables[0], tables[0], "UTF-8"),
        (tables[1], tables[1], "UTF-8"),
        (tables[2], tables[2], "UTF-8"),
        (tables[0], tables[3], "UTF-8"),
        (tables[1], tables[3], "UTF-8"),
        (tables[0], tables[0], "UTF-16le"),
        (tables[1], tables[1], "UTF-16be"),
    ] {
        let ws = Workspace::new(&format!(
            "({our_table}) and ({their_table}) in {encoding} are merged rightly"
        ));
        let (ours, theirs) = (ws.connection(&ws.source()), ws.connection(&ws.sink()));
        ours.execute_batch(&format!("CREATE TABLE t({our_table})"))
            .expect("it can be made");
        theirs
            .execute_batch(&format!(
                "PRAGMA encoding = '{encoding}'; CREATE TABLE t({their_table})"
            ))
            .expect("it can be made");
        let utf8_only = encoding != "UTF-8";
        let rows: Vec<_> = (0..3000)
            .map(|_| (any_value(&mut random, utf8_only), any_value(&mut random, utf8_only)))
            .collect();
        let mut rows = fill(&ours, &rows);
        let all = rows.len();
        assert!(all > 300, "too few keys are different: {all}");
        // The sink gets them in another order, some not at all, some with another value, and some
        // of its own.
        for i in (1..rows.len()).rev() {
            rows.swap(i, random.below(i as u64 + 1) as usize);
        }
        let (missing, extra, different) = (all / 10, all / 20, all / 15);
        let mut landed = rows.split_off(missing);
        landed
            .iter_mut()
            .take(different)
            .for_each(|row| row.1 = Value::Text("other".to_owned()));
        landed.extend((0..extra).map(|i| (Value::Text(format!("own{i}")), Value::Null)));
        assert_eq!(fill(&theirs, &landed).len(), landed.len());
        finds(&ws, missing, extra, different);
        fill(&theirs, &rows);
        theirs
            .execute_batch("DELETE FROM t WHERE v IS NULL AND k LIKE 'own%'")
            .expect("they can be deleted");
        finds(&ws, 0, 0, different);
    }
}
