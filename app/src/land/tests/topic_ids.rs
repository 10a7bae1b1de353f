//! A topic's id, where the brokers tell it.

use super::assignment_run::{Landing, full_pass};
use super::*;
use crate::model::TopicId;

fn noted(landing: &Landing) -> Option<TopicId> {
    landing.consumer.sink.positions("t").unwrap()[0].topic_id
}

#[test]
fn another_id_is_another_log_though_the_same_records_stand_in_it() {
    let landing = Landing::new(1);
    landing.brokers.identify("t", 1);
    landing.catch_up(&[0]);
    assert_eq!(noted(&landing), TopicId::of([1; 16]));
    landing.brokers.identify("t", 2);
    let loss = landing.loss(&|_| {});
    assert!(
        loss.contains("offset 2 of a topic with the id AQ") && loss.contains("was made anew"),
        "{loss}"
    );
    assert_eq!(
        (noted(&landing), landing.next_offset(0)),
        (TopicId::of([1; 16]), Some(3))
    );
    landing.put(0, &full_pass());
    landing.catch_up(&[0]);
    assert_eq!(landing.rows(), "2:21 3:30 4:40");
    assert_eq!(noted(&landing), TopicId::of([2; 16]));
}

#[test]
fn an_id_that_is_told_for_the_first_time_or_no_more_is_no_other() {
    let landing = Landing::new(1);
    landing.catch_up(&[0]);
    assert_eq!(noted(&landing), None);
    for told in [Some(1), None, Some(1)] {
        match told {
            Some(byte) => landing.brokers.identify("t", byte),
            None => landing.brokers.state().topic_ids.clear(),
        }
        let counts = landing.catch_up(&[0]).counts;
        assert_eq!((counts.landed, counts.skipped), (0, 0));
        // It is noted though nothing comes, and kept.
        assert_eq!(noted(&landing), TopicId::of([1; 16]));
    }
    // A log made anew while no id is told is another one by its records, and none is known of it.
    landing.brokers.state().topic_ids.clear();
    landing.make_anew(&full_pass());
    landing.catch_up(&[0]);
    assert_eq!(noted(&landing), None);
    landing.brokers.identify("t", 3);
    landing.catch_up(&[0]);
    assert_eq!(
        (noted(&landing), landing.rows().as_str()),
        (TopicId::of([3; 16]), "2:21 3:30 4:40")
    );
}

#[test]
fn a_living_consumer_sees_another_id_when_its_topic_was_away() {
    let landing = Landing::following(1);
    landing.brokers.identify("t", 1);
    let change = landing.when_at(0, 3, |_| {
        landing.brokers.identify("t", 2);
        landing
            .brokers
            .state()
            .faults
            .push_back(crate::broker::fake::Fault::Refused);
        landing.put(0, &full_pass());
    });
    let look = |over: &Stop| {
        change(over);
        if landing.next_offset(0) == Some(8) && noted(&landing) == TopicId::of([2; 16]) {
            over.request();
        }
    };
    landing.run(&[0], &look).unwrap();
    assert_eq!(landing.rows(), "2:21 3:30 4:40");
}

#[test]
fn a_partition_that_comes_from_another_member_is_taken_from_the_pass_that_landed_here() {
    let landing = Landing::new(2);
    landing.brokers.identify("t", 1);
    landing.catch_up(&[0, 1]);
    landing.brokers.identify("t", 2);
    landing.put(0, &full_pass());
    landing.put(1, &[full_pass()[0].clone()]);
    let past = |over: &Stop| {
        if landing.next_offset(0) == Some(8) {
            over.request();
        }
    };
    landing.run(&[0], &past).unwrap();
    landing.catch_up(&[0, 1]);
    assert_eq!(landing.next_offset(1), Some(2));
}
