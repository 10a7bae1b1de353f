//! Landing an assignment, whole: from a scripted cluster into a sink.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::waits::moved;
use super::*;
use crate::broker::{Assignment, Cluster, fake};
use crate::error::Kind;
use crate::land::assignment_run::{AssignmentEnd, AssignmentRun};
use crate::land::resume;
use crate::land::summary::LandSummary;
use crate::terminal::progress::Progress;

const LEADER: &str = "a:1";
const RUN: Run = Run(50);

/// No test takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A consumer and the cluster from which it lands.
pub(super) struct Landing {
    pub(super) consumer: Consumer,
    pub(super) brokers: fake::Cluster,
    stop: Stop,
}

impl Landing {
    /// Partition 0 holds three records, the others the beginning of a run.
    pub(super) fn new(partitions: i32) -> Self {
        let landing = Self {
            consumer: Consumer::new(partitions),
            brokers: fake::Cluster::new("t", partitions, LEADER),
            stop: Stop::default(),
        };
        landing.put(0, &[RUN.begin(None, None), RUN.row(2, 1, 10), RUN.row(3, 2, 20)]);
        for partition in 1..partitions {
            landing.put(partition, &[RUN.begin(None, None)]);
        }
        landing
    }

    pub(super) fn following(partitions: i32) -> Self {
        let mut landing = Self::new(partitions);
        landing.consumer.options.until_caught_up = false;
        landing
    }

    pub(super) fn put(&self, partition: i32, records: &[Record]) {
        self.brokers.append(&TopicPartition::new("t", partition), records);
    }

    /// Lands partitions; `look` is called before each round, with what says that the assignment is
    /// over.
    pub(super) fn run(&self, partitions: &[i32], look: &dyn Fn(&Stop)) -> Result<(AssignmentEnd, LandSummary)> {
        let (options, began) = (&self.consumer.options, Instant::now());
        let cluster = Cluster::fake(&self.brokers, PATIENCE, &self.stop);
        let targets = resume::targets(options, &cluster, &self.consumer.sink, &self.stop)?;
        let assignment = Assignment {
            partitions: partitions.iter().map(|&p| TopicPartition::new("t", p)).collect(),
            membership: None,
            over: self.stop.part(),
        };
        let goes_on = || {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            look(&assignment.over);
        };
        let mut run = AssignmentRun::begin(options, &targets, &cluster, &assignment, &goes_on)?;
        let end = run.land(&mut Progress::new("landed", true), &goes_on);
        let mut summary = LandSummary::default();
        run.finish(&mut summary);
        Ok((AssignmentEnd::of(end, &self.stop, &assignment.over)?, summary))
    }

    /// Lands all until it is caught up.
    pub(super) fn catch_up(&self, partitions: &[i32]) -> LandSummary {
        let (end, summary) = self.run(partitions, &|_| {}).unwrap();
        assert!(matches!(end, AssignmentEnd::CaughtUp), "{end:?}");
        summary
    }

    pub(super) fn loss(&self, look: &dyn Fn(&Stop)) -> String {
        let error = self.run(&[0], look).unwrap_err();
        assert_eq!(error.kind(), Kind::Loss, "{error}");
        error.to_string()
    }

    /// Does something once, when a partition has landed up to an offset.
    pub(super) fn when_at(&self, partition: i32, offset: i64, act: impl FnOnce(&Stop)) -> impl Fn(&Stop) {
        let act = Cell::new(Some(act));
        move |over| {
            if self.next_offset(partition) >= Some(offset)
                && let Some(act) = act.take()
            {
                act(over);
            }
        }
    }

    pub(super) fn next_offset(&self, partition: i32) -> Option<i64> {
        let positions = self.consumer.sink.positions("t").unwrap();
        let position = positions.iter().find(|position| position.at.partition == partition);
        position.map(|position| position.next_offset)
    }

    pub(super) fn rows(&self) -> String {
        self.consumer.rows()
    }

    /// The topic is taken away, and made anew with these records.
    pub(super) fn make_anew(&self, records: &[Record]) {
        self.brokers.make_anew(&TopicPartition::new("t", 0), records);
    }
}

