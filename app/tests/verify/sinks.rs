//! Rows that are spread over several sinks: each has to be in just one.

use std::fs;
use std::os::unix::fs::symlink;

use rusqlite::types::Value;

use super::keys::{any_value, fill};
use crate::support::*;

/// A workspace with a source and sinks, named a.db, b.db and so on, which were made by these
/// statements.
fn spread(sentence: &str, source: &str, sinks: &[&str]) -> Workspace {
    let ws = Workspace::new(sentence);
    ws.sql(&ws.source(), source);
    for (letter, sink) in ('a'..).zip(sinks) {
        ws.sql(&ws.path(&format!("{letter}.db")), sink);
    }
    ws
}

/// Compares the source with the first sinks.
fn verify(ws: &Workspace, sinks: usize) -> Run {
    const ARGS: [&str; 6] = ["--sink", "a.db", "--sink", "b.db", "--sink", "c.db"];
    ws.verify(&ARGS[..2 * sinks])
}

#[test]
fn rows_that_are_each_in_one_of_the_sinks_are_equal() {
    let table = "CREATE TABLE t(k INTEGER PRIMARY KEY, v);";
    let rows = |rows: &str| format!("{table} INSERT INTO t VALUES {rows}");
    let ws = spread(
        "the union of the sinks counts",
        &rows("(1, 'a'), (2, NULL), (3, 0.5), (4, x'00'), (5, '')"),
        &[
            &rows("(5, ''), (2, NULL)"),
            &rows("(3, 0.5)"),
            &rows("(4, x'00'), (1, 'a')"),
        ],
    );
    let run = verify(&ws, 3).ok();
    assert_eq!(run.stdout(), "t: 5 rows, equal (2 in a.db, 1 in b.db, 2 in c.db)\n");
    assert_eq!(
        ws.verify(&["--quiet", "--sink=c.db", "--sink=a.db", "--sink=b.db"])
            .ok()
            .stdout(),
        ""
    );
    verify(&ws, 2)
        .code(1)
        .says("t: 5 rows in the source, 3 rows in the sinks (2 in a.db, 1 in b.db), NOT equal: 2 missing, 0 extra, 0 different, 0 doubled");
    // One sink is told of as ever.
    verify(&ws, 1)
        .code(1)
        .says("t: 5 rows in the source, 2 rows in the sink, NOT equal: 3 missing, 0 extra, 0 different\n")
        .says("k = 1 (integer): missing in the sink");
}

#[test]
fn each_kind_of_difference_names_the_sink() {
    let rows = |rows: &str| format!("CREATE TABLE t(k INTEGER PRIMARY KEY, v, w); INSERT INTO t VALUES {rows}");
    let ws = spread(
        "every file is named",
        &rows("(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (5, 5, 5), (6, 6, 6), (7, 7, 7)"),
        &[
            &rows("(1, 1, 1), (3, 3, 3), (4, 'old', 4), (5, 0, 5), (8, 8, 8)"),
            &rows("(3, 3, 3), (4, 4, 4), (5, 5, 0), (6, 0, NULL), (8, 8, 8)"),
            &rows("(0, 0, 0), (5, 5, 5), (7, 7, 7)"),
        ],
    );
    let run = verify(&ws, 3).code(1);
    let lines: Vec<&str> = run.stdout().lines().collect();
    assert_eq!(
        lines,
        [
            "t: 7 rows in the source, 13 rows in the sinks (5 in a.db, 5 in b.db, 3 in c.db), \
             NOT equal: 1 missing, 3 extra, 1 different, 3 doubled",
            "  k = 0 (integer): only in c.db",
            "  k = 2 (integer): missing in all sinks",
            "  k = 3 (integer): in both a.db and b.db",
            "  k = 4 (integer): in both a.db and b.db, different in a.db",
            "  k = 5 (integer): in a.db, b.db and c.db, different in a.db and b.db",
            "  k = 6 (integer): v is 6 (integer) in the source, 0 (integer) in b.db; 1 more column differs",
            "  k = 8 (integer): only in a.db",
            "  k = 8 (integer): only in b.db",
        ]
    );
}

#[test]
fn a_sink_without_the_table_has_none_of_its_rows() {
    let table = "CREATE TABLE t(k PRIMARY KEY); INSERT INTO t VALUES (1);";
    let ws = spread("one table may be enough", table, &["CREATE TABLE other(k)", table]);
    assert_eq!(
        verify(&ws, 2).ok().stdout(),
        "t: 1 row, equal (1 in b.db, no table in a.db)\n"
    );
    ws.sql(&ws.path("b.db"), "UPDATE t SET k = 2");
    verify(&ws, 2).code(1).says("k = 2 (integer): only in b.db");
    ws.sql(&ws.path("b.db"), "DROP TABLE t");
    verify(&ws, 2)
        .code(1)
        .says("none of the sinks a.db and b.db has a table \"t\"")
        .says("way out: land it first");
}

