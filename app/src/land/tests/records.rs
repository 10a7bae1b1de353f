//! What one record after the other does in one partition.

use super::*;
use std::time::Duration;

use crate::error::Kind;
use crate::land::partition_applier::Activity;

#[test]
fn the_next_record_lands_and_resends_and_zombies_are_skipped() {
    let mut consumer = Consumer::new(1);
    let (old, run) = (Run(50), Run(60));
    consumer.land(&[old.begin(None, None), old.row(2, 1, 10), old.row(3, 2, 20)]);
    consumer.land(&[old.row(2, 1, 10), run.begin(Some((50, 3)), None), run.row(2, 2, 21)]);
    consumer.land(&[old.row(4, 2, 22), run.row(2, 2, 21), run.row(3, 3, 30)]);
    assert_eq!(consumer.rows(), "1:10 2:21 3:30");
    let counts = &consumer.appliers[0].counts;
    assert_eq!((counts.landed, counts.skipped, counts.dead_letters), (4, 3, 0));
    let position = consumer.position(0);
    let last = position.last_applied.unwrap();
    assert_eq!((position.next_offset, last.epoch, last.seq), (9, 60, 3));
    assert_eq!(position.last.unwrap().offset, 8);
}

#[test]
fn a_number_that_comes_again_with_other_contents_is_a_loss() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[Run(50).begin(None, None), Run(50).row(2, 1, 10)]);
    let loss = consumer.loss(&[Run(50).row(2, 1, 11)]);
    assert!(loss.contains("another record with number 2 of this run"), "{loss}");
}

#[test]
fn what_came_before_a_gap_lands_and_no_more() {
    let mut consumer = Consumer::new(1);
    let run = Run(50);
    let loss = consumer.loss(&[
        run.begin(None, None),
        run.row(2, 1, 10),
        run.row(5, 2, 20),
        run.row(6, 3, 30),
    ]);
    assert!(
        loss.contains("topic \"t\" partition 0 offset 2: 2 records are missing") && loss.contains("--heal"),
        "{loss}"
    );
    assert_eq!(
        (consumer.rows().as_str(), consumer.position(0).next_offset),
        ("1:10", 2)
    );
    assert_eq!(consumer.appliers[0].counts.landed, 1);
    // It stays one.
    assert!(consumer.loss(&[run.row(5, 2, 20)]).contains("2 records are missing"));
}

#[test]
fn gaps_that_are_allowed_are_counted() {
    let mut consumer = Consumer::new(1);
    consumer.options.allow_gaps = true;
    let run = Run(50);
    consumer.land(&[run.begin(None, None), run.row(5, 2, 20), run.row(6, 3, 30)]);
    assert_eq!(
        (consumer.rows().as_str(), consumer.appliers[0].counts.gaps),
        ("2:20 3:30", 1)
    );
    let loss = consumer.loss(&[run.row(6, 3, 31)]);
    assert!(loss.contains("another record with number 6"), "it is no hole: {loss}");
}

#[test]
fn an_answer_that_begins_before_the_position_lands_from_there() {
    let mut consumer = Consumer::new(1);
    let run = Run(50);
    let (begin, first) = (run.begin(None, None), run.row(2, 1, 10));
    consumer.land(&[begin.clone(), first.clone()]);
    let part = consumer.part(0, 0, &[begin, first, run.row(3, 2, 20)]);
    assert_eq!(consumer.land_parts(vec![part]).unwrap().records, 1);
    assert_eq!(consumer.appliers[0].counts.skipped, 0);
}

#[test]
fn a_first_number_that_begins_no_run_is_no_record_of_ours() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[Run(50).begin(None, None), Run(60).row(1, 1, 10), Run(50).row(2, 2, 20)]);
    assert_eq!(
        (consumer.rows().as_str(), consumer.appliers[0].counts.dead_letters),
        ("2:20", 1)
    );
}