/// A new log of the same source, with a full pass of it.
pub(super) fn full_pass() -> [Record; 5] {
    let pass = Run(60);
    [
        pass.begin(None, Some(60)),
        pass.row(2, 2, 21),
        pass.row(3, 3, 30),
        pass.row(4, 4, 40),
        pass.pass_end(5, 60),
    ]
}

#[test]
fn all_that_is_there_lands_and_the_next_run_goes_on_behind_it() {
    let landing = Landing::new(2);
    let summary = landing.catch_up(&[0, 1]);
    assert_eq!((summary.counts.landed, landing.rows().as_str()), (2, "1:10 2:20"));
    landing.put(1, &[RUN.row(2, 3, 30)]);
    let counts = landing.catch_up(&[0, 1]).counts;
    assert_eq!((counts.landed, counts.skipped), (1, 0));
    assert_eq!(landing.rows(), "1:10 2:20 3:30");
}

#[test]
fn one_that_follows_ends_when_its_assignment_is_over_or_the_user_wants_to_stop() {
    let landing = Landing::following(1);
    let end = landing.run(&[0], &landing.when_at(0, 3, Stop::request));
    assert!(matches!(end, Ok((AssignmentEnd::Revoked, _))), "{end:?}");
    landing.put(0, &[RUN.row(4, 3, 30)]);
    let end = landing.run(&[0], &landing.when_at(0, 4, |_| landing.stop.request()));
    assert!(matches!(end, Ok((AssignmentEnd::Stopped, _))), "{end:?}");
    assert_eq!(landing.rows(), "1:10 2:20 3:30");
}

#[test]
fn an_assignment_that_is_over_waits_for_no_broker() {
    let landing = Landing::following(1);
    landing.brokers.state().faults.push_back(fake::Fault::Hang);
    let began = Cell::new(Instant::now());
    let revoke = landing.when_at(0, 0, |over| {
        began.set(Instant::now());
        over.request();
    });
    let end = landing.run(&[0], &revoke);
    assert!(matches!(end, Ok((AssignmentEnd::Revoked, _))), "{end:?}");
    let began = began.get();
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
}

#[test]
fn one_that_is_caught_up_waits_for_no_broker() {
    let landing = Landing::new(1);
    let began = Cell::new(Instant::now());
    let hang = landing.when_at(0, 3, |_| {
        began.set(Instant::now());
        landing.brokers.state().faults.extend([fake::Fault::Hang; 3]);
    });
    let (end, _) = landing.run(&[0], &hang).unwrap();
    assert!(matches!(end, AssignmentEnd::CaughtUp), "{end:?}");
    let began = began.get();
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
}

#[test]
fn a_sink_that_is_replaced_meanwhile_ends_the_run() {
    let landing = Landing::following(1);
    let sink = &landing.consumer.options.sink;
    let replace = landing.when_at(0, 3, |_| fs::rename(sink, sink.with_extension("old")).unwrap());
    let error = landing.run(&[0], &replace).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
}

#[test]
fn where_another_consumer_landed_first_the_run_is_over_and_nothing_lands_twice() {
    let landing = Landing::new(1);
    // It has looked where it stands, and the other one lands before its first round.
    let end = landing.run(&[0], &landing.when_at(0, 0, |_| drop(landing.catch_up(&[0]))));
    assert!(matches!(end, Ok((AssignmentEnd::Overtaken(_), _))), "{end:?}");
    assert_eq!(
        (landing.rows().as_str(), landing.next_offset(0)),
        ("1:10 2:20", Some(3))
    );
}

#[test]
fn a_broker_that_was_away_sets_nobody_back_where_the_log_is_the_same() {
    let landing = Landing::following(1);
    let away = landing.when_at(0, 3, |_| {
        landing.brokers.state().faults.push_back(fake::Fault::Refused);
        landing.put(0, &[RUN.row(4, 3, 30)]);
    });
    let end = landing.when_at(0, 4, Stop::request);
    let (_, summary) = landing
        .run(&[0], &|over| {
            away(over);
            end(over);
        })
        .unwrap();
    assert_eq!((summary.counts.landed, summary.counts.skipped), (3, 0));
    assert_eq!(landing.rows(), "1:10 2:20 3:30");
}

