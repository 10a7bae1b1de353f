//! verify sees every difference and nothing else, on tables of any kind, and never writes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql};

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

/// A value of any class, out of few enough that spellings meet.
fn any_value(random: &mut Random, utf8_only: bool) -> Value {
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

/// Inserts rows, a key of one value being there once; those of `as_text` go in as text that need be no UTF-8.
fn fill(connection: &Connection, rows: &[(Value, Value)]) -> Vec<(Value, Value)> {
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
        // The sink gets them in another order, some not at all, some with another value, and some of its own.
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
fn what_cannot_be_compared_is_a_clear_error() {
    let ws = sides(
        "errors name file, table and the way out",
        "CREATE TABLE t(k PRIMARY KEY, v)",
        "CREATE TABLE t(v, w)",
    );
    fs::write(
        ws.path("text.db"),
        "this is a plain text file, and a rather long one, but it is no database\n".repeat(9),
    )
    .expect("it can be written");
    let file = |name: &str| ws.path(name).to_str().expect("plain").to_owned();
    let failed = |args: &[&str], texts: &[&str]| {
        let run = ws.verify(args).code(1).says("error: ").says("way out: ");
        texts.iter().fold(run, |run, text| run.says(text));
    };
    failed(
        &["--source", &file("none.db")],
        &["none.db", "--source", "cargo run --bin producer"],
    );
    failed(
        &["--sink", &file("none.db")],
        &["none.db", "--sink", "cargo run --bin consumer"],
    );
    assert!(!ws.path("none.db").exists(), "a missing file was made");
    failed(&["--sink", &file(".")], &["is a folder", "--sink"]);
    failed(
        &["--sink", &file("text.db")],
        &["text.db is no SQLite database", "--sink"],
    );
    failed(
        &["--table", "nothing"],
        &["no table \"nothing\"", "--table takes one of: t"],
    );
    failed(&[], &["the table \"t\" has no column \"k\"", "sink.db"]);
    ws.sql(&ws.sink(), "DROP TABLE t");
    failed(&[], &["sink.db has no table \"t\"", "--table"]);
    ws.sql(&ws.sink(), "CREATE VIEW t AS SELECT 1 AS k");
    failed(&[], &["has no table \"t\""]);
    ws.sql(&ws.source(), "DROP TABLE t");
    failed(&[], &["has no tables", "--source"]);
    ws.verify(&["--sink", &file("source.db")])
        .code(2)
        .says("--source and --sink are the same file");
    ws.verify(&["--tables", "t"]).code(2).says("--tables");
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

/// The bytes of a database and of its write-ahead log.
fn bytes(database: &Path) -> [Option<Vec<u8>>; 2] {
    [
        fs::read(database).ok(),
        fs::read(database.with_extension("db-wal"))
            .ok()
            .filter(|log| !log.is_empty()),
    ]
}

#[test]
fn neither_database_is_written_in_any_journal_mode() {
    for mode in ["DELETE", "WAL", "PERSIST"] {
        let table =
            format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)");
        let ws = sides(&format!("nothing is written in mode {mode}"), &table, &table);
        let before = [bytes(&ws.source()), bytes(&ws.sink())];
        ws.verify(&[]).ok().says("t: 1 row, equal");
        assert_eq!([bytes(&ws.source()), bytes(&ws.sink())], before, "{mode}");
    }
}

#[test]
fn rows_that_stand_only_in_a_write_ahead_log_are_seen() {
    let table = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);";
    let ws = sides("the log is read", table, table);
    let writer = ws.connection(&ws.sink());
    writer
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (2, 2)")
        .expect("it can be inserted");
    finds(&ws, 0, 1, 0);
    // As after a crash: the log lies there, and nothing else has the file open.
    for name in ["sink.db", "sink.db-wal"] {
        fs::copy(ws.path(name), ws.path(&name.replace("sink", "copy"))).expect("it can be copied");
    }
    let before = bytes(&ws.path("copy.db"));
    let copy = ws.path("copy.db").to_str().expect("plain").to_owned();
    ws.verify(&["--sink", &copy])
        .code(1)
        .says("0 missing, 1 extra, 0 different");
    assert_eq!(bytes(&ws.path("copy.db")), before);
}

#[test]
fn a_wal_database_in_a_folder_that_cannot_be_written_is_read() {
    let table = "PRAGMA journal_mode = WAL; CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);";
    let ws = sides("no file beside the database is needed", table, table);
    let verify = ws.path("verify");
    fs::copy(ws.command("verify").get_program(), &verify).expect("it can be copied");
    let mut command = std::process::Command::new(&verify);
    command.arg("--source").arg(ws.source()).arg("--sink").arg(ws.sink());
    let folder = ws.path("");
    let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("the mode can be set");
    mode(0o555);
    // SAFETY: geteuid has no conditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65534); // the rules do not bind root
    }
    let run = Process::start(&mut command).wait(Duration::from_secs(20));
    mode(0o755);
    run.ok().says("t: 1 row, equal");
    assert!(
        !ws.path("sink.db-shm").exists(),
        "the folder could be written after all"
    );
}

