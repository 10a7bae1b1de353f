use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::broker::transport::fake::{Cluster, Fault};
use crate::stop::Stop;

const PATIENCE: Duration = Duration::from_secs(10);
const LEADER: &str = "a:1";

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn producer(cluster: &Cluster) -> Producer {
    Producer::new(ClientConfig::fake(cluster, PATIENCE, &Stop::default()))
}

/// A batch whose values are these numbers.
fn batch(partition: i32, values: std::ops::Range<u32>) -> ProduceBatch {
    let mut batch = ProduceBatch::new(at(partition));
    for value in values {
        batch.push(b"k", Some(value.to_string().as_bytes()));
    }
    batch
}

/// Sends what has no record that is too large.
fn send(producer: &mut Producer, batches: Vec<ProduceBatch>) -> Result<Vec<Sent>> {
    match producer.send(batches).advance()? {
        SendStep::Done(sent) => Ok(sent),
        SendStep::TooLarge { record, .. } => panic!("record {record} is too large"),
    }
}

fn numbers(values: std::ops::Range<u32>) -> Vec<String> {
    values.map(|value| value.to_string()).collect()
}

#[test]
fn batches_come_back_in_their_order_and_each_partition_has_its_records_in_order() {
    let cluster = Cluster::new("t", 9, LEADER);
    let batches = |from: u32| (0..9).map(move |partition| batch(partition, from..from + 5));
    let all = batches(0).chain(batches(5)).collect();
    let mut producer = producer(&cluster);
    let sent = send(&mut producer, all).unwrap();
    let ends: Vec<(i32, i64)> = sent
        .iter()
        .map(|sent| (sent.batch.at.partition, sent.last_offset))
        .collect();
    let expected = [4, 9]
        .into_iter()
        .flat_map(|end| (0..9).map(move |partition| (partition, end)));
    assert_eq!(ends, expected.collect::<Vec<_>>());
    for partition in 0..9 {
        assert_eq!(cluster.values(&at(partition)), numbers(0..10));
    }
    let calls = cluster.state().produced;
    assert!(
        calls <= 2 * CONNECTIONS,
        "{calls} calls: partitions of one leader go together"
    );
}

#[test]
fn a_leader_that_moves_is_found_and_nothing_is_sent_twice() {
    let cluster = Cluster::new("t", 2, LEADER);
    let mut producer = producer(&cluster);
    send(&mut producer, vec![batch(0, 0..3), batch(1, 0..3)]).unwrap();
    cluster.edit(&at(1), |log| log.leader = Some("b:1".to_string()));
    let sent = send(&mut producer, vec![batch(0, 3..6), batch(1, 3..6)]).unwrap();
    assert!(sent.iter().all(|sent| sent.jumps.is_empty() && sent.last_offset == 5));
    for partition in 0..2 {
        assert_eq!(cluster.values(&at(partition)), numbers(0..6));
    }
}

#[test]
fn what_has_no_answer_is_sent_again_and_the_jump_is_told() {
    let cluster = Cluster::new("t", 1, LEADER);
    let mut producer = producer(&cluster);
    send(&mut producer, vec![batch(0, 0..3)]).unwrap();
    cluster.state().faults.extend([Fault::LostAnswer, Fault::Refused]);
    let sent = send(&mut producer, vec![batch(0, 3..5), batch(0, 5..6)]).unwrap();
    assert_eq!(cluster.values(&at(0)), ["0", "1", "2", "3", "4", "3", "4", "5"]);
    assert_eq!(sent[0].jumps, [OffsetJump { expected: 3, found: 5 }]);
    assert_eq!((sent[0].last_offset, sent[1].last_offset), (6, 7));
    assert_eq!(sent[1].jumps, []);
}

