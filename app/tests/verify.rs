//! verify sees every difference and nothing else.

mod files;
mod keys;
mod sinks;

use std::time::Duration;

use crate::support::*;

/// A workspace whose two databases were made by these statements.
fn sides(sentence: &str, source: &str, sink: &str) -> Workspace {
    let ws = Workspace::new(sentence);
    ws.sql(&ws.source(), source);
    ws.sql(&ws.sink(), sink);
    ws
}

/// Fails unless verify finds just so many rows missing, extra and different.
#[track_caller]
fn finds(ws: &Workspace, missing: usize, extra: usize, different: usize) -> Run {
    let counts = format!("NOT equal: {missing} missing, {extra} extra, {different} different");
    ws.verify(&[]).code(1).says(&counts)
}

#[test]
fn equal_tables_are_told_with_their_number_of_rows() {
    let rows = "CREATE TABLE t(k INTEGER PRIMARY KEY, v);
        INSERT INTO t(v) VALUES (NULL), (7), (0.5), ('text'), (''), (x''), (x'00ff'), (9e999), (-9e999), (CAST(x'ff00' AS TEXT));";
    let ws = sides("equal tables are equal", rows, rows);
    assert_eq!(ws.verify(&[]).ok().stdout(), "t: 10 rows, equal\n");
    ws.sql(&ws.source(), "DELETE FROM t WHERE k > 1");
    ws.sql(&ws.sink(), "DELETE FROM t WHERE k > 1");
    assert_eq!(ws.verify(&[]).ok().stdout(), "t: 1 row, equal\n");
    ws.sql(&ws.source(), "DELETE FROM t");
    ws.sql(&ws.sink(), "DELETE FROM t");
    assert_eq!(ws.verify(&[]).ok().stdout(), "t: 0 rows, equal\n");
}

#[test]
fn each_single_difference_of_a_value_is_seen() {
    // What stands in the source and in the sink, and how verify shows both.
    let pairs = [
        ("1", "2", "1 (integer)", "2 (integer)"),
        (
            "9007199254740992",
            "9007199254740993",
            "9007199254740992 (integer)",
            "9007199254740993 (integer)",
        ),
        (
            "9223372036854775807",
            "9223372036854775807.0",
            "9223372036854775807 (integer)",
            "9.223372036854776e18 (real)",
        ),
        ("1", "1.0", "1 (integer)", "1.0 (real)"),
        ("1", "'1'", "1 (integer)", "'1' (text)"),
        ("1.0", "'1.0'", "1.0 (real)", "'1.0' (text)"),
        ("0.1 + 0.2", "0.3", "0.30000000000000004 (real)", "0.3 (real)"),
        ("5e-324", "0.0", "5e-324 (real)", "0.0 (real)"),
        (
            "9e999",
            "1.7976931348623157e308",
            "inf (real)",
            "1.7976931348623157e308 (real)",
        ),
        ("9e999", "-9e999", "inf (real)", "-inf (real)"),
        ("'a'", "'A'", "'a' (text)", "'A' (text)"),
        ("'a'", "'a '", "'a' (text)", "'a ' (text)"),
        ("'a'", "x'61'", "'a' (text)", "x'61' (blob)"),
        ("''", "NULL", "'' (text)", "null"),
        ("''", "x''", "'' (text)", "x'' (blob)"),
        ("x''", "NULL", "x'' (blob)", "null"),
        ("0", "NULL", "0 (integer)", "null"),
        ("x'00'", "x'0000'", "x'00' (blob)", "x'0000' (blob)"),
        ("CAST(x'610062' AS TEXT)", "'a'", r"'a\0b' (text)", "'a' (text)"),
        (
            "CAST(x'610062' AS TEXT)",
            "CAST(x'610063' AS TEXT)",
            r"'a\0b' (text)",
            r"'a\0c' (text)",
        ),
        (
            "CAST(x'ff' AS TEXT)",
            "CAST(x'fe' AS TEXT)",
            r"'\xff' (text)",
            r"'\xfe' (text)",
        ),
        ("CAST(x'ff' AS TEXT)", "x'ff'", r"'\xff' (text)", "x'ff' (blob)"),
        ("'\u{e9}'", "'e\u{301}'", "'\u{e9}' (text)", "(text) in the sink"),
    ];
    for (ours, theirs, our_shape, their_shape) in pairs {
        let table =
            |value| format!("CREATE TABLE t(k INTEGER PRIMARY KEY, v, w); INSERT INTO t VALUES (1, {value}, 'same')");
        for (a, b) in [
            ((ours, our_shape), (theirs, their_shape)),
            ((theirs, their_shape), (ours, our_shape)),
        ] {
            let ws = sides(&format!("{} is not {}", a.0, b.0), &table(a.0), &table(b.0));
            finds(&ws, 0, 0, 1)
                .says("k = 1 (integer): v is ")
                .says(our_shape)
                .says(their_shape);
        }
    }
}

#[test]
fn minus_zero_is_not_zero_and_neighbouring_reals_are_not_equal() {
    for (ours, theirs) in [
        (-0.0, 0.0),
        (0.1 + 0.2, 0.3),
        (1e308, 1e308_f64.next_down()),
        (0.0, f64::from_bits(1)),
    ] {
        let ws = sides(
            "reals are compared by their bits",
            "CREATE TABLE t(k PRIMARY KEY, v)",
            "CREATE TABLE t(k PRIMARY KEY, v)",
        );
        for (database, value) in [(ws.source(), ours), (ws.sink(), theirs)] {
            ws.connection(&database)
                .execute("INSERT INTO t VALUES (1, ?)", [value])
                .expect("it can be inserted");
        }
        finds(&ws, 0, 0, 1).says(&format!(
            "v is {ours:?} (real) in the source, {theirs:?} (real) in the sink"
        ));
    }
}

