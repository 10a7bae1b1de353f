//! What a broker answers that is young, busy or dying is never final.

use std::time::Duration;

use crate::support::*;

/// How long something that is due may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A table that has been shipped and landed through a proxy, and shipped to be landed once more.
fn shipped(proxy: &Proxy, sentence: &str) -> Workspace {
    let cluster = Cluster::own(Config {
        proxy: Some(proxy),
        ..Config::default()
    });
    let w = Workspace::on(&cluster, sentence).of("t");
    w.sql(
        &w.source(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    ship_and_land(&w);
    w
}

/// Both sides start into a fault, say so, and end well when it is over.
fn are_waited_for(w: &Workspace, proxy: &Proxy, fault: Fault, words: &str, args: &[&str]) {
    w.sql(&w.source(), "UPDATE t SET v = v || '!'");
    proxy.set(fault);
    let mut producer = w.start_producer(args);
    producer.wait_for_line(words, LIMIT);
    assert!(proxy.struck() > 0);
    proxy.set(Fault::Pass);
    producer.wait(LIMIT).ok();

    proxy.set(fault);
    let mut consumer = w.start_consumer(&[args, &["--until-caught-up"]].concat());
    consumer.wait_for_line(words, LIMIT);
    assert!(proxy.struck() > 0);
    proxy.set(Fault::Pass);
    consumer.wait(LIMIT).ok();
    assert_equal(w);
}

#[test]
fn a_broker_that_does_not_answer_as_it_should_yet_is_waited_for() {
    let proxy = Proxy::new();
    let w = shipped(&proxy, "a broker that is not itself yet is waited for");
    are_waited_for(&w, &proxy, Fault::Cut, "closes the connection", &[]);
    let soon = ["--request-timeout", "3s"];
    are_waited_for(&w, &proxy, Fault::Mute, "trying again for up to", &soon);
    let young = Fault::Young { brokers: false };
    are_waited_for(&w, &proxy, young, "knows of no broker", &[]);
    let told_of_brokers = Fault::Young { brokers: true };
    w.sql(&w.source(), "UPDATE t SET v = v || '?'");
    w.producer(&[]).ok();
    proxy.set(told_of_brokers);
    let mut consumer = w.start_consumer(&["--until-caught-up"]);
    consumer.wait_for_line("is not there", LIMIT);
    assert!(proxy.struck() > 0);
    proxy.set(Fault::Pass);
    consumer.wait(LIMIT).ok();
    assert_equal(&w);
}

#[test]
fn a_broker_that_needs_ten_seconds_for_each_answer_is_slow_and_no_more() {
    let proxy = Proxy::new();
    let w = shipped(&proxy, "slowness is no error");
    w.sql(&w.source(), "UPDATE t SET v = v || '!'");
    proxy.set(Fault::Slow(Duration::from_secs(10)));
    let long = Duration::from_secs(1800);
    w.start_producer(&[]).wait(long).ok();
    assert!(proxy.struck() > 0);
    // A member whose session is too short for so slow a group joins again with a longer one.
    let args = ["--until-caught-up", "--session-timeout", "12s"];
    w.start_consumer(&args).wait(long).ok();
    proxy.set(Fault::Pass);
    assert_equal(&w);
}
