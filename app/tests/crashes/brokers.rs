//! A broker that dies, and one that hangs, under both sides.

use super::{LIMIT, OVER, Scene, TROUBLE, is_behind, wait_until_it_lands};
use crate::support::*;

/// Breaks the broker of a running ferry twice, mends it, and returns what the log tells afterwards.
fn broken_twice(sentence: &str, shatter: fn(&Cluster), mend: fn(&Cluster)) -> super::audit::Tally {
    let mut random = Random::new();
    let cluster = Cluster::own(Config::default());
    let workspace = Workspace::on(&cluster, sentence).of("t");
    let scene = Scene::start(&workspace, &mut random);
    let args = ["--request-timeout", "2s"];
    let mut ferry = Ferry::start(&workspace, &[&args[..], &["--batch-rows", "20"]].concat(), &args);
    for round in 1..=2 {
        wait_until_it_lands(&workspace);
        shatter(&cluster);
        scene.writer.wait_for_more(30);
        assert!(is_behind(&workspace), "no row is in flight while the broker is broken");
        for side in [&mut ferry.producer, &mut ferry.consumer] {
            side.wait_for_lines(TROUBLE, round, LIMIT);
        }
        mend(&cluster);
        for side in [&mut ferry.producer, &mut ferry.consumer] {
            side.wait_for_lines(OVER, round, LIMIT);
        }
    }
    scene.end(ferry)
}

#[test]
fn a_broker_killed_and_restarted_in_mid_flight_does_no_harm() {
    broken_twice(
        "a killed broker does no harm",
        Cluster::kill_broker,
        Cluster::start_broker,
    );
}

#[test]
fn a_broker_paused_for_longer_than_a_request_waits_does_no_harm() {
    let tally = broken_twice(
        "a paused broker does no harm",
        Cluster::pause_broker,
        Cluster::resume_broker,
    );
    assert!(
        tally.resent > 0,
        "the broker has not stored what it was asked to before it was paused: {tally:?}"
    );
}
