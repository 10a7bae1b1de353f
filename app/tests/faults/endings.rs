//! What can't go on ends, with a clear error.

use std::time::Duration;

use super::LIMIT;
use crate::support::*;

#[test]
fn a_producer_that_cannot_send_ends_though_another_process_holds_the_source() {
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    let w = Workspace::on(&cluster, "no lock keeps a producer alive that has given up").of("t");
    w.sql(
        &w.source(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')",
    );
    w.producer(&[]).ok();
    w.sql(&w.source(), "INSERT INTO t VALUES (2, 'b')");
    proxy.set(Fault::SwallowAnswer(Request::Produce, usize::MAX));
    let brief = ["--follow", "--patience", "3s", "--request-timeout", "2s"];
    let producer = w.start_producer(&brief);
    let sends = wait_until(LIMIT, || proxy.struck() > 0);
    assert!(sends, "nothing is sent\n{}", producer.output());
    let other = w.connection(&w.source());
    other.execute_batch("BEGIN EXCLUSIVE").expect("the lock is free");
    let run = producer.wait(LIMIT).code(1);
    run.says("sending to topic").says("so it has been for");
    other.execute_batch("ROLLBACK").expect("it is held");
    proxy.set(Fault::Pass);
    ship_and_land(&w);
}

/// A cluster that judges by access control lists; who is not mentioned for something is free to use
/// it.
fn guarded(proxy: &Proxy) -> Cluster {
    let authorizer = match default_stack() {
        "kraft" => "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        _ => "kafka.security.authorizer.AclAuthorizer",
    };
    Cluster::own(Config {
        proxy: Some(proxy),
        broker_config: format!("authorizer.class.name={authorizer}\nallow.everyone.if.no.acl.found=true"),
        ..Config::default()
    })
}

/// Lets everybody only look at a topic or a group, and waits until the broker has heard of it.
fn only_to_be_looked_at(cluster: &Cluster, what: [&str; 2]) {
    only_for(cluster, what, &["Describe"]);
}

/// The same for these operations.
fn only_for(cluster: &Cluster, what: [&str; 2], operations: &[&'static str]) {
    let acls = ["--bootstrap-server", "localhost:9092"];
    let allow = ["--add", "--allow-principal", "User:ANONYMOUS"];
    let list = ["--list"];
    let operation = |operation: &&'static str| ["--operation", *operation];
    let operations: Vec<&str> = operations.iter().flat_map(operation).collect();
    cluster
        .tool("kafka-acls", &[&acls[..], &allow, &operations, &what].concat())
        .ok();
    let heard = wait_until(Duration::from_secs(60), || {
        let run = cluster.tool("kafka-acls", &[&acls[..], &list, &what].concat());
        run.stdout().contains("operation=DESCRIBE")
    });
    assert!(heard, "the broker does not hear of it");
}

#[test]
fn a_producer_that_may_not_read_its_log_back_sends_all_rows() {
    let proxy = Proxy::new();
    let cluster = guarded(&proxy);
    let w = Workspace::on(&cluster, "what is not known is sent").of("t");
    w.sql(
        &w.source(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    ship_and_land(&w);
    let copy = w.path("backup.db");
    w.sql(&w.source(), &format!("VACUUM INTO '{}'", copy.display()));
    w.sql(&w.source(), "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (3, 'c')");
    w.producer(&[]).ok();
    // One that may read it: the consumer's side is not forbidden by the same list.
    w.consumer(&["--until-caught-up"]).ok();
    std::fs::copy(&copy, w.source()).expect("the backup can be put back");
    only_for(&cluster, ["--topic", w.topic()], &["Describe", "Write"]);
    for _ in 0..2 {
        let run = w.producer(&[]).ok().says("2 rows shipped");
        run.says("the broker does not allow this client to read the topic: all rows are sent again");
    }
    only_for(&cluster, ["--topic", w.topic()], &["Read"]);
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
}

#[test]
fn what_a_broker_forbids_a_consumer_ends_it_at_once_with_the_way_out() {
    let proxy = Proxy::new();
    let cluster = guarded(&proxy);
    let w = Workspace::on(&cluster, "what is forbidden is told and not tried again").of("t");
    w.sql(
        &w.source(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')",
    );
    ship_and_land(&w);
    let group = format!("{}-other", w.topic());
    only_to_be_looked_at(&cluster, ["--group", &group]);
    let args = ["--until-caught-up", "--group", &group, "--sink", "other.db"];
    let count = |request| proxy.set(Fault::Delay(request, Duration::ZERO));
    count(Request::JoinGroup);
    let run = w.consumer(&args).code(1);
    run.says("GroupAuthorizationFailed")
        .says("way out: let this client use the group (kafka-acls.sh), or name another --group")
        .never_says("so it has been for");
    assert!(proxy.struck() <= 1, "it asked {} times", proxy.struck());

    // A group may be read where its topic may not.
    only_to_be_looked_at(&cluster, ["--topic", w.topic()]);
    count(Request::Fetch);
    let run = w.consumer(&["--until-caught-up"]).code(1);
    run.says("TopicAuthorizationFailed")
        .says("way out: let this client do it (kafka-acls.sh)")
        .never_says("so it has been for")
        .never_says("trying again");
    assert_eq!(proxy.struck(), 1, "what is forbidden is asked for once");
}
