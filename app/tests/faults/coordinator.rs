//! The coordinator of a consumer group dies.

use super::{LIMIT, Passage, Trio, said};
use crate::groups::wait_until_shared;
use crate::support::*;

/// Waits until another broker than the one that is gone (0 for none) coordinates a group, as
/// kafka-consumer-groups.sh tells it.
#[track_caller]
fn coordinator_after(cluster: &Cluster, group: &str, gone: u32) -> u32 {
    let brokers = cluster.for_tools();
    let place = ["--bootstrap-server", brokers.as_str(), "--timeout", "30000"];
    let args = [&place[..], &["--describe", "--group", group, "--state"]].concat();
    let (mut number, mut told) = (None, String::new());
    let found = wait_until(LIMIT, || {
        let run = cluster.tool("kafka-consumer-groups", &args);
        let line = run.stdout().lines().find(|line| line.starts_with(group));
        // GROUP  HOST:PORT (NUMBER)  STRATEGY ...
        number = line.and_then(|line| line.split_once('(')?.1.split_once(')')?.0.parse().ok());
        told = run.to_string();
        number.is_some_and(|number: u32| number != gone)
    });
    assert!(found, "no broker but {gone} coordinates {group}:\n{told}");
    number.expect("it was found")
}

#[test]
fn both_consumers_of_a_group_go_on_when_its_coordinator_is_killed() {
    let mut random = Random::new();
    let cluster = Trio::take();
    let workspace = Workspace::on(&cluster, "the coordinator of a group may die").of("t");
    let group = format!("{}-sink.db", workspace.topic());
    let passage = Passage::start(&workspace, &mut random, &["--print"]);
    let mut second = workspace.start_consumer(&["--print"]);
    wait_until_shared(&[&passage.ferry.consumer, &second], &[1, 2]);

    let killed = coordinator_after(&cluster, &group, 0);
    passage.suffer(|cluster| cluster.kill_broker_number(killed));
    coordinator_after(&cluster, &group, killed);
    passage.recover();
    wait_until_shared(&[&passage.ferry.consumer, &second], &[1, 2]);
    let printed = |consumer: &Process| said(consumer, "\"offset\":");
    for consumer in [&passage.ferry.consumer, &second] {
        let before = printed(consumer);
        let goes_on = wait_until(LIMIT, || printed(consumer) > before);
        assert!(goes_on, "a consumer lands nothing any more\n{}", consumer.output());
    }
    passage.mend();
    second.signal(libc::SIGTERM);
    second.wait(LIMIT).ok();
    passage.end();
}
