//! The core of the promise through our own client on the newest Kafka, in every run, and both
//! clients on one way. `versions.sh` tries all of it with other pairs of client and version.

mod handover;
mod takeover;

use std::sync::OnceLock;

use crate::crashes::{LIMIT, Scene, answers, kills, wait_until_it_lands};
use crate::groups::wait_until_shared;
use crate::support::*;
use crate::{growth, types};

const NEWEST: &str = "4.4.0";

/// A cluster of the newest Kafka, which these tests share, and the proxy before it.
fn newest() -> &'static (Cluster, Proxy) {
    static NEWEST_CLUSTER: OnceLock<(Cluster, Proxy)> = OnceLock::new();
    NEWEST_CLUSTER.get_or_init(|| {
        let proxy = Proxy::new();
        let cluster = Cluster::own(Config {
            kafka_version: NEWEST.to_owned(),
            proxy: Some(&proxy),
            ..Config::default()
        });
        assert_eq!(cluster.kafka_version(), NEWEST);
        (cluster, proxy)
    })
}

/// On the newest Kafka, past the proxy, which strikes for one test alone.
fn on_newest(sentence: &str) -> Workspace {
    let (cluster, _) = newest();
    Workspace::on(cluster, sentence).past_the_proxy().by("native")
}

#[test]
fn every_value_arrives_in_every_codec_on_the_newest_kafka() {
    types::every_value_arrives_compressed(on_newest);
}

#[test]
fn kills_of_both_sides_do_no_harm_on_the_newest_kafka() {
    kills::kills_do_no_harm(&on_newest("SIGKILL at any moment does no harm").of("t"), 20, 2);
}

#[test]
fn a_topic_grows_under_both_sides_on_the_newest_kafka() {
    growth::consumer::both_sides_follow(on_newest("a topic may grow while both sides follow it"));
}

#[test]
fn what_is_lost_on_its_way_does_no_harm_on_the_newest_kafka() {
    let (cluster, proxy) = newest();
    let workspace = Workspace::on(cluster, "a lost answer does no harm")
        .of("t")
        .by("native");
    answers::what_is_lost_does_no_harm(&workspace, proxy);
}

#[test]
fn a_member_takes_over_from_one_that_died_on_the_newest_kafka() {
    members_take_over(
        &on_newest("the members of a group share and take over").of("t"),
        ["native"; 2],
    );
}

/// Two members of one group, through these clients, die in turn while rows land; each time the
/// other has all partitions until the next one comes.
#[track_caller]
fn members_take_over(workspace: &Workspace, clients: [&str; 2]) {
    let mut random = Random::new();
    let scene = Scene::start(workspace, &mut random);
    workspace.go_on_by(clients[0]);
    let mut ferry = Ferry::start(workspace, &["--batch-rows", "20"], &[]);
    workspace.go_on_by(clients[1]);
    let mut second = workspace.start_consumer(&[]);
    wait_until_shared(&[&ferry.consumer, &second], &[1, 2]);
    for client in clients {
        wait_until_it_lands(workspace);
        // The one that came first dies, and the second is the first from then on.
        std::mem::swap(&mut ferry.consumer, &mut second);
        second.signal(libc::SIGKILL);
        second.killed();
        wait_until_shared(&[&ferry.consumer], &[3]);
        wait_until_it_lands(workspace);
        workspace.go_on_by(client);
        second = workspace.start_consumer(&[]);
        wait_until_shared(&[&ferry.consumer, &second], &[1, 2]);
    }
    wait_until_it_lands(workspace);
    second.signal(libc::SIGTERM);
    second.wait(LIMIT).ok();
    scene.end(ferry);
}
