//! Copies of a source beside their original.

use super::*;

/// What a producer says that meets the runs of a living copy.
const COPY: &str = "a copy of the file is shipped too";

#[test]
fn a_source_that_is_copied_while_it_is_followed_stops_at_the_copys_run() {
    let w = shop("of two living copies, each is told of the other", 200);
    let mut ferry = Ferry::start(&w, &[], &[]);
    ferry.wait_until_equal("the start");
    wait_until_shipped(&w);
    let copy = back_up(&w, "copy.db");
    w.sql(&copy, "UPDATE items SET name = 'there' WHERE id % 2 = 0");
    w.producer(&["--source", text(&copy)]).ok();
    w.sql(&w.source(), "UPDATE items SET name = 'here' WHERE id % 3 = 0");
    let stopped = ferry.producer.wait(SOON).code(3).says(COPY).says("offset");
    stopped.says("stop the other copy").says("producer --new-identity");
    ferry.consumer.signal(libc::SIGTERM);
    ferry.consumer.wait(SOON).ok();
    // The one that goes on is the one that counts.
    becomes_equal(&w).says(AGAIN);
    // The other one becomes a source of its own.
    w.command("producer")
        .args(["--new-identity", "--source", text(&copy)])
        .status()
        .expect("it runs");
    let (topic, sink) = (format!("{}-copy", w.topic()), w.path("copy-sink.db"));
    let sink = text(&sink);
    w.producer(&["--source", text(&copy), "--topic", &topic]).ok();
    w.consumer(&["--topic", &topic, "--sink", sink, "--until-caught-up"])
        .ok();
    w.verify(&["--source", text(&copy), "--sink", sink]).ok().says("equal");
    assert_equal(&w);
    change_some(&w, 1);
    becomes_equal(&w);
}

#[test]
fn of_two_copies_that_follow_the_one_that_was_overtaken_stops_and_both_can_go_on_in_turn() {
    let w = shop("copies never skip each other's rows in silence", 100);
    ship_and_land(&w);
    let copy = back_up(&w, "copy.db");
    let files = [w.source(), copy];
    let mut follower = w.start_producer(&["--follow", "--source", text(&files[0])]);
    follower.wait_for_line("rows to ship", SOON);
    for round in 1..5 {
        let next = &files[round % 2];
        w.sql(
            next,
            &format!("UPDATE items SET name = 'round {round}' WHERE id % 2 = {round} % 2"),
        );
        let other = std::mem::replace(&mut follower, w.start_producer(&["--follow", "--source", text(next)]));
        follower.wait_for_line("rows to ship", SOON);
        w.sql(&files[(round + 1) % 2], "UPDATE items SET price = price + 1");
        other.wait(SOON).code(3).says(COPY);
        w.consumer(&["--until-caught-up"]).ok();
    }
    follower.signal(libc::SIGTERM);
    follower.wait(SOON).ok();
    w.consumer(&["--until-caught-up"]).ok();
    w.verify(&["--source", text(&files[0])]).ok().says("equal");
}

#[test]
fn a_copy_that_was_shipped_between_two_runs_of_its_original_is_overtaken_by_it() {
    let w = shop("whose run is the last, that file is what the sink holds", 100);
    ship_and_land(&w);
    let copy = back_up(&w, "copy.db");
    for round in 0..3 {
        w.sql(
            &w.source(),
            &format!("UPDATE items SET name = 'here {round}' WHERE id % 2 = 0"),
        );
        w.sql(
            &copy,
            &format!("UPDATE items SET name = 'there {round}' WHERE id % 3 = 0"),
        );
        w.producer(&["--source", text(&copy)]).ok();
        becomes_equal(&w).says(AGAIN);
        w.producer(&["--source", text(&copy)]).ok().says(AGAIN);
        w.consumer(&["--until-caught-up"]).ok();
        w.verify(&["--source", text(&copy)]).ok().says("equal");
    }
}

#[test]
fn copies_that_begin_at_the_same_time_end_with_one_of_them() {
    let w = shop("of runs that begin at once, one is the last in all partitions", 100);
    ship_and_land(&w);
    let copies = [w.source(), back_up(&w, "one.db"), back_up(&w, "two.db")];
    for round in 0..6 {
        for (number, copy) in copies.iter().enumerate() {
            w.sql(
                copy,
                &format!("UPDATE items SET name = 'round {round} of {number}' WHERE id % 4 <> {number}"),
            );
        }
        let runs = copies
            .each_ref()
            .map(|copy| w.start_producer(&["--source", text(copy)]));
        for run in runs {
            let run = run.wait(SOON);
            // Who was overtaken in mid-flight says so.
            match run.status.code() {
                Some(0) => {}
                _ => drop(run.code(3).says(COPY)),
            }
        }
        w.consumer(&["--until-caught-up"]).ok();
        becomes_equal(&w);
    }
}

#[test]
fn an_idle_original_is_told_of_its_copys_run_too() {
    let w = shop("who has nothing to send looks behind what was sent last", 100);
    let original = w.start_producer(&["--follow"]);
    wait_until_shipped(&w);
    let copy = back_up(&w, "copy.db");
    w.sql(&copy, "UPDATE items SET name = 'there'");
    w.producer(&["--source", text(&copy)]).ok();
    original.wait(SOON).code(3).says(COPY);
    w.consumer(&["--until-caught-up"]).ok();
    becomes_equal(&w);
}
