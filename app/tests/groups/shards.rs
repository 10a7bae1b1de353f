//! One sink file a group; a sink that is spread over several files pins its partitions and has
//! none.

use super::{LIMIT, fill};
use crate::support::*;

#[test]
fn a_second_sink_in_one_group_is_refused_with_the_way_out() {
    let ws = Workspace::new("several sinks in one group would scatter a row's versions").of("t");
    fill(&ws, 500);
    ws.producer(&[]).ok();
    let group = ["--group", &format!("of-{}", ws.topic())];
    let with = |args: &[&'static str]| -> Vec<String> {
        group.iter().chain(args).map(std::string::ToString::to_string).collect()
    };
    let run = |args: &[&'static str]| ws.consumer(&with(args).iter().map(String::as_str).collect::<Vec<_>>());
    run(&["--until-caught-up"]).ok();
    // Afterwards, and beside a member that runs.
    let after = run(&["--sink", "second.db", "--until-caught-up"]).code(1);
    after
        .says("lands in another sink")
        .says("sink.db")
        .says("--group")
        .says("--partitions")
        .says("--delete --group");
    let mut member = ws.start_consumer(&group);
    let beside = run(&["--sink", "second.db"]).code(1);
    beside.says("lands in another sink");
    assert_eq!(
        ws.number(
            &ws.path("second.db"),
            "SELECT count(*) FROM sqlite_schema WHERE name = 't'"
        ),
        0
    );
    ws.sql(&ws.source(), "UPDATE t SET version = 1");
    ws.producer(&[]).ok();
    assert!(
        wait_until(LIMIT, || ws.verify(&[]).status.success()),
        "the first sink does not go on\n{}",
        member.output()
    );
    member.signal(libc::SIGINT);
    member.wait(LIMIT).ok();

    // The ways out work: another group, and a group that has been made to forget, which 0.9 has no
    // tool for.
    ws.consumer(&["--sink", "second.db", "--until-caught-up"]).ok();
    ws.verify(&["--sink", "second.db"]).ok();
    if ws.cluster().is_before_1() {
        return;
    }
    let args = ["--bootstrap-server", "localhost:9092", "--delete", "--group", group[1]];
    let forgotten = wait_until(LIMIT, || {
        let told = ws.cluster().tool("kafka-consumer-groups", &args);
        told.stdout().contains("Deletion of requested consumer groups")
    });
    assert!(forgotten, "the group cannot be deleted: it still has members");
    run(&["--sink", "third.db", "--until-caught-up"]).ok();
    ws.verify(&["--sink", "third.db"]).ok();
}

#[test]
fn a_sink_that_is_made_anew_in_its_place_begins_from_the_start() {
    let ws = Workspace::new("who removes the sink gets a new one, without a word to the group").of("t");
    fill(&ws, 200);
    ws.producer(&[]).ok();
    ws.consumer(&["--until-caught-up"]).ok();
    for tail in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(ws.path(&format!("sink.db{tail}")));
    }
    ws.consumer(&["--until-caught-up"]).ok().says("200 rows landed");
    assert_equal(&ws);
}

#[test]
fn a_sink_put_back_from_a_backup_goes_on_in_its_group() {
    let ws = Workspace::new("the sink's own position decides, not the group's").of("t");
    fill(&ws, 500);
    ws.producer(&[]).ok();
    ws.consumer(&["--until-caught-up"]).ok();
    ws.sql(&ws.sink(), &format!("VACUUM INTO '{}'", ws.path("backup.db").display()));
    ws.sql(&ws.source(), "UPDATE t SET version = 1");
    ws.producer(&[]).ok();
    ws.consumer(&["--until-caught-up"]).ok();
    for tail in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(ws.path(&format!("sink.db{tail}")));
    }
    std::fs::rename(ws.path("backup.db"), ws.sink()).expect("the backup can be put back");
    ws.consumer(&["--until-caught-up"]).ok().says("500 rows landed");
    assert_equal(&ws);
}

#[test]
fn pinned_partitions_spread_a_sink_over_files_and_verify_compares_their_union() {
    let ws = Workspace::new("a sharded sink is whole").of("t");
    fill(&ws, 2000);
    ws.producer(&[]).ok();
    let first = ws.start_consumer(&["--sink", "first.db", "--partitions", "0,2"]);
    let second = ws.start_consumer(&["--sink", "second.db", "--partitions", "1"]);
    let union = ["--sink", "first.db", "--sink", "second.db"];
    assert!(
        wait_until(LIMIT, || ws.verify(&union).status.success()),
        "{}",
        ws.verify(&union)
    );
    ws.sql(&ws.source(), "DELETE FROM t WHERE id % 3 = 0; UPDATE t SET version = 1 WHERE id % 2 = 0; INSERT INTO t VALUES (5000, 1, 'new')");
    ws.producer(&[]).ok();
    assert!(
        wait_until(LIMIT, || ws.verify(&union).status.success()),
        "{}",
        ws.verify(&union)
    );
    ws.verify(&["--sink", "first.db"]).code(1);
    for (mut consumer, file, partitions) in [(first, "first.db", "0 2"), (second, "second.db", "1")] {
        let query = "SELECT group_concat(partition, ' ') FROM (SELECT partition FROM _rowferry_positions ORDER BY 1)";
        let landed = ws.rows(&ws.path(file), query).concat();
        assert_eq!(landed, [rusqlite::types::Value::Text(partitions.to_owned())], "{file}");
        consumer.signal(libc::SIGINT);
        consumer.wait(LIMIT).ok().never_says("group");
    }
    // A full pass takes out of each file what is gone, though each sees only its own end marks.
    ws.sql(&ws.path("first.db"), "INSERT INTO t VALUES (777777, 0, 'stray')");
    ws.producer(&["--backfill"]).ok();
    for (file, partitions) in [("first.db", "0,2"), ("second.db", "1")] {
        ws.consumer(&["--sink", file, "--partitions", partitions, "--until-caught-up"])
            .ok();
    }
    ws.verify(&union).ok();
}

#[test]
fn partitions_that_cannot_be_pinned_are_refused() {
    let ws = Workspace::new("wrong --partitions are named").of("t");
    fill(&ws, 3);
    ws.producer(&[]).ok();
    ws.consumer(&["--partitions", "0,3", "--until-caught-up"])
        .code(2)
        .says("--partitions names 3")
        .says("from 0 to 2");
    ws.consumer(&["--partitions", "-1"]).code(2).says("--partitions");
    ws.consumer(&["--partitions", "0", "--group", "g"])
        .code(2)
        .says("--group");
}
