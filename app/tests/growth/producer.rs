//! The producer's side: it sees that a topic has grown, spreads its rows over all partitions, and
//! says so in its records.

use std::time::Instant;

use super::*;

/// The one link of each partition that a run has written, which must be the same in all.
#[track_caller]
fn last_link(w: &Workspace) -> Link {
    let links = links(w);
    let last: Vec<Link> = links.iter().filter_map(|links| links.last().copied()).collect();
    assert_eq!(
        last,
        vec![last[0]; links.len()],
        "the last run has not begun alike in all partitions"
    );
    last[0]
}

/// Starts a writer that changes one row after the other.
fn start_writer(w: &Workspace) -> Writer {
    Writer::start(&w.source(), 1, |user, _, version| {
        std::thread::sleep(Duration::from_millis(2)); // its pace
        user.execute_batch(&format!(
            "UPDATE t SET version = {version} WHERE id = 1 + {version} % 300"
        ))
    })
}

/// Waits until every partition holds more than the beginning of a run.
#[track_caller]
fn wait_until_used(w: &Workspace, producer: &Process, limit: Duration) {
    let used = wait_until(limit, || w.cluster().latest(w.topic()).iter().all(|&end| end > 1));
    let ends = w.cluster().latest(w.topic());
    assert!(used, "the partitions end at {ends:?}\n{}", producer.output());
}

#[test]
fn a_producer_that_follows_spreads_rows_over_new_partitions_within_seconds() {
    let w = three_partitions(Workspace::new("new partitions are used while the producer follows"));
    let mut producer = w.start_producer(&["--follow", "--batch-rows", "20"]);
    let writer = start_writer(&w);
    assert!(wait_until(LIMIT, || w
        .cluster()
        .latest(w.topic())
        .iter()
        .all(|&end| end > 200)));
    w.cluster().add_partitions(w.topic(), 5);
    let grown = Instant::now();
    producer.wait_for_line(
        &format!("topic {} has 5 partitions now (3 before): a new run begins", w.topic()),
        NOTICE,
    );
    wait_until_used(&w, &producer, NOTICE.saturating_sub(grown.elapsed()));
    writer.wait_for_more(300);
    writer.stop();
    producer.signal(libc::SIGTERM);
    producer.wait(LIMIT).ok();
    w.producer(&[]).ok();
    let first = links(&w)[0].clone();
    assert_eq!((first[0].partitions, first[0].moved), (3, None));
    let grown = first[1];
    assert_eq!((grown.partitions, grown.moved), (5, Some(grown.run)));
    assert_log_is_whole(&w);
    // Later runs tell of the same move.
    change_all(&w);
    w.producer(&[]).ok();
    let later = last_link(&w);
    assert_eq!((later.partitions, later.moved), (5, Some(grown.run)));
    assert!(later.run > grown.run);
    assert_log_is_whole(&w);
}

#[test]
fn a_producer_that_was_stopped_meanwhile_says_so_in_its_first_run_with_rows() {
    let w = three_partitions(Workspace::new("new partitions are used by the next run"));
    w.producer(&[]).ok();
    change_all(&w);
    w.producer(&[]).ok();
    assert_eq!(last_link(&w).moved, None);
    w.cluster().add_partitions(w.topic(), 5);
    w.producer(&[]).ok().says("0 rows shipped");
    change_all(&w);
    w.producer(&[]).ok();
    let link = last_link(&w);
    assert_eq!((link.partitions, link.moved), (5, Some(link.run)));
    assert_log_is_whole(&w);
}

