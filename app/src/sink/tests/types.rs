//! Every kind of value in every kind of table comes back by class and bits.

use super::*;

fn every_value() -> Vec<Value<'static>> {
    let megabyte: Vec<u8> = (0..1 << 20).map(|i| i as u8).collect();
    let mut values = vec![Value::Null, blob(b""), blob(b"\0\xff"), blob(&megabyte)];
    values.extend([i64::MIN, i64::MAX, 0, -1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1].map(int));
    values.extend([0.1 + 0.2, -0.0, 0.0, 1e308, 5e-324, f64::INFINITY, f64::NEG_INFINITY].map(real));
    values.extend(["", "a\0b", "\0", "🛶 ferry", "'; DROP TABLE t; --"].map(text));
    values.push(bytes(b"\xff\xfe no UTF-8"));
    values
}

#[test]
fn every_value_comes_back_to_the_last_bit_and_can_be_overwritten() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let shape = schema("t", &[("id", "INTEGER", 1), ("v", "", 0), ("typed", "TEXT", 0)]);
    let row = |i: usize, v: &Value<'static>| vec![int(i as i64), v.clone(), text("x")];
    let first: Vec<_> = every_value().iter().enumerate().map(|(i, v)| row(i, v)).collect();
    land(&mut sink, &shape, &first);
    assert_eq!(query(&folder.user(), "SELECT * FROM t ORDER BY id"), first);
    let second: Vec<_> = every_value().iter().rev().enumerate().map(|(i, v)| row(i, v)).collect();
    land(&mut sink, &shape, &second);
    assert_eq!(query(&folder.user(), "SELECT * FROM t ORDER BY id"), second);
}

/// Lands three rows in a table of this schema, changes one, deletes one, and compares after each
/// step.
fn lives(shape: TableSchema, mut rows: Vec<Vec<Value<'static>>>) {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &Arc::new(shape.clone()), None).unwrap();
    let rowid = |i: usize| shape.keyed_by_rowid().then_some(i as i64 + 10);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(
            landing.upsert(&at, rowid(i), row).unwrap(),
            Landed::Applied,
            "{shape:?}"
        );
    }
    landing.commit().unwrap();
    let all = format!("SELECT * FROM {} ORDER BY v", quote(&shape.table));
    assert_eq!(query(&folder.user(), &all), rows, "{shape:?}");

    let v = shape.columns.iter().position(|c| c.name == "v").unwrap();
    rows[1][v] = blob(b"changed");
    rows.rotate_left(1);
    let changed = rows.remove(0);
    let deleted = rows.remove(0);
    let key = |i: usize, row: &[Value<'static>]| -> Vec<_> {
        if shape.keyed_by_rowid() {
            vec![int(i as i64 + 10)]
        } else {
            shape.key().into_iter().map(|i| row[i].clone()).collect()
        }
    };
    let mut landing = sink.begin().unwrap();
    assert_eq!(landing.upsert(&at, rowid(1), &changed).unwrap(), Landed::Applied);
    assert_eq!(landing.delete(&at, &key(2, &deleted)).unwrap(), Landed::Applied);
    assert_eq!(landing.delete(&at, &key(2, &deleted)).unwrap(), Landed::Applied);
    landing.commit().unwrap();
    rows.push(changed);
    assert_eq!(query(&folder.user(), &all), rows, "{shape:?}");
}

/// Three rows: the given keys, and a column `v` that is text, text, text in rising order.
fn rows(keys: [Vec<Value<'static>>; 3]) -> Vec<Vec<Value<'static>>> {
    let row = |(i, mut key): (usize, Vec<Value<'static>>)| {
        key.push(text(&format!("v{i}")));
        key
    };
    keys.into_iter().enumerate().map(row).collect()
}

#[test]
fn rows_live_in_every_kind_of_table() {
    let one = |a: Value<'static>, b, c| rows([vec![a], vec![b], vec![c]]);
    lives(
        schema("users", &[("id", "INTEGER", 1), ("v", "", 0)]),
        one(int(i64::MIN), int(0), int(i64::MAX)),
    );
    lives(
        schema("t", &[("id", "TEXT", 1), ("v", "", 0)]),
        one(text(""), text("a\0b"), bytes(b"\xff")),
    );
    lives(
        schema("t", &[("id", "BLOB", 1), ("v", "", 0)]),
        one(blob(b""), blob(b"\0"), blob(b"\xff")),
    );
    lives(
        schema("t", &[("id", "REAL", 1), ("v", "", 0)]),
        one(real(-0.0), real(0.5), real(5.0)),
    );
    lives(
        schema("t", &[("id", "", 1), ("v", "", 0)]),
        one(int(1), text("1"), blob(b"1")),
    );
    let composite = [
        vec![text("a"), int(1)],
        vec![text("a"), int(2)],
        vec![text("b"), int(1)],
    ];
    let two = schema("t", &[("k", "TEXT", 2), ("n", "INT", 1), ("v", "", 0)]);
    lives(two.clone(), rows(composite.clone()));
    lives(
        TableSchema {
            without_rowid: true,
            ..two.clone()
        },
        rows(composite.clone()),
    );
    lives(
        TableSchema {
            without_rowid: true,
            strict: true,
            ..two
        },
        rows(composite),
    );
    let no_key = schema("t", &[("rowid", "TEXT", 0), ("v", "", 0)]);
    lives(no_key, one(text("same"), text("same"), Value::Null));
    let not_alias = TableSchema {
        rowid_alias: false,
        ..schema("t", &[("id", "INTEGER", 1), ("v", "", 0)])
    };
    lives(not_alias, one(int(1), text("x"), blob(b"y")));
}

#[test]
fn names_may_be_anything_that_sqlite_takes() {
    let names = [
        "select",
        "a b",
        "quo\"te",
        "täble",
        "back`tick",
        "br]acket",
        "semi;colon",
        "%s",
        "",
        "🛶",
        "'",
        "--",
    ];
    let mut columns: Vec<_> = names.iter().map(|name| (*name, "TEXT", 0)).collect();
    columns.insert(0, ("group by", "INTEGER", 1));
    columns.push(("v", "", 0));
    for table in ["order", "a \"b\" c", "ünïcode", "x;y", "_rowferry"] {
        let row = |i: i64| {
            let mut row = vec![int(i)];
            row.extend(names.map(text));
            row.push(text(&format!("v{i}")));
            row
        };
        lives(schema(table, &columns), vec![row(1), row(2), row(3)]);
    }
}

#[test]
fn a_table_may_have_as_many_columns_as_sqlite_allows() {
    for count in [500, 2000] {
        let names: Vec<_> = (1..count).map(|i| format!("c{i}")).collect();
        let mut columns: Vec<_> = names.iter().map(|name| (name.as_str(), "INTEGER", 0)).collect();
        columns[0].2 = 1;
        columns.push(("v", "", 0));
        let row = |i: i64| {
            let mut row: Vec<_> = (1..count).map(|c| int(i * 10_000 + c)).collect();
            row.push(text(&format!("v{i}")));
            row
        };
        lives(schema("wide", &columns), vec![row(1), row(2), row(3)]);
    }
}

#[test]
fn a_generated_column_travels_as_a_plain_value() {
    let shape = schema(
        "t",
        &[("id", "INTEGER", 1), ("twice", "INT GENERATED ALWAYS", 0), ("v", "", 0)],
    );
    let folder = Folder::new();
    land(&mut folder.sink(), &shape, &[vec![int(1), int(2), Value::Null]]);
    assert_eq!(
        query(&folder.user(), "SELECT * FROM t"),
        [[int(1), int(2), Value::Null]]
    );
}
