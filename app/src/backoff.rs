//! Waiting between two tries: longer each time, with jitter, up to a deadline.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::stop::Stop;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);

/// One series of tries.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    started: Instant,
    patience: Duration,
}

impl Backoff {
    /// A series that gives up after `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            next: FIRST,
            started: Instant::now(),
            patience,
        }
    }

    /// How long this series has gone on.
    pub(crate) fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the next try; false when the patience is used up, an error when the user wants to
    /// stop.
    pub(crate) fn wait(&mut self, stop: &Stop) -> Result<bool> {
        let left = self.patience.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        // Half of the step is certain, half is chance, so that many clients do not come back as
        // one.
        let chance = (RandomState::new().hash_one(self.next) % 1000) as u32;
        let step = self.next / 2 + self.next / 2 * chance / 1000;
        self.next = (self.next * 2).min(LONGEST);
        stop.sleep(step.min(left))?;
        Ok(true)
    }
}
