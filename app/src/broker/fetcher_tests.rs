use std::collections::BTreeMap;
use std::thread;

use super::*;
use crate::broker::list_offsets::list_offsets;
use crate::broker::transport::fake::{Cluster, Fault};
use crate::broker::transport::requests::Offsets;
use crate::stop::Stop;

const PATIENCE: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_millis(50);
const LEADER: &str = "a:1";

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn position(partition: i32, offset: i64) -> FetchPosition {
    FetchPosition {
        at: at(partition),
        offset,
    }
}

fn fetcher(cluster: &Cluster) -> Fetcher {
    Fetcher::new(
        ClientConfig::fake(cluster, PATIENCE, &Stop::default()),
        IsolationLevel::ReadCommitted,
    )
}

fn three_records_each(partitions: i32) -> Cluster {
    let cluster = Cluster::new("t", partitions, LEADER);
    for partition in 0..partitions {
        cluster.put(&at(partition), 0..3);
    }
    cluster
}

/// Fetches until each partition has brought all that it holds: the offsets that came of each, in
/// order.
fn read_all(fetcher: &mut Fetcher, cluster: &Cluster, from: &mut [FetchPosition]) -> BTreeMap<i32, Vec<i64>> {
    let mut read: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    let began = Instant::now();
    let is_behind = |position: &FetchPosition| position.offset < cluster.state().logs[&position.at].next;
    while from.iter().any(is_behind) {
        assert!(began.elapsed() < PATIENCE, "{read:?}");
        for fetched in fetcher.fetch(from, WAIT).unwrap().partitions {
            let position = from.iter_mut().find(|position| position.at == *fetched.at()).unwrap();
            let offsets = fetched.records().map(|message| message.offset);
            read.entry(fetched.at().partition).or_default().extend(offsets);
            position.offset = fetched.next_offset();
        }
    }
    read
}

