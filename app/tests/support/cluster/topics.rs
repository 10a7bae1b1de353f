//! The topics of a cluster, and what its brokers tell of them.

use std::fs;
use std::time::Duration;

use super::Cluster;
use crate::support::kcat::try_kcat;
use crate::support::{Run, kcat, wait_until};

impl Cluster {
    /// Creates a topic, with settings such as `("cleanup.policy", "compact")` and as many replicas
    /// as the cluster gives by default.
    pub(crate) fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        self.create_topic_replicated(name, partitions, self.numbers().count().min(3), settings);
    }

    /// The same with a number of replicas. All brokers that are awake know the topic afterwards.
    pub(crate) fn create_topic_replicated(
        &self,
        name: &str,
        partitions: u32,
        replicas: usize,
        settings: &[(&str, &str)],
    ) {
        let settings: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("--config={name}={value}"))
            .collect();
        let (count, replicas) = (partitions.to_string(), replicas.to_string());
        let mut args = vec![
            "--create",
            "--topic",
            name,
            "--partitions",
            &count,
            "--replication-factor",
            &replicas,
        ];
        args.extend(settings.iter().map(String::as_str));
        self.topics(&args);
        let known = wait_until(Duration::from_secs(30), || self.know(name, partitions));
        assert!(
            known,
            "not every broker knows the topic {name} 30 s after it was created"
        );
    }

    /// Adds partitions to a topic, so that it has so many.
    pub(crate) fn add_partitions(&self, name: &str, partitions: u32) {
        self.topics(&["--alter", "--topic", name, "--partitions", &partitions.to_string()]);
        assert_eq!(self.partitions(name), partitions as usize, "partitions of {name}");
    }

    /// Deletes a topic and waits until it is gone.
    pub(crate) fn delete_topic(&self, name: &str) {
        self.topics(&["--delete", "--topic", name]);
        let gone = wait_until(Duration::from_secs(30), || {
            !self
                .topics(&["--list"])
                .stdout()
                .lines()
                .any(|line| line.split(' ').next() == Some(name))
        });
        assert!(gone, "the topic {name} is still there 30 s after its deletion");
    }

    /// kafka-topics.sh, by the way that this version of Kafka knows.
    fn topics(&self, args: &[&str]) -> Run {
        let brokers = self.for_tools();
        let place = if self.kafka_version().starts_with("0.") {
            ["--zookeeper", "zookeeper:2181"]
        } else {
            ["--bootstrap-server", &brokers]
        };
        self.tool("kafka-topics", &[&place, args].concat()).ok()
    }

    /// Removes the records of a partition before an offset, as if they had expired.
    pub(crate) fn delete_records(&self, topic: &str, partition: u32, before_offset: i64) {
        let file = self.0.folder.join(format!("delete-{topic}-{partition}.json"));
        let place = format!(r#"{{"topic":"{topic}","partition":{partition},"offset":{before_offset}}}"#);
        fs::write(&file, format!(r#"{{"version":1,"partitions":[{place}]}}"#)).expect("the folder can be written");
        let file = file.to_str().expect("the temporary folder has a plain name");
        let args = ["--bootstrap-server", &self.for_tools(), "--offset-json-file", file];
        self.tool("kafka-delete-records", &args).ok().says("low_watermark");
    }

    /// The first offset of each partition that the broker still holds.
    pub(crate) fn earliest(&self, topic: &str) -> Vec<i64> {
        self.offsets(topic, "beginning")
    }

    /// The offset after the last record of each partition.
    pub(crate) fn latest(&self, topic: &str) -> Vec<i64> {
        self.offsets(topic, "end")
    }

    fn offsets(&self, topic: &str, place: &str) -> Vec<i64> {
        let time = if place == "end" { -1 } else { -2 };
        let places: Vec<String> = (0..self.partitions(topic))
            .map(|p| format!("{topic}:{p}:{time}"))
            .collect();
        let args: Vec<&str> = places.iter().flat_map(|place| ["-t", place]).collect();
        // A new leader does not know at once how far its log goes, and does not tell until it does.
        let mut answer = Err(String::new());
        wait_until(Duration::from_secs(30), || {
            answer = try_kcat(self, &[&["-Q"], &args[..]].concat(), b"");
            answer.is_ok()
        });
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        let answer = String::from_utf8_lossy(&answer);
        (0..places.len())
            .map(|partition| {
                let start = format!("{topic} [{partition}] offset ");
                let line = answer.lines().find_map(|line| line.strip_prefix(&start));
                line.and_then(|offset| offset.trim().parse().ok())
                    .unwrap_or_else(|| panic!("kcat tells no {place} of {topic} [{partition}]:\n{answer}"))
            })
            .collect()
    }

    /// How many partitions a topic has.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let answer = kcat(self, &["-L", "-t", topic], b"");
        let start = format!("topic \"{topic}\" with ");
        let rest = answer
            .lines()
            .find_map(|line| line.trim().strip_prefix(&start))
            .unwrap_or_default();
        rest.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("no count of partitions in:\n{answer}"))
    }
}