#[test]
fn a_call_that_hangs_is_given_up_after_the_limit() {
    let cluster = Cluster::new("t", 1, LEADER);
    cluster.state().faults.push_back(Fault::Hang);
    let began = Instant::now();
    send(&mut producer(&cluster), vec![batch(0, 0..3)]).unwrap();
    assert_eq!(cluster.values(&at(0)), numbers(0..3));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn an_answer_for_half_of_what_was_sent_leaves_nothing_out() {
    let cluster = Cluster::new("t", 9, LEADER);
    cluster.state().faults.extend([Fault::FirstOnly; 4]);
    let batches = (0..9).map(|partition| batch(partition, 0..4)).collect();
    send(&mut producer(&cluster), batches).unwrap();
    for partition in 0..9 {
        assert_eq!(cluster.values(&at(partition)), numbers(0..4));
    }
}

#[test]
fn nothing_behind_a_record_that_is_too_large_is_sent_before_its_placeholder() {
    let cluster = Cluster::new("t", 2, LEADER);
    cluster.state().max_value = Some(5);
    let mut first = batch(0, 0..3);
    first.push(b"large", Some(b"too large"));
    first.push(b"k", Some(b"4"));
    let mut producer = producer(&cluster);
    let mut sending = producer.send(vec![first, batch(0, 5..7), batch(1, 0..3)]);
    let Ok(SendStep::TooLarge { batch, record }) = sending.advance() else {
        panic!("a record is too large");
    };
    assert_eq!((batch.get(record).0, record), (&b"large"[..], 3));
    // However long it takes.
    thread::sleep(Duration::from_millis(30));
    assert_eq!(cluster.values(&at(0)), numbers(0..3));
    sending.replace((b"large".to_vec(), Some(b"small".to_vec())));
    let Ok(SendStep::Done(sent)) = sending.advance() else {
        panic!("all is sent");
    };
    assert_eq!(cluster.values(&at(0)), ["0", "1", "2", "small", "4", "5", "6"]);
    assert_eq!(cluster.values(&at(1)), numbers(0..3));
    assert_eq!(sent.iter().map(|sent| sent.last_offset).collect::<Vec<_>>(), [4, 6, 2]);
}

#[test]
fn the_last_record_is_known_as_it_was_sent() {
    let cluster = Cluster::new("t", 1, LEADER);
    cluster.state().max_value = Some(5);
    let mut last = batch(0, 0..1);
    last.push(b"large", Some(b"too large"));
    let mut producer = producer(&cluster);
    let mut sending = producer.send(vec![last]);
    assert!(matches!(sending.advance(), Ok(SendStep::TooLarge { record: 1, .. })));
    sending.replace((b"large".to_vec(), Some(b"small".to_vec())));
    let Ok(SendStep::Done(sent)) = sending.advance() else {
        panic!("all is sent");
    };
    assert_eq!(sent[0].last_with_value(), Some((&b"large"[..], &b"small"[..])));
}

#[test]
fn patience_ends_where_nobody_leads_and_others_are_sent_to_all_the_same() {
    let cluster = Cluster::new("t", 2, LEADER);
    cluster.edit(&at(1), |log| log.leader = None);
    let config = ClientConfig::fake(&cluster, Duration::from_millis(80), &Stop::default());
    let error = send(&mut Producer::new(config), vec![batch(1, 0..3), batch(0, 0..3)]).unwrap_err();
    let told = "sending to topic \"t\" partition 1: it is not there, or has no leader; so it has been for";
    assert!(error.to_string().contains(told), "{error}");
    assert_eq!(cluster.values(&at(0)), numbers(0..3));
}

#[test]
fn a_stop_ends_a_call() {
    let cluster = Cluster::new("t", 1, LEADER);
    cluster.state().faults.push_back(Fault::Hang);
    let stop = Stop::default();
    let mut producer = Producer::new(ClientConfig::fake(&cluster, PATIENCE, &stop));
    let began = Instant::now();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        stop.request();
    });
    let error = send(&mut producer, vec![batch(0, 0..3)]).unwrap_err();
    assert_eq!(error.exit_code(), 0);
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
}

#[test]
fn records_of_others_are_passed_over_where_they_are_known() {
    let cluster = Cluster::new("t", 2, LEADER);
    let mut producer = producer(&cluster);
    send(&mut producer, vec![batch(0, 0..3), batch(1, 0..3)]).unwrap();
    cluster.put(&at(1), [3, 4]);
    let jump = OffsetJump { expected: 3, found: 5 };
    assert_eq!(producer.pass("t", &[3, 5]), [(1, jump)]);
    assert_eq!(producer.pass("other", &[9, 9]), []);
    let sent = send(&mut producer, vec![batch(1, 5..6)]).unwrap();
    assert_eq!(sent[0].jumps, []);
}
