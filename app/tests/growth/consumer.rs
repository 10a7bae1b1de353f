//! The consumer's side: no row goes back to an older version, and full passes end.

use super::*;
use crate::crashes::audit::Audit;
use crate::crashes::{is_behind, start_writer};

#[test]
fn a_full_pass_that_was_sent_before_partitions_were_added_ends_without_them() {
    let w = three_partitions(Workspace::new("the end of a pass is due where it was sent"));
    ship_and_land(&w);
    w.sql(&w.sink(), "INSERT INTO t VALUES (1000, 0, 'x')"); // what the pass has to remove
    w.producer(&["--backfill"]).ok();
    w.cluster().add_partitions(w.topic(), 5);
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("all of the table has landed; 1 rows that the source has no more are removed");
    assert_equal(&w);
}

#[test]
fn a_full_pass_that_was_interrupted_by_a_growth_lands_whole() {
    let w = three_partitions(Workspace::new("a pass that began anew is the one that counts"));
    interrupt_a_pass(&w);
    w.sql(&w.sink(), "INSERT INTO t VALUES (-1, 0, 'x')"); // what the pass has to remove
    w.producer(&[]).ok();
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("all of the table has landed; 1 rows that the source has no more are removed");
    assert_equal(&w);
}

/// Lands what is there, and watches the sink's rows from then on.
fn land_and_watch(w: &Workspace) {
    ship_and_land(w);
    Audit::install(w);
}

/// So many runs of the producer, each with a new version of every row. The rows are wide, so that
/// the log is fetched in many steps.
fn ship_versions(w: &Workspace, runs: usize) {
    ship_versions_of(w, runs, "SELECT id FROM t");
}

fn ship_versions_of(w: &Workspace, runs: usize, ids: &str) {
    let wide = format!("UPDATE t SET version = version + 1, v = hex(randomblob(4000)) WHERE id IN ({ids})");
    for _ in 0..runs {
        w.sql(&w.source(), &wide);
        w.producer(&[]).ok();
    }
}

/// Lands all that is there, and finds that nothing went wrong on the way.
#[track_caller]
fn lands_in_order(w: &Workspace) {
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(w);
    Audit::check_no_row_went_back(w);
}

/// A log in which the older versions of moved rows wait in the partitions that were there before,
/// and the newer ones in those that were added.
fn backlog_over_a_growth(sentence: &str) -> Workspace {
    let w = three_partitions(Workspace::new(sentence));
    land_and_watch(&w);
    ship_versions(&w, 8);
    w.cluster().add_partitions(w.topic(), 5);
    ship_versions(&w, 2);
    w
}

#[test]
fn older_versions_in_the_old_partitions_land_before_newer_ones_in_the_new_ones() {
    let w = backlog_over_a_growth("rows that moved to new partitions do not go back");
    lands_in_order(&w);
    ship_versions(&w, 1);
    lands_in_order(&w);
}

#[test]
fn a_topic_that_grew_twice_behind_the_consumers_back_lands_in_order() {
    let w = backlog_over_a_growth("rows that moved twice do not go back");
    w.cluster().add_partitions(w.topic(), 7);
    ship_versions(&w, 2);
    lands_in_order(&w);
}

/// The sink meets partitions while they are empty; most versions wait in one of them when the topic
/// grows again.
fn partitions_fill_that_were_met_empty(w: &Workspace, met: impl FnOnce()) {
    land_and_watch(w);
    w.cluster().add_partitions(w.topic(), 5);
    w.consumer(&["--until-caught-up"]).ok();
    met();
    ship_versions(w, 1);
    // The rows of one new partition have most of the versions: the others are through long before
    // it.
    let ids = records(w, 3).into_iter().filter_map(|(_, _, json)| json["id"].as_i64());
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    ship_versions_of(w, 15, &ids.join(","));
    w.cluster().add_partitions(w.topic(), 7);
    ship_versions(w, 1);
    lands_in_order(w);
}

#[test]
fn partitions_that_the_sink_has_met_empty_are_waited_for_when_they_have_filled_and_the_topic_grows_again() {
    let w = three_partitions(Workspace::new("what was empty once need not be empty later"));
    partitions_fill_that_were_met_empty(&w, || {});
}

/// A day, in the unit of a run's number.
const DAY: i64 = 86_400_000_000;

#[test]
fn a_consumer_whose_clock_is_a_day_ahead_lands_a_growth_in_order() {
    let w = three_partitions(Workspace::new("no rule compares the clocks of both sides"));
    // It meets the whole topic while that is empty.
    w.consumer(&["--until-caught-up"]).ok();
    // What a consumer of that clock would have noted, where its clock is asked.
    w.sql(
        &w.sink(),
        &format!("UPDATE _rowferry_positions SET reached = reached + {DAY}"),
    );
    ship_versions(&w, 10);
    w.cluster().add_partitions(w.topic(), 4);
    ship_versions(&w, 1);
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
}

