//! Sessions that the broker ends, and a user that loses its password amid a run.

use super::{LEAVER, LIMIT, Login, SESSION_MS, Secured, USER, alter_user, logged_in, logged_in_as, set_password};
use crate::crashes::{OVER, Scene, TROUBLE};
use crate::support::*;

/// So many sessions in a row must have ended.
const SESSIONS: usize = 4;

#[test]
fn runs_go_on_beyond_the_end_of_their_sessions() {
    let (cluster, _calm) = Secured::shared().calm();
    let workspace = logged_in(cluster, Login::Scram512, "a session's end is no trouble").of("t");
    let scene = Scene::start(&workspace, &mut Random::new());
    // There one reads how often a side has logged in, and what went wrong.
    workspace.set("RUST_LOG", "rowferry=debug");
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    let login = format!("'{USER}' has logged in with SCRAM-SHA-512, for a session of {SESSION_MS} ms");
    ferry.producer.wait_for_line(&login, LIMIT);
    // The consumer has one for its group, too.
    let address = cluster.secure_broker(1);
    let renewed = "the session is about to end, and a new one begins";
    let [at_broker, in_group] = [address, format!("group {}-sink.db", workspace.topic())];
    ferry
        .producer
        .wait_for_lines(&format!("{at_broker}: {renewed}"), SESSIONS, LIMIT);
    for connection in [at_broker, in_group] {
        ferry
            .consumer
            .wait_for_lines(&format!("{connection}: {renewed}"), SESSIONS, LIMIT);
    }
    let output = ferry.producer.output() + &ferry.consumer.output();
    for trouble in [TROUBLE, OVER, "WARN", "closes the connection", "cannot be reached"] {
        assert!(!output.contains(trouble), "it says \"{trouble}\"\n{output}");
    }
    let tally = scene.end(ferry);
    assert_eq!((tally.resent, tally.late, tally.cut_runs), (0, 0, 0), "{tally:?}");
}

#[test]
fn a_user_that_loses_its_password_amid_a_run_is_told_so_and_goes_on_with_a_new_one() {
    let (cluster, _calm) = Secured::shared().calm();
    set_password(cluster, LEAVER, "first-password");
    let workspace = logged_in_as(
        cluster,
        LEAVER,
        "first-password",
        "a user without a password is told so",
    )
    .of("t");
    let scene = Scene::start(&workspace, &mut Random::new());
    let ferry = Ferry::start(&workspace, &[], &[]);
    scene.writer.wait_for_more(100);
    alter_user(cluster, LEAVER, &["--delete-config", "SCRAM-SHA-512"]);
    let is_told = |run: Run| {
        run.code(1)
            .says("it refuses the login of 'leaver' with SCRAM-SHA-512: the user or the password is wrong")
            .says("way out: correct --sasl-user and the password")
            .never_says("first-password");
    };
    // Their sessions end, and there is no other one.
    is_told(ferry.producer.wait(LIMIT));
    is_told(ferry.consumer.wait(LIMIT));
    set_password(cluster, LEAVER, "second-password");
    is_told(workspace.producer(&[]));
    is_told(workspace.consumer(&[]));
    workspace.set("ROWFERRY_SASL_PASSWORD", "second-password");
    scene.end(Ferry::start(&workspace, &[], &[]));
}
