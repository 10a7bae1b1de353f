//! First contact in the middle, and logs with holes on purpose.

use std::time::Duration;

use super::shop::*;
use crate::support::*;

#[test]
fn a_topic_whose_beginning_has_expired_lands_and_says_what_is_missing() {
    let w = shop("rows from before the first contact are named", 100);
    w.producer(&[]).ok();
    w.cluster().delete_records(w.topic(), HURT as u32, 20);
    let told = format!(
        "{}: rows from before the first contact are missing; `producer --backfill` brings them",
        place(w.topic())
    );
    let run = w.consumer(&["--until-caught-up"]).ok().says(&told);
    run.never_says(&format!("topic \"{}\" partition 0: rows from before", w.topic()));
    let landed = w.number(&w.sink(), "SELECT count(*) FROM items");
    assert_eq!(landed, 100 - 19, "offset 0 holds the schema, 1 to 19 a row each");
    w.consumer(&["--until-caught-up"]).ok().says(&told);
    the_backfill_brings_the_rest(&w);
}

#[test]
fn from_latest_lands_what_comes_and_says_what_is_missing() {
    let w = shop("--from latest is whole after a backfill", 100);
    w.producer(&[]).ok();
    let run = w.consumer(&["--from", "latest", "--until-caught-up"]).ok();
    run.says("rows from before the first contact are missing; `producer --backfill` brings them");
    w.sql(
        &w.source(),
        &format!("UPDATE items SET price = -1 WHERE id <= 50; {}", more_items(101, 20)),
    );
    w.producer(&[]).ok();
    let run = w.consumer(&["--from", "latest", "--until-caught-up"]).ok();
    run.says("rows from before the first contact are missing; `producer --backfill` brings them");
    assert_eq!(w.number(&w.sink(), "SELECT count(*) FROM items"), 70);
    the_backfill_brings_the_rest(&w);
}

#[test]
fn from_latest_in_the_middle_of_a_run_is_whole_after_a_backfill() {
    let w = shop("--from latest between two records of a run", 100);
    let mut producer = w.start_producer(&["--follow"]);
    wait_until_shipped(&w);
    w.consumer(&["--from", "latest", "--until-caught-up"]).ok();
    w.sql(
        &w.source(),
        "UPDATE items SET price = -1 WHERE id <= 30; DELETE FROM items WHERE id BETWEEN 21 AND 25",
    );
    wait_until_shipped(&w);
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("rows from before the first contact are missing");
    producer.signal(libc::SIGINT);
    producer.wait(SOON).ok();
    the_backfill_brings_the_rest(&w);
}

#[test]
fn holes_of_a_compacted_topic_stop_the_consumer_unless_they_are_allowed() {
    let w = shop("--allow-gaps lands a compacted topic", 40);
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"), // small ones; from 4 on no segment is below 1 MiB by its size
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    w.cluster().create_topic(w.topic(), 1, &settings);
    ship_and_land(&w);
    let at = position(&w, w.topic(), 0);
    // Deletions among it: compaction leaves the tombstone and takes the deletion before it.
    w.sql(&w.source(), "DELETE FROM items WHERE id > 35");
    w.producer(&[]).ok();
    for _ in 0..12 {
        change_all(&w);
        w.producer(&[]).ok();
    }
    let from = at.to_string();
    let read = ["-C", "-t", w.topic(), "-p", "0", "-o", &from, "-e", "-q", "-f", "%o\n"];
    let end = w.cluster().latest(w.topic())[0];
    let left = || kcat(w.cluster(), &read, b"").lines().count() as i64;
    assert!(
        wait_until(Duration::from_secs(90), || left() < end - at - 100),
        "the broker compacts nothing"
    );

    let hole = format!("topic \"{}\" partition 0 offset", w.topic());
    for _ in 0..2 {
        w.consumer(&["--until-caught-up"]).code(3).says(&hole).says(WAY_OUT);
        assert_eq!(position(&w, w.topic(), 0), at, "the hole was stepped over");
    }
    let allowed = ["--until-caught-up", "--allow-gaps"];
    w.consumer(&allowed)
        .ok()
        .says("holes in the log were allowed (--allow-gaps)");
    assert_equal(&w);
    // A sink that sees the topic for the first time needs the same leave, and has the same rows
    // then.
    let fresh = w.path("fresh.db");
    let fresh = ["--sink", text(&fresh)];
    w.consumer(&[&fresh[..], &["--until-caught-up"]].concat())
        .code(3)
        .says(&hole);
    w.consumer(&[&fresh[..], &allowed].concat()).ok();
    w.verify(&fresh).ok().says("equal");
}
