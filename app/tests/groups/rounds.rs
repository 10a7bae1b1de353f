//! Consumers that are killed, stopped and added while rows land.

use std::time::{Duration, Instant};

use super::{berth, wait_until_shared};
use crate::crashes::{LIMIT, Scene};
use crate::support::*;

const ROUNDS: u32 = 10;

/// A session timeout that every broker allows.
const SESSION: Duration = Duration::from_secs(6);

/// How long the others may take beyond it.
const GRACE: Duration = Duration::from_secs(5);

#[test]
fn ten_rounds_of_kills_stops_and_newcomers_apply_each_of_200_000_records_once() {
    let mut random = Random::new();
    let workspace =
        Workspace::new("a group takes over what a dead member had, and nothing is lost, doubled or reordered").of("t");
    let scene = Scene::start(&workspace, &mut random);
    let consumer = || workspace.start_consumer(&["--session-timeout", "6s"]);
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "500"], &["--session-timeout", "6s"]);
    let mut members = vec![consumer(), consumer()];
    wait_until_shared(&[&members[0], &members[1], &ferry.consumer], &[1, 1, 1]);
    for round in 0..ROUNDS {
        let first = 1_000_000 + round * 20_000;
        workspace.sql(
            &workspace.source(),
            &format!(
                "WITH c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c WHERE n < {first} + 19999)
                 INSERT INTO t SELECT n, 0, 'row ' || n FROM c"
            ),
        );
        // One dies; what it had must go on elsewhere.
        std::mem::swap(&mut ferry.consumer, &mut members[random.below(2) as usize]);
        let mut victim = members.remove(random.below(2) as usize);
        let had = berth(&victim).expect("it has said what it has");
        assert_eq!(had.len(), 1, "not one partition each\n{}", victim.output());
        let stood = positions(&workspace);
        victim.signal(libc::SIGKILL);
        let killed = Instant::now();
        victim.killed();
        let at = had[0] as usize;
        let here = positions(&workspace)[at];
        let taken_over = wait_until(LIMIT, || positions(&workspace)[at] > here);
        let took = killed.elapsed();
        assert!(
            taken_over,
            "round {round}: nobody takes over partition {at}, which stood at {}",
            stood[at]
        );
        assert!(
            took <= SESSION + GRACE,
            "round {round}: partition {at} was taken over after {took:?}"
        );
        eprintln!("round {round}: partition {at} was taken over after {took:?}");
        // Two come, one goes.
        members.extend([consumer(), consumer()]);
        wait_until_shared(&[&members[0], &members[1], &members[2], &ferry.consumer], &[0, 1, 1, 1]);
        let mut gone = members.remove(random.below(3) as usize);
        gone.signal(libc::SIGINT);
        gone.wait(Duration::from_secs(5)).ok();
        wait_until_shared(&[&members[0], &members[1], &ferry.consumer], &[1, 1, 1]);
    }
    for mut member in members {
        member.signal(libc::SIGTERM);
        member.wait(LIMIT).ok();
    }
    let tally = scene.end(ferry);
    assert!(tally.applied >= 200_000, "too few records were applied: {tally:?}");
}

/// How far the sink is in each partition.
fn positions(workspace: &Workspace) -> Vec<i64> {
    let query = "SELECT next_offset FROM _rowferry_positions ORDER BY partition";
    let rows = workspace.rows(&workspace.sink(), query).concat();
    rows.into_iter()
        .map(|cell| match cell {
            rusqlite::types::Value::Integer(offset) => offset,
            other => panic!("no offset but {other:?}"),
        })
        .collect()
}

#[test]
fn a_member_that_slept_through_its_session_writes_nothing_and_joins_again() {
    let mut random = Random::new();
    let workspace = Workspace::new("a late zombie can write nothing").of("t");
    let scene = Scene::start(&workspace, &mut random);
    let mut ferry = Ferry::start(&workspace, &["--batch-rows", "20"], &[]);
    let mut sleeper = workspace.start_consumer(&[]);
    sleeper.wait_for_line("this consumer has", LIMIT);
    for round in 0..4 {
        pause_unlocked(&workspace, &mut sleeper);
        // The other one has everything when the session of the sleeper is over.
        ferry
            .consumer
            .wait_for_lines("this consumer has all partitions", round + 1, LIMIT);
        let before = crate::crashes::Audit::changes(&workspace);
        assert!(wait_until(LIMIT, || crate::crashes::Audit::changes(&workspace) > before + 50));
        sleeper.signal(libc::SIGCONT);
        let shared = wait_until(LIMIT, || {
            [&sleeper, &ferry.consumer]
                .map(|c| berth(c).map(|b| b.len()))
                .iter()
                .flatten()
                .sum::<usize>()
                == 3
                && berth(&sleeper).is_some_and(|b| b.len() < 3)
                && berth(&ferry.consumer).is_some_and(|b| b.len() < 3)
        });
        assert!(
            shared,
            "the sleeper does not come back\n{}\n--\n{}",
            sleeper.output(),
            ferry.consumer.output()
        );
    }
    sleeper.signal(libc::SIGINT);
    sleeper.wait(LIMIT).ok();
    scene.end(ferry);
}

/// Stops a consumer in its tracks, at a moment when it holds no lock of the sink.
fn pause_unlocked(workspace: &Workspace, consumer: &mut Process) {
    let user = rusqlite::Connection::open(workspace.sink()).expect("the sink can be opened");
    user.busy_timeout(Duration::from_millis(300))
        .expect("a timeout can be set");
    let paused = wait_until(LIMIT, || {
        consumer.signal(libc::SIGSTOP);
        let free = user.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        if !free {
            consumer.signal(libc::SIGCONT);
        }
        free
    });
    assert!(paused, "the consumer never lets the lock go\n{}", consumer.output());
}
