//! Partitions are added to a topic: keys move between them, and no row goes back to an older
//! version.

pub(crate) mod consumer;
mod producer;

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::types::Value as Cell;
use serde_json::Value as Json;

use crate::support::*;

/// How long something that is due may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a producer that follows may take to see new partitions and to send rows to them.
const NOTICE: Duration = Duration::from_secs(15);

/// A workspace with a topic of three partitions and a table `t` of 300 rows; each change of a row
/// raises its version.
fn three_partitions(workspace: Workspace) -> Workspace {
    let w = workspace.of("t");
    w.cluster().create_topic(w.topic(), 3, &[]);
    w.sql(
        &w.source(),
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, version INTEGER, v TEXT);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) INSERT INTO t SELECT n, 0, 'v' || n FROM c",
    );
    w
}

/// Changes every row.
fn change_all(w: &Workspace) {
    w.sql(&w.source(), "UPDATE t SET version = version + 1");
}

/// Waits until the producer has noted all that the source holds as acknowledged.
#[track_caller]
fn wait_until_shipped(w: &Workspace) {
    let known = "SELECT 1 FROM sqlite_schema WHERE name = '_rowferry_outbox_t'";
    let all = "SELECT count(*) FROM _rowferry_tracked WHERE NOT pending AND shipped = (SELECT max(seq) FROM _rowferry_outbox_t)";
    let shipped = || !w.rows(&w.source(), known).is_empty() && w.number(&w.source(), all) == 1;
    assert!(wait_until(LIMIT, shipped), "not all was shipped in time");
}

/// Kills a producer in the midst of a full pass over many rows, and adds partitions. A pass that was
/// over before it was noted once is too short on this machine: more rows are added.
#[track_caller]
fn interrupt_a_pass(w: &Workspace) {
    ship_and_land(w);
    let midway = "SELECT count(*) FROM _rowferry_tracked WHERE pending AND cursor IS NOT NULL";
    let (mut from, mut to) = (301, 60_000);
    loop {
        w.sql(
            &w.source(),
            &format!(
                "WITH c(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM c WHERE n < {to}) INSERT INTO t SELECT n, 0, 'v' || n FROM c"
            ),
        );
        let mut producer = w.start_producer(&["--backfill", "--batch-rows", "100"]);
        let is_midway = || w.number(&w.source(), midway) == 1;
        let met = wait_until(LIMIT, || is_midway() || !producer.is_running());
        assert!(met, "{}", producer.output());
        producer.stop(); // it may be over by now: then what it noted last says so
        if is_midway() {
            break;
        }
        (from, to) = (to + 1, to * 4);
    }
    w.cluster().add_partitions(w.topic(), 5);
}

/// What stands in the first record of a run in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    run: u64,
    partitions: u64,
    moved: Option<u64>,
}

/// The links of each partition.
fn links(w: &Workspace) -> Vec<Vec<Link>> {
    let partitions = 0..w.cluster().partitions(w.topic()) as u32;
    let link = |(run, _, json): (u64, u64, Json)| {
        let link = json.get("_run")?;
        let partitions = link["partitions"].as_u64().expect("a link tells of the partitions");
        let moved = link.get("moved").map(|moved| moved.as_u64().expect("a run"));
        Some(Link { run, partitions, moved })
    };
    partitions
        .map(|partition| records(w, partition).into_iter().filter_map(link).collect())
        .collect()
}

/// The run, number and value of each record of ours in a partition; tombstones are left out.
fn records(w: &Workspace, partition: u32) -> Vec<(u64, u64, Json)> {
    let records = read_records(w.cluster(), w.topic(), partition).into_iter();
    let values = records.filter(|(_, record)| !record.value.is_empty());
    values
        .map(|(_, record)| {
            let json: Json = serde_json::from_slice(&record.value).expect("our records are JSON");
            let stamp: Vec<&str> = json["_ferry"]
                .as_str()
                .expect("our records have a stamp")
                .split('.')
                .collect();
            let number = |at: usize| stamp[at].parse().expect("a number");
            (number(1), number(2), json)
        })
        .collect()
}

/// Fails unless each run has every row in one partition, and the log's newest versions are those of
/// the source.
#[track_caller]
fn assert_log_is_whole(w: &Workspace) {
    let mut homes: HashMap<(u64, i64), u32> = HashMap::new();
    let mut newest: HashMap<i64, (u64, u64, i64)> = HashMap::new();
    for partition in 0..w.cluster().partitions(w.topic()) as u32 {
        for (run, seq, json) in records(w, partition) {
            let (Some(id), Some(version)) = (json["id"].as_i64(), json["version"].as_i64()) else {
                continue;
            };
            let home = *homes.entry((run, id)).or_insert(partition);
            assert_eq!(home, partition, "run {run} has sent row {id} to two partitions");
            let last = newest.entry(id).or_default();
            *last = (*last).max((run, seq, version));
        }
    }
    let source = w.rows(&w.source(), "SELECT id, version FROM t");
    assert_eq!(newest.len(), source.len(), "rows in the log and in the source");
    for row in source {
        let [Cell::Integer(id), Cell::Integer(version)] = row[..] else {
            panic!("no integers but {row:?}")
        };
        let sent = newest.get(&id).map(|(_, _, version)| *version);
        assert_eq!(sent, Some(version), "the newest version of row {id} in the log");
    }
}
