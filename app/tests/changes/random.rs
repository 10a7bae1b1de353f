//! A writer that does at random whatever SQL can do to a table.

use std::time::Duration;

use rusqlite::Connection;

use crate::support::*;

/// What all shapes have: unique indexes of each kind, triggers of the user's own, a parent to
/// cascade from.
const REST: &str = "
    CREATE UNIQUE INDEX folds ON t(f COLLATE NOCASE);
    CREATE UNIQUE INDEX partly ON t(p) WHERE n > 3;
    CREATE UNIQUE INDEX expressed ON t(abs(n), lower(f));
    CREATE TRIGGER own_insert AFTER INSERT ON t WHEN NEW.n = 7 BEGIN UPDATE t SET n = 8 WHERE n = 6; END;
    CREATE TRIGGER own_delete AFTER DELETE ON t WHEN OLD.n = 5 BEGIN DELETE FROM t WHERE n = 4; END;
    INSERT INTO parent(id) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);";

/// A table's definition, and the values that its key gets.
struct Shape {
    table: &'static str,
    key: fn(&mut Random) -> String,
}

const SHAPES: [Shape; 3] = [
    Shape {
        table: "CREATE TABLE t(k INTEGER PRIMARY KEY, f TEXT, n INTEGER, p INTEGER REFERENCES parent ON DELETE CASCADE, v)",
        key: |random| random.below(60).to_string(),
    },
    Shape {
        table: "CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, f TEXT UNIQUE, n INTEGER,
            p INTEGER REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE, v) WITHOUT ROWID",
        key: |random| format!("'{}{}'", random.pick(&["k", "K", "ä", "ß"]), random.below(30)),
    },
    Shape {
        table: "CREATE TABLE t(k NOT NULL, f TEXT, n INTEGER, p INTEGER REFERENCES parent ON DELETE CASCADE, v, PRIMARY KEY (k))",
        key: |random| match random.below(4) {
            0 => random.below(20).to_string(),
            1 => format!("{}.5", random.below(20)),
            2 => format!("'{}'", random.below(20)),
            _ => format!("x'{:02x}'", random.below(20)),
        },
    },
];

/// A row's values.
fn row(random: &mut Random, shape: &Shape) -> String {
    let key = (shape.key)(random);
    let letter = random.pick(&["a", "A", "b", "B", "c", "é"]);
    let v = match random.below(5) {
        0 => "NULL".to_owned(),
        1 => (random.next() as i64).to_string(),
        2 => format!("{:e}", f64::from_bits(random.next() & 0xbfff_ffff_ffff_ffff)),
        3 => format!("x'{:016x}'", random.next()),
        _ => format!("'{}'", "text ".repeat(random.below(40) as usize)),
    };
    format!(
        "({key}, '{letter}{}', {}, {}, {v})",
        random.below(40),
        random.below(10),
        random.below(10)
    )
}

/// One statement; most of them touch a few rows, and some fail by a constraint.
fn statement(random: &mut Random, shape: &Shape) -> String {
    let conflict = *random.pick(&[
        "",
        "OR REPLACE",
        "OR REPLACE",
        "OR IGNORE",
        "OR FAIL",
        "OR ROLLBACK",
        "OR ABORT",
    ]);
    let key = (shape.key)(random);
    let few = format!("n = {} OR p = {}", random.below(10), random.below(10));
    match random.below(14) {
        0..3 => format!(
            "INSERT {conflict} INTO t VALUES {}, {}",
            row(random, shape),
            row(random, shape)
        ),
        3 => format!(
            "INSERT INTO t VALUES {} ON CONFLICT(k) DO UPDATE SET v = excluded.v, n = t.n + 1",
            row(random, shape)
        ),
        4 => format!("UPDATE {conflict} t SET n = n + 1, v = k WHERE {few}"),
        5 => format!("UPDATE {conflict} t SET k = {key} WHERE n = {}", random.below(10)),
        6 => format!(
            "UPDATE {conflict} t SET f = upper(f), p = {} WHERE {few}",
            random.below(10)
        ),
        7 => format!("UPDATE {conflict} t SET f = 'a{}' WHERE k = {key}", random.below(40)),
        8 => format!("DELETE FROM t WHERE k = {key}"),
        9 => format!("DELETE FROM t WHERE {few}"),
        10 => format!("DELETE FROM parent WHERE id = {}", random.below(10)),
        11 => "INSERT OR IGNORE INTO parent(id) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)".to_owned(),
        12 if random.below(10) == 0 => "DELETE FROM t".to_owned(),
        12 => "UPDATE OR IGNORE parent SET id = 9 - id WHERE id IN (2, 7)".to_owned(),
        _ => "UPDATE OR IGNORE t SET n = abs(n - 4)".to_owned(),
    }
}

/// A statement of its own, or some in a transaction which may come to nothing, wholly or from a
/// savepoint on.
fn change(user: &Connection, random: &mut Random, shape: &Shape) {
    // What a constraint refuses is part of the game.
    let run = |sql: &str| drop(user.execute_batch(sql));
    if random.below(3) > 0 {
        return run(&statement(random, shape));
    }
    run("BEGIN");
    for _ in 0..random.below(30) {
        match random.below(12) {
            0 => run("SAVEPOINT s"),
            1 => run("ROLLBACK TO s"),
            2 => run("RELEASE s"),
            _ => run(&statement(random, shape)),
        }
    }
    run(if random.below(4) > 0 { "COMMIT" } else { "ROLLBACK" });
    if !user.is_autocommit() {
        run("ROLLBACK"); // a COMMIT that was refused
    }
}

/// How many records the sink has taken.
fn landed(workspace: &Workspace) -> i64 {
    workspace.number(&workspace.sink(), "SELECT sum(next_offset) FROM _rowferry_positions")
}

#[test]
fn whatever_a_writer_does_at_random_the_sink_is_equal_in_the_end() {
    let mut random = Random::new();
    for shape in &SHAPES {
        let workspace = Workspace::new("random changes of all kinds arrive").of("t");
        let source = workspace.source();
        let tables = format!(
            "PRAGMA journal_mode = WAL; CREATE TABLE parent(id INTEGER PRIMARY KEY); {}; {REST}",
            shape.table
        );
        workspace.sql(&source, &tables);
        let mut ferry = Ferry::start(&workspace, &["--batch-rows", "40"], &[]);
        ferry.wait_until_equal("the start");
        let writer = Writer::start(&source, random.next(), move |user, random, number| {
            if number == 1 {
                let recursive = random.pick(&["ON", "OFF"]);
                user.execute_batch(&format!(
                    "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = {recursive}"
                ))?;
            }
            change(user, random, shape);
            Ok(())
        });
        for _ in 0..3 {
            writer.wait_for_more(300);
            let before = landed(&workspace);
            let moved = wait_until(Duration::from_secs(30), || landed(&workspace) > before);
            assert!(moved, "the sink does not move while the writer writes");
        }
        writer.stop();
        ferry.end();
    }
}
