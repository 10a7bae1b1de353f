//! The consumers of a group share the partitions and one sink: whoever comes, goes or dies, each
//! record is applied once.

mod files;
mod others;
mod rounds;
mod shards;
mod shares;

use std::time::Duration;

use crate::support::*;

/// How long something that is due may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The partitions that a consumer said last that it has; none where it never said so.
fn berth(consumer: &Process) -> Option<Vec<i32>> {
    let output = consumer.output();
    let said = output
        .lines()
        .rfind(|line| line.contains("this consumer has") || line.contains("no partition is left for this consumer"))?;
    let (_, list) = said.split_once("partition")?;
    let numbers = list.split(" of topic").next().unwrap_or_default();
    Some(
        numbers
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect(),
    )
}

/// Waits until the consumers have these numbers of partitions, in any order.
#[track_caller]
pub(crate) fn wait_until_shared(consumers: &[&Process], wanted: &[usize]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let shared = wait_until(LIMIT, || {
        let berths: Option<Vec<Vec<i32>>> = consumers.iter().map(|consumer| berth(consumer)).collect();
        berths.is_some_and(|berths| {
            let mut counts: Vec<usize> = berths.iter().map(Vec::len).collect();
            counts.sort();
            let mut all = berths.concat();
            all.sort();
            all.dedup();
            counts == wanted && all.len() == wanted.iter().sum::<usize>()
        })
    });
    let outputs: Vec<String> = consumers.iter().map(|consumer| consumer.output()).collect();
    assert!(
        shared,
        "the partitions are not shared as {wanted:?}:\n{}",
        outputs.join("--\n")
    );
}

/// How Kafka's tools for consumers find the cluster, without ZooKeeper.
fn new_consumer(cluster: &Cluster) -> Vec<&'static str> {
    let mut args = vec!["--bootstrap-server", "localhost:9092"];
    if cluster.is_before_1() {
        args.push("--new-consumer");
    }
    args
}

/// What kafka-consumer-groups.sh says of a group: a line for each partition, with its words. 0.9
/// parts them by commas, names the owner by client and host only, and tells nothing of a group
/// without members.
fn described(cluster: &Cluster, group: &str) -> Vec<Vec<String>> {
    let args = [&new_consumer(cluster)[..], &["--describe", "--group", group]].concat();
    let told = cluster.tool("kafka-consumer-groups", &args).ok();
    let words = |line: &str| -> Vec<String> {
        let words = line.split([' ', ',']).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let mut lines: Vec<Vec<String>> = told.stdout().lines().map(words).collect();
    lines.retain(|line| line.first().is_some_and(|word| word == group));
    lines.sort();
    lines
}

/// Makes a table `t` of so many rows, in a topic of three partitions.
fn fill(workspace: &Workspace, rows: u32) {
    workspace.cluster().create_topic(workspace.topic(), 3, &[]);
    workspace.sql(
        &workspace.source(),
        &format!(
            "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, version INTEGER, v TEXT);
             WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) INSERT INTO t SELECT n, 0, 'v' || n FROM c"
        ),
    );
}
