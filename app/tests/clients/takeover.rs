//! A producer on one client and a consumer on the other, and each taking over from the other.

use std::thread;
use std::time::Duration;

use super::members_take_over;
use crate::crashes::{Audit, Scene, is_behind, wait_until_it_lands};
use crate::edges::modern;
use crate::support::*;

/// Producer and consumer, both ways.
const WAYS: [[&str; 2]; 2] = [["kafka", "native"], ["native", "kafka"]];

/// How often both sides are killed, and how many kills must have struck rows in flight: of the
/// consumer on each client, and of the producer in all.
const ROUNDS: usize = 12;
const STRUCK: usize = 2;
const CUT: usize = 3;

/// On a version that both clients speak to.
fn on_modern(sentence: &str) -> Workspace {
    let workspace = Workspace::on(&modern(), sentence).of("t");
    workspace.cluster().create_topic(workspace.topic(), 3, &[]);
    workspace
}

#[test]
fn what_one_client_sends_the_other_reads() {
    for [producer, consumer] in WAYS {
        let w = on_modern("a producer and a consumer on two clients");
        w.sql(
            &w.source(),
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
             WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000) INSERT INTO t SELECT n, hex(n) FROM c",
        );
        for codec in ["none", "gzip", "snappy"] {
            w.sql(
                &w.source(),
                "UPDATE t SET v = v || '.'; DELETE FROM t WHERE id % 100 = 7",
            );
            let sent = w.producer(&["--client", producer, "--compression", codec]).ok();
            sent.says(&format!("client: {producer}"));
            let landed = w.consumer(&["--client", consumer, "--until-caught-up"]).ok();
            landed.says(&format!("client: {consumer}"));
            assert_equal(&w);
        }
    }
}

#[test]
fn each_client_takes_over_from_the_other_in_mid_flight() {
    let mut random = Random::new();
    let w = Workspace::on(&modern(), "SIGKILL, and on with the other client").of("t");
    let scene = Scene::start(&w, &mut random);
    let start = |[producer, consumer]: [&str; 2]| {
        w.go_on_by(producer);
        let producer = w.start_producer(&["--follow", "--batch-rows", "20"]);
        w.go_on_by(consumer);
        (producer, w.start_consumer(&[]))
    };
    let mut struck = [0; WAYS.len()];
    for round in 0..ROUNDS {
        let way = round % WAYS.len();
        let (mut producer, mut consumer) = start(WAYS[way]);
        let before = Audit::changes(&w);
        wait_until_it_lands(&w);
        thread::sleep(Duration::from_millis(random.below(100))); // the random moment
        producer.signal(libc::SIGKILL);
        consumer.signal(libc::SIGKILL);
        struck[way] += usize::from(Audit::changes(&w) > before && is_behind(&w));
        producer.killed().says(&format!("client: {}", WAYS[way][0]));
        consumer.killed().says(&format!("client: {}", WAYS[way][1]));
    }
    let tally = scene.end(Ferry::start(&w, &[], &[]));
    assert!(
        struck.iter().all(|&struck| struck >= STRUCK),
        "too few consumers were killed while they landed rows: {struck:?}"
    );
    assert!(
        tally.cut_runs >= CUT,
        "too few producers were killed while rows were on their way: {tally:?}"
    );
}

#[test]
fn two_members_of_one_group_on_two_clients_take_over_from_each_other() {
    for clients in WAYS {
        let w = Workspace::on(&modern(), "a group does not care which client its members have").of("t");
        members_take_over(&w, clients);
    }
}
