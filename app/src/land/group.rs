//! Telling the broker's group how far the sink is: for people and for lag monitoring. The sink's own position decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::Group;
use crate::sink::Position;

/// Time between two words to the group.
const EVERY: Duration = Duration::from_secs(1);

/// The longest that the end of a run waits for the last word to the group.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Tells the group from a thread of its own, so that no row waits for it.
pub struct GroupOffsets {
    offsets: Option<Sender<(Arc<str>, i32, i64)>>,
    /// Closed when the teller has ended.
    ended: Receiver<()>,
}

impl GroupOffsets {
    pub fn start(group: Group) -> Self {
        let (offsets, queue) = channel();
        let (alive, ended) = channel();
        thread::spawn(move || {
            tell(group, &queue);
            drop(alive);
        });
        Self {
            offsets: Some(offsets),
            ended,
        }
    }

    /// What is in the sink now; sent before long.
    pub fn tell<'p>(&self, positions: impl Iterator<Item = &'p Position>) {
        if let Some(offsets) = &self.offsets {
            for p in positions {
                // The teller lives until `finish`.
                let _ = offsets.send((p.topic.clone(), p.partition, p.next_offset));
            }
        }
    }

    /// Tells what is still untold and ends; a broker that hangs keeps nobody waiting.
    pub fn finish(&mut self) {
        self.offsets = None;
        let _ = self.ended.recv_timeout(LAST_WORD);
    }
}

fn tell(mut group: Group, queue: &Receiver<(Arc<str>, i32, i64)>) {
    let mut untold = HashMap::new();
    let mut failing = false;
    while let Ok((topic, partition, offset)) = queue.recv() {
        untold.insert((topic, partition), offset);
        let end = Instant::now() + EVERY;
        while let Ok((topic, partition, offset)) = queue.recv_timeout(end.saturating_duration_since(Instant::now())) {
            untold.insert((topic, partition), offset);
        }
        let offsets: Vec<_> = untold
            .iter()
            .map(|((topic, partition), offset)| (topic.clone(), *partition, *offset))
            .collect();
        match group.commit(&offsets) {
            Ok(()) => untold.clear(),
            Err(error) if !failing => {
                log::warn!("the broker's group was not told how far the sink is (the sink itself is safe): {error}");
            }
            Err(_) => {}
        }
        failing = !untold.is_empty();
    }
}
