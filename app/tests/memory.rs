//! Memory stays flat: few rows or millions, small or large, in many transactions or in one.

use std::time::Duration;

use rusqlite::Connection;

use crate::support::*;

const MIB: u64 = 1 << 20;

/// What either side may hold with rows of usual size.
const USUAL: u64 = 64 * MIB;

/// How long one side may take for the most rows.
const LIMIT: Duration = Duration::from_secs(300);

/// A table of this many rows.
fn fill(ws: &Workspace, rows: u64) {
    ws.sql(
        &ws.source(),
        &format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY, name TEXT, number INTEGER, share REAL);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows})
             INSERT INTO rows(name, number, share) SELECT 'the name of row ' || i, i * 7919 % 1000003, i / 8.0 FROM n"
        ),
    );
}

/// The number of the last row that has landed; 0 where there is no table yet.
fn last_row(ws: &Workspace) -> i64 {
    let last = |connection: Connection| connection.query_row("SELECT max(id) FROM rows", [], |row| row.get(0));
    if ws.sink().exists() {
        last(ws.connection(&ws.sink())).unwrap_or(0)
    } else {
        0
    }
}

/// Fails unless a side stayed below its limit; the figures are shown with --nocapture.
#[track_caller]
fn stays_below(limit: u64, side: &str, rows: u64, run: &Run) {
    let (peak, waited) = (run.peak_memory as f64 / MIB as f64, run.waited);
    println!(
        "{side}: {rows} rows, peak {peak:.1} MiB, {waited:.1?}, CPU {:.1?}",
        run.cpu_time
    );
    assert!(peak > 1.0, "the peak was not measured\n{run}");
    assert!(
        run.peak_memory < limit,
        "the {side} held {peak:.1} MiB for {rows} rows\n{run}"
    );
}

/// Ships and lands this many rows with both sides below the limit, and finds them equal.
fn travels_within(limit: u64, ws: &Workspace, rows: u64) {
    assert_eq!(ws.number(&ws.source(), "SELECT count(*) FROM rows"), rows as i64);
    stays_below(limit, "producer", rows, &ws.start_producer(&[]).wait(LIMIT).ok());
    stays_below(
        limit,
        "consumer",
        rows,
        &ws.start_consumer(&["--until-caught-up"]).wait(LIMIT).ok(),
    );
    assert_equal(ws);
}

#[test]
fn ten_thousand_rows_travel_within_64_mib() {
    let ws = Workspace::new("few rows need little memory").of("rows");
    fill(&ws, 10_000);
    travels_within(USUAL, &ws, 10_000);
}

#[test]
fn five_million_rows_travel_within_64_mib() {
    let ws = Workspace::new("many rows need no more memory than few").of("rows");
    fill(&ws, 5_000_000);
    travels_within(USUAL, &ws, 5_000_000);
}

#[test]
fn blobs_of_a_mebibyte_travel_within_256_mib() {
    let ws = Workspace::new("large rows are not gathered in memory").of("rows");
    ws.sql(
        &ws.source(),
        "CREATE TABLE rows(id INTEGER PRIMARY KEY, data BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 250)
         INSERT INTO rows(data) SELECT randomblob(1 << 20) FROM n",
    );
    travels_within(256 * MIB, &ws, 250);
}

#[test]
fn a_million_changes_in_one_transaction_are_followed_within_64_mib() {
    const ROWS: u64 = 1_000_000;
    let ws = Workspace::new("a huge transaction is shipped batch by batch").of("rows");
    fill(&ws, 1);
    let mut producer = ws.start_producer(&["--follow"]);
    let mut consumer = ws.start_consumer(&[]);
    let mut wait_for = |rows: u64| {
        let landed = wait_until(LIMIT, || {
            assert!(producer.is_running(), "it has ended\n{}", producer.output());
            assert!(consumer.is_running(), "it has ended\n{}", consumer.output());
            last_row(&ws) == rows as i64
        });
        assert!(landed, "row {rows} has not landed within {LIMIT:?}");
    };
    wait_for(1);
    fill(&ws, ROWS - 1); // one statement is one transaction
    wait_for(ROWS);
    for (side, mut process) in [("producer", producer), ("consumer", consumer)] {
        process.signal(libc::SIGINT);
        stays_below(USUAL, side, ROWS, &process.wait(Duration::from_secs(20)).ok());
    }
    assert_equal(&ws);
}