#[test]
fn missing_extra_and_different_rows_are_named_and_counted() {
    let ws = sides(
        "each kind of difference is told by itself",
        "CREATE TABLE t(k INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (5, 5, 5)",
        "CREATE TABLE t(k INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 1, 1), (3, '3', 0), (4, 4, 4), (5, 5, NULL), (6, 6, 6)",
    );
    let run = finds(&ws, 1, 2, 2);
    let lines: Vec<&str> = run.stdout().lines().collect();
    assert_eq!(
        lines,
        [
            "t: 4 rows in the source, 5 rows in the sink, NOT equal: 1 missing, 2 extra, 2 different",
            "  k = 2 (integer): missing in the sink",
            "  k = 3 (integer): a is 3 (integer) in the source, '3' (text) in the sink; 1 more column differs",
            "  k = 4 (integer): only in the sink",
            "  k = 5 (integer): b is 5 (integer) in the source, null in the sink",
            "  k = 6 (integer): only in the sink",
        ]
    );
}

#[test]
fn at_most_ten_differing_rows_are_told_and_long_values_are_cut() {
    let table = |text: &str| {
        format!(
            "CREATE TABLE t(k INTEGER PRIMARY KEY, v);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
             INSERT INTO t SELECT i, printf('%.*c', 5000, 'x') || '{text}' || printf('%.*c', 5000, 'y') FROM n"
        )
    };
    let ws = sides("the output stays short", &table("one"), &table("two"));
    let run = finds(&ws, 0, 0, 25)
        .says("and 15 rows more")
        .says("xxone")
        .says("xxtwo")
        .says("10003 bytes");
    assert_eq!(run.stdout().lines().count(), 12, "{run}");
    assert!(run.stdout().len() < 4000, "{run}");
}

#[test]
fn a_column_that_only_one_side_has_is_a_difference() {
    let (narrow, wide) = (
        "CREATE TABLE t(k PRIMARY KEY); INSERT INTO t VALUES (1)",
        "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t(k) VALUES (1)",
    );
    finds(&sides("the sink lacks a column", wide, narrow), 0, 0, 0).says("column \"v\" is only in the source");
    finds(&sides("the source lacks a column", narrow, wide), 0, 0, 0).says("column \"v\" is only in the sink");
}

#[test]
fn how_columns_are_declared_ordered_and_spelt_makes_no_difference() {
    let ws = sides(
        "only names, values and classes count",
        "CREATE TABLE \"The \"\"Table\"(\"se lect\" INTEGER PRIMARY KEY, 'größe' TEXT, c REAL NOT NULL, d AS (c + 1))",
        "CREATE TABLE \"the \"\"table\"(d, C, \"SE LECT\" PRIMARY KEY, 'größe')",
    );
    ws.sql(
        &ws.source(),
        "INSERT INTO \"The \"\"Table\" VALUES (1, '7', 5), (-2, NULL, 0.25)",
    );
    ws.sql(
        &ws.sink(),
        "INSERT INTO \"the \"\"table\" VALUES (6.0, 5.0, 1, '7'), (1.25, 0.25, -2, NULL)",
    );
    ws.verify(&[]).ok().says("The \"Table: 2 rows, equal");
}

#[test]
fn without_table_it_compares_what_is_shipped_and_otherwise_all() {
    let tables = "CREATE TABLE a(k PRIMARY KEY); CREATE TABLE b(k PRIMARY KEY); CREATE VIEW v AS SELECT * FROM a;";
    let ws = sides("the right tables are compared", tables, tables);
    assert_eq!(ws.verify(&[]).ok().stdout(), "a: 0 rows, equal\nb: 0 rows, equal\n");
    assert_eq!(ws.verify(&["--table", "B"]).ok().stdout(), "b: 0 rows, equal\n");
    assert_eq!(
        ws.verify(&["--table", "b", "--table", "a"]).ok().stdout(),
        "b: 0 rows, equal\na: 0 rows, equal\n"
    );
    ws.sql(
        &ws.source(),
        "CREATE TABLE _rowferry_tracked(name); INSERT INTO _rowferry_tracked VALUES ('b')",
    );
    assert_eq!(ws.verify(&[]).ok().stdout(), "b: 0 rows, equal\n");
}

#[test]
fn one_different_table_among_equal_ones_decides_and_quiet_tells_only_of_it() {
    let tables = "CREATE TABLE a(k PRIMARY KEY); CREATE TABLE b(k PRIMARY KEY);";
    let ws = sides(
        "one difference is enough",
        &format!("{tables} INSERT INTO a VALUES (1)"),
        tables,
    );
    let run = finds(&ws, 1, 0, 0).says("b: 0 rows, equal");
    let quiet = ws.verify(&["--quiet"]).code(1).never_says("b: ");
    assert!(
        quiet.stdout().starts_with(run.stdout().lines().next().expect("a line")),
        "{quiet}"
    );
    ws.sql(&ws.sink(), "INSERT INTO a VALUES (1)");
    assert_eq!(ws.verify(&["--quiet"]).ok().stdout(), "");
}

#[test]
fn the_settings_can_stand_in_the_environment() {
    let ws = sides(
        "environment variables count",
        "CREATE TABLE a(k); CREATE TABLE b(k)",
        "CREATE TABLE b(k)",
    );
    let mut command = ws.command("verify");
    command
        .env("ROWFERRY_SOURCE", ws.source())
        .env("ROWFERRY_SINK", ws.sink())
        .env("ROWFERRY_TABLE", "b");
    let run = Process::start(&mut command).wait(Duration::from_secs(10)).ok();
    assert_eq!(run.stdout(), "b: 0 rows, equal\n");
}
