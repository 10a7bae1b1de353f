//! Answers that are lost on their way back, and requests on their way there.

use super::{LIMIT, Scene};
use crate::support::*;

#[test]
fn an_answer_lost_after_the_broker_stored_the_batch_doubles_nothing() {
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    what_is_lost_does_no_harm(&Workspace::on(&cluster, "a lost answer does no harm").of("t"), &proxy);
}

/// On a cluster behind the proxy.
#[track_caller]
pub(crate) fn what_is_lost_does_no_harm(workspace: &Workspace, proxy: &Proxy) {
    let mut random = Random::new();
    let scene = Scene::start(workspace, &mut random);
    let args = ["--request-timeout", "2s"];
    let ferry = Ferry::start(workspace, &args, &args);
    for (fault, times) in [
        (Fault::LoseAnswer(Request::Produce, 4), 4),
        (Fault::SwallowAnswer(Request::Produce, 2), 2),
        (Fault::LoseRequest(Request::Produce, 2), 2),
        (Fault::LoseAnswer(Request::Fetch, 4), 4),
        (Fault::SwallowAnswer(Request::Fetch, 1), 1),
    ] {
        scene.writer.wait_for_more(50);
        proxy.set(fault);
        assert!(
            wait_until(LIMIT, || proxy.struck() >= times),
            "{fault:?} struck {} times",
            proxy.struck()
        );
    }
    let tally = scene.end(ferry);
    // The audit has shown that the sink did nothing twice, though the log holds records twice.
    assert!(tally.resent > 0, "no record was stored twice: {tally:?}");
}
