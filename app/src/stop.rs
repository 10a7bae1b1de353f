//! The wish to stop, from Ctrl-C or SIGTERM to every loop that could wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// A flag that all threads of a program share.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    /// What this is a part of, and ends with.
    whole: Option<Arc<Stop>>,
}

/// The longest time between two looks at the flag, for everything that waits.
pub const STOP_POLL: Duration = Duration::from_millis(50);

impl Stop {
    /// A flag that the first Ctrl-C or SIGTERM raises; the second one ends the program at once.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.flag.clone())
                .and_then(|_| signal_hook::flag::register(signal, stop.flag.clone()))
                .map_err(|e| Error::failed(format!("cannot listen for signal {signal}: {e}")))?;
        }
        Ok(stop)
    }

    /// A flag for a part of the work, which can end before the whole does.
    pub fn part(&self) -> Self {
        Self {
            flag: Arc::default(),
            whole: Some(Arc::new(self.clone())),
        }
    }

    /// Asks everybody to stop.
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.whole.as_ref().is_some_and(|whole| whole.requested())
    }

    /// An error once the flag is up, for `?`.
    pub fn check(&self) -> Result<()> {
        if self.requested() {
            return Err(Error::stopped());
        }
        Ok(())
    }

    /// Sleeps, but no longer than until the flag is raised.
    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps in pieces")]
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STOP_POLL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_with_the_whole_and_not_the_other_way_round() {
        let whole = Stop::default();
        let (first, second) = (whole.part(), whole.part());
        first.request();
        assert!(first.requested() && !second.requested() && !whole.requested());
        whole.request();
        assert!(second.requested());
    }
}
