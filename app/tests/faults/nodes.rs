//! What holds the cluster together dies: the controller, and ZooKeeper.

use std::time::{Duration, Instant};

use super::{LIMIT, PARTITIONS, Passage, Trio, kill_leader, wait_until_led_by_another};
use crate::crashes::{OVER, TROUBLE, wait_until_it_lands};
use crate::support::*;

/// Longer than the brokers' session with ZooKeeper, which is 6 s.
const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(8);

#[test]
fn a_controller_killed_in_mid_flight_does_no_harm() {
    lose_controller(&Trio::take());
}

/// Kills the controller while rows land.
pub(super) fn lose_controller(cluster: &Cluster) {
    let mut random = Random::new();
    let workspace = Workspace::on(cluster, "the controller may die").of("t");
    let passage = Passage::start(&workspace, &mut random, &[]);
    let killed = cluster.controller();
    passage.suffer(|cluster| {
        cluster.kill_broker_number(killed);
        // Where there is no ZooKeeper, whose session has to end, the next one is there at once.
        let waits_for_session = cluster.stack() != "kraft";
        assert!(
            !waits_for_session || cluster.controller() == killed,
            "the kill came too late for the controller"
        );
    });
    let moved = wait_until(LIMIT, || cluster.controller() != killed);
    assert!(moved, "broker {killed} is gone, and still the controller");
    for partition in 0..PARTITIONS {
        wait_until_led_by_another(cluster, workspace.topic(), partition, killed);
    }
    passage.recover();
    passage.mend();
    passage.end();
}

#[test]
fn zookeeper_gone_for_longer_than_a_session_does_no_harm() {
    let mut random = Random::new();
    let cluster = Trio::with_zookeeper();
    let workspace = Workspace::on(&cluster, "ZooKeeper may die").of("t");
    let mut passage = Passage::start(&workspace, &mut random, &[]);

    // The brokers serve on without it, and come back to it.
    wait_until_it_lands(&workspace);
    cluster.kill_zookeeper();
    let died = Instant::now();
    while died.elapsed() < LONGER_THAN_A_SESSION {
        wait_until_it_lands(&workspace);
    }
    passage.mend();
    cluster.create_topic(&format!("{}-anew", workspace.topic()), 1, &[]);

    // Without it nobody can take over from a leader, so the rows wait.
    cluster.kill_zookeeper();
    let died = Instant::now();
    let mut killed = 0;
    let before = passage.heard(TROUBLE);
    passage.suffer(|cluster| killed = kill_leader(cluster, workspace.topic(), 0));
    passage.hear(TROUBLE, before);
    std::thread::sleep(LONGER_THAN_A_SESSION.saturating_sub(died.elapsed()));
    assert_eq!(cluster.leader(workspace.topic(), 0), killed, "somebody has taken over");
    let before = passage.heard(OVER);
    passage.mend();
    passage.hear(OVER, before);
    passage.recover();
    passage.end();
}
