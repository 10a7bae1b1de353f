//! Whether all has landed that was there at the start.

use std::thread;
use std::time::Duration;

use super::waits::moved;
use super::*;
use crate::land::catch_up::{CatchUp, CatchUpTarget};
use crate::land::waiting::Brokers;

const RUN: Run = Run(50);

/// What the brokers say of where logs end.
struct Ends(&'static [i64]);

impl Brokers for Ends {
    fn partitions(&self, _: &str) -> Result<Option<i32>> {
        unreachable!("nobody waits for partitions")
    }

    fn bounds(&self, _: &str, _: &[i32]) -> Result<Vec<(i64, i64)>> {
        Ok(self.0.iter().map(|end| (0, *end)).collect())
    }
}

impl Consumer {
    /// Whether all is caught up, where its first partitions are this consumer's.
    fn is_caught_up(&self, own: usize, ends: &[i64]) -> bool {
        self.is_caught_up_by(own, ends, &Ends(&[]))
    }

    /// The same, where the brokers say now that the logs end here.
    fn is_caught_up_by(&self, own: usize, ends: &[i64], brokers: &Ends) -> bool {
        let target = CatchUpTarget {
            topic: "t".into(),
            ends: ends.to_vec(),
        };
        let targets = [target];
        let mut catch_up = CatchUp::new(&targets);
        // Others are looked at now and then.
        thread::sleep(Duration::from_millis(if own < self.appliers.len() { 110 } else { 0 }));
        catch_up
            .is_done(&self.appliers[..own], &self.topics, &self.sink, brokers)
            .unwrap()
    }
}

#[test]
fn what_was_there_at_the_start_has_landed_and_what_came_later_is_not_waited_for() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[RUN.begin(None, None), RUN.row(2, 1, 10)]);
    assert!(!consumer.is_caught_up(1, &[3]));
    consumer.land(&[RUN.row(3, 2, 20), RUN.row(4, 3, 30)]);
    assert!(consumer.is_caught_up(1, &[3]));
    assert!(consumer.is_caught_up(1, &[]), "the partition is newer than the target");
}

#[test]
fn the_end_of_a_log_that_is_shorter_now_is_enough_and_a_stale_end_is_not() {
    let mut consumer = Consumer::new(1);
    consumer.land(&[RUN.begin(None, None)]);
    consumer.land(&[]);
    assert!(!consumer.is_caught_up_by(1, &[3], &Ends(&[3])), "the leader was new");
    assert!(consumer.is_caught_up_by(1, &[3], &Ends(&[1])), "the log holds no more");
    consumer.land(&[RUN.row(2, 1, 10)]);
    assert!(!consumer.is_caught_up(1, &[3]), "it held more when it was asked again");
    consumer.land(&[]);
    consumer.appliers[0].set_back(0, None);
    assert!(!consumer.is_caught_up(1, &[3]), "it is another log");
}

#[test]
fn one_that_waits_is_not_caught_up_though_its_log_has_ended() {
    let mut consumer = Consumer::new(2);
    let begin = [RUN.begin(None, None)];
    consumer.round(&[(0, &begin), (1, &begin)]).unwrap();
    consumer.round(&[(1, &[moved(2)])]).unwrap();
    consumer.appliers[1].at_end = true;
    assert!(!consumer.is_caught_up(2, &[1, 1]));
}

#[test]
fn what_others_land_in_the_same_sink_is_waited_for() {
    let mut consumer = Consumer::new(2);
    let begin = [RUN.begin(None, None)];
    consumer.land(&begin);
    assert!(!consumer.is_caught_up(1, &[1, 2]), "nothing of it has landed");
    consumer.round(&[(1, &begin)]).unwrap();
    assert!(!consumer.is_caught_up(1, &[1, 2]));
    consumer.round(&[(1, &[RUN.row(2, 1, 10)])]).unwrap();
    assert!(consumer.is_caught_up(1, &[1, 2]));
    assert!(consumer.is_caught_up(1, &[1]), "the partition is newer than the target");
}
