//! Full passes over two partitions.

use super::*;

#[test]
fn what_a_pass_did_not_touch_goes_when_it_has_ended_in_both_partitions() {
    let mut consumer = Consumer::new(2);
    let (run, pass) = (Run(50), Run(60));
    consumer
        .round(&[
            (
                0,
                &[run.begin(Some((40, 1)), None), run.row(2, 1, 10), run.row(3, 3, 30)],
            ),
            (
                1,
                &[run.begin(Some((40, 1)), None), run.row(2, 2, 20), run.row(3, 4, 40)],
            ),
        ])
        .unwrap();
    assert_eq!(consumer.rows(), "1:10 2:20 3:30 4:40");
    assert!(consumer.appliers.iter().all(|applier| applier.position.partial));
    let begin = pass.begin(Some((50, 3)), Some(60));
    consumer
        .round(&[
            (0, &[begin.clone(), pass.row(2, 1, 11), pass.pass_end(3, 60)]),
            (1, &[begin]),
        ])
        .unwrap();
    assert_eq!(consumer.rows(), "1:11 2:20 3:30 4:40", "it has ended in one of them");
    assert!(consumer.appliers.iter().all(|applier| applier.position.partial));
    consumer
        .round(&[(1, &[pass.row(2, 4, 40), pass.pass_end(3, 60)])])
        .unwrap();
    assert_eq!(consumer.rows(), "1:11 4:40");
    assert!(
        consumer.appliers.iter().all(|applier| !applier.position.partial),
        "no rows are missing any more"
    );
    assert!(!consumer.position(0).partial && !consumer.position(1).partial);
}

#[test]
fn partitions_land_beside_one_another_by_key_and_a_gap_stops_all_of_them() {
    let mut consumer = Consumer::new(2);
    consumer.options.print = true;
    let run = Run(50);
    let landed = consumer
        .round(&[
            (0, &[run.begin(None, None), run.row(2, 1, 10), run.row(3, 4, 40)]),
            (1, &[run.begin(None, None), run.row(2, 2, 20), run.row(9, 3, 30)]),
        ])
        .unwrap();
    assert!(
        landed
            .loss
            .unwrap()
            .to_string()
            .contains("partition 1 offset 2: 6 records are missing")
    );
    assert_eq!(
        consumer.rows(),
        "1:10 2:20",
        "4 comes behind the gap in the order of the keys"
    );
    assert_eq!((landed.records, landed.moved), (2, vec![0, 1]));
    let prints = String::from_utf8(landed.prints).unwrap();
    assert_eq!(prints.lines().count(), 2, "{prints}");
    assert!(
        prints.starts_with(r#"{"topic":"t","partition":0,"offset":1,"key":{"id":1},"row":{"id":1,"v":10}}"#),
        "{prints}"
    );
}

#[test]
fn an_answer_without_records_tells_that_the_end_is_reached() {
    let mut consumer = Consumer::new(2);
    consumer.round(&[(0, &[]), (1, &[Run(50).begin(None, None)])]).unwrap();
    assert!(consumer.appliers[0].at_end && !consumer.appliers[1].at_end);
    assert_eq!(
        consumer.round(&[(0, &[])]).unwrap().moved,
        Vec::<usize>::new(),
        "nothing is written for it"
    );
    // Compaction took what stood before offset 2, and there is more behind it.
    let holes = FetchedPartition::made(TopicPartition::new("t", 0), 0, 2, 9, &[]);
    consumer.land_parts(vec![(holes, DecodedRows::default())]).unwrap();
    assert!(!consumer.appliers[0].at_end);
    assert_eq!(consumer.position(0).next_offset, 2);
}
