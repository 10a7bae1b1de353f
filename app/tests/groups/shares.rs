//! Who has what: shares, idle members, what the broker tells of them, and how long their offsets
//! are kept.

use std::thread;
use std::time::{Duration, Instant};

use super::{LIMIT, berth, described, fill, wait_until_shared};
use crate::support::*;

#[test]
fn each_member_has_its_share_and_one_too_many_stays_idle_and_says_so() {
    let ws = Workspace::new("members share the partitions, and the broker tells the truth of them").of("t");
    fill(&ws, 3000);
    let group = format!("{}-sink.db", ws.topic());
    ws.producer(&[]).ok();
    let mut members = vec![ws.start_consumer(&[])];
    members[0].wait_for_line("all of the table has landed", LIMIT);
    assert_eq!(
        berth(&members[0]),
        None,
        "a consumer that is alone has no need to say what it has"
    );
    for shares in [&[1, 2][..], &[1, 1, 1], &[0, 1, 1, 1]] {
        members.push(ws.start_consumer(&[]));
        wait_until_shared(&members.iter().collect::<Vec<_>>(), shares);
    }
    let idle = members
        .iter()
        .find(|m| m.output().contains("no partition is left for this consumer"));
    assert!(idle.is_some(), "no member says that it is idle");
    ws.sql(&ws.source(), "UPDATE t SET version = 1");
    ws.producer(&[]).ok();
    assert!(
        wait_until(LIMIT, || ws.verify(&[]).status.success()),
        "four members do not land everything"
    );

    let mut lines = Vec::new();
    let told = wait_until(LIMIT, || {
        lines = described(ws.cluster(), &group);
        lines.len() == 3 && lines.iter().all(|line| line[5] == "0") // the offsets are told within a second
    });
    assert!(told, "{lines:?}");
    let mut owners: Vec<&str> = lines.iter().map(|line| line[6].as_str()).collect();
    owners.sort();
    owners.dedup();
    // 0.9 names the three alike.
    let names = if ws.cluster().is_before_1() { 1 } else { 3 };
    assert_eq!(owners.len(), names, "not three owners: {lines:?}");
    for (partition, line) in lines.iter().enumerate() {
        assert_eq!(
            (line[1].as_str(), line[2].as_str()),
            (ws.topic(), partition.to_string().as_str()),
            "{lines:?}"
        );
        assert_eq!(line[3], line[4], "offset and end differ: {lines:?}");
        let named = if ws.cluster().is_before_1() {
            line[6].starts_with("rowferry-consumer_/")
        } else {
            line[6].starts_with("rowferry-consumer-") && line[8] == "rowferry-consumer"
        };
        assert!(named, "{lines:?}");
    }

    // A clean leave hands over at once, long before a session is over.
    let began = Instant::now();
    let at = members
        .iter()
        .position(|m| berth(m).is_some_and(|b| !b.is_empty()))
        .expect("one has a partition");
    let mut leaver = members.remove(at);
    leaver.signal(libc::SIGINT);
    leaver.wait(Duration::from_secs(5)).ok();
    wait_until_shared(&members.iter().collect::<Vec<_>>(), &[1, 1, 1]);
    eprintln!("handed over after {:?}", began.elapsed());

    for mut member in members {
        member.signal(libc::SIGINT);
        member.wait(Duration::from_secs(5)).ok();
    }
    assert!(
        has_no_member(&ws, &group),
        "a member is left: {:?}",
        described(ws.cluster(), &group)
    );
    let ends = ws.cluster().latest(ws.topic());
    assert_eq!(committed(&ws, &group), ends, "the offsets are gone with the members");
    let again = ws.consumer(&["--until-caught-up"]).ok();
    again.says("0 rows landed");
    assert_equal(&ws);
}

#[test]
fn members_that_are_to_end_when_caught_up_end_together_with_everything_landed() {
    let ws = Workspace::new("--until-caught-up holds for what other members land, too").of("t");
    fill(&ws, 60_000);
    ws.producer(&[]).ok();
    let members: Vec<Process> = (0..5).map(|_| ws.start_consumer(&["--until-caught-up"])).collect();
    for member in members {
        member.wait(LIMIT).ok();
    }
    assert_equal(&ws);
}

