//! Nodes of a cluster of three brokers die while rows flow: both sides end equal, and each record
//! was applied once and in order.

mod coordinator;
mod endings;
mod leaders;
mod minimum;
mod newest;
mod nodes;
mod restarts;
mod young;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::crashes::{Scene, is_behind, wait_until_it_lands};
use crate::support::*;

/// How long something that is due may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

const PARTITIONS: u32 = 3;

/// Leaders stay where the faults have driven them.
const NO_REBALANCE: &str = "auto.leader.rebalance.enable=false";

fn three_brokers(stack: &str, kafka_version: &str) -> Cluster {
    Cluster::own(Config {
        stack,
        kafka_version: kafka_version.to_owned(),
        brokers: 3,
        broker_config: NO_REBALANCE.to_owned(),
        ..Config::default()
    })
}

/// A cluster that the tests use one after another.
struct Trio(MutexGuard<'static, Option<Cluster>>);

impl Trio {
    /// One of the version that this run is for.
    fn take() -> Self {
        Self::made_of(default_stack())
    }

    /// One whose controller outlives the loss of two of three brokers.
    fn with_zookeeper() -> Self {
        Self::made_of("wurstmeister")
    }

    fn made_of(stack: &str) -> Self {
        static TRIO: Mutex<Option<Cluster>> = Mutex::new(None);
        let mut trio = TRIO.lock().unwrap_or_else(|poisoned| {
            TRIO.clear_poison();
            let mut trio = poisoned.into_inner();
            *trio = None; // a test failed, and left it in whatever state
            trio
        });
        if trio.as_ref().is_none_or(|cluster| cluster.stack() != stack) {
            *trio = None; // before the next one starts
            *trio = Some(three_brokers(stack, ""));
        }
        Self(trio)
    }
}

impl std::ops::Deref for Trio {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("it was started when it was taken")
    }
}

/// Rows on their way over a cluster: a topic of three partitions, each led by another broker at
/// first, and both sides running.
struct Passage<'w> {
    workspace: &'w Workspace,
    scene: Scene<'w>,
    ferry: Ferry<'w>,
}

impl<'w> Passage<'w> {
    fn start(workspace: &'w Workspace, random: &mut Random, consumer: &[&'w str]) -> Self {
        let scene = Scene::start(workspace, random);
        let mut leaders: Vec<u32> = (0..PARTITIONS)
            .map(|p| workspace.cluster().leader(workspace.topic(), p))
            .collect();
        leaders.sort();
        assert_eq!(leaders, [1, 2, 3], "each broker leads a partition");
        Self {
            ferry: Ferry::start(workspace, &["--batch-rows", "500"], consumer),
            scene,
            workspace,
        }
    }

    /// Does harm to the cluster while rows land; afterwards rows must wait.
    #[track_caller]
    fn suffer(&self, harm: impl FnOnce(&Cluster)) {
        wait_until_it_lands(self.workspace);
        harm(self.workspace.cluster());
        self.scene.writer.wait_for_more(30);
        assert!(
            is_behind(self.workspace),
            "no row is in flight while the cluster is harmed"
        );
    }

    /// Waits until both sides have told of trouble once more than they had. Only trouble that lasts
    /// is sure to be told: a batch may wait at a broker that lives, and find new leaders
    /// afterwards.
    #[track_caller]
    fn hear(&mut self, text: &str, before: [usize; 2]) {
        for (side, before) in [&mut self.ferry.producer, &mut self.ferry.consumer]
            .into_iter()
            .zip(before)
        {
            side.wait_for_lines(text, before + 1, LIMIT);
        }
    }

    /// How many lines of producer and consumer hold a text.
    fn heard(&self, text: &str) -> [usize; 2] {
        [&self.ferry.producer, &self.ferry.consumer].map(|side| said(side, text))
    }

    /// Waits until what the source has now is in the sink.
    #[track_caller]
    fn recover(&self) {
        let newest = |database: PathBuf| self.workspace.number(&database, "SELECT max(version) FROM t");
        let due = newest(self.workspace.source());
        let landed = wait_until(LIMIT, || newest(self.workspace.sink()) >= due);
        assert!(landed, "version {due} does not land\n{}", self.ferry.producer.output());
    }

    /// Starts what was killed, and waits until every broker has all records.
    #[track_caller]
    fn mend(&self) {
        let cluster = self.workspace.cluster();
        cluster.start_missing();
        wait_until_in_sync(self.workspace, &[1, 2, 3]);
    }

    /// Both sides come to rest, and must have done what the log says.
    #[track_caller]
    fn end(self) {
        self.scene.end(self.ferry);
    }
}

/// How many lines of a process hold a text.
fn said(side: &Process, text: &str) -> usize {
    side.output().lines().filter(|line| line.contains(text)).count()
}

/// Waits until these brokers, and no others, have all records of each partition.
#[track_caller]
fn wait_until_in_sync(workspace: &Workspace, brokers: &[u32]) {
    let in_sync = || (0..PARTITIONS).map(|p| workspace.cluster().in_sync(workspace.topic(), p));
    let done = wait_until(LIMIT, || in_sync().all(|numbers| numbers == brokers));
    assert!(done, "in sync: {:?}, not {brokers:?}", in_sync().collect::<Vec<_>>());
}

/// Kills the leader of a partition, and fails when it was not the leader at that moment.
#[track_caller]
fn kill_leader(cluster: &Cluster, topic: &str, partition: u32) -> u32 {
    let killed = cluster.leader(topic, partition);
    cluster.kill_broker_number(killed);
    // For some seconds, until its session is over, the others hold it for the leader: it was that
    // when it died.
    assert_eq!(
        cluster.leader(topic, partition),
        killed,
        "the kill came too late for the leader"
    );
    killed
}

/// Waits until a partition is led by another broker than the one that is gone.
#[track_caller]
fn wait_until_led_by_another(cluster: &Cluster, topic: &str, partition: u32, gone: u32) {
    let moved = wait_until(LIMIT, || cluster.leader(topic, partition) != gone);
    assert!(
        moved,
        "broker {gone} is gone, and still the leader of {topic} [{partition}]"
    );
}
