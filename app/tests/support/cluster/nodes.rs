//! The nodes of a cluster, one by one: killed, paused, resumed.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::Cluster;
use crate::support::wait_until;

const ZOOKEEPER: &str = "zookeeper";

fn broker_node(number: u32) -> String {
    format!("broker-{number}")
}

impl Cluster {
    /// Kills the broker with SIGKILL and waits until it is gone.
    pub(crate) fn kill_broker(&self) {
        self.kill_broker_number(1);
    }

    /// Asks the broker to end, with SIGTERM, and waits until it is gone.
    pub(crate) fn end_broker(&self) {
        self.signal(&broker_node(1), libc::SIGTERM);
        let gone = wait_until(Duration::from_secs(60), || self.process(&broker_node(1)).is_none());
        assert!(gone, "the broker runs on though it was asked to end");
    }

    /// Stops the broker in its tracks with SIGSTOP: connections stay open and nothing answers.
    pub(crate) fn pause_broker(&self) {
        self.pause_broker_number(1);
    }

    /// Lets a paused broker go on.
    pub(crate) fn resume_broker(&self) {
        self.resume_broker_number(1);
    }

    /// The same for one of several brokers.
    pub(crate) fn kill_broker_number(&self, number: u32) {
        self.kill(&broker_node(number), self.0.ports[number as usize - 1]);
    }

    pub(crate) fn pause_broker_number(&self, number: u32) {
        self.pause(&broker_node(number));
    }

    pub(crate) fn resume_broker_number(&self, number: u32) {
        self.signal(&broker_node(number), libc::SIGCONT);
    }

    /// The same for ZooKeeper, where the stack has one.
    pub(crate) fn kill_zookeeper(&self) {
        self.kill(ZOOKEEPER, self.0.zookeeper_port);
    }

    pub(crate) fn pause_zookeeper(&self) {
        self.pause(ZOOKEEPER);
    }

    pub(crate) fn resume_zookeeper(&self) {
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
    pub(crate) fn awake(&self) -> Vec<u32> {
        self.numbers().filter(|&n| self.is_awake(&broker_node(n))).collect()
    }

    fn is_awake(&self, node: &str) -> bool {
        let Some(id) = self.process(node) else { return false };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name of the command may hold anything, so look behind its closing bracket. T is
        // stopped.
        !stat.rsplit(") ").next().unwrap_or_default().starts_with('T')
    }

    /// The brokers that are awake, by the addresses that the fronts of Kafka's tools translate.
    pub(crate) fn for_tools(&self) -> String {
        let all: Vec<String> = self.awake().iter().map(|n| format!("localhost:{}", 9091 + n)).collect();
        all.join(",")
    }
}