#[test]
fn columns_that_not_all_sinks_have_are_named_with_the_file() {
    let ws = spread(
        "columns are told with the file",
        "CREATE TABLE t(k PRIMARY KEY, v, w); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)",
        &[
            "CREATE TABLE t(w, K PRIMARY KEY, x); INSERT INTO t VALUES (1, 1, 0)",
            "CREATE TABLE t(k PRIMARY KEY, v, W, X, y); INSERT INTO t VALUES (2, 'other', 2, 0, 0)",
            "CREATE TABLE t(k PRIMARY KEY, w); INSERT INTO t VALUES (3, 3)",
        ],
    );
    let run = verify(&ws, 3).code(1);
    let lines: Vec<&str> = run.stdout().lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "  column \"v\" is missing in a.db and c.db",
            "  column \"x\" is only in a.db and b.db",
            "  column \"y\" is only in b.db",
        ]
    );
    run.says("NOT equal: 0 missing, 0 extra, 0 different, 0 doubled");
    // What all have is compared.
    ws.sql(&ws.path("c.db"), "UPDATE t SET w = 0");
    verify(&ws, 3)
        .code(1)
        .says("k = 3 (integer): w is 3 (integer) in the source, 0 (integer) in c.db");
    ws.sql(&ws.path("c.db"), "DROP TABLE t; CREATE TABLE t(v)");
    verify(&ws, 3)
        .code(1)
        .says("the sink database c.db: the table \"t\" has no column \"k\" to find its rows by");
}

#[test]
fn a_file_that_is_named_twice_or_cannot_be_read_is_refused() {
    let table = "CREATE TABLE t(k PRIMARY KEY); INSERT INTO t VALUES (1);";
    let ws = spread(
        "each file counts once",
        table,
        &[table, "CREATE TABLE t(k PRIMARY KEY)"],
    );
    verify(&ws, 2).ok();
    symlink(ws.path("a.db"), ws.path("link.db")).expect("it can be linked");
    for again in ["a.db", "./a.db", "link.db"] {
        ws.verify(&["--sink", "a.db", "--sink", "b.db", "--sink", again])
            .code(2)
            .says(&format!("--sink a.db and --sink {again} are the same file"))
            .says("way out: ");
    }
    ws.verify(&["--sink", "a.db", "--sink", "source.db"])
        .code(2)
        .says("--source and --sink are the same file");
    ws.verify(&["--sink", "a.db", "--sink", "none.db"])
        .code(1)
        .says("cannot open the sink database none.db");
    fs::write(
        ws.path("text.db"),
        "this is no database, whatever its name says\n".repeat(30),
    )
    .expect("it can be written");
    ws.verify(&["--sink", "a.db", "--sink", "text.db"])
        .code(1)
        .says("the sink database text.db is no SQLite database");
}

#[test]
fn keys_are_equal_by_exact_bytes_in_each_sink() {
    let nocase = "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE, v);";
    let plain = "CREATE TABLE t(k PRIMARY KEY, v);";
    let loose = "CREATE TABLE t(k, v);";
    for (table, key, other) in [(nocase, "'k1'", "'K1'"), (plain, "1", "1.0")] {
        for sink in [table, loose] {
            let rows = |table: &str, key: &str| format!("{table} INSERT INTO t VALUES ({key}, 0)");
            let ws = spread(
                &format!("{other} is no copy of {key}"),
                &rows(table, key),
                &[&rows(sink, other), &rows(table, key)],
            );
            verify(&ws, 2)
                .code(1)
                .says("NOT equal: 0 missing, 1 extra, 0 different, 0 doubled")
                .says("): only in a.db");
            ws.sql(&ws.path("b.db"), &format!("UPDATE t SET k = {other}"));
            verify(&ws, 2)
                .code(1)
                .says("NOT equal: 1 missing, 2 extra, 0 different, 0 doubled");
        }
    }
    let ws = spread(
        "one sink tells keys apart that the others do not",
        &format!("{nocase} INSERT INTO t VALUES ('k1', 0)"),
        &[nocase, &format!("{plain} INSERT INTO t VALUES ('K1', 0), ('k1', 0)")],
    );
    verify(&ws, 2)
        .code(1)
        .says("NOT equal: 0 missing, 1 extra, 0 different, 0 doubled")
        .says("k = 'K1' (text): only in b.db");
}

