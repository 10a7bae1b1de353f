//! The log's records beside what the sink did with its rows: each record that counts was applied
//! once, in the order of its partition.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value as Cell;
use serde_json::Value;

use crate::support::*;

/// What was done with a row: its new version, or none when it was deleted.
type Done = (i64, Option<i64>);

/// Triggers on the sink's table, which write down each change of a row in the transaction that
/// makes it.
pub(crate) struct Audit {
    /// Where each partition stood when the audit began.
    start: Vec<i64>,
}

/// What the log tells of the faults.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Changes that the sink made since the audit began.
    pub applied: usize,
    /// Records that the broker holds twice, by a resend of the same run.
    pub resent: usize,
    /// Records that came after those of a newer run.
    pub late: usize,
    /// Runs of the producer that ended with records in the log which the source had not noted as
    /// acknowledged.
    pub cut_runs: usize,
}

/// (epoch, seq)
type Stamp = (u64, u64);

impl Audit {
    pub(crate) fn install(workspace: &Workspace) -> Self {
        workspace.sql(
            &workspace.sink(),
            "CREATE TABLE audit(n INTEGER PRIMARY KEY, id INTEGER, version INTEGER);
             CREATE TRIGGER audit_insert AFTER INSERT ON t BEGIN INSERT INTO audit(id, version) VALUES (NEW.id, NEW.version); END;
             CREATE TRIGGER audit_update AFTER UPDATE ON t BEGIN INSERT INTO audit(id, version) VALUES (NEW.id, NEW.version); END;
             CREATE TRIGGER audit_delete AFTER DELETE ON t BEGIN INSERT INTO audit(id, version) VALUES (OLD.id, NULL); END",
        );
        let start = "SELECT next_offset FROM _rowferry_positions ORDER BY partition";
        let start = workspace
            .rows(&workspace.sink(), start)
            .concat()
            .into_iter()
            .map(integer);
        Self { start: start.collect() }
    }

    /// How many changes the sink has made since.
    pub(crate) fn changes(workspace: &Workspace) -> i64 {
        workspace.number(&workspace.sink(), "SELECT ifnull(max(n), 0) FROM audit")
    }

    /// Fails when a row of the sink went back to an older version.
    #[track_caller]
    pub(crate) fn check_no_row_went_back(workspace: &Workspace) {
        check_versions(&changes(workspace));
    }

    /// Fails unless the sink has made exactly the changes that the log says, once and in order.
    #[track_caller]
    pub(crate) fn check(&self, workspace: &Workspace) -> Tally {
        let mut tally = Tally::default();
        let mut partition_of = HashMap::new();
        let mut cut = HashSet::new();
        let log = read_log(workspace, self.start.len());
        let due: Vec<Vec<Done>> = log
            .iter()
            .zip(&self.start)
            .enumerate()
            .map(|(partition, (records, start))| {
                replay(records, *start, &mut tally, &mut cut, |id| {
                    let before = partition_of.insert(id, partition);
                    assert!(
                        before.is_none_or(|before| before == partition),
                        "row {id} travels in two partitions"
                    );
                })
            })
            .collect();
        tally.cut_runs = cut.len();
        let mut done = vec![Vec::new(); due.len()];
        for (id, version) in changes(workspace) {
            done[partition_of[&id]].push((id, version));
            tally.applied += 1;
        }
        for (partition, (due, done)) in due.iter().zip(&done).enumerate() {
            let same = due.iter().zip(done).take_while(|(due, done)| due == done).count();
            assert!(
                due == done,
                "partition {partition}: the log says {} changes, the sink made {}; after {same} that are the same: {:?} and {:?}",
                due.len(),
                done.len(),
                &due[same..due.len().min(same + 5)],
                &done[same..done.len().min(same + 5)],
            );
            check_versions(done);
        }
        eprintln!("{tally:?}");
        tally
    }
}

/// What the sink did with its rows since the audit began.
fn changes(workspace: &Workspace) -> Vec<Done> {
    let rows = workspace.rows(&workspace.sink(), "SELECT id, version FROM audit ORDER BY n");
    let change = |row| {
        let [id, version] = <[Cell; 2]>::try_from(row).expect("two columns were asked for");
        (integer(id), (version != Cell::Null).then(|| integer(version)))
    };
    rows.into_iter().map(change).collect()
}

