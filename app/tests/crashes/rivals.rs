//! Two of a kind on one database: one goes on, the other says why it stops, and nothing is lost.

use super::{LIMIT, Scene, wait_until_it_lands};
use crate::support::*;

#[test]
fn of_two_producers_on_one_source_the_older_stops_with_a_clear_message() {
    let mut random = Random::new();
    let workspace = Workspace::new("two producers do no harm").of("t");
    let scene = Scene::start(&workspace, &mut random);
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "20"], &[]);
    for _ in 0..5 {
        ferry.producer.wait_for_line("rows to ship", LIMIT);
        scene.writer.wait_for_more(30);
        let stopped = ferry.next_producer().wait(LIMIT).code(1);
        stopped
            .says("error: another producer has taken over this source")
            .says("way out:");
    }
    scene.end(ferry);
}

#[test]
fn an_idle_producer_that_was_replaced_stops_at_the_next_change() {
    let workspace = Workspace::new("an idle producer notices that it was replaced").of("t");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')",
    );
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    ferry.wait_until_equal("the start");
    let first = ferry.next_producer();
    ferry.producer.wait_for_line("rows to ship", LIMIT);
    workspace.sql(&workspace.source(), "INSERT INTO t VALUES (2, 'b')");
    first
        .wait(LIMIT)
        .code(1)
        .says("error: another producer has taken over this source");
    ferry.follows("t", "UPDATE t SET v = 'c'");
    ferry.end();
}

#[test]
fn a_producer_that_slept_while_another_took_over_sends_its_rows_in_vain() {
    let mut random = Random::new();
    let workspace = Workspace::new("what a replaced producer still sends does no harm").of("t");
    let scene = Scene::start(&workspace, &mut random);
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "10"], &[]);
    for _ in 0..3 {
        // So much to ship that the next batches are always read before they can be sent.
        let all = "INSERT OR REPLACE INTO t SELECT id, version, v || '.' FROM t";
        workspace.sql(&workspace.source(), &[all; 8].join(";"));
        wait_until_it_lands(&workspace);
        ferry.pause_producer();
        let mut first = ferry.next_producer();
        ferry.producer.wait_for_line("rows to ship", LIMIT);
        wait_until_it_lands(&workspace);
        first.signal(libc::SIGCONT);
        first
            .wait(LIMIT)
            .code(1)
            .says("error: another producer has taken over this source");
    }
    let tally = scene.end(ferry);
    assert!(tally.late > 0, "no replaced producer has sent anything: {tally:?}");
}

#[test]
fn of_two_consumers_on_one_sink_one_stops_with_a_clear_message() {
    let mut random = Random::new();
    let workspace = Workspace::new("two consumers do no harm").of("t");
    let scene = Scene::start(&workspace, &mut random);
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "20"], &[]);
    for round in 0..5 {
        one_of_two_stops(&workspace, &mut ferry, round);
    }
    scene.end(ferry);
}

/// Starts a second consumer, of another group, waits until one of the two stops, and leaves the
/// other in the ferry.
fn one_of_two_stops(workspace: &Workspace, ferry: &mut Ferry, round: u32) {
    let mut rival = workspace.start_consumer(&["--group", &format!("{}-{round}", workspace.topic())]);
    let stopped = wait_until(LIMIT, || !rival.is_running() || !ferry.consumer.is_running());
    assert!(
        stopped,
        "both consumers go on\n{}\n{}",
        rival.output(),
        ferry.consumer.output()
    );
    if rival.is_running() {
        std::mem::swap(&mut rival, &mut ferry.consumer);
    }
    assert!(
        ferry.consumer.is_running(),
        "both consumers have stopped\n{}",
        ferry.consumer.output()
    );
    let stopped = rival.wait(LIMIT).code(1);
    stopped
        .says("error: another consumer lands in this sink")
        .says("way out:");
}

#[test]
fn of_two_consumers_that_start_on_a_new_sink_one_lands_it_all() {
    let workspace = Workspace::new("two consumers that start together do no harm").of("t");
    workspace.sql(
        &workspace.source(),
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) INSERT INTO t SELECT n, hex(n) FROM c",
    );
    workspace.producer(&["--batch-rows", "100"]).ok();
    let mut ferry = Ferry::start(&workspace, &[], &[]);
    // One may have landed all of it before the other begins: there is more to land until one stops.
    let writer = Writer::start(&workspace.source(), 1, |connection, random, _| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        connection.execute_batch(&format!(
            "UPDATE t SET v = v || '.' WHERE id = {}",
            1 + random.below(5000)
        ))
    });
    one_of_two_stops(&workspace, &mut ferry, 0);
    writer.stop();
    ferry.end();
}