#[test]
fn rows_with_a_null_in_their_key_may_be_spread_too() {
    let rows = |rows: &str| format!("CREATE TABLE t(a, b, v, PRIMARY KEY(a, b)); INSERT INTO t VALUES {rows}");
    let ws = spread(
        "rows that are alike are counted",
        &rows("(NULL, 1, 'x'), (NULL, 1, 'x'), (NULL, 1, 'y'), (1, 1, 1)"),
        &[
            &rows("(NULL, 1, 'x')"),
            &rows("(NULL, 1, 'y'), (NULL, 1, 'x'), (1, 1, 1)"),
        ],
    );
    verify(&ws, 2).ok().says("t: 4 rows, equal (1 in a.db, 3 in b.db)");
    ws.sql(&ws.path("b.db"), "INSERT INTO t VALUES (NULL, 1, 'x')");
    verify(&ws, 2)
        .code(1)
        .says("NOT equal: 0 missing, 1 extra, 0 different, 0 doubled")
        .says("a = null, b = 1 (integer): only in b.db");
    ws.sql(&ws.path("b.db"), "DELETE FROM t WHERE v = 'x'");
    verify(&ws, 2)
        .code(1)
        .says("NOT equal: 1 missing, 0 extra, 0 different, 0 doubled");
}

#[test]
fn keys_of_any_class_are_found_in_whichever_sink_they_are() {
    let mut random = Random::new();
    let tables = ["k PRIMARY KEY, v", "k COLLATE NOCASE PRIMARY KEY, v", "k, v"];
    for (our_table, their_tables, encoding) in [
        (tables[0], [tables[0]; 3], "UTF-8"),
        (tables[1], [tables[1]; 3], "UTF-8"),
        (tables[1], [tables[1], tables[2], tables[0]], "UTF-8"),
        (tables[0], [tables[0]; 3], "UTF-16le"),
    ] {
        let ws = Workspace::new(&format!(
            "({our_table}) is found in {their_tables:?}, the second in {encoding}"
        ));
        let source = ws.connection(&ws.source());
        source
            .execute_batch(&format!("CREATE TABLE t({our_table})"))
            .expect("it can be made");
        let sinks = ["a.db", "b.db", "c.db"].map(|name| ws.connection(&ws.path(name)));
        for (i, (sink, table)) in sinks.iter().zip(their_tables).enumerate() {
            let encoding = if i == 1 { encoding } else { "UTF-8" };
            sink.execute_batch(&format!("PRAGMA encoding = '{encoding}'; CREATE TABLE t({table})"))
                .expect("it can be made");
        }
        let utf8_only = encoding != "UTF-8";
        let rows: Vec<_> = (0..3000)
            .map(|_| (any_value(&mut random, utf8_only), any_value(&mut random, utf8_only)))
            .collect();
        let rows = fill(&source, &rows);
        let all = rows.len();
        assert!(all > 300, "too few keys are different: {all}");
        let mut shares = [vec![], vec![], vec![]];
        let (mut missing, mut doubled) = (0, 0);
        for row in rows {
            let sink = random.below(3) as usize;
            match random.below(20) {
                0 => missing += 1,
                1 => {
                    doubled += 1;
                    shares[(sink + 1) % 3].push((row.0.clone(), Value::Text("old".to_owned())));
                    shares[sink].push(row);
                }
                _ => shares[sink].push(row),
            }
        }
        assert!(missing > 0 && doubled > 0, "nothing is missing or doubled");
        for (sink, share) in sinks.iter().zip(&mut shares) {
            for i in (1..share.len()).rev() {
                share.swap(i, random.below(i as u64 + 1) as usize);
            }
            assert_eq!(fill(sink, share).len(), share.len());
        }
        let counts = format!("NOT equal: {missing} missing, 0 extra, 0 different, {doubled} doubled");
        verify(&ws, 3).code(1).says(&counts);
    }
}

#[test]
fn memory_stays_flat_with_several_sinks() {
    let ws = Workspace::new("memory does not grow with the rows");
    ws.sql(
        &ws.source(),
        "CREATE TABLE many(k INTEGER PRIMARY KEY, name, mail);
         CREATE TABLE words(k TEXT PRIMARY KEY, v);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO many SELECT i, 'name ' || i, 'mail' || i || '@example.org' FROM n;
         INSERT INTO words SELECT printf('%x-%d', k * 2654435761 % 4294967296, k), k FROM many",
    );
    for (i, name) in ["a.db", "b.db", "c.db"].into_iter().enumerate() {
        fs::copy(ws.source(), ws.path(name)).expect("it can be copied");
        // Without a key, so that SQLite has to sort.
        ws.sql(
            &ws.path(name),
            &format!(
                "DELETE FROM many WHERE k % 3 <> {i}; CREATE TABLE loose AS SELECT * FROM words WHERE v % 3 = {i};
                 DROP TABLE words; ALTER TABLE loose RENAME TO words"
            ),
        );
    }
    let run = verify(&ws, 3)
        .ok()
        .says("many: 300000 rows, equal (100000 in a.db, 100000 in b.db, 100000 in c.db)")
        .says("words: 300000 rows, equal (");
    let peak = run.peak_memory / 1024;
    assert!(peak > 0 && peak < 40 * 1024, "the peak is {peak} KiB");
}