/// Fails when a row goes back to an older version.
#[track_caller]
fn check_versions(done: &[Done]) {
    let mut newest: HashMap<i64, i64> = HashMap::new();
    for &(id, version) in done {
        let Some(version) = version else { continue };
        let before = newest.insert(id, version).unwrap_or(0);
        assert!(
            before <= version,
            "row {id} went back from version {before} to {version}"
        );
    }
}

/// One record of the log.
struct Record {
    offset: i64,
    stamp: Stamp,
    /// The schema, or the row's id and its version, or the row's id alone when it is deleted.
    body: Body,
}

enum Body {
    Schema { acked: Option<Stamp>, begins_pass: bool },
    Pass,
    Row(Done),
}

/// The changes of a partition from offset `start` on, when each record that continues the sequence
/// is applied.
fn replay(
    records: &[Record],
    start: i64,
    tally: &mut Tally,
    cut: &mut HashSet<u64>,
    mut met: impl FnMut(i64),
) -> Vec<Done> {
    let (mut last, mut highest): (Stamp, Stamp) = ((0, 0), (0, 0));
    let (mut there, mut changes) = (HashSet::new(), Vec::new());
    for Record { offset, stamp, body } in records {
        let (epoch, seq) = *stamp;
        if *stamp <= last {
            if epoch == last.0 {
                tally.resent += 1;
            } else {
                tally.late += 1;
            }
            continue;
        }
        let next = if epoch == last.0 { last.1 + 1 } else { 1 };
        assert_eq!(seq, next, "offset {offset}: {stamp:?} follows {last:?}");
        last = *stamp;
        match body {
            Body::Schema { acked, begins_pass } => {
                assert!(
                    *offset < start || !begins_pass,
                    "offset {offset}: a full pass, which nothing called for"
                );
                if seq == 1 && acked.is_some_and(|acked| acked < highest) {
                    cut.insert(epoch);
                }
            }
            Body::Pass => (),
            &Body::Row((id, version)) => {
                met(id);
                let was_there = match version {
                    Some(_) => !there.insert(id),
                    None => there.remove(&id),
                };
                if *offset >= start && (was_there || version.is_some()) {
                    changes.push((id, version));
                }
            }
        }
        highest = last;
    }
    changes
}

/// All records of ours in the topic, by partition.
fn read_log(workspace: &Workspace, partitions: usize) -> Vec<Vec<Record>> {
    let args = [
        "-C",
        "-q",
        "-e",
        "-o",
        "beginning",
        "-t",
        workspace.topic(),
        "-f",
        "%p\t%o\t%k\t%s\n",
    ];
    let mut log: Vec<Vec<Record>> = (0..partitions).map(|_| Vec::new()).collect();
    for line in kcat(workspace.cluster(), &args, b"").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [partition, offset, _, value] = fields[..] else {
            panic!("no record: {line}")
        };
        if !value.is_empty() {
            let partition: usize = partition.parse().expect("a partition is a number");
            log[partition].push(record(offset, value));
        }
    }
    for records in &log {
        assert!(
            records.is_sorted_by_key(|record| record.offset),
            "kcat tells records in another order"
        );
    }
    log
}

fn record(offset: &str, value: &str) -> Record {
    let json: Value = serde_json::from_str(value).unwrap_or_else(|e| panic!("{e}: {value}"));
    let stamp = json["_ferry"]
        .as_str()
        .and_then(|text| text.split_once('.'))
        .expect("our records have a stamp")
        .1;
    let body = if json.get("_schema").is_some() {
        Body::Schema {
            acked: json["_run"]["acked"].as_str().map(pair),
            begins_pass: json.get("_pass").is_some(),
        }
    } else if json.get("_pass").is_some() {
        Body::Pass
    } else {
        let id = json["id"].as_i64().expect("rows have an id");
        Body::Row((id, json["version"].as_i64().filter(|_| json.get("__deleted").is_none())))
    };
    Record {
        offset: offset.parse().expect("an offset is a number"),
        stamp: pair(stamp),
        body,
    }
}

/// `<epoch>.<seq>`
fn pair(text: &str) -> Stamp {
    let (epoch, seq) = text.split_once('.').expect("two numbers");
    (epoch.parse().expect("an epoch"), seq.parse().expect("a number"))
}

fn integer(cell: Cell) -> i64 {
    match cell {
        Cell::Integer(integer) => integer,
        other => panic!("no integer but {other:?}"),
    }
}