#[test]
fn a_producer_whose_clock_is_a_day_ahead_grows_in_order() {
    let w = three_partitions(Workspace::new("no rule compares the clocks of both sides"));
    w.producer(&[]).ok();
    w.sql(&w.source(), &format!("UPDATE _rowferry_run SET epoch = epoch + {DAY}"));
    change_all(&w);
    partitions_fill_that_were_met_empty(&w, || {});
}

#[test]
fn a_consumer_that_is_killed_again_and_again_lands_a_growth_in_order() {
    let w = backlog_over_a_growth("a consumer killed while partitions wait for one another does no harm");
    let mut struck = 0;
    for _ in 0..12 {
        let before = Audit::changes(&w);
        let mut consumer = w.start_consumer(&[]);
        let landing = || Audit::changes(&w) > before || !is_behind(&w);
        assert!(wait_until(LIMIT, landing), "nothing lands\n{}", consumer.output());
        consumer.signal(libc::SIGKILL);
        struck += usize::from(is_behind(&w));
        consumer.killed();
    }
    assert!(struck > 1, "only {struck} consumers were killed while they landed rows");
    lands_in_order(&w);
}

#[test]
fn both_sides_follow_a_topic_that_grows_under_them() {
    both_sides_follow(Workspace::new("a topic may grow while both sides follow it"));
}

#[track_caller]
pub(crate) fn both_sides_follow(workspace: Workspace) {
    let mut random = Random::new();
    let w = three_partitions(workspace);
    land_and_watch(&w);
    let writer = start_writer(&w, &mut random);
    let mut ferry = Ferry::start(&w, &["--batch-rows", "20"], &[]);
    for (before, now) in [(3, 5), (5, 6)] {
        writer.wait_for_more(300);
        w.cluster().add_partitions(w.topic(), now);
        let told = format!("has {now} partitions now ({before} before): a new run begins");
        ferry.producer.wait_for_line(&told, NOTICE);
        let added = format!("SELECT count(*) FROM _rowferry_positions WHERE partition >= {before} AND seq > 1");
        let landed = || w.number(&w.sink(), &added) == i64::from(now - before);
        assert!(
            wait_until(LIMIT, landed),
            "nothing of the new partitions lands\n{}",
            ferry.consumer.output()
        );
    }
    writer.wait_for_more(300);
    writer.stop();
    ferry.end();
    Audit::check_no_row_went_back(&w);
}

#[test]
fn a_run_that_was_cut_off_where_keys_moved_holds_nobody_up_for_good() {
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    let w = three_partitions(Workspace::on(
        &cluster,
        "a run that began in some partitions only is no trap",
    ));
    land_and_watch(&w);
    ship_versions(&w, 3);
    cluster.add_partitions(w.topic(), 5);
    change_all(&w);
    let before = cluster.latest(w.topic());
    proxy.set(Fault::LoseRequestAfter(Request::Produce, 2));
    let producer = w.start_producer(&[]);
    assert!(wait_until(LIMIT, || proxy.struck() > 1), "{}", producer.output());
    producer.kill9();
    proxy.set(Fault::Pass);
    let ends = cluster.latest(w.topic());
    let begun = ends.iter().zip(&before).filter(|(end, before)| end > before).count();
    assert!(
        0 < begun && begun < 5,
        "{before:?} and then {ends:?}: the run was not cut off in the midst"
    );
    // What the other partitions held lands first; then nothing older is to come, and the run lands
    // as far as it came.
    w.consumer(&["--until-caught-up"]).ok();
    Audit::check_no_row_went_back(&w);
    w.producer(&[]).ok();
    lands_in_order(&w);
}

#[test]
fn nobody_waits_for_a_partition_whose_records_have_all_expired() {
    let w = three_partitions(Workspace::new("a partition that holds nothing holds nobody up"));
    w.producer(&[]).ok();
    w.cluster().add_partitions(w.topic(), 5);
    change_all(&w);
    w.producer(&[]).ok();
    let end = w.cluster().latest(w.topic())[1];
    w.cluster().delete_records(w.topic(), 1, end);
    let log: Vec<_> = (0..5).flat_map(|partition| records(&w, partition)).collect();
    let left = log.iter().filter_map(|(_, _, json)| json["id"].as_i64());
    let left: std::collections::HashSet<i64> = left.collect();
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("rows from before the first contact are missing");
    assert_eq!(w.number(&w.sink(), "SELECT count(*) FROM t"), left.len() as i64);
    w.producer(&["--backfill"]).ok();
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
}
