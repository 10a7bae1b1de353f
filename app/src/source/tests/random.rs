//! Thousands of random statements under random reads, notes, crashes and reshapes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A small generator (splitmix64): the same seed, the same statements.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A value from a small world, so that keys and unique columns collide.
    fn value(&mut self) -> String {
        let n = self.below(12);
        match self.below(10) {
            0 => "NULL".into(),
            1 => format!("{n}.0"),
            2 => format!("x'{n:02x}'"),
            3 => format!("'K{n}'"),
            4 => format!("'k{n} '"),
            5 => format!("'{n}'"),
            6 if n == 0 => i64::MIN.to_string(),
            6 if n == 1 => i64::MAX.to_string(),
            6 if n < 5 => "-1".into(),
            6 => format!("-{n}.5"),
            7 => format!("'k{n}'"),
            _ => n.to_string(),
        }
    }
}

/// Tables with columns k, a, b, c.
const TABLES: [&str; 11] = [
    "k INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, b, c",
    "k TEXT COLLATE NOCASE PRIMARY KEY, a UNIQUE ON CONFLICT REPLACE, b TEXT, c",
    "k PRIMARY KEY, a, b NOT NULL DEFAULT 7 UNIQUE, c) WITHOUT ROWID -- ",
    "k, a TEXT, b INT, c, g AS (a || b) STORED, PRIMARY KEY(b DESC, k COLLATE RTRIM)) WITHOUT ROWID -- ",
    "k REAL, a TEXT, b, c, PRIMARY KEY(k, a)",
    "k, a UNIQUE, b, c",
    "k ANY PRIMARY KEY, a ANY, b TEXT COLLATE NOCASE UNIQUE, c ANY) STRICT -- ",
    "k NUMERIC PRIMARY KEY, a, b, c, parent REFERENCES t(k) ON DELETE CASCADE ON UPDATE SET NULL",
    "k TEXT PRIMARY KEY, a, b, c, g AS (a || '-' || b) UNIQUE, h TEXT AS (g || c) STORED UNIQUE",
    "k INTEGER PRIMARY KEY, a, b INT NOT NULL DEFAULT 3, c, g INT AS (b % 4) STORED, h AS (g || a) UNIQUE",
    "k, a, b TEXT, c, g AS (lower(a) || b) UNIQUE",
];

/// Triggers of the user's, some of which keep a change and let no other trigger run.
const TRIGGERS: [&str; 7] = [
    "CREATE TRIGGER x AFTER INSERT ON t WHEN NEW.c IN (1, 2) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER x AFTER UPDATE ON t BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER x AFTER DELETE ON t WHEN OLD.c > 3 BEGIN SELECT RAISE(FAIL, 'kept'); END",
    "CREATE TRIGGER x BEFORE INSERT ON t WHEN NEW.c = 3 BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER x BEFORE DELETE ON t WHEN OLD.c = 4 BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER x AFTER INSERT ON t WHEN NEW.c < 5 BEGIN UPDATE t SET c = c + 1 WHERE a = NEW.a; END",
    "DROP TRIGGER x",
];

const INDEXES: [&str; 7] = [
    "CREATE UNIQUE INDEX i ON t(lower(b), c) WHERE a > 3",
    "CREATE UNIQUE INDEX i ON t(CASE WHEN a = 5 THEN b END) WHERE c IS NOT NULL",
    "CREATE UNIQUE INDEX i ON t(b COLLATE NOCASE DESC, a)",
    "CREATE UNIQUE INDEX i ON t(a + b, t.c) WHERE t.b < 'k5'",
    "CREATE UNIQUE INDEX i ON t((c))",
    "CREATE INDEX i ON t(c)",
    "CREATE UNIQUE INDEX i ON t(b, lower(g))",
];

