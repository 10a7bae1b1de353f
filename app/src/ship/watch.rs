//! Looks again and again whether a topic has more partitions than the run spreads its rows over,
//! how far its log goes, and whether it is another topic of that name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::broker::Cluster;
use crate::error::{Error, Kind, Result};
use crate::model::TopicId;
use crate::stop::Stop;

use super::readback::check_topic;

/// Time between two looks.
const WATCH_EVERY: Duration = Duration::from_secs(3);

/// Tells a run that a topic has grown, so that another one is due. It looks from a thread of its
/// own: no row waits for the answer.
pub(crate) struct Watch(Arc<Seen>);

/// What a run knows of a topic that it ships to.
#[derive(Debug, Clone)]
pub(crate) struct ShippedTopic {
    pub(crate) name: Arc<str>,
    pub(crate) partitions: i32,
    /// Where it is told.
    pub(crate) id: Option<TopicId>,
}

#[derive(Default)]
struct Seen {
    grown: AtomicBool,
    /// Where the logs of each topic ended when they were looked at last.
    ends: Mutex<HashMap<Arc<str>, Vec<i64>>>,
    /// Why this run has to end: a topic is another one.
    another: Mutex<Option<Error>>,
}

impl Watch {
    /// Watches topics until one has grown, or is another one, or this is dropped.
    pub(crate) fn start(cluster: &Cluster, topics: Vec<ShippedTopic>, stop: &Stop) -> Self {
        let seen = Arc::new(Seen::default());
        let (cluster, stop, weak) = (cluster.clone(), stop.clone(), Arc::downgrade(&seen));
        thread::spawn(move || watch(&cluster, &topics, &stop, &weak));
        Self(seen)
    }

    pub(crate) fn has_grown(&self) -> bool {
        self.0.grown.load(Ordering::Relaxed)
    }

    /// An error where a topic is another one.
    pub(crate) fn check(&self) -> Result<()> {
        let mut another = self.0.another.lock().unwrap_or_else(PoisonError::into_inner);
        another.take().map_or(Ok(()), Err)
    }

    /// Where the logs of the topics ended when they were looked at last, since this was asked last.
    pub(crate) fn ends(&self) -> HashMap<Arc<str>, Vec<i64>> {
        std::mem::take(&mut self.0.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn watch(cluster: &Cluster, topics: &[ShippedTopic], stop: &Stop, seen: &Weak<Seen>) {
    while stop.sleep(WATCH_EVERY).is_ok() {
        for ShippedTopic {
            name: topic,
            partitions: before,
            id,
        } in topics
        {
            let now = cluster.partitions_now(topic);
            // Where no broker answers, the sending side is the one to despair of it.
            let ends = now.is_ok().then(|| cluster.latest(topic));
            let checked = now.is_ok().then(|| check_topic(cluster, topic, *id));
            let Some(seen) = seen.upgrade() else { return };
            if let Some(Err(error)) = checked
                && error.kind() == Kind::Forked
            {
                *seen.another.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return;
            }
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
