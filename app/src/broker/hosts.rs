//! The brokers' addresses: those that the user gave and those that the cluster told, and whose turn
//! it is.

use std::sync::{Arc, Mutex, PoisonError};

use crate::broker::connection::address;
use crate::broker::connection::open::CONNECT_TIMEOUT;

/// So many addresses are enough to find a cluster again, and all of them are tried in a minute or
/// two. What a broker tells is bounded by nothing else.
pub(super) const MOST_HOSTS: usize = 100;

/// The addresses that all clients of a cluster share.
#[derive(Debug, Clone)]
pub(super) struct Hosts(Arc<Mutex<Vec<String>>>);

impl Hosts {
    pub(super) fn new(given: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(given)))
    }

    /// All addresses. Each call begins with another one, so that a broker that hangs is not asked
    /// for ever.
    pub(super) fn all(&self) -> Vec<String> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = hosts.clone();
        hosts.rotate_left(1);
        all
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Adds addresses that the cluster told, so that we find it when those that the user gave are
    /// gone.
    pub(super) fn learn<'a>(&self, told: impl Iterator<Item = &'a str>) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for host in told {
            if hosts.len() >= MOST_HOSTS {
                return;
            }
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_string());
            }
        }
    }

    /// An address that takes connections, for the crate `kafka`, which would wait for minutes on one
    /// that does not. Everybody else opens a connection and keeps it: a broker that speaks TLS logs
    /// a failure where one is closed without a word.
    pub(super) fn reachable(&self) -> Result<String, String> {
        let all = self.all();
        let mut why = Vec::new();
        for host in &all {
            match address::connect(host, CONNECT_TIMEOUT) {
                Ok(_) => return Ok(host.clone()),
                Err(e) => why.push(format!("{host}: {e}")),
            }
        }
        Err(format!("no broker can be reached ({})", why.join("; ")))
    }
}

impl std::fmt::Display for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hosts.sort();
        f.write_str(&hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_tells_is_learned_up_to_an_end() {
        let hosts = Hosts::new(vec!["given:1".to_string()]);
        let told: Vec<String> = (0..1 << 20).map(|port| format!("told:{port}")).collect();
        hosts.learn(told.iter().map(String::as_str));
        assert_eq!(hosts.count(), MOST_HOSTS);
        assert!(hosts.all().iter().any(|host| host == "given:1"));
    }
}