#[test]
fn a_lock_is_waited_for_with_a_message() {
    let table = "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 1);";
    for side in ["source", "sink"] {
        let ws = sides(&format!("a lock on the {side} is waited for"), table, table);
        let holder = ws.connection(&ws.path(&format!("{side}.db")));
        holder
            .execute_batch("BEGIN EXCLUSIVE; UPDATE t SET v = 2")
            .expect("the lock can be had");
        let mut verify = ws.start_verify(&[]);
        verify.wait_for_line("another process holds the lock", Duration::from_secs(20));
        assert!(verify.is_running());
        holder.execute_batch("ROLLBACK").expect("the lock can be given back");
        verify
            .wait(Duration::from_secs(20))
            .ok()
            .says("t: 1 row, equal")
            .says(&format!("the {side} database"));
    }
}

#[test]
fn half_of_a_transaction_that_a_killed_writer_left_is_told_and_not_read() {
    let ws = Workspace::new("a hot journal is no state to compare");
    let rows = "PRAGMA page_size = 1024; CREATE TABLE t(k INTEGER PRIMARY KEY, v);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, printf('%.*c', 500, 'x') FROM n;";
    ws.sql(&ws.source(), rows);
    let writer = ws.connection(&ws.source());
    writer
        .execute_batch("PRAGMA cache_size = 5; PRAGMA cache_spill = 5; BEGIN; UPDATE t SET v = 'half'")
        .expect("it can be updated");
    for name in ["source.db", "source.db-journal"] {
        fs::copy(ws.path(name), ws.path(&name.replace("source", "sink"))).expect("it can be copied");
    }
    writer.execute_batch("ROLLBACK").expect("it can be rolled back");
    ws.verify(&[])
        .code(1)
        .says("half of a transaction")
        .says("sink.db")
        .says("way out: ");
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t WHERE v = 'half'"), 0); // opened for writing, it is rolled back
    ws.verify(&[]).ok().says("t: 2000 rows, equal");
}

#[test]
fn memory_stays_flat_whatever_the_rows_are_ordered_by() {
    let rows = |n| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})");
    let ws = Workspace::new("memory stays flat");
    ws.sql(
        &ws.source(),
        &format!(
            "CREATE TABLE few(k INTEGER PRIMARY KEY, v);
             CREATE TABLE many(k INTEGER PRIMARY KEY, name, mail, city, age, balance, at);
             CREATE TABLE words(k TEXT PRIMARY KEY, v);
             CREATE TABLE nulls(a, b, PRIMARY KEY(a, b));
             {} INSERT INTO few SELECT i, i FROM n;
             {} INSERT INTO many SELECT i, 'name ' || i, 'mail' || i || '@example.org', 'city', i % 90, i / 7.0, '2024-01-01' FROM n;
             {} INSERT INTO words SELECT printf('%x-%d', i * 2654435761 % 4294967296, i), i FROM n;
             {} INSERT INTO nulls SELECT NULL, 'text ' || i FROM n;",
            rows(1000),
            rows(1_000_000),
            rows(200_000),
            rows(200_000)
        ),
    );
    fs::copy(ws.source(), ws.sink()).expect("it can be copied");
    ws.sql(
        &ws.sink(),
        "CREATE TABLE loose AS SELECT * FROM words; DROP TABLE words; ALTER TABLE loose RENAME TO words",
    );
    let mut peaks = HashMap::new();
    for (table, rows) in [
        ("few", 1000),
        ("many", 1_000_000),
        ("words", 200_000),
        ("nulls", 200_000),
    ] {
        let run = ws
            .verify(&["--table", table])
            .ok()
            .says(&format!("{table}: {rows} rows, equal"));
        peaks.insert(table, run.peak_memory / 1024);
    }
    assert!(
        peaks["many"] > 0 && peaks.values().all(|kib| *kib < 32 * 1024),
        "peaks in KiB: {peaks:?}"
    );
}
