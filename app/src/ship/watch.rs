//! Looks again and again whether a topic has more partitions than the run spreads its rows over,
//! and how far its log goes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::broker::Cluster;
use crate::stop::Stop;

/// Time between two looks.
const WATCH_EVERY: Duration = Duration::from_secs(3);

/// Tells a run that a topic has grown, so that another one is due. It looks from a thread of its
/// own: no row waits for the answer.
pub(crate) struct Watch(Arc<Seen>);

#[derive(Default)]
struct Seen {
    grown: AtomicBool,
    /// Where the logs of each topic ended when they were looked at last.
    ends: Mutex<HashMap<Arc<str>, Vec<i64>>>,
}

impl Watch {
    /// Watches topics, of each of which the run knows so many partitions, until one has grown or
    /// this is dropped.
    pub(crate) fn start(cluster: &Cluster, topics: Vec<(Arc<str>, i32)>, stop: &Stop) -> Self {
        let seen = Arc::new(Seen::default());
        let (cluster, stop, weak) = (cluster.clone(), stop.clone(), Arc::downgrade(&seen));
        thread::spawn(move || watch(&cluster, &topics, &stop, &weak));
        Self(seen)
    }

    pub(crate) fn has_grown(&self) -> bool {
        self.0.grown.load(Ordering::Relaxed)
    }

    /// Where the logs of the topics ended when they were looked at last, since this was asked last.
    pub(crate) fn ends(&self) -> HashMap<Arc<str>, Vec<i64>> {
        std::mem::take(&mut self.0.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn watch(cluster: &Cluster, topics: &[(Arc<str>, i32)], stop: &Stop, seen: &Weak<Seen>) {
    while stop.sleep(WATCH_EVERY).is_ok() {
        for (topic, before) in topics {
            let now = cluster.partitions_now(topic);
            // Where no broker answers, the sending side is the one to despair of it.
            let ends = now.is_ok().then(|| cluster.latest(topic));
            let Some(seen) = seen.upgrade() else { return };
            if let Some(Ok(ends)) = ends {
                let mut all = seen.ends.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(topic.clone(), ends);
            }
            if let Ok(Some(now)) = now
                && now > *before
            {
                log::info!("topic {topic} has {now} partitions now ({before} before): a new run begins");
                seen.grown.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}