#[test]
fn a_hung_apply_lets_go_of_its_partitions_and_comes_back() {
    let ws = Workspace::new("a lock that lasts too long costs a member its partitions, not the group").of("t");
    fill(&ws, 300);
    ws.producer(&[]).ok();
    let mut hung = ws.start_consumer(&["--apply-timeout", "3s"]);
    hung.wait_for_line("all of the table has landed", LIMIT);
    let group = format!("{}-sink.db", ws.topic());
    let lines = described(ws.cluster(), &group);
    assert!(
        lines.len() == 3 && lines.iter().all(|line| line[6] != "-"),
        "it is no member: {lines:?}"
    );

    let user = ws.connection(&ws.sink());
    user.execute_batch("BEGIN IMMEDIATE").expect("the sink can be locked");
    ws.sql(&ws.source(), "UPDATE t SET version = 2");
    ws.producer(&[]).ok();
    hung.wait_for_line("nothing has landed for 3 s", LIMIT);
    let gone = wait_until(LIMIT, || has_no_member(&ws, &group));
    assert!(
        gone,
        "the partitions are still held: {:?}",
        described(ws.cluster(), &group)
    );
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t WHERE version = 2"), 0);

    user.execute_batch("ROLLBACK").expect("the lock can be released");
    assert!(
        wait_until(LIMIT, || ws.verify(&[]).status.success()),
        "it does not come back\n{}",
        hung.output()
    );
    hung.signal(libc::SIGINT);
    hung.wait(Duration::from_secs(5)).ok();
    ws.consumer(&["--until-caught-up"]).ok().says("0 rows landed");
}

#[test]
fn an_idle_member_keeps_the_groups_offsets_alive_on_a_broker_that_forgets_after_a_minute() {
    let cluster = Cluster::own(Config {
        kafka_version: "0.9.0.1".to_owned(),
        broker_config: "offsets.retention.minutes=1\noffsets.retention.check.interval.ms=2000".to_owned(),
        ..Config::default()
    });
    let ws = Workspace::on(&cluster, "offsets outlive idle weeks")
        .of("t")
        .by("kafka");
    fill(&ws, 30);
    ws.producer(&[]).ok();
    // What nobody speaks of is forgotten, or this test shows nothing.
    ws.consumer(&["--group", "forgotten", "--sink", "other.db", "--until-caught-up"])
        .ok();
    let mut kept = ws.start_consumer(&["--group", "kept"]);
    let began = Instant::now();
    let read = |group: &str| committed(&ws, group);
    assert!(
        wait_until(LIMIT, || read("kept").iter().sum::<i64>() >= 30),
        "{:?}",
        read("kept")
    );
    assert!(read("forgotten").iter().sum::<i64>() >= 30);
    let forgotten = wait_until(Duration::from_secs(150), || read("forgotten") == [-1; 3]);
    assert!(forgotten, "the broker forgets nothing: {:?}", read("forgotten"));
    thread::sleep(Duration::from_secs(75).saturating_sub(began.elapsed()));
    assert!(read("kept").iter().sum::<i64>() >= 30, "forgotten: {:?}", read("kept"));
    kept.signal(libc::SIGINT);
    kept.wait(Duration::from_secs(5)).ok();
}

/// Whether the broker knows the group's three offsets and no member of it.
fn has_no_member(ws: &Workspace, group: &str) -> bool {
    let lines = described(ws.cluster(), group);
    if ws.cluster().is_before_1() {
        lines.is_empty()
    } else {
        lines.len() == 3 && lines.iter().all(|line| line[6] == "-")
    }
}

/// The offsets of a group for the three partitions of the workspace's topic; -1 for none. Asked
/// with Python's client, as 0.9 has no tool for it that works without members.
fn committed(ws: &Workspace, group: &str) -> Vec<i64> {
    let script = r#"
import sys
brokers, group, topic = sys.argv[1:]
try:
    from confluent_kafka import Consumer, TopicPartition
    c = Consumer({"bootstrap.servers": brokers, "group.id": group, "api.version.request": False, "broker.version.fallback": "0.9.0.1"})
    print(*[max(p.offset, -1) for p in c.committed([TopicPartition(topic, i) for i in range(3)], timeout=10)])
except ImportError:
    from kafka import KafkaConsumer, TopicPartition
    c = KafkaConsumer(bootstrap_servers=brokers, group_id=group, enable_auto_commit=False, api_version=(0, 9))
    print(*[-1 if (o := c.committed(TopicPartition(topic, i))) is None else o for i in range(3)])
"#;
    let mut command = std::process::Command::new(python());
    command.args(["-c", script, &ws.cluster().direct(), group, ws.topic()]);
    let told = Process::start(&mut command).wait(LIMIT).ok();
    told.stdout()
        .split_whitespace()
        .map(|n| n.parse().unwrap_or_else(|_| panic!("no offsets: {told}")))
        .collect()
}

#[test]
fn a_session_timeout_that_the_broker_does_not_allow_is_said() {
    let ws = Workspace::new("a refused session timeout names the flag").of("t");
    fill(&ws, 3);
    ws.producer(&[]).ok();
    let refused = ws
        .consumer(&["--session-timeout", "100ms", "--until-caught-up"])
        .code(1);
    refused.says("InvalidSessionTimeout").says("--session-timeout");
}
