//! The newest Kafka, which has no ZooKeeper: a leader dies, and then the controller.

use super::leaders::chase;
use super::nodes::lose_controller;
use super::three_brokers;

#[test]
fn a_leader_and_then_the_controller_killed_on_the_newest_kafka_do_no_harm() {
    let cluster = three_brokers("kraft", "4.4.0");
    chase(&cluster, "a leader may die on the newest Kafka", 1);
    lose_controller(&cluster);
}