#[test]
fn a_leader_that_moves_is_found_and_nothing_is_read_twice() {
    let cluster = three_records_each(2);
    let mut fetcher = fetcher(&cluster);
    let mut from = [position(0, 0), position(1, 0)];
    read_all(&mut fetcher, &cluster, &mut from);
    cluster.edit(&at(1), |log| log.leader = Some("b:1".to_string()));
    cluster.put(&at(0), 3..5);
    cluster.put(&at(1), 3..6);
    let read = read_all(&mut fetcher, &cluster, &mut from);
    assert_eq!(read, BTreeMap::from([(0, vec![3, 4]), (1, vec![3, 4, 5])]));
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again_with_another_client() {
    let cluster = three_records_each(1);
    let mut fetcher = fetcher(&cluster);
    let mut from = [position(0, 0)];
    read_all(&mut fetcher, &cluster, &mut from);
    let clients = cluster.state().clients;
    cluster.state().faults.extend([Fault::LostAnswer, Fault::Refused]);
    cluster.put(&at(0), 3..5);
    let fetched = fetcher.fetch(&from, PATIENCE).unwrap();
    assert_eq!(fetched.partitions.len(), 1);
    assert_eq!(fetched.partitions[0].next_offset(), 5);
    assert_eq!(fetched.came_back.len(), 1, "its topic may be another one by now");
    assert!(cluster.state().clients > clients);
}

#[test]
fn a_call_that_hangs_is_given_up_after_the_limit() {
    let cluster = three_records_each(1);
    cluster.state().faults.push_back(Fault::Hang);
    let began = Instant::now();
    let fetched = fetcher(&cluster).fetch(&[position(0, 0)], PATIENCE).unwrap();
    assert_eq!(fetched.partitions[0].len(), 3);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn an_answer_for_a_part_of_what_was_asked_leaves_nothing_out() {
    let cluster = three_records_each(4);
    cluster.state().faults.extend([Fault::FirstOnly; 3]);
    let mut from = [0, 1, 2, 3].map(|partition| position(partition, 0));
    let read = read_all(&mut fetcher(&cluster), &cluster, &mut from);
    assert!(read.values().all(|offsets| *offsets == [0, 1, 2]), "{read:?}");
    assert_eq!(read.len(), 4);
}

#[test]
fn no_partition_starves_where_an_answer_covers_one() {
    let cluster = three_records_each(5);
    cluster.state().positions_per_answer = Some(1);
    let from = [0, 1, 2, 3, 4].map(|partition| position(partition, 0));
    let mut fetcher = fetcher(&cluster);
    // Nobody reads on, so that each of them always has something to say.
    let answered = (0..5).flat_map(|_| fetcher.fetch(&from, WAIT).unwrap().partitions);
    let answered: HashSet<i32> = answered.map(|fetched| fetched.at().partition).collect();
    assert_eq!(answered.len(), 5, "{answered:?}");
}

#[test]
fn holes_are_passed_over_and_are_more_than_nothing() {
    let cluster = Cluster::new("t", 1, LEADER);
    cluster.put(&at(0), [2, 5]);
    cluster.edit(&at(0), |log| log.next = 9);
    let mut fetcher = fetcher(&cluster);
    let fetched = fetcher.fetch(&[position(0, 0)], PATIENCE).unwrap();
    let offsets: Vec<i64> = fetched.partitions[0].records().map(|message| message.offset).collect();
    assert_eq!((offsets, fetched.partitions[0].next_offset()), (vec![2, 5], 9));
    let began = Instant::now();
    let fetched = fetcher.fetch(&[position(0, 6)], PATIENCE).unwrap();
    assert!(fetched.partitions[0].is_empty() && !fetched.partitions[0].stands_still());
    assert!(began.elapsed() < PATIENCE / 2);
}

#[test]
fn a_high_watermark_that_is_not_known_yet_is_no_end() {
    let cluster = three_records_each(2);
    let mut fetcher = fetcher(&cluster);
    let from = [position(0, 3), position(1, 3)];
    cluster.edit(&at(1), |log| log.learns_for = 2);
    let fetched = fetcher.fetch(&from, Duration::ZERO).unwrap();
    let ended: Vec<i32> = fetched
        .partitions
        .iter()
        .map(|fetched| fetched.at().partition)
        .collect();
    assert_eq!(ended, [0]);
    let fetched = fetcher.fetch(&from, WAIT).unwrap();
    assert_eq!(fetched.partitions.len(), 2, "by now it knows");
}

#[test]
fn an_end_is_waited_for_while_its_leader_learns() {
    let cluster = three_records_each(2);
    let config = ClientConfig::fake(&cluster, PATIENCE, &Stop::default());
    cluster.edit(&at(1), |log| log.learns_for = 3);
    let known = vec![(1, 3)];
    assert_eq!(list_offsets(&config, "t", Offsets::Latest { known }).unwrap(), [3, 3]);
    assert_eq!(cluster.state().logs[&at(1)].learns_for, 0);
    cluster.edit(&at(1), |log| log.learns_for = usize::MAX);
    let impatient = ClientConfig::fake(&cluster, Duration::from_millis(50), &Stop::default());
    let error = list_offsets(&impatient, "t", Offsets::Latest { known: Vec::new() }).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not know yet how far the log goes; so it has been for"),
        "{error}"
    );
}

#[test]
fn positions_that_the_log_does_not_hold_are_told_with_what_it_holds() {
    let cluster = three_records_each(2);
    cluster.edit(&at(0), |log| log.first = 2);
    for (from, [earliest, latest]) in [(position(0, 1), [2, 3]), (position(1, 7), [0, 3])] {
        let out = OutOfRange {
            at: from.at.clone(),
            earliest,
            latest,
        };
        assert_eq!(fetcher(&cluster).fetch(&[from], WAIT).unwrap().out_of_range, [out]);
    }
}

#[test]
fn what_lies_before_a_record_that_is_too_large_is_read_first() {
    let cluster = three_records_each(2);
    cluster.edit(&at(0), |log| log.too_large_at = Some(2));
    let mut fetcher = fetcher(&cluster);
    let fetched = fetcher.fetch(&[position(0, 0)], WAIT).unwrap();
    assert_eq!(
        (fetched.partitions[0].len(), fetched.partitions[0].next_offset()),
        (2, 2)
    );
    let error = fetcher.fetch(&[position(0, 2), position(1, 3)], WAIT).unwrap_err();
    assert!(
        error.to_string().contains("the record at offset 2 is larger"),
        "{error}"
    );
}

#[test]
fn a_partition_that_nobody_leads_holds_nobody_up() {
    let cluster = three_records_each(2);
    cluster.edit(&at(0), |log| log.leader = None);
    let mut fetcher = fetcher(&cluster);
    let mut from = [position(0, 0), position(1, 0)];
    let fetched = fetcher.fetch(&from, PATIENCE).unwrap();
    assert_eq!(fetched.partitions[0].at().partition, 1);
    from[1].offset = 3;
    cluster.edit(&at(0), |log| log.leader = Some(LEADER.to_string()));
    assert_eq!(read_all(&mut fetcher, &cluster, &mut from)[&0], [0, 1, 2]);
}

#[test]
fn patience_ends_where_nobody_leads() {
    let cluster = three_records_each(1);
    cluster.edit(&at(0), |log| log.leader = None);
    let config = ClientConfig::fake(&cluster, Duration::from_millis(80), &Stop::default());
    let error = Fetcher::new(config, IsolationLevel::ReadCommitted)
        .fetch(&[position(0, 0)], PATIENCE)
        .unwrap_err();
    assert!(
        error.to_string().contains("has no leader; so it has been for"),
        "{error}"
    );
}

#[test]
fn a_stop_ends_a_call() {
    let cluster = three_records_each(1);
    cluster.state().faults.push_back(Fault::Hang);
    let stop = Stop::default();
    let mut fetcher = Fetcher::new(
        ClientConfig::fake(&cluster, PATIENCE, &stop),
        IsolationLevel::ReadCommitted,
    );
    let began = Instant::now();
    thread::spawn(move || {
        thread::sleep(WAIT);
        stop.request();
    });
    let error = fetcher.fetch(&[position(0, 0)], PATIENCE).unwrap_err();
    assert_eq!(error.exit_code(), 0);
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
}
