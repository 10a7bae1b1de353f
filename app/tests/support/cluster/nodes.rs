//! The nodes of a cluster, one by one: killed, paused, and asked who leads.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::Cluster;
use crate::support::{kcat, wait_until};

const ZOOKEEPER: &str = "zookeeper";

fn broker_node(number: u32) -> String {
    format!("broker-{number}")
}

impl Cluster {
    /// Kills the broker with SIGKILL and waits until it is gone.
    pub fn kill_broker(&self) {
        self.kill_broker_number(1);
    }

    /// Stops the broker in its tracks with SIGSTOP: connections stay open and nothing answers.
    pub fn pause_broker(&self) {
        self.pause_broker_number(1);
    }

    /// Lets a paused broker go on.
    pub fn resume_broker(&self) {
        self.resume_broker_number(1);
    }

    /// The same for one of several brokers.
    pub fn kill_broker_number(&self, number: u32) {
        self.kill(&broker_node(number), self.0.ports[number as usize - 1]);
    }

    pub fn pause_broker_number(&self, number: u32) {
        self.pause(&broker_node(number));
    }

    pub fn resume_broker_number(&self, number: u32) {
        self.signal(&broker_node(number), libc::SIGCONT);
    }

    /// The same for ZooKeeper, where the stack has one.
    pub fn kill_zookeeper(&self) {
        self.kill(ZOOKEEPER, self.0.zookeeper_port);
    }

    pub fn pause_zookeeper(&self) {
        self.pause(ZOOKEEPER);
    }

    pub fn resume_zookeeper(&self) {
        self.signal(ZOOKEEPER, libc::SIGCONT);
    }

    fn kill(&self, node: &str, port: u16) {
        self.signal(node, libc::SIGKILL);
        let gone = wait_until(Duration::from_secs(10), || {
            self.process(node).is_none() && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
        });
        assert!(gone, "{node} answers though it was killed");
    }

    fn pause(&self, node: &str) {
        self.signal(node, libc::SIGSTOP);
        let paused = wait_until(Duration::from_secs(10), || !self.is_awake(node));
        assert!(paused, "{node} runs on though it was paused");
    }

    fn signal(&self, node: &str, signal: i32) {
        let id = self
            .process(node)
            .unwrap_or_else(|| panic!("{node} does not run, and gets no signal {signal}"));
        // SAFETY: sends a signal to the process that was just looked at.
        let sent = unsafe { libc::kill(id, signal) };
        assert_eq!(
            sent,
            0,
            "signal {signal} to {node}: {}",
            std::io::Error::last_os_error()
        );
    }

    /// The process of a node, if it runs.
    fn process(&self, node: &str) -> Option<i32> {
        let id = fs::read_to_string(self.folder().join(node).with_extension("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let command = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        let mark = format!("-Drowferry.node={}", self.folder().join(node).display());
        command.split('\0').any(|word| word == mark).then_some(id)
    }

    /// The brokers that run and are not paused.
    pub fn awake(&self) -> Vec<u32> {
        self.numbers().filter(|&n| self.is_awake(&broker_node(n))).collect()
    }

    fn is_awake(&self, node: &str) -> bool {
        let Some(id) = self.process(node) else { return false };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name of the command may hold anything, so look behind its closing bracket. T is stopped.
        !stat.rsplit(") ").next().unwrap_or_default().starts_with('T')
    }

    /// The broker that leads a partition, as another broker tells it: for some seconds that may be one that was just killed.
    /// Waits while there is none.
    pub fn leader(&self, topic: &str, partition: u32) -> u32 {
        let mut leader = None;
        wait_until(Duration::from_secs(60), || {
            leader = self.told(topic, partition, "leader ").first().copied();
            leader.is_some()
        });
        leader.unwrap_or_else(|| panic!("{topic} [{partition}] has no leader for 60 s"))
    }

    /// The brokers that have all records of a partition, in the order of their numbers.
    pub fn in_sync(&self, topic: &str, partition: u32) -> Vec<u32> {
        let mut numbers = self.told(topic, partition, "isrs: ");
        numbers.sort();
        numbers
    }

    /// The numbers that stand behind a word in kcat's line for a partition, such as
    /// `partition 0, leader 2, replicas: 2,3,1, isrs: 2,3,1`; none while no broker tells of it.
    fn told(&self, topic: &str, partition: u32, word: &str) -> Vec<u32> {
        let answer = kcat(self, &["-L"], b"");
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

    /// The broker that is the controller: in a cluster without ZooKeeper the leader of the controllers' quorum.
    pub fn controller(&self) -> u32 {
        let number = match self.0.stack.as_str() {
            "kraft" => {
                let args = ["--bootstrap-server", &self.for_tools(), "describe", "--status"];
                let run = self.tool("kafka-metadata-quorum", &args).ok();
                let line = run.stdout().lines().find_map(|line| line.strip_prefix("LeaderId:"));
                line.and_then(|id| id.trim().parse().ok())
            }
            _ => {
                let answer = kcat(self, &["-L"], b"");
                let line = answer
                    .lines()
                    .find_map(|line| line.trim().strip_suffix(" (controller)"));
                line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
            }
        };
        number.expect("the cluster tells who its controller is")
    }

    /// The brokers that are awake, by the addresses that the fronts of Kafka's tools translate.
    pub(super) fn for_tools(&self) -> String {
        let all: Vec<String> = self.awake().iter().map(|n| format!("localhost:{}", 9091 + n)).collect();
        all.join(",")
    }
}
