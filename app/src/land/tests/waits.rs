//! Partitions that wait for others, and for partitions that the brokers do not know yet.

use std::time::{Duration, Instant};

use super::*;
use crate::land::partition_applier::{Activity, Wait};
use crate::land::waiting::{Brokers, Waiting};

/// What the brokers say: how many partitions there are, and the bounds of each.
struct Said(i32, Vec<(i64, i64)>);

impl Brokers for Said {
    fn partitions(&self, _: &str) -> Result<Option<i32>> {
        Ok(Some(self.0))
    }

    fn bounds(&self, _: &str, partitions: &[i32]) -> Result<Vec<(i64, i64)>> {
        assert!(!partitions.is_empty());
        Ok(self.1.clone())
    }
}

impl Consumer {
    fn let_go(&mut self, said: &Said) -> bool {
        let (appliers, topics) = (&mut self.appliers, &mut self.topics);
        Waiting::new().let_go(appliers, topics, &self.sink, said).unwrap()
    }

    fn waits(&self, partition: usize) -> bool {
        self.appliers[partition].activity() == Activity::Waiting
    }
}

/// The first record of run 60, which sends to so many partitions, others than runs before it.
pub(super) fn moved(partitions: i32) -> Record {
    let header = RunHeader {
        acked: Some((50, 1)),
        full: false,
        partitions: Some(partitions),
        repartitioned_at: Some(60),
    };
    Run(60).begin_as(header, None)
}

/// Two partitions of which the second waits at the beginning of run 60.
fn waiting() -> Consumer {
    let mut consumer = Consumer::new(2);
    let begin = [Run(50).begin(None, None)];
    consumer.round(&[(0, &begin), (1, &begin)]).unwrap();
    consumer.round(&[(1, &[moved(2), Run(60).row(2, 7, 70)])]).unwrap();
    assert!(consumer.waits(1) && !consumer.waits(0));
    consumer
}

#[test]
fn no_partition_goes_on_into_a_run_that_moved_keys_before_the_others_have_come_to_it() {
    let mut consumer = waiting();
    assert_eq!(
        consumer.position(1).reached,
        Some(60),
        "the others can see where it waits"
    );
    assert_eq!((consumer.position(1).next_offset, consumer.rows().as_str()), (1, ""));
    // There is more in the log of the other one.
    let said = Said(2, vec![(0, 3), (0, 2)]);
    assert!(!consumer.let_go(&said) && consumer.waits(1));
    consumer.land(&[Run(50).row(2, 7, 69), moved(2)]);
    assert!(!consumer.waits(0), "the other one waits before that run itself");
    assert!(consumer.let_go(&said) && !consumer.waits(1));
    consumer.round(&[(1, &[moved(2), Run(60).row(2, 7, 70)])]).unwrap();
    assert_eq!((consumer.rows().as_str(), consumer.position(1).reached), ("7:70", None));
}

#[test]
fn a_partition_that_has_landed_all_of_its_log_is_not_waited_for() {
    let mut consumer = waiting();
    assert!(consumer.let_go(&Said(2, vec![(0, 1), (0, 2)])));
    consumer.round(&[(1, &[moved(2), Run(60).row(2, 7, 70)])]).unwrap();
    assert!(!consumer.waits(1), "it waits for the same no second time");
    assert_eq!(consumer.rows(), "7:70");
    // Nor does the next process, where it is sent again.
    consumer.appliers[1].waits.forget();
    consumer.round(&[(1, &[moved(2)])]).unwrap();
    assert!(!consumer.waits(1));
}

#[test]
fn the_ends_of_the_others_are_asked_once_in_a_wait() {
    let mut consumer = waiting();
    assert!(!consumer.let_go(&Said(2, vec![(0, 3), (0, 2)])));
    assert!(
        !consumer.let_go(&Said(2, vec![(0, 1), (0, 2)])),
        "it held more when the wait began"
    );
    consumer.land(&[Run(50).row(2, 1, 10), Run(50).row(3, 2, 20)]);
    assert!(
        consumer.let_go(&Said(2, vec![(0, 9), (0, 2)])),
        "what came later is none of its business"
    );
}

#[test]
fn partitions_of_which_a_record_speaks_are_waited_for_and_a_record_that_lies_is_a_dead_letter() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[Run(50).begin(None, None)]);
    consumer.land(&[moved(2)]);
    assert!(consumer.waits(0));
    let said = Said(1, vec![(0, 2)]);
    assert!(!consumer.let_go(&said), "the broker may still learn of them");
    // Time has passed.
    let long_ago = Instant::now().checked_sub(Duration::from_secs(11)).unwrap();
    let claimed = 2;
    consumer.appliers[0].waits.current = Some(Wait::Partitions {
        claimed,
        since: long_ago,
    });
    assert!(consumer.let_go(&said));
    consumer.land(&[moved(2)]);
    assert_eq!(consumer.appliers[0].counts.dead_letters, 1);
    let reason = consumer.query("SELECT reason FROM _rowferry_dead_letters").unwrap();
    assert_eq!(reason, "the run is said to send to 2 partitions, and the topic has 1");
    // The next liar is given no time.
    consumer.land(&[moved(3)]);
    assert!(consumer.waits(0) && consumer.let_go(&said));
    consumer.land(&[moved(3)]);
    assert_eq!(consumer.appliers[0].counts.dead_letters, 2);
    // And one that told the truth goes on, as far as the others have come.
    consumer.land(&[moved(2)]);
    assert!(consumer.waits(0) && consumer.let_go(&Said(2, vec![])));
    assert_eq!(consumer.topics["t"].count, 2);
}

#[test]
fn what_was_waited_for_is_forgotten_in_another_log() {
    let mut consumer = waiting();
    consumer.appliers[1].set_back(0, None);
    let SinkPosition { last, reached, .. } = &consumer.appliers[1].position;
    assert!(!consumer.waits(1) && last.is_none() && reached.is_none());
}

#[test]
fn a_beginning_that_stands_where_its_run_sends_nothing_is_a_dead_letter() {
    let mut consumer = Consumer::new(2);
    let begin = [Run(50).begin(None, None)];
    consumer.round(&[(0, &begin), (1, &begin)]).unwrap();
    consumer.round(&[(1, &[moved(1)])]).unwrap();
    assert!(!consumer.waits(1));
    assert_eq!(consumer.appliers[1].counts.dead_letters, 1);
}

#[test]
fn nothing_is_waited_for_before_a_run_of_another_source() {
    let mut consumer = Consumer::new(2);
    let begin = [Run(50).begin(None, None)];
    consumer.round(&[(0, &begin), (1, &begin)]).unwrap();
    let landed = consumer.round(&[(1, &[of_another(moved(2))])]).unwrap();
    assert!(landed.loss.is_some() && !consumer.waits(1));
}

#[test]
fn rows_that_moved_to_partitions_that_are_not_landed_here_are_a_loss_and_no_wait() {
    let mut consumer = Consumer::new(2);
    consumer.options.sharing = Sharing::Pinned(vec![0]);
    consumer.topics.get_mut("t").unwrap().partitions = vec![0];
    consumer.land(&[Run(50).begin(None, None)]);
    let loss = consumer.loss(&[moved(2)]);
    assert!(loss.contains("this sink lands only some"), "{loss}");
}