#[test]
fn a_run_that_is_killed_in_the_midst_of_its_first_batch_leaves_the_word_to_the_next() {
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    let w = three_partitions(Workspace::on(
        &cluster,
        "a run that was cut off is no reason to forget the move",
    ));
    w.producer(&[]).ok();
    cluster.add_partitions(w.topic(), 5);
    change_all(&w);
    let before = cluster.latest(w.topic());
    // Some partitions get the batch and others do not.
    proxy.set(Fault::LoseRequestAfter(Request::Produce, 2));
    let producer = w.start_producer(&[]);
    assert!(wait_until(LIMIT, || proxy.struck() > 1), "{}", producer.output());
    producer.kill9();
    let ends = cluster.latest(w.topic());
    let begun = ends.iter().zip(&before).filter(|(end, before)| end > before).count();
    assert!(
        0 < begun && begun < 5,
        "{before:?} and then {ends:?}: the run was not cut off in the midst"
    );
    proxy.set(Fault::Pass);
    w.producer(&[]).ok();
    let link = last_link(&w);
    assert_eq!((link.partitions, link.moved), (5, Some(link.run)));
    let cut = links(&w)
        .concat()
        .into_iter()
        .find(|cut| cut.run < link.run && cut.partitions == 5);
    assert!(cut.is_some_and(|cut| cut.moved == Some(cut.run)), "{cut:?}");
    assert_log_is_whole(&w);
}

#[test]
fn a_full_pass_that_was_interrupted_begins_anew_in_all_partitions() {
    let w = three_partitions(Workspace::new(
        "a full pass stands in all partitions though some were added in its midst",
    ));
    interrupt_a_pass(&w);
    w.producer(&[]).ok();
    let last_pass = |partition| {
        let passes = records(&w, partition)
            .into_iter()
            .filter_map(|(_, _, json)| json.get("_pass").cloned());
        let last: Vec<Json> = passes.collect();
        last[last.len() - 2..].to_vec()
    };
    let passes: Vec<_> = (0..5).map(last_pass).collect();
    for pass in &passes {
        assert_eq!(
            (&pass[0]["begin"], &pass[1]["end"]),
            (&passes[0][0]["begin"], &passes[0][0]["begin"])
        );
    }
}

#[test]
fn an_idle_producer_bears_brokers_that_are_away_and_sees_the_growth_afterwards() {
    let cluster = Cluster::own(Config::default());
    let w = three_partitions(Workspace::on(&cluster, "the look for partitions ends no producer"));
    let mut producer = w.start_producer(&["--follow", "--patience", "2s"]);
    wait_until_shipped(&w);
    cluster.kill_broker();
    std::thread::sleep(Duration::from_secs(12)); // longer than it looks and bears together
    assert!(producer.is_running(), "{}", producer.output());
    cluster.start_broker();
    cluster.add_partitions(w.topic(), 5);
    producer.wait_for_line("has 5 partitions now (3 before): a new run begins", NOTICE);
    change_all(&w);
    wait_until_used(&w, &producer, LIMIT);
    producer.signal(libc::SIGTERM);
    producer.wait(LIMIT).ok();
    assert_log_is_whole(&w);
}

#[test]
fn a_table_that_is_gone_when_the_topic_grows_is_waited_for() {
    let w = three_partitions(Workspace::new(
        "a table that is made anew is shipped over all partitions",
    ));
    let mut producer = w.start_producer(&["--follow"]);
    wait_until_shipped(&w);
    w.sql(&w.source(), "DROP TABLE t");
    producer.wait_for_line("is gone: waiting for it to be made again", LIMIT);
    w.cluster().add_partitions(w.topic(), 5);
    producer.wait_for_line("has 5 partitions now (3 before): a new run begins", NOTICE);
    std::thread::sleep(Duration::from_secs(1));
    assert!(producer.is_running(), "{}", producer.output());
    w.sql(
        &w.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, version INTEGER, v TEXT);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) INSERT INTO t SELECT n, 1000 + n, 'v' || n FROM c",
    );
    producer.wait_for_lines("rows to ship", 2, LIMIT);
    change_all(&w);
    wait_until_used(&w, &producer, LIMIT);
    producer.signal(libc::SIGTERM);
    producer.wait(LIMIT).ok();
    assert_log_is_whole(&w);
}

#[test]
fn a_source_that_is_only_read_calls_every_run_a_move() {
    let w = three_partitions(Workspace::new("without a memory every run may have moved keys"));
    for _ in 0..2 {
        w.producer(&["--capture", "none"]).ok();
        let link = last_link(&w);
        assert_eq!((link.partitions, link.moved), (3, Some(link.run)));
    }
}
