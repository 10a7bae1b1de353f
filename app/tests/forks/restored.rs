//! Sources that were put back from a backup, while nobody ran and under a living producer.

use super::*;

#[test]
fn a_backup_that_was_taken_while_a_run_went_on_is_put_back() {
    for journal in ["DELETE", "WAL"] {
        let w = shop("what the file has forgotten is sent again", 1000);
        w.sql(&w.source(), &format!("PRAGMA journal_mode = {journal}"));
        let mut ferry = Ferry::start(&w, &[], &[]);
        ferry.wait_until_equal("the start");
        change_some(&w, 1);
        wait_until_shipped(&w);
        let backup = take_backup(&w, "backup.db");
        for round in 2..5 {
            change_some(&w, round);
        }
        ferry.end();
        put_back(&w, &backup);
        let run = becomes_equal(&w).says(AGAIN);
        run.never_says("all rows are sent again");
        w.producer(&[]).ok().says("0 rows shipped").never_says(AGAIN);
        change_some(&w, 7);
        becomes_equal(&w);
    }
}

#[test]
fn a_backup_that_was_taken_between_runs_is_put_back_though_nothing_changes_in_it_any_more() {
    let w = shop("a source that was put back mends its sink by itself", 300);
    ship_and_land(&w);
    let backup = back_up(&w, "backup.db");
    for round in 1..4 {
        change_some(&w, round);
        ship_and_land(&w);
    }
    for _ in 0..2 {
        put_back(&w, &backup);
        becomes_equal(&w).says(AGAIN);
    }
}

#[test]
fn a_source_is_rewound_under_a_living_producer() {
    for journal in ["DELETE", "WAL"] {
        let w = shop("a file that changes under a producer begins a new run", 500);
        w.sql(&w.source(), &format!("PRAGMA journal_mode = {journal}"));
        let mut ferry = Ferry::start(&w, &[], &[]);
        ferry.wait_until_equal("the start");
        let mut backup = take_backup(&w, "backup-0.db");
        for round in 1..6 {
            change_some(&w, 2 * round);
            ferry.wait_until_equal("changes that will be forgotten");
            copy_over(&backup, &w.source());
            w.sql(&w.source(), "UPDATE items SET price = -price WHERE id % 20 = 7");
            ferry.wait_until_equal("a rewind and some changes");
            change_some(&w, 2 * round + 1);
            ferry.wait_until_equal("changes after a rewind");
            backup = take_backup(&w, &format!("backup-{round}.db"));
        }
        let (producer, _) = ferry.end();
        producer.says("a new run begins");
    }
}

#[test]
fn a_source_is_rewound_at_any_moment_under_a_writer() {
    let w = shop("whenever it is rewound, the sink follows", 200);
    let mut random = Random::new();
    let mut ferry = Ferry::start(&w, &["--batch-rows", "7"], &[]);
    ferry.wait_until_equal("the start");
    let writer = Writer::start(&w.source(), random.next(), |connection, random, number| {
        let id = random.below(60);
        connection.execute_batch(&match random.below(4) {
            0 => format!("DELETE FROM items WHERE id = {id}"),
            1 => format!("UPDATE items SET id = {} WHERE id = {id}", 1000 + number),
            _ => format!("INSERT OR REPLACE INTO items VALUES ({id}, 'n{number}', {number})"),
        })
    });
    for round in 0..25 {
        let backup = take_backup(&w, &format!("backup-{round}.db"));
        writer.wait_for_more(random.below(12));
        copy_over(&backup, &w.source());
        writer.wait_for_more(1 + random.below(40));
        std::thread::sleep(Duration::from_millis(random.below(300)));
    }
    writer.stop();
    ferry.wait_until_equal("25 rewinds");
    ferry.end();
}

#[test]
fn a_source_put_back_from_before_a_full_pass_or_in_another_shape_sends_all_rows() {
    for forgotten in [
        "SELECT 1",
        "ALTER TABLE items ADD COLUMN colour",
        "ALTER TABLE items DROP COLUMN price",
        "ALTER TABLE items RENAME COLUMN id TO number",
    ] {
        let w = shop("what cannot be told key by key is sent whole", 200);
        ship_and_land(&w);
        let backup = back_up(&w, "backup.db");
        w.sql(&w.source(), forgotten);
        w.producer(&["--backfill"]).ok();
        w.consumer(&["--until-caught-up"]).ok();
        put_back(&w, &backup);
        becomes_equal(&w).says("all rows are sent again");
        becomes_equal(&w).never_says("all rows are sent again");
    }
}

#[test]
fn a_source_put_back_after_its_topic_has_grown_mends_its_sink() {
    let w = shop("keys that have moved meanwhile are sent where they belong", 200);
    ship_and_land(&w);
    let backup = back_up(&w, "backup.db");
    w.cluster().add_partitions(w.topic(), 5);
    for round in 1..4 {
        change_some(&w, round);
        ship_and_land(&w);
    }
    put_back(&w, &backup);
    change_some(&w, 9);
    becomes_equal(&w).says(AGAIN);
}

#[test]
fn where_the_log_does_not_hold_all_that_was_forgotten_all_rows_are_sent() {
    let w = shop("an expired tail cannot be known", 200);
    ship_and_land(&w);
    let backup = back_up(&w, "backup.db");
    change_all(&w);
    w.sql(&w.source(), "DELETE FROM items WHERE id % 3 = 0");
    ship_and_land(&w);
    let end = w.cluster().latest(w.topic())[HURT as usize];
    w.cluster().delete_records(w.topic(), HURT as u32, end - 2);
    put_back(&w, &backup);
    becomes_equal(&w).says("expired, and what they held is not known: all rows are sent again");
}

#[test]
fn a_source_put_back_from_before_its_first_run_is_another_one() {
    let w = shop("a source that was never shipped is another one", 100);
    let backup = back_up(&w, "backup.db");
    ship_and_land(&w);
    put_back(&w, &backup);
    w.producer(&[]).ok();
    stops_anywhere(&w, "this record comes from another source database");
    heals(&w, w.topic());
}

#[test]
fn a_source_that_is_only_read_overtakes_every_run_of_its_own_in_the_log() {
    let w = shop("the log decides which run is newer, not the clock", 100);
    w.producer(&["--capture", "none"]).ok();
    // As if the clock had been a day ahead then.
    let ahead = format!("{}-ahead", w.topic());
    w.cluster().create_topic(&ahead, 3, &[]);
    let day = 86_400_000_000_u64;
    for partition in ["0", "1", "2"] {
        let read = ["-C", "-t", w.topic(), "-p", partition, "-e", "-q", "-f", "%k\t%s\n"];
        let text = kcat(w.cluster(), &read, b"");
        let epoch = text
            .split("\"_ferry\":\"ro-")
            .nth(1)
            .and_then(|rest| rest.split('.').nth(1));
        let epoch: u64 = epoch.expect("a stamp").parse().expect("an epoch");
        let text = text.replace(&epoch.to_string(), &(epoch + day).to_string());
        kcat(
            w.cluster(),
            &["-P", "-t", &ahead, "-p", partition, "-K", "\t"],
            text.as_bytes(),
        );
    }
    let to = ["--topic", ahead.as_str()];
    w.consumer(&[&to[..], &["--until-caught-up"]].concat()).ok();
    assert_equal(&w);
    for round in 1..4 {
        change_some(&w, round);
        w.producer(&[&to[..], &["--capture", "none"]].concat()).ok();
        w.consumer(&[&to[..], &["--until-caught-up"]].concat())
            .ok()
            .never_says("skipped");
        assert_equal(&w);
    }
}