#[test]
fn a_log_that_is_made_anew_meanwhile_and_is_as_long_is_a_loss() {
    let landing = Landing::following(1);
    let other = [RUN.begin(None, None), RUN.row(2, 1, 10), RUN.row(3, 2, 22)];
    let loss = landing.loss(&landing.when_at(0, 3, |_| landing.make_anew(&other)));
    assert!(loss.contains("another record stands at offset 2"), "{loss}");
    assert_eq!(
        (landing.rows().as_str(), landing.next_offset(0)),
        ("1:10 2:20", Some(3))
    );
    // So it is for the next run.
    let loss = landing.loss(&|_| {});
    assert!(loss.contains("another record stands at offset 2"), "{loss}");
}

#[test]
fn a_log_that_is_made_anew_meanwhile_is_read_from_its_beginning_where_a_full_pass_heals_it() {
    let landing = Landing::following(1);
    let anew = landing.when_at(0, 3, |_| landing.make_anew(&full_pass()));
    let end = landing.when_at(0, 5, Stop::request);
    let noted = RefCell::new(Vec::new());
    let (_, summary) = landing
        .run(&[0], &|over| {
            noted.borrow_mut().extend(landing.next_offset(0));
            anew(over);
            end(over);
        })
        .unwrap();
    noted.borrow_mut().dedup();
    assert_eq!(
        noted.into_inner(),
        [0, 3, 0, 5],
        "the next process would begin there, too"
    );
    assert_eq!(landing.rows(), "2:21 3:30 4:40");
    assert_eq!((summary.partial.len(), summary.healing.len()), (0, 0));
}

#[test]
fn a_log_that_was_made_anew_between_two_runs_is_looked_at_before_anything_lands() {
    let landing = Landing::new(1);
    landing.catch_up(&[0]);
    landing.make_anew(&full_pass());
    landing.catch_up(&[0]);
    assert_eq!(landing.rows(), "2:21 3:30 4:40");
    // Neither a pass of another source nor one that is older than what landed.
    for pass in [of_another(Run(70).begin(None, Some(70))), Run(55).begin(None, Some(55))] {
        landing.make_anew(&[pass]);
        let loss = landing.loss(&|_| {});
        assert!(loss.contains("up to offset 5, but the log ends at 1"), "{loss}");
    }
}

#[test]
fn where_one_partition_shows_that_the_topic_was_made_anew_all_are_set_back() {
    let mut landing = Landing::new(2);
    landing.catch_up(&[0, 1]);
    landing.make_anew(&full_pass());
    // Compaction took what stood at offset 0 of the other one.
    landing.brokers.edit(&TopicPartition::new("t", 1), |log| log.next = 1);
    landing.consumer.options.until_caught_up = false;
    let set_back = |over: &Stop| {
        if landing.next_offset(1) == Some(0) {
            over.request();
        }
    };
    let (_, summary) = landing.run(&[1], &set_back).unwrap();
    assert!(landing.consumer.position(1).healing);
    assert_eq!((summary.healing.len(), summary.partial.len()), (1, 1));
}

#[test]
fn what_stands_below_the_position_is_known_to_the_next_run() {
    let landing = Landing::new(1);
    landing.catch_up(&[0]);
    landing.put(0, &[RUN.row(3, 2, 29)]);
    let loss = landing.loss(&|_| {});
    assert!(loss.contains("another record with number 3"), "{loss}");
}

