//! The leader of a partition dies, its follower takes over, and is the next to die.

use std::thread;
use std::time::Duration;

use super::{LIMIT, Passage, Trio, kill_leader, said, three_brokers, wait_until_led_by_another};
use crate::support::*;

const LEARNS: &str = "does not know yet how far the log goes";

/// Kills the leader of partition 0 so many times; each time the one before is back and in sync.
pub(super) fn chase(cluster: &Cluster, sentence: &str, times: usize) {
    let mut random = Random::new();
    let workspace = Workspace::on(cluster, sentence).of("t");
    let passage = Passage::start(&workspace, &mut random, &[]);
    let mut killed = Vec::new();
    for _ in 0..times {
        passage.suffer(|cluster| killed.push(kill_leader(cluster, workspace.topic(), 0)));
        let last = killed[killed.len() - 1];
        wait_until_led_by_another(cluster, workspace.topic(), 0, last);
        passage.recover();
        assert!(
            !cluster.awake().contains(&last),
            "rows were to land without broker {last}"
        );
        passage.mend();
    }
    eprintln!("killed: {killed:?}");
    assert!(
        killed.windows(2).all(|pair| pair[0] != pair[1]),
        "a leader was killed twice in a row: {killed:?}"
    );
    passage.end();
}

#[test]
fn a_leader_killed_and_chased_five_times_does_no_harm() {
    chase(&Trio::take(), "leaders may die one after another", 5);
}

#[test]
fn a_leader_killed_without_zookeeper_does_no_harm() {
    chase(
        &three_brokers("kraft", "3.9.1"),
        "a leader may die on a cluster without ZooKeeper",
        1,
    );
}

/// A leader that has just taken over tells too small an end of its log until the other replica has
/// answered it. What was acknowledged before is not lost.
#[test]
fn a_new_leader_that_still_learns_how_far_its_log_goes_is_waited_for() {
    let trio = Trio::with_zookeeper();
    // A follower may know the end in time: then there is nothing to wait for.
    let waited = (1..=8).any(|_| has_to_learn(&trio));
    assert!(waited, "no leader had to learn anything");
}

/// Whether a producer that runs right after the leader died met one that learns. It succeeds either
/// way.
fn has_to_learn(cluster: &Cluster) -> bool {
    let workspace = Workspace::on(cluster, "a leader may have to learn how far its log goes").of("t");
    cluster.create_topic(workspace.topic(), 1, &[]);
    let replicas = cluster.replicas(workspace.topic(), 0);
    let [leader, heir, other] = replicas[..] else {
        panic!("replicas: {replicas:?}")
    };
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    workspace.producer(&[]).ok();
    cluster.kill_broker_number(leader);
    // Paused so late, it still counts as in sync when the heir takes over, and for some seconds
    // more.
    thread::sleep(Duration::from_secs(3));
    cluster.pause_broker_number(other);
    wait_until_led_by_another(cluster, workspace.topic(), 0, leader);
    workspace.sql(&workspace.source(), "INSERT INTO t VALUES (3, 'c')");
    let mut producer = workspace.start_producer(&["--brokers", &cluster.broker(heir)]);
    let met = wait_until(LIMIT, || said(&producer, "trying again") > 0 || !producer.is_running());
    assert!(met, "it neither waits nor ends\n{}", producer.output());
    let waited = said(&producer, LEARNS) > 0;
    cluster.resume_broker_number(other);
    producer.wait(LIMIT).ok();
    cluster.start_missing();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(&workspace);
    waited
}
