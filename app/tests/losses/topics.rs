//! Logs that were made anew or cut off.

use super::shop::*;
use crate::support::*;

#[test]
fn a_topic_made_anew_before_the_next_run_is_found_by_both_sides() {
    let w = shop("a topic made anew is named on both sides", 200);
    ship_and_land(&w);
    let at = position(&w, w.topic(), 0);
    delete_topic(&w);
    let gone = w.consumer(&["--until-caught-up"]).code(3);
    let gone = gone.says(&format!("topic \"{}\" is gone from the broker", w.topic()));
    gone.says("way out: run `producer --backfill`, which makes it anew, then `consumer --heal`");

    w.cluster().create_topic(w.topic(), 3, &[]);
    change_all(&w);
    for _ in 0..2 {
        let run = w.producer(&["--strict"]).code(3);
        let run = run.says(&format!(
            "topic \"{}\" partition 0: the broker acknowledged records up to offset",
            w.topic()
        ));
        run.says("but the log ends at 0: the topic was made anew")
            .says("way out: run `producer --backfill`");
    }
    assert_eq!(w.cluster().latest(w.topic()), [0, 0, 0], "the producer stepped over it");
    let told = format!(
        "topic \"{}\" partition 0: this sink has read up to offset {at}, but the log ends at 0",
        w.topic()
    );
    for _ in 0..2 {
        w.consumer(&["--until-caught-up"])
            .code(3)
            .says(&told)
            .says("the topic was made anew")
            .says(WAY_OUT);
        assert_eq!(position(&w, w.topic(), 0), at);
    }
    // A full pass in the new log brings every row and tells which are gone: it needs no --heal.
    w.sql(&w.source(), "DELETE FROM items WHERE id % 7 = 3");
    w.producer(&[]).ok().says("the topic was made anew");
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("the topic was made anew")
        .says("a full pass of its source begins at");
    assert_equal(&w);
    heals(&w, w.topic());
}

#[test]
fn a_topic_made_anew_while_the_consumer_lives_is_found() {
    let w = shop("a topic made anew under a living consumer is named", 200);
    w.producer(&[]).ok();
    let consumer = w.start_consumer(&[]);
    wait_for_rows(&w, 200);
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 3, &[]);
    let run = consumer.wait(SOON).code(3);
    run.says(&format!("topic \"{}\" partition", w.topic()))
        .says("the topic was made anew")
        .says(WAY_OUT);
    heals(&w, w.topic());
}

#[test]
fn a_topic_made_anew_and_filled_beyond_the_old_position_is_found() {
    let w = shop("new records at old offsets are not taken for the next ones", 50);
    ship_and_land(&w);
    let at = position(&w, w.topic(), HURT);
    delete_topic(&w);
    w.sql(&w.source(), &more_items(51, 500));
    w.producer(&["--backfill"]).ok();
    assert!(
        w.cluster().latest(w.topic()).into_iter().all(|end| end > at),
        "the new log is too short for this test"
    );
    let run = w.consumer(&["--until-caught-up"]).ok().says("the topic was made anew");
    run.says(&format!("topic \"{}\" partition", w.topic()))
        .says("another record stands at offset")
        .says("a full pass of its source begins at");
    assert_equal(&w);
    heals(&w, w.topic());
}

#[test]
fn a_topic_made_anew_with_fewer_partitions_is_found() {
    let w = shop("a topic with fewer partitions than before is named", 50);
    ship_and_land(&w);
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 1, &[]);
    let told = format!(
        "topic \"{}\" has 1 partitions, but this sink has landed records of partition 1",
        w.topic()
    );
    for heal in [&["--until-caught-up"][..], &["--until-caught-up", "--heal"]] {
        w.consumer(heal)
            .code(3)
            .says(&told)
            .says("way out: land the new topic in another --sink");
    }
    w.producer(&["--strict"]).code(3).says("the topic was made anew");
    w.producer(&[]).ok().says("the topic was made anew");
    let other = w.path("other.db");
    let other = text(&other);
    w.consumer(&["--sink", other, "--until-caught-up"]).ok();
    w.verify(&["--sink", other]).ok().says("equal");
    // From there it goes on: the partitions that are gone are asked for no more.
    change_all(&w);
    w.producer(&[]).ok();
    w.consumer(&["--sink", other, "--until-caught-up"]).ok();
    w.verify(&["--sink", other]).ok().says("equal");
}

#[test]
fn the_lost_end_of_a_log_is_found_by_the_producer_before_it_sends_anything() {
    let w = shop("a log that is shorter than what was acknowledged is named", 200);
    w.producer(&[]).ok();
    let copy = copy_topic(&w, &|_, _| true);
    let ends = w.cluster().latest(w.topic());
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 3, &[]);
    let kept = ends[HURT as usize] - 7;
    pour(&w, &copy, w.topic(), &|partition, offset| {
        partition != HURT || offset < kept
    });
    w.consumer(&["--until-caught-up"]).ok();
    change_all(&w);
    let run = w.producer(&[]).code(3);
    let run = run.says(&format!(
        "{}: the broker acknowledged records up to offset {}",
        place(w.topic()),
        kept + 6
    ));
    run.says(&format!("but the log ends at {kept}"))
        .says("way out: run `producer --backfill`");
    heals(&w, w.topic());
}

#[test]
fn the_lost_end_of_a_log_with_several_full_passes_in_it_is_found_and_healed() {
    let w = shop("a log that is read again holds passes that have landed", 200);
    ship_and_land(&w);
    w.producer(&["--backfill"]).ok();
    w.producer(&["--backfill"]).ok();
    change_all(&w);
    ship_and_land(&w);
    let copy = copy_topic(&w, &|_, _| true);
    let at = position(&w, w.topic(), HURT);
    let kept = at - 7;
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 3, &[]);
    pour(&w, &copy, w.topic(), &|partition, offset| {
        partition != HURT || offset < kept
    });
    let told = format!("this sink has read up to offset {at}, but the log ends at {kept}");
    stops(&w, w.topic(), at, &[&told]);
    heals(&w, w.topic());
}
