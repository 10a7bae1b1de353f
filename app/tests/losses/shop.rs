//! A small shop whose rows get lost, and what is expected then.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::*;

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The way out of nearly all of it.
pub(crate) const WAY_OUT: &str = "way out: run `producer --backfill`, then `consumer --heal`";

/// The partition in which the tests take records away.
pub(crate) const HURT: i64 = 1;

pub(crate) const ITEMS: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL);";

/// A workspace with a table of this many items.
pub(crate) fn shop(sentence: &str, rows: u32) -> Workspace {
    let w = Workspace::new(sentence).of("items");
    w.sql(&w.source(), &format!("{ITEMS} {}", more_items(1, rows)));
    w
}

/// A statement that inserts so many items from this id on.
pub(crate) fn more_items(from: u32, rows: u32) -> String {
    let to = from + rows;
    format!(
        "INSERT INTO items WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})
         SELECT i, 'item ' || i, i * 0.25 FROM n;"
    )
}

/// Changes every item, so that every partition gets records.
pub(crate) fn change_all(w: &Workspace) {
    w.sql(&w.source(), "UPDATE items SET price = price + 1");
}

/// How the messages name the partition that is hurt.
pub(crate) fn place(topic: &str) -> String {
    format!("topic \"{topic}\" partition {HURT}")
}

/// Where the sink stands.
pub(crate) fn position(w: &Workspace, topic: &str, partition: i64) -> i64 {
    let query = "SELECT next_offset FROM _rowferry_positions";
    w.number(
        &w.sink(),
        &format!("{query} WHERE topic = '{topic}' AND partition = {partition}"),
    )
}

pub(crate) fn wait_for_rows(w: &Workspace, rows: i64) {
    let made = || {
        !w.rows(&w.sink(), "SELECT 1 FROM sqlite_schema WHERE name = 'items'")
            .is_empty()
    };
    let landed = || w.sink().exists() && made() && w.number(&w.sink(), "SELECT count(*) FROM items") == rows;
    assert!(wait_until(SOON, landed), "{rows} rows have not landed");
}

/// The consumer ends with exit code 3, these words and the way out, stands before the gap, and does
/// so again.
#[track_caller]
pub(crate) fn stops(w: &Workspace, topic: &str, at: i64, texts: &[&str]) {
    for _ in 0..2 {
        let run = w.consumer(&["--topic", topic, "--until-caught-up"]).code(3);
        let run = run.says(&format!("error: {}", place(topic))).says(WAY_OUT);
        texts.iter().fold(run, |run, text| run.says(text));
        assert_eq!(position(w, topic, HURT), at, "the gap was stepped over");
    }
}

/// The same for a gap that stands in every partition: the consumer stops at the first that it
/// meets, and no partition moves on.
#[track_caller]
pub(crate) fn stops_anywhere(w: &Workspace, text: &str) {
    let stand = || {
        w.rows(
            &w.sink(),
            "SELECT partition, next_offset, source, epoch, seq FROM _rowferry_positions ORDER BY 1",
        )
    };
    let items = || w.rows(&w.sink(), "SELECT * FROM items ORDER BY id");
    let mut before = Vec::new();
    for round in 0..3 {
        let run = w
            .consumer(&["--until-caught-up"])
            .code(3)
            .says(text)
            .says("way out")
            .says("offset");
        let run = run.says(&format!("error: topic \"{}\" partition", w.topic()));
        // What lies before the gap may land in one partition after the other, each time as far as
        // the gap.
        let now = (stand(), items());
        if round == 2 {
            assert_eq!(now, before[1], "the gap was stepped over\n{run}");
        }
        before.push(now);
    }
}

/// The way out: a full pass and --heal make both sides equal, rows deleted meanwhile included, and
/// all goes on as ever after.
#[track_caller]
pub(crate) fn heals(w: &Workspace, topic: &str) {
    w.sql(&w.source(), "DELETE FROM items WHERE id % 7 = 3");
    let to = ["--topic", topic];
    let land = ["--topic", topic, "--until-caught-up"];
    w.producer(&[&to[..], &["--backfill"]].concat()).ok();
    w.consumer(&[&land[..], &["--heal"]].concat()).ok();
    assert_equal(w);
    change_all(w);
    w.sql(&w.source(), "DELETE FROM items WHERE id % 7 = 4");
    w.producer(&to).ok();
    w.consumer(&land).ok().never_says("missing");
    assert_equal(w);
}