#[test]
fn another_source_is_a_loss_in_each_partition_of_the_topic() {
    let mut consumer = Consumer::new(2);
    consumer.land(&[Run(50).begin(None, None), Run(50).row(2, 1, 10)]);
    let begin = of_another(Run(60).begin(None, None));
    for partition in [0, 1] {
        let landed = consumer.round(&[(partition, std::slice::from_ref(&begin))]).unwrap();
        let loss = landed.loss.unwrap().to_string();
        assert!(loss.contains("another source database (you)"), "{loss}");
    }
}

#[test]
fn a_gap_is_passed_over_to_the_next_full_pass() {
    let mut consumer = Consumer::new(1);
    consumer.options.heal = true;
    let (run, pass) = (Run(50), Run(60));
    consumer.land(&[
        run.begin(None, None),
        run.row(2, 1, 10),
        run.row(5, 2, 20),
        run.row(6, 3, 30),
    ]);
    assert_eq!(consumer.rows(), "1:10");
    assert!(
        consumer.position(0).healing,
        "the next process is to pass over the rest"
    );
    assert_eq!(consumer.appliers[0].activity(), Activity::Skipping);
    // A run that sends only what changed heals nothing.
    consumer.land(&[Run(55).begin(Some((50, 6)), None), Run(55).row(2, 3, 31)]);
    assert_eq!(consumer.appliers[0].counts.passed_over, 4);
    consumer.land(&[
        pass.begin(Some((55, 2)), Some(60)),
        pass.row(2, 2, 20),
        pass.pass_end(3, 60),
    ]);
    assert_eq!(
        (consumer.rows().as_str(), consumer.position(0).healing),
        ("2:20", false)
    );
    assert_eq!(consumer.appliers[0].activity(), Activity::Applying);
}

#[test]
fn the_lost_end_of_a_run_is_a_gap_unless_the_whole_table_follows() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[Run(50).begin(None, None), Run(50).row(2, 1, 10)]);
    let loss = consumer.loss(&[Run(60).begin(Some((50, 7)), None)]);
    assert!(loss.contains("up to 50.7 were sent, up to 50.2 landed"), "{loss}");
    consumer.land(&[
        Run(60).begin(Some((50, 7)), Some(60)),
        Run(60).row(2, 2, 20),
        Run(60).pass_end(3, 60),
    ]);
    assert_eq!(consumer.rows(), "2:20");
}

#[test]
fn what_is_no_row_is_a_dead_letter_and_its_neighbours_land() {
    let mut consumer = Consumer::new(1);
    let run = Run(50);
    let no_row = ("k".to_owned(), "[1".to_owned());
    consumer.land(&[run.begin(None, None), run.row(2, 1, 10), no_row, run.row(3, 2, 20)]);
    assert_eq!(
        (consumer.rows().as_str(), consumer.appliers[0].counts.dead_letters),
        ("1:10 2:20", 1)
    );
    let kept = consumer.query("SELECT \"offset\" || CAST(value AS TEXT) FROM _rowferry_dead_letters");
    assert_eq!(kept.as_deref(), Some("2[1"));
}

#[test]
fn where_what_is_no_row_stops_nothing_of_its_round_lands() {
    let mut consumer = Consumer::new(1);
    consumer.options.on_bad_record = BadRecords::Stop;
    let run = Run(50);
    consumer.land(&[run.begin(None, None), run.row(2, 1, 10)]);
    let no_row = ("k".to_owned(), "[1".to_owned());
    let Err(error) = consumer.round(&[(0, &[run.row(3, 2, 20), no_row])]) else {
        panic!("it landed");
    };
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    assert!(
        error.to_string().contains("topic \"t\" partition 0 offset 3: "),
        "{error}"
    );
    assert_eq!(
        (consumer.rows().as_str(), consumer.appliers[0].counts.landed),
        ("1:10", 1)
    );
    assert_eq!(consumer.position(0).next_offset, 2);
}