fn statement(random: &mut Random) -> String {
    let or = random.of(&["", "OR REPLACE", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ROLLBACK"]);
    let column = random.of(&["k", "a", "b", "c", "k", "c"]);
    let (v, w) = (random.value(), random.value());
    let few = format!("{column} = {v} OR {} = {w}", random.of(&["k", "a", "b", "c"]));
    match random.below(20) {
        0..=8 => {
            let values = [random.value(), random.value()];
            format!(
                "INSERT {or} INTO t(k, a, b, c) VALUES ({v}, {w}, {}, {})",
                values[0], values[1]
            )
        }
        9 => format!("INSERT {or} INTO t(a, b, c) VALUES ({v}, {w}, 1)"),
        10..=14 => format!("UPDATE {or} t SET {column} = {v} WHERE {few}"),
        15 => format!("UPDATE {or} t SET k = a, a = k"),
        16 => format!("INSERT INTO t(k, a, b, c) VALUES ({v}, {w}, 1, 2) ON CONFLICT DO UPDATE SET {column} = {v}"),
        17 => format!("UPDATE {or} t SET rowid = (rowid * 7 + 3) % 9 WHERE {few}"),
        18 if random.below(15) == 0 => "DELETE FROM t".into(),
        _ => format!("DELETE FROM t WHERE {few}"),
    }
}

fn reshape(random: &mut Random) -> &'static str {
    let trigger = TRIGGERS[random.below(TRIGGERS.len() as u64) as usize];
    random.of(&[
        "VACUUM",
        "DROP INDEX IF EXISTS i",
        "ALTER TABLE t ADD COLUMN extra DEFAULT 'e'",
        "ALTER TABLE t DROP COLUMN extra",
        "ALTER TABLE t RENAME COLUMN extra TO more",
        "ALTER TABLE t DROP COLUMN more",
        "CREATE TABLE IF NOT EXISTS other(x)",
        "DROP TABLE IF EXISTS other",
        "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO t",
        "REINDEX",
        "CREATE TABLE IF NOT EXISTS other(x); DROP TABLE other",
        "ALTER TABLE t ADD COLUMN extra DEFAULT 'e'; ALTER TABLE t DROP COLUMN extra",
        "ALTER TABLE t ADD COLUMN extra DEFAULT 'e'; UPDATE t SET extra = k; ALTER TABLE t DROP COLUMN extra; ALTER TABLE t ADD COLUMN extra DEFAULT 'f'",
        "CREATE UNIQUE INDEX tmp ON t(c); UPDATE OR REPLACE t SET c = 1; DROP INDEX tmp",
        "DROP TRIGGER IF EXISTS _rowferry_update_t; UPDATE t SET c = 7",
        "ANALYZE",
        trigger,
        trigger,
    ])
}

fn round(seed: u64) {
    let random = &mut Random(seed);
    let table = TABLES[random.below(TABLES.len() as u64) as usize];
    let pragmas = random.of(&[
        "PRAGMA recursive_triggers = ON;",
        "PRAGMA foreign_keys = OFF;",
        "PRAGMA journal_mode = WAL;",
        "PRAGMA encoding = 'UTF-16le';",
    ]);
    let mut ferry = Ferry::new("t", &format!("{pragmas} CREATE TABLE t({table})"));
    let _ = ferry.user.execute_batch(random.of(&INDEXES));
    for _ in 0..400 {
        match random.below(100) {
            0 => drop(ferry.user.execute_batch(reshape(random))),
            // The same, among rows, in one transaction.
            1 => {
                let (first, last) = (statement(random), statement(random));
                let changed = format!("BEGIN; {first}; {}; {last}; COMMIT", reshape(random));
                if ferry.user.execute_batch(&changed).is_err() && !ferry.user.is_autocommit() {
                    let _ = ferry.user.execute_batch(random.of(&["COMMIT", "ROLLBACK"]));
                }
            }
            2 => drop(ferry.user.execute_batch(random.of(&INDEXES))),
            3..=4 => ferry.restart(),
            5 if random.below(4) == 0 => ferry.restart_with(true),
            6..=20 => drop(ferry.step(1 + random.below(9) as usize)),
            21..=30 => ferry.note(),
            31..=40 => {
                let _ = ferry.user.execute_batch("BEGIN");
                for _ in 0..random.below(10) {
                    let _ = ferry.user.execute_batch(&statement(random));
                }
                let end = random.of(&["COMMIT", "COMMIT", "ROLLBACK"]);
                if !ferry.user.is_autocommit() && ferry.user.execute_batch(end).is_err() {
                    let _ = ferry.user.execute_batch("ROLLBACK");
                }
            }
            _ => drop(ferry.user.execute_batch(&statement(random))),
        }
    }
    ferry.assert_equal();
    ferry.restart();
    ferry.assert_equal();
}

#[test]
fn random_histories_end_equal() {
    let (first, rounds) = match std::env::var("ROWFERRY_TEST_SEED") {
        Ok(seed) => (seed.parse().expect("ROWFERRY_TEST_SEED is a number"), 1),
        Err(_) => (1, 25),
    };
    for seed in first..first + rounds {
        let ended = std::panic::catch_unwind(|| round(seed));
        assert!(
            ended.is_ok(),
            "seed {seed}: run it alone with ROWFERRY_TEST_SEED={seed}"
        );
    }
}

#[test]
fn a_writer_beside_the_reader_and_the_ledger_ends_equal() {
    for mode in ["DELETE", "WAL"] {
        let mut ferry = Ferry::new(
            "t",
            &format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, a UNIQUE, b, c)"),
        );
        let (path, stop, read) = (ferry.path.clone(), Stop::default(), &AtomicU64::new(0));
        let (
            Ferry {
                state, changes, model, ..
            },
            done,
        ) = (&mut ferry, &stop);
        std::thread::scope(|scope| {
            let (checkpoints, noted) = std::sync::mpsc::sync_channel::<Checkpoint>(2);
            scope.spawn(move || {
                let user = Connection::open(&path).unwrap();
                user.busy_timeout(Duration::from_secs(60)).unwrap();
                let random = &mut Random(42);
                let beside = || read.load(Ordering::Relaxed) > 50;
                // Until the reader has read enough beside it: a slow one sees many writes as one.
                for round in (0..3000).take_while(|&round| round < 60 || !beside()) {
                    user.execute_batch("BEGIN IMMEDIATE").unwrap();
                    for _ in 0..20 {
                        let _ = user.execute_batch(&statement(random));
                    }
                    if !user.is_autocommit() {
                        user.execute_batch("COMMIT").unwrap();
                    }
                    if round < 60 && round % 20 == 19 {
                        user.execute_batch(&format!("ALTER TABLE t ADD COLUMN extra{round}"))
                            .unwrap();
                    }
                }
                let events = read.load(Ordering::Relaxed);
                done.request();
                assert!(events > 50, "the reader took {events} events while rows were written");
            });
            scope.spawn(move || {
                loop {
                    let ended = done.requested();
                    let got = changes.read(13, 1 << 20, &mut |event| model.take(event)).unwrap();
                    read.store(model.events, Ordering::Relaxed);
                    match got {
                        Some(checkpoint) => checkpoints.send(checkpoint).unwrap(),
                        None if ended => break,
                        None => drop(changes.wait(Duration::from_millis(50), &Stop::default()).unwrap()),
                    }
                }
            });
            state
                .note(
                    &noted
                        .into_iter()
                        .map(|checkpoint| (checkpoint, vec![]))
                        .collect::<Vec<_>>(),
                )
                .unwrap();
        });
        assert!(ferry.model.rows == ferry.table() && ferry.drain() == 0, "{mode}");
        ferry.restart();
        assert!(!ferry.tracked.pass_pending && ferry.tracked.rows_waiting == 0);
    }
}