/// A backfill and a plain run of the consumer make both sides equal, and nothing is missing any
/// more.
#[track_caller]
pub(crate) fn the_backfill_brings_the_rest(w: &Workspace) {
    w.sql(&w.source(), "DELETE FROM items WHERE id % 7 = 3");
    w.producer(&["--backfill"]).ok();
    w.consumer(&["--until-caught-up"]).ok().never_says("missing");
    assert_equal(w);
    w.consumer(&["--until-caught-up"]).ok().never_says("missing");
}

/// A new topic with those of the shop's records, by partition and offset, that are to be kept.
pub(crate) fn copy_topic(w: &Workspace, keep: &dyn Fn(i64, i64) -> bool) -> String {
    let copy = format!("{}-copy", w.topic());
    w.cluster().create_topic(&copy, 3, &[]);
    pour(w, w.topic(), &copy, keep);
    copy
}

/// Writes the records of a topic into another, as another client does.
pub(crate) fn pour(w: &Workspace, from: &str, to: &str, keep: &dyn Fn(i64, i64) -> bool) {
    let mut dropped = 0;
    for partition in 0..3 {
        let number = partition.to_string();
        let read = ["-C", "-t", from, "-p", &number, "-e", "-q", "-f", "%o\t%k\t%s\n"];
        let mut kept = String::new();
        for line in kcat(w.cluster(), &read, b"").lines() {
            let (offset, record) = line.split_once('\t').expect("kcat tells the offset");
            if keep(partition, offset.parse().expect("an offset is a number")) {
                kept += &format!("{record}\n");
            } else {
                dropped += 1;
            }
        }
        // -Z: an empty value is none.
        kcat(
            w.cluster(),
            &["-P", "-t", to, "-p", &number, "-K", "\t", "-Z"],
            kept.as_bytes(),
        );
    }
    let ends = |topic: &str| w.cluster().latest(topic).iter().sum::<i64>();
    assert_eq!(ends(to), ends(from) - dropped, "not all of {from} was copied");
}

/// Deletes the workspace's topic, of which both sides forget the id, as if the brokers told none:
/// a topic that is made anew in its place, or that has lost its end by then, is known by what stands
/// in it. Those who live remember the id.
pub(crate) fn delete_topic(w: &Workspace) {
    for (file, table) in [(w.source(), "_rowferry_acked"), (w.sink(), "_rowferry_positions")] {
        let made = format!("SELECT 1 FROM sqlite_schema WHERE name = '{table}'");
        if file.exists() && !w.rows(&file, &made).is_empty() {
            w.sql(&file, &format!("UPDATE {table} SET topic_id = NULL"));
        }
    }
    w.cluster().delete_topic(w.topic());
}

/// Copies the source to another file of the workspace.
pub(crate) fn back_up(w: &Workspace, name: &str) -> PathBuf {
    let copy = w.path(name);
    w.sql(&w.source(), &format!("VACUUM INTO '{}'", copy.display()));
    copy
}

/// Puts a copy in the place of the source.
pub(crate) fn put_back(w: &Workspace, copy: &Path) {
    for rest in ["source.db-wal", "source.db-shm"] {
        let _ = fs::remove_file(w.path(rest)); // there or not
    }
    fs::copy(copy, w.source()).expect("the backup can be copied");
}

/// Waits until the producer has noted all that the source holds as acknowledged.
pub(crate) fn wait_until_shipped(w: &Workspace) {
    let known = "SELECT 1 FROM sqlite_schema WHERE name = '_rowferry_outbox_items'";
    let all = "SELECT count(*) FROM _rowferry_tracked
               WHERE NOT pending AND shipped = ifnull((SELECT max(seq) FROM _rowferry_outbox_items), 0)";
    let shipped = || !w.rows(&w.source(), known).is_empty() && w.number(&w.source(), all) == 1;
    assert!(wait_until(SOON, shipped), "not all was shipped in time");
}

/// A file's name as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the temporary folder has a plain name")
}
