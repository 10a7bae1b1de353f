//! The leader of a partition dies, its follower takes over, and is the next to die.

use super::{Passage, Trio, kill_leader, three_brokers, wait_until_led_by_another};
use crate::support::*;

/// Kills the leader of partition 0 so many times; each time the one before is back and in sync.
fn chase(cluster: &Cluster, sentence: &str, times: usize) {
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
        &three_brokers("kraft"),
        "a leader may die on a cluster without ZooKeeper",
        1,
    );
}
