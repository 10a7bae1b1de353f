//! Each stack with three brokers: what it holds is the same whichever node is lost.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use super::{down, is_open, pids, up};
use crate::support::*;

const LIMIT: Duration = Duration::from_secs(120);

const ALL: [u32; 3] = [1, 2, 3];

/// Waits until all brokers have all records of the partition, and each of them says so.
pub(super) fn wait_until_in_sync(cluster: &Cluster, topic: &str, partition: u32) {
    let done = wait_until(LIMIT, || cluster.in_sync(topic, partition) == ALL);
    assert!(done, "in sync: {:?}", cluster.in_sync(topic, partition));
}

/// Does this to the leader of the topic's partition, and waits until another one leads it and knows
/// how far its log goes.
fn lose_leader(cluster: &Cluster, topic: &str, fault: fn(&Cluster, u32)) -> u32 {
    let (leader, end) = (cluster.leader(topic, 0), cluster.latest(topic));
    fault(cluster, leader);
    assert!(!cluster.awake().contains(&leader));
    let moved = wait_until(LIMIT, || cluster.leader(topic, 0) != leader);
    assert!(moved, "broker {leader} is gone, and is still the leader of {topic}");
    let whole = wait_until(LIMIT, || cluster.latest(topic) == end);
    assert!(
        whole,
        "the log ended at {end:?}, and now at {:?}",
        cluster.latest(topic)
    );
    leader
}

/// Adds rows and takes them to the sink.
fn round(workspace: &Workspace) {
    workspace.producer(&["--fake", "100"]).ok();
    ship_and_land(workspace);
}

/// A cluster of three that has been up for a round, and was asked to become what it is not.
fn three_brokers(stack: &str, kafka_version: &str) -> (Cluster, Workspace) {
    let cluster = Cluster::own(Config {
        stack,
        brokers: 3,
        kafka_version: kafka_version.to_owned(),
        ..Config::default()
    });
    wait_until_in_sync(&cluster, "users", 2);
    assert_eq!(cluster.partitions("users"), 3);
    let workspace = Workspace::on(
        &cluster,
        &format!("{stack} with three brokers loses one and carries on"),
    );
    cluster.create_topic(workspace.topic(), 1, &[]);
    round(&workspace);

    let before = pids(&cluster);
    let run = cluster.script(&up(), &["--native"]).ok();
    run.says("broker 3 runs already").never_says("no coordinator yet");
    assert_eq!(pids(&cluster), before, "what ran was started anew");
    let other = if stack == "kraft" { "confluent" } else { "kraft" };
    for asked in [["--stack", other], ["--brokers", "2"]] {
        let run = cluster.script(&up(), &[&["--native"], &asked[..]].concat()).code(1);
        run.says("holds a cluster").says(asked[0]).says("server_down.sh -v");
    }
    (cluster, workspace)
}

/// The leader of the topic dies and comes back, then another pauses.
fn lose_brokers(cluster: &Cluster, workspace: &Workspace) {
    let (topic, before) = (workspace.topic(), pids(cluster));
    let killed = lose_leader(cluster, topic, Cluster::kill_broker_number);
    assert!(!is_open(&cluster.broker(killed)));
    round(workspace);

    let address = cluster.broker(killed);
    let port = address.rsplit(':').next().expect("a port");
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().expect("a number"))).expect("the port is free");
    let run = cluster.script(&up(), &["--native"]).code(1);
    run.says(&format!("error: port {port}, which broker-{killed} needs, is taken by"))
        .says(&format!("(process {})", std::process::id()));
    drop(other);
    cluster.start_missing();
    assert!(is_open(&address), "it came back on another port");
    wait_until_in_sync(cluster, topic, 0);
    let after = pids(cluster);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(after) {
        let is_new = before.0 == format!("broker-{killed}.pid");
        assert_eq!(before.1 != after.1, is_new, "{} and then {}", before.1, after.1);
    }

    let paused = lose_leader(cluster, topic, Cluster::pause_broker_number);
    cluster.resume_broker_number(paused);
    wait_until_in_sync(cluster, topic, 0);
    round(workspace);
}

/// All nodes end, and only the data is left, until that is removed too.
fn stop(cluster: &Cluster) {
    let run = cluster.script(&down(), &["--native"]).ok().never_says("killing it");
    ALL.iter().fold(run, |run, n| run.says(&format!("broker-{n} stopped")));
    assert!(ALL.iter().all(|&n| !is_open(&cluster.broker(n))));
    let run = cluster.script(&down(), &["--native", "-v"]).ok().says("removed");
    run.says("nothing of ours runs here");
    assert!(!cluster.folder().exists());
}

#[test]
fn wurstmeister_with_three_brokers_outlives_the_loss_of_any_node() {
    let (cluster, workspace) = three_brokers("wurstmeister", "");
    lose_brokers(&cluster, &workspace);
    // Rows travel without ZooKeeper, and the brokers find it again when it is back.
    cluster.pause_zookeeper();
    round(&workspace);
    cluster.resume_zookeeper();
    cluster.kill_zookeeper();
    cluster.start_missing();
    cluster.create_topic("anew", 1, &[]);
    wait_until_in_sync(&cluster, "anew", 0);
    stop(&cluster);
}

#[test]
fn confluent_with_three_brokers_outlives_the_loss_of_any_node() {
    let (cluster, workspace) = three_brokers("confluent", "");
    assert_eq!(cluster.kafka_version(), "3.3.2");
    lose_brokers(&cluster, &workspace);
    stop(&cluster);
}

#[test]
fn kraft_with_three_brokers_outlives_the_loss_of_any_node() {
    kraft_outlives_the_loss_of_any_node("", "4.4.0");
}

#[test]
fn kraft_of_3_9_with_three_brokers_outlives_the_loss_of_any_node() {
    kraft_outlives_the_loss_of_any_node("3.9.1", "3.9.1");
}

fn kraft_outlives_the_loss_of_any_node(kafka_version: &str, expected: &str) {
    let (cluster, workspace) = three_brokers("kraft", kafka_version);
    assert_eq!(cluster.kafka_version(), expected);
    lose_brokers(&cluster, &workspace);
    // The controller dies, another one takes over, and what is missing is made whole.
    let killed = cluster.controller();
    cluster.kill_broker_number(killed);
    let moved = wait_until(LIMIT, || cluster.controller() != killed);
    assert!(moved, "broker {killed} is dead, and is still the controller");
    round(&workspace);
    cluster.create_topic_replicated("anew", 1, 2, &[]);
    cluster.start_missing();
    cluster.create_topic("whole", 1, &[]);
    wait_until_in_sync(&cluster, "whole", 0);
    // Without ZooKeeper the tools that want it say so.
    let run = cluster.tool("kafka-topics", &["--list", "--zookeeper", "zookeeper:2181"]);
    run.code(1)
        .says("no ZooKeeper")
        .says("--bootstrap-server localhost:9092");
    for place in ["localhost:9093,localhost:9094", "kafka_server_3:29092"] {
        let run = cluster.tool("kafka-topics", &["--list", "--bootstrap-server", place]);
        run.ok().says("anew");
    }
    stop(&cluster);
}
