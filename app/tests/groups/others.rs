//! Java's and librdkafka's consumers as members of our groups.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{LIMIT, berth, fill, new_consumer};
use crate::support::*;

/// Lets another client come and go: it has its share while it is there, and nothing is missing in
/// the sink afterwards.
fn comes_and_goes(ws: &Workspace, start: impl Fn(&str) -> Process) {
    fill(ws, 300);
    ws.producer(&[]).ok();
    let mut ours = ws.start_consumer(&[]);
    ours.wait_for_line("all of the table has landed", LIMIT);
    for round in 1..=2 {
        let mut other = start(&format!("{}-sink.db", ws.topic()));
        let shared = wait_until(LIMIT, || berth(&ours).is_some_and(|had| had.len() < 3));
        assert!(
            shared,
            "no share is given to the other\n{}\n{}",
            ours.output(),
            other.output()
        );
        // Ids from 10000 on are in this round's rows alone.
        let first = 10_000 * round;
        ws.sql(
            &ws.source(),
            &format!(
                "WITH c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c WHERE n < {first} + 299) INSERT INTO t SELECT n, 0, 'x' FROM c"
            ),
        );
        ws.producer(&[]).ok();
        let row = format!("{{\"id\":{round}"); // 1.... or 2....
        other.wait_for_line(&row, LIMIT);
        let theirs = 300 - ws.number(&ws.sink(), &format!("SELECT count(*) FROM t WHERE id >= {first}"));
        assert!(theirs > 0, "the other had no share of the rows");
        // To all of its processes. A SIGINT would be lost on Java where the tests run in the
        // background. SAFETY: sends a signal to the processes that were just started.
        let sent = unsafe { libc::kill(-(other.id() as i32), libc::SIGTERM) };
        assert_eq!(sent, 0, "the other has ended by itself");
        other.wait(LIMIT);
        let back = wait_until(LIMIT, || berth(&ours).is_some_and(|had| had.len() == 3));
        assert!(back, "the share does not come back\n{}", ours.output());
        let equal = wait_until(LIMIT, || ws.verify(&[]).status.success());
        assert!(equal, "what the other has read is missing here\n{}", ws.verify(&[]));
    }
    ours.signal(libc::SIGINT);
    ours.wait(LIMIT).ok();
}

#[test]
fn a_java_console_consumer_takes_its_share_and_gives_it_back() {
    let ws = Workspace::new("Java's consumer is a member like any other").of("t");
    let settings = ws.path("java.properties");
    comes_and_goes(&ws, |group| {
        // 0.9 has no --group.
        std::fs::write(&settings, format!("group.id={group}\n")).expect("the folder can be written");
        let mut command = Command::new("sh");
        command
            .arg(top().join("app/cluster/kafka-console-consumer.sh"))
            .args(new_consumer(ws.cluster()))
            .args(["--topic", ws.topic(), "--consumer.config"])
            .arg(&settings)
            .env("ROWFERRY_CLUSTER_DIR", ws.cluster().folder());
        Process::start(command.process_group(0))
    });
}

#[test]
fn a_librdkafka_consumer_takes_its_share_and_gives_it_back() {
    let ws = Workspace::new("librdkafka's consumer is a member like any other").of("t");
    comes_and_goes(&ws, |group| {
        let mut command = Command::new("kcat");
        command.args(kcat_reaches(ws.cluster()));
        if ws.cluster().is_before_1() {
            command.args(["-X", "session.timeout.ms=30000"]); // its own 45 s are more than 0.9 allows
        }
        command.args(["-u", "-G", group, ws.topic()]);
        Process::start(command.process_group(0))
    });
}
