//! What the brokers of a cluster tell: who leads, who is in sync, who is the controller. A broker
//! that was cut off tells for some seconds how things were, so all that are awake are asked, and
//! what they tell counts when they agree.

use std::time::Duration;

use super::Cluster;
use crate::support::kcat::try_kcat;
use crate::support::wait_until;

/// How long the brokers may take to agree.
const LIMIT: Duration = Duration::from_secs(60);

impl Cluster {
    /// The broker that leads a partition; for some seconds that may be one that was just killed.
    /// Waits while there is none.
    pub(crate) fn leader(&self, topic: &str, partition: u32) -> u32 {
        self.agreed(&format!("who leads {topic} [{partition}]"), || {
            self.told_by_all(|answer| of_partition(answer, topic, partition, "leader ").first().copied())
        })
    }

    /// The brokers that have all records of a partition, in the order of their numbers.
    pub(crate) fn in_sync(&self, topic: &str, partition: u32) -> Vec<u32> {
        let told = self.told_by_all(|answer| Some(of_partition(answer, topic, partition, "isrs: ")));
        let in_all = |number: &u32| told.iter().flatten().all(|list| list.contains(number));
        self.numbers()
            .filter(|number| !told.contains(&None) && in_all(number))
            .collect()
    }

    /// The brokers that a partition is kept by, the one that leads it first as long as all live;
    /// each is followed by its heir.
    pub(crate) fn replicas(&self, topic: &str, partition: u32) -> Vec<u32> {
        let told = self.told_by_all(|answer| Some(of_partition(answer, topic, partition, "replicas: ")));
        told.into_iter().flatten().next().unwrap_or_default()
    }

    /// The broker that is the controller: in a cluster without ZooKeeper the leader of the
    /// controllers' quorum.
    pub(crate) fn controller(&self) -> u32 {
        self.agreed("who is the controller", || match self.stack() {
            "kraft" => {
                let args = ["--bootstrap-server", &self.for_tools(), "describe", "--status"];
                let run = self.tool("kafka-metadata-quorum", &args).ok();
                let id = run.stdout().lines().find_map(|line| line.strip_prefix("LeaderId:"));
                vec![id.and_then(|id| id.trim().parse().ok())]
            }
            _ => self.told_by_all(|answer| {
                let line = answer
                    .lines()
                    .find_map(|line| line.trim().strip_suffix(" (controller)"))?;
                line.split(' ').nth(1)?.parse().ok()
            }),
        })
    }

    /// Whether all brokers that are awake know a topic with so many partitions.
    pub(super) fn know(&self, topic: &str, partitions: u32) -> bool {
        let line = format!("topic \"{topic}\" with {partitions} partitions:");
        let told = self.told_by_all(|answer| answer.lines().any(|told| told.trim() == line).then_some(()));
        !told.contains(&None)
    }

    /// Waits until all answers are the same.
    fn agreed(&self, what: &str, ask: impl Fn() -> Vec<Option<u32>>) -> u32 {
        let mut answers = Vec::new();
        let agreed = wait_until(LIMIT, || {
            answers = ask();
            answers
                .first()
                .is_some_and(|first| first.is_some() && answers.iter().all(|answer| answer == first))
        });
        assert!(
            agreed,
            "the brokers {:?} do not agree {what}: {answers:?}",
            self.awake()
        );
        answers[0].expect("it is some")
    }

    /// What is read in the answer of each broker that is awake; none where it tells nothing.
    fn told_by_all<T>(&self, read: impl Fn(&str) -> Option<T>) -> Vec<Option<T>> {
        let ask = |number| try_kcat(self, &["-b", &self.broker(number), "-L"], b"").ok();
        let read = |answer: Vec<u8>| read(&String::from_utf8_lossy(&answer));
        self.awake()
            .into_iter()
            .map(|number| ask(number).and_then(read))
            .collect()
    }
}

/// The numbers that stand behind a word in kcat's line for a partition, such as
/// `partition 0, leader 2, replicas: 2,3,1, isrs: 2,3,1`.
fn of_partition(answer: &str, topic: &str, partition: u32, word: &str) -> Vec<u32> {
    let (topic, partition) = (format!("topic \"{topic}\" with "), format!("partition {partition}, "));
    let lines = answer
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with(&topic))
        .skip(1);
    let line = lines
        .take_while(|line| line.starts_with("partition "))
        .find(|line| line.starts_with(&partition));
    let list = line
        .and_then(|line| line.split_once(word))
        .and_then(|(_, rest)| rest.split(", ").next());
    list.unwrap_or_default()
        .split(',')
        .filter_map(|number| number.parse().ok())
        .collect()
}
