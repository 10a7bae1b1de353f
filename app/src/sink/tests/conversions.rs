//! No column ever stores a value converted.

use super::*;
use crate::sqlite::affinity::Affinity;

const TYPES: [&str; 14] = [
    "",
    "BLOB",
    "INTEGER",
    "INT",
    "BIGINT",
    "TEXT",
    "VARCHAR(20)",
    "REAL",
    "DOUBLE PRECISION",
    "NUMERIC",
    "DECIMAL(10, 2)",
    "DATETIME",
    "ANY",
    "FLOATING POINT",
];

fn values() -> Vec<Value<'static>> {
    let two_63 = 9_223_372_036_854_775_808.0_f64;
    let mut values = vec![
        Value::Null,
        blob(b""),
        blob(b"12"),
        bytes(b"1\x002"),
        bytes(b"12\0"),
        bytes(b"\xff12"),
        bytes(b"\x0b12\x0c"),
    ];
    values.extend([0, 1, -1, 5, i64::MIN, i64::MAX, (1 << 53) + 1, 1 << 52].map(int));
    values.extend(
        [
            0.0,
            -0.0,
            5.0,
            -7.0,
            0.5,
            0.1 + 0.2,
            1e15,
            1e18,
            1e19,
            1e308,
            5e-324,
            two_63,
            -two_63,
            two_63 - 1024.0,
        ]
        .map(real),
    );
    values.extend(
        [
            f64::INFINITY,
            f64::NEG_INFINITY,
            4_503_599_627_370_496.0,
            9_007_199_254_740_993.0,
        ]
        .map(real),
    );
    let texts = [
        "",
        " ",
        "12",
        " 12 ",
        "\t12\n",
        "+12",
        "-12",
        "--12",
        "1.",
        ".5",
        ".",
        "-.5e3",
        "1e5",
        "1E+5",
        "1e",
        "1e+",
        "e5",
        "1.5.2",
        "0x1A",
        "12abc",
        "abc",
        "inf",
        "nan",
        "Infinity",
        "1e999",
        "-1e999",
        "9223372036854775807",
        "9223372036854775808",
        "123456789012345678901234567890",
        "0.1",
        "1_000",
        "1 2",
        "٣",
        "+",
        "- 1",
        "007",
        "-0",
        "-0.0",
        "1e-400",
        "0e0",
    ];
    values.extend(texts.map(text));
    values
}

#[test]
fn what_a_column_keeps_is_judged_as_sqlite_does_it() {
    let conn = Connection::open_in_memory().unwrap();
    let strict = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"].map(|t| (t, true));
    for (declared, strict) in TYPES.map(|t| (t, false)).into_iter().chain(strict) {
        let suffix = if strict { " STRICT" } else { "" };
        conn.execute_batch(&format!(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (v {declared}){suffix}"
        ))
        .unwrap();
        for value in values() {
            conn.execute_batch("DELETE FROM t").unwrap();
            let mut insert = conn.prepare_cached("INSERT INTO t VALUES (?1)").unwrap();
            crate::sink::table::bind(&mut insert, 1, std::slice::from_ref(&value)).unwrap();
            let stored = insert.raw_execute().is_ok() && query(&conn, "SELECT v FROM t") == [[value.borrow()]];
            let affinity = Affinity::of(declared, strict);
            assert_eq!(
                affinity.keeps(&value),
                stored,
                "{value:?} in a column of type {declared:?}{suffix}"
            );
        }
    }
}

#[test]
fn every_value_lands_as_it_is_in_a_column_of_every_type() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut loosened = 0;
    for (number, declared) in TYPES.iter().enumerate() {
        let table = format!("t{number}");
        let shape = schema(&table, &[("id", "INTEGER", 1), ("v", declared, 0)]);
        let rows: Vec<_> = values()
            .into_iter()
            .enumerate()
            .map(|(i, v)| vec![int(i as i64), v])
            .collect();
        let mut position = SinkPosition {
            at: TopicPartition::new(table.as_str(), 0),
            ..position(0)
        };
        for row in &rows {
            let mut landing = sink.begin().unwrap();
            landing.schema(&mut position, &Arc::new(shape.clone()), None).unwrap();
            assert_eq!(landing.upsert(&position, None, row).unwrap(), Landed::Applied);
            landing.commit().unwrap();
        }
        assert_eq!(
            query(&folder.user(), &format!("SELECT * FROM {table} ORDER BY id")),
            rows,
            "{declared:?}"
        );
        loosened += usize::from(!sql_of(&folder.user(), &table).contains("\"v\" ") && !declared.is_empty());
    }
    assert_eq!(loosened, TYPES.len() - 2, "all but the two that keep everything");
}

#[test]
fn a_strict_column_that_gets_another_class_becomes_any() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let strict = TableSchema {
        strict: true,
        ..schema("t", &[("id", "INTEGER", 1), ("a", "TEXT", 0), ("b", "REAL", 0)])
    };
    let rows = vec![
        vec![int(1), text("x"), real(0.5)],
        vec![int(2), blob(b"x"), int(3)],
        vec![int(3), Value::Null, Value::Null],
    ];
    assert_eq!(land(&mut sink, &strict, &rows), vec![Landed::Applied; 3]);
    assert_eq!(query(&folder.user(), "SELECT * FROM t ORDER BY id"), rows);
    assert_eq!(
        sql_of(&folder.user(), "t"),
        r#"CREATE TABLE "t" ("id" INTEGER, "a" ANY, "b" ANY, PRIMARY KEY ("id")) STRICT"#
    );
}

#[test]
fn a_key_that_is_no_integer_takes_the_rowid_from_the_key() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let rows = vec![
        vec![int(1), text("a")],
        vec![text("2"), text("b")],
        vec![real(3.0), text("c")],
    ];
    land(
        &mut sink,
        &schema("t", &[("id", "INTEGER", 1), ("v", "TEXT", 0)]),
        &rows,
    );
    assert_eq!(query(&folder.user(), "SELECT * FROM t ORDER BY v"), rows);
}

#[test]
fn values_are_not_converted_after_a_restart_either() {
    let folder = Folder::new();
    let shape = schema("t", &[("id", "INTEGER", 1), ("v", "INTEGER", 0)]);
    land(&mut folder.sink(), &shape, &[vec![int(1), text("12")]]);
    land(&mut folder.sink(), &shape, &[vec![int(2), text("13")]]);
    assert_eq!(
        query(&folder.user(), "SELECT v FROM t ORDER BY id"),
        [[text("12")], [text("13")]]
    );
}

#[test]
fn what_is_not_a_number_is_no_row() {
    let folder = Folder::new();
    let landed = land(
        &mut folder.sink(),
        &schema("t", &[("id", "INTEGER", 1), ("v", "", 0)]),
        &[vec![int(1), real(f64::NAN)]],
    );
    assert_eq!(
        landed,
        [Landed::Unfit("not a number in v: SQLite would store null".into())]
    );
}
