//! Whole rounds with kills, by each kind of login.

use std::thread;
use std::time::Duration;

use super::{LIMIT, Login, Secured, logged_in, mutual, with_certificate};
use crate::crashes::{Audit, Scene};
use crate::support::*;

/// How often each side of each workspace is killed.
const KILLS: usize = 4;

#[test]
fn whole_rounds_by_each_login_survive_the_death_of_each_side_and_of_the_broker() {
    let (cluster, _alone) = Secured::shared().alone();
    let logins = [
        (Login::Scram512, "a whole round by SCRAM-SHA-512"),
        (
            Login::Scram512AndCertificate,
            "a whole round by SCRAM-SHA-512 and mutual TLS",
        ),
        (Login::Scram256, "a whole round by SCRAM-SHA-256"),
        (Login::Plain, "a whole round by PLAIN over TLS"),
    ];
    let workspaces = logins.map(|(login, sentence)| logged_in(cluster, login, sentence).of("t"));
    survive(cluster, &workspaces);
}

#[test]
fn whole_rounds_by_certificates_alone_survive_the_death_of_each_side_and_of_the_broker() {
    let cluster = mutual();
    survive(
        cluster,
        &[with_certificate(cluster, "a whole round by mutual TLS").of("t")],
    );
}

/// Kills each side of each workspace again and again, and the broker in between, while rows travel
/// in all of them. Both sides are equal afterwards, and each record was applied once and in order.
fn survive(cluster: &Cluster, workspaces: &[Workspace]) {
    let mut random = Random::new();
    let scenes: Vec<Scene> = workspaces.iter().map(|w| Scene::start(w, &mut random)).collect();
    let mut ferries: Vec<Ferry> = workspaces
        .iter()
        .map(|w| Ferry::start(w, &["--batch-rows", "20"], &[]))
        .collect();
    for kill in 0..KILLS {
        for (workspace, ferry) in workspaces.iter().zip(&ferries) {
            let before = Audit::changes(workspace);
            assert!(
                wait_until(LIMIT, || Audit::changes(workspace) > before),
                "nothing lands\n{}\n{}",
                ferry.producer.output(),
                ferry.consumer.output()
            );
        }
        for ferry in &mut ferries {
            thread::sleep(Duration::from_millis(random.below(60))); // the random moment
            ferry.producer.signal(libc::SIGKILL);
            ferry.consumer.signal(libc::SIGKILL);
        }
        for ferry in &mut ferries {
            ferry.next_producer().killed();
            ferry.next_consumer().killed();
        }
        if kill == KILLS / 2 {
            cluster.kill_broker();
            cluster.start_broker();
        }
    }
    for (scene, ferry) in scenes.into_iter().zip(ferries) {
        let tally = scene.end(ferry);
        assert!(
            tally.cut_runs > 0,
            "no producer was killed while rows were on their way: {tally:?}"
        );
    }
}
