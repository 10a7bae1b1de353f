//! Looks again and again whether a topic has more partitions than the run spreads its rows over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::broker::Cluster;
use crate::stop::Stop;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(3);

/// Tells a run that a topic has grown, so that another one is due. It looks from a thread of its own: no row waits for the answer.
pub struct Watch {
    grown: Arc<AtomicBool>,
}

impl Watch {
    /// Watches topics, of each of which the run knows so many partitions, until one has grown or this is dropped.
    pub fn start(cluster: &Cluster, topics: Vec<(Arc<str>, i32)>, stop: &Stop) -> Self {
        let grown = Arc::new(AtomicBool::new(false));
        let (cluster, stop, flag) = (cluster.clone(), stop.clone(), Arc::downgrade(&grown));
        thread::spawn(move || look(&cluster, &topics, &stop, &flag));
        Self { grown }
    }

    pub fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }
}

fn look(cluster: &Cluster, topics: &[(Arc<str>, i32)], stop: &Stop, grown: &Weak<AtomicBool>) {
    while stop.sleep(LOOK).is_ok() {
        for (topic, before) in topics {
            let now = cluster.partitions_now(topic);
            let Some(grown) = grown.upgrade() else { return };
            // Where no broker answers, the sending side is the one to despair of it.
            if let Ok(Some(now)) = now
                && now > *before
            {
                log::info!("topic {topic} has {now} partitions now ({before} before): a new run begins");
                grown.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}
