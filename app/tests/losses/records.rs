//! Records that are missing from a log.

use super::shop::*;
use crate::support::*;

#[test]
fn records_that_expired_before_they_were_read_are_found() {
    let w = shop("expired records are named and healed", 200);
    ship_and_land(&w);
    let at = position(&w, w.topic(), HURT);
    change_all(&w);
    w.producer(&[]).ok();
    let kept = w.cluster().latest(w.topic())[HURT as usize] - 10;
    assert!(kept > at, "too few records came to partition {HURT}");
    w.cluster().delete_records(w.topic(), HURT as u32, kept);

    let (last, count) = (kept - 1, kept - at);
    let what = format!("offsets {at} to {last} ({count} records) expired before they were read");
    stops(&w, w.topic(), at, &[&what]);
    heals(&w, w.topic());
}

#[test]
fn records_that_expire_while_the_consumer_sleeps_are_found_when_it_wakes() {
    let w = shop("records that expire under a living consumer are named", 200);
    w.producer(&[]).ok();
    let mut consumer = w.start_consumer(&[]);
    wait_for_rows(&w, 200);
    consumer.signal(libc::SIGSTOP);
    // The request that waits at the broker is answered by the first run at most: the second comes
    // to nobody.
    for _ in 0..2 {
        change_all(&w);
        w.producer(&[]).ok();
    }
    let end = w.cluster().latest(w.topic())[HURT as usize];
    w.cluster().delete_records(w.topic(), HURT as u32, end);
    consumer.signal(libc::SIGCONT);
    let run = consumer.wait(SOON).code(3);
    run.says(&place(w.topic()))
        .says("expired before they were read")
        .says(WAY_OUT);
    let at = position(&w, w.topic(), HURT);
    assert!(at < end, "the consumer had read all before it expired");
    stops(
        &w,
        w.topic(),
        at,
        &[&format!("offsets {at} to {} ({} records)", end - 1, end - at)],
    );
    heals(&w, w.topic());
}

#[test]
fn a_batch_taken_out_of_the_middle_is_found() {
    let w = shop("missing numbers within a run are named with offset and count", 300);
    w.producer(&[]).ok();
    let copy = copy_topic(&w, &|partition, offset| {
        partition != HURT || !(40..60).contains(&offset)
    });
    let what = "20 records are missing before this one (number 61 follows 40)";
    stops(&w, &copy, 40, &[&format!("offset 40: {what}")]);
    heals(&w, &copy);
}

#[test]
fn the_beginning_of_a_run_taken_out_is_found() {
    let w = shop("a run without its first records is named", 100);
    w.producer(&[]).ok();
    let end = w.cluster().latest(w.topic())[HURT as usize];
    change_all(&w);
    w.producer(&[]).ok();
    let copy = copy_topic(&w, &|partition, offset| {
        partition != HURT || !(end..end + 5).contains(&offset)
    });
    stops(
        &w,
        &copy,
        end,
        &["the first 5 records of run", &format!("offset {end}")],
    );
    heals(&w, &copy);
}

#[test]
fn the_lost_end_of_a_run_is_found_when_the_next_run_begins() {
    let w = shop("acknowledged records that are gone are named by the next run", 200);
    w.producer(&[]).ok();
    let end = w.cluster().latest(w.topic())[HURT as usize];
    change_all(&w);
    w.producer(&[]).ok();
    let copy = copy_topic(&w, &|partition, offset| {
        partition != HURT || !(end - 7..end).contains(&offset)
    });
    let what = "records that the broker had acknowledged are gone";
    stops(
        &w,
        &copy,
        end - 7,
        &[&format!("offset {}: {what}", end - 7), "(7 records are missing)"],
    );
    heals(&w, &copy);
}

#[test]
fn heal_without_a_full_pass_says_what_is_still_to_do() {
    let w = shop("--heal alone brings nothing back and says so", 100);
    w.producer(&[]).ok();
    let copy = copy_topic(&w, &|partition, offset| {
        partition != HURT || !(10..20).contains(&offset)
    });
    let topic = ["--topic", &copy, "--until-caught-up"];
    for heal in [&["--heal"][..], &["--heal"], &[]] {
        let run = w.consumer(&[&topic[..], heal].concat()).code(3);
        run.says("no full pass follows the gap")
            .says("way out: run `producer --backfill`, then `consumer --heal` again");
    }
    heals(&w, &copy);
}
