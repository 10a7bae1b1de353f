//! Files that take the place of a source under a living producer.

use std::fs;

use super::*;

#[test]
fn another_file_in_the_place_of_the_source_is_noticed_and_shipped() {
    let w = shop("what is shipped is what the path leads to", 200);
    let mut ferry = Ferry::start(&w, &[], &[]);
    ferry.wait_until_equal("the start");
    for round in 1..4 {
        let other = back_up(&w, "other.db");
        w.sql(
            &other,
            &format!("UPDATE items SET name = 'other {round}' WHERE id % 2 = 0"),
        );
        change_some(&w, round);
        ferry.wait_until_equal("changes that will be gone");
        for rest in ["source.db-wal", "source.db-shm", "source.db-journal"] {
            let _ = fs::remove_file(w.path(rest)); // there or not
        }
        fs::rename(&other, w.source()).expect("it can be renamed");
        ferry.wait_until_equal("another file in its place");
        w.sql(&w.source(), "UPDATE items SET price = price + 1 WHERE id % 7 = 1");
        ferry.wait_until_equal("changes in it");
    }
    let (producer, _) = ferry.end();
    producer
        .says("another file has taken its place")
        .says("a new run begins");
}

#[test]
fn a_source_that_is_removed_stops_its_idle_producer() {
    let w = shop("who has no file says so", 50);
    let producer = w.start_producer(&["--follow"]);
    wait_until_shipped(&w);
    let away = w.path("away.db");
    fs::rename(w.source(), &away).expect("it can be renamed");
    let stopped = producer.wait(SOON).code(1);
    stopped
        .says("was removed or renamed while the producer ran")
        .says("way out: put it back");
    fs::rename(&away, w.source()).expect("it can be renamed");
    w.sql(&w.source(), "UPDATE items SET price = 0");
    becomes_equal(&w);
}