#[test]
fn records_that_expired_before_they_were_read_are_a_loss_and_never_stepped_over() {
    let mut landing = Landing::following(1);
    let expire = |_: &Stop| {
        landing.brokers.edit(&TopicPartition::new("t", 0), |log| {
            (log.first, log.next) = (5, 5);
            log.records.clear();
        });
        landing.put(0, &full_pass());
    };
    let loss = landing.loss(&landing.when_at(0, 3, expire));
    let expected = "offsets 3 to 4 (2 records) expired before they were read";
    assert!(loss.contains(expected), "{loss}");
    assert!(landing.loss(&|_| {}).contains(expected), "it stays one");
    assert_eq!(
        (landing.rows().as_str(), landing.next_offset(0)),
        ("1:10 2:20", Some(3))
    );
    // Until the user wants it.
    landing.consumer.options.heal = true;
    landing.consumer.options.until_caught_up = true;
    landing.catch_up(&[0]);
    assert_eq!(landing.rows(), "2:21 3:30 4:40");
}

#[test]
fn what_lies_before_a_gap_lands_before_the_run_ends() {
    let landing = Landing::new(1);
    landing.put(0, &[RUN.row(9, 9, 90)]);
    let loss = landing.loss(&|_| {});
    assert!(loss.contains("5 records are missing"), "{loss}");
    assert_eq!(
        (landing.rows().as_str(), landing.next_offset(0)),
        ("1:10 2:20", Some(3))
    );
}

#[test]
fn a_partition_waits_until_the_others_have_come_to_the_run_that_moved_its_keys() {
    let landing = Landing::new(2);
    let slow = TopicPartition::new("t", 0);
    landing.put(0, &[RUN.row(4, 7, 69), moved(2)]);
    landing.put(1, &[moved(2), Run(60).row(2, 7, 70)]);
    // Row 7 was in partition 0, which nobody leads before the other one has come to the run.
    landing.brokers.edit(&slow, |log| log.leader = None);
    let lead = landing.when_at(1, 1, |_| {
        landing.brokers.edit(&slow, |log| log.leader = Some(LEADER.into()));
    });
    let (end, summary) = landing.run(&[0, 1], &lead).unwrap();
    assert!(matches!(end, AssignmentEnd::CaughtUp), "{end:?}");
    assert_eq!((landing.rows().as_str(), summary.counts.landed), ("1:10 2:20 7:70", 4));
}

#[test]
fn pinned_partitions_land_and_no_others_are_waited_for() {
    let mut landing = Landing::new(3);
    landing.put(1, &[RUN.row(2, 3, 30)]);
    landing.consumer.options.sharing = Sharing::Pinned(vec![1]);
    landing.catch_up(&[1]);
    assert_eq!((landing.rows().as_str(), landing.next_offset(0)), ("3:30", None));
    landing.consumer.options.sharing = Sharing::Pinned(vec![1, 3]);
    let error = landing.run(&[1, 3], &|_| {}).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
}

#[test]
fn one_that_has_landed_its_own_waits_for_the_other_members_of_its_group() {
    let landing = Landing::new(2);
    landing.put(1, &[RUN.row(2, 3, 30)]);
    let began = Instant::now();
    let other = Cell::new(true);
    let end = landing.run(&[0], &|_| {
        if began.elapsed() > Duration::from_millis(300) && other.take() {
            landing.catch_up(&[1]);
        }
    });
    assert!(matches!(end, Ok((AssignmentEnd::CaughtUp, _))), "{end:?}");
    assert_eq!(landing.rows(), "1:10 2:20 3:30");
}

#[test]
fn a_start_at_the_end_is_noted_though_nothing_has_come() {
    let mut landing = Landing::new(1);
    landing.consumer.options.from = From::Latest;
    let summary = landing.catch_up(&[0]);
    assert_eq!((landing.next_offset(0), summary.partial.len()), (Some(3), 1));
    landing.put(0, &[RUN.row(4, 3, 30)]);
    let summary = landing.catch_up(&[0]);
    assert_eq!((summary.counts.landed, summary.partial.len()), (1, 1));
}

#[test]
fn one_that_is_caught_up_with_a_replaced_run_behind_a_mere_beginning_has_lost_rows() {
    let landing = Landing::new(1);
    landing.put(0, &[Run(60).begin(Some((50, 3)), None), RUN.row(4, 3, 30)]);
    let loss = landing.loss(&|_| {});
    assert!(loss.contains("all that is there of run 60 is its beginning"), "{loss}");
}