#[test]
fn a_tombstone_says_nothing_new_unless_its_deletion_is_gone() {
    let mut consumer = Consumer::new(1);
    let run = Run(50);
    consumer.land(&[
        run.begin(None, None),
        run.row(2, 1, 10),
        run.row(3, 2, 20),
        run.deletion(4, 1),
        tombstone(1),
    ]);
    assert_eq!(consumer.rows(), "2:20");
    assert_eq!(consumer.appliers[0].counts.landed, 3);
    // Compaction took what stood before it.
    let from = consumer.appliers[0].position.next_offset;
    let alone = |consumer: &mut Consumer| {
        let part = consumer.part(0, from + 1, &[tombstone(2)]);
        consumer.land_parts(vec![part]).unwrap()
    };
    let loss = alone(&mut consumer).loss.unwrap().to_string();
    assert!(loss.contains("records are missing before this tombstone"), "{loss}");
    consumer.options.allow_gaps = true;
    assert!(alone(&mut consumer).loss.is_none());
    assert_eq!((consumer.rows().as_str(), consumer.appliers[0].counts.gaps), ("", 1));
}

#[test]
fn a_first_contact_tells_when_rows_before_it_are_missing() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[Run(50).begin(Some((40, 9)), None)]);
    assert!(consumer.position(0).partial);
    let mut consumer = Consumer::new(1);
    consumer.land(&[Run(50).begin(None, None)]);
    assert!(!consumer.position(0).partial);
}

#[test]
fn a_replaced_run_that_goes_on_behind_a_mere_beginning_is_a_loss_in_time() {
    let mut consumer = Consumer::new(1);
    let old = Run(50);
    consumer.land(&[
        old.begin(None, None),
        Run(60).begin(Some((50, 1)), None),
        old.row(2, 1, 10),
    ]);
    let applier = &consumer.appliers[0];
    assert_eq!(applier.goes_on(), Some((50, 60)));
    applier.check_late(Duration::from_secs(60)).unwrap();
    let loss = applier.check_late(Duration::ZERO).unwrap_err().to_string();
    assert!(
        loss.contains("offset 2") && loss.contains("all that is there of run 60 is its beginning"),
        "{loss}"
    );
    // The newer run goes on: so it is no loss, but what follows it is told.
    consumer.land(&[Run(60).row(2, 1, 11)]);
    assert_eq!(consumer.appliers[0].goes_on(), None);
    consumer.land(&[old.row(3, 1, 12)]);
    consumer.appliers[0].check_late(Duration::ZERO).unwrap();
    assert_eq!(consumer.appliers[0].goes_on(), Some((50, 60)));
    consumer.appliers[0].position.healing = true;
    assert_eq!(
        consumer.appliers[0].goes_on(),
        None,
        "the next full pass says what is there"
    );
    consumer.appliers[0].position.healing = false;
    consumer.land(&[Run(60).row(2, 1, 11)]);
    assert_eq!(consumer.appliers[0].goes_on(), None, "what is sent again follows, too");
}

#[test]
fn a_partition_that_is_set_back_passes_over_what_comes_before_a_newer_full_pass() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[
        Run(50).begin(None, Some(50)),
        Run(50).row(2, 1, 10),
        Run(50).pass_end(3, 50),
    ]);
    consumer.appliers[0].set_back(0, None);
    assert_eq!(consumer.appliers[0].activity(), Activity::Skipping);
    consumer.land(&[Run(50).begin(None, Some(50)), Run(50).row(2, 1, 11)]);
    assert_eq!(
        (consumer.rows().as_str(), consumer.appliers[0].counts.passed_over),
        ("1:10", 2)
    );
    consumer.land(&[
        Run(70).begin(None, Some(70)),
        Run(70).row(2, 2, 20),
        Run(70).pass_end(3, 70),
    ]);
    assert_eq!(consumer.rows(), "2:20");
}
