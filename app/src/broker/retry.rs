//! KafkaError with the brokers, and how long we back_off it: told once when it begins, once more when a broker tells what lies behind it, and once
//! when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::Result;
use crate::stop::Stop;

use crate::broker::error::KafkaError;

/// The outages of several clients that the user should hear of as one.
#[derive(Debug, Clone, Default)]
pub struct OutageLog(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    outages: AtomicUsize,
    /// The user has heard what lies behind them.
    explained: AtomicBool,
}

/// The trouble of one client, from its first failure to its next success.
#[derive(Debug)]
pub struct RetryBudget {
    patience: Duration,
    stop: Stop,
    herald: OutageLog,
    since: Option<Backoff>,
    told: bool,
}

impl RetryBudget {
    pub fn new(patience: Duration, stop: Stop, herald: OutageLog) -> Self {
        Self {
            patience,
            stop,
            herald,
            since: None,
            told: false,
        }
    }

    /// Takes note of trouble: an error when it is fatal or has lasted for longer than we back_off.
    pub fn note(&mut self, trouble: KafkaError) -> Result<()> {
        self.stop.check()?;
        if trouble.is_fatal() {
            return Err(trouble.into_error());
        }
        let Some(since) = &self.since else {
            self.since = Some(Backoff::new(self.patience));
            // A connection that broke while it was idle is no news when a new one stands at once.
            match trouble.broken {
                true => log::debug!("{trouble}"),
                false => self.tell(&trouble),
            }
            return Ok(());
        };
        if since.waited() >= self.patience {
            return Err(trouble.borne(since.waited().as_secs()).into_error());
        }
        self.tell(&trouble);
        Ok(())
    }

    fn tell(&mut self, trouble: &KafkaError) {
        match self.is_news(trouble) {
            true => log::warn!("{trouble}; trying again for up to {} s", self.patience.as_secs()),
            false => log::debug!("{trouble}"),
        }
    }

    /// Whether it is the first trouble that the user hears of, or the first that explains it.
    fn is_news(&mut self, trouble: &KafkaError) -> bool {
        let heard = &self.herald.0;
        let first = !std::mem::replace(&mut self.told, true) && heard.outages.fetch_add(1, Ordering::Relaxed) == 0;
        let explains = trouble.explains && !heard.explained.swap(true, Ordering::Relaxed);
        first || explains
    }

    /// Waits for the next try, longer each time.
    pub fn wait(&mut self) -> Result<()> {
        match &mut self.since {
            Some(since) => since.wait(&self.stop).map(|_| ()),
            None => self.stop.check(),
        }
    }

    /// Takes note of trouble, then waits for the next try.
    pub fn back_off(&mut self, trouble: KafkaError) -> Result<()> {
        self.note(trouble)?;
        self.wait()
    }

    /// The brokers answer again.
    pub fn over(&mut self) {
        let Some(since) = self.since.take() else { return };
        if self.hush() {
            log::info!("Kafka answers again after {:.1} s", since.waited().as_secs_f64());
        }
    }

    /// Takes back what was told; true when it was the last trouble that the user heard of.
    fn hush(&mut self) -> bool {
        let last = std::mem::take(&mut self.told) && self.herald.0.outages.fetch_sub(1, Ordering::Relaxed) == 1;
        if last {
            self.herald.0.explained.store(false, Ordering::Relaxed);
        }
        last
    }
}

impl Drop for RetryBudget {
    fn drop(&mut self) {
        self.hush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_an_error_that_says_what_and_how_to_go_on() {
        let mut retry = RetryBudget::new(Duration::from_millis(50), Stop::default(), OutageLog::default());
        let error = loop {
            match retry.back_off(KafkaError::passing("topic t, partition 3: no leader")) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("topic t, partition 3: no leader"), "{error}");
        assert!(error.to_string().contains("way out"), "{error}");
    }

    #[test]
    fn fatal_trouble_is_an_error_at_once_and_a_stop_comes_first() {
        let stop = Stop::default();
        let mut retry = RetryBudget::new(Duration::from_secs(60), stop.clone(), OutageLog::default());
        let error = retry.back_off(KafkaError::code(29).at("topic t")).unwrap_err();
        assert!(error.to_string().contains("TopicAuthorizationFailed"), "{error}");
        stop.request();
        assert_eq!(retry.back_off(KafkaError::passing("x")).unwrap_err().exit_code(), 0);
    }

    #[test]
    fn trouble_is_told_once_and_so_is_what_explains_it() {
        let herald = OutageLog::default();
        let [mut one, mut other] =
            [(); 2].map(|()| RetryBudget::new(Duration::from_secs(60), Stop::default(), herald.clone()));
        let (refused, too_few) = (KafkaError::passing("connection refused"), KafkaError::code(19));
        for _ in 0..2 {
            assert!(one.is_news(&refused) && !one.is_news(&refused) && !other.is_news(&refused));
            assert!(other.is_news(&too_few) && !other.is_news(&too_few) && !one.is_news(&too_few));
            assert!(!one.hush() && other.hush());
        }
    }

    #[test]
    fn patience_begins_anew_after_a_success() {
        let mut retry = RetryBudget::new(Duration::from_millis(30), Stop::default(), OutageLog::default());
        for _ in 0..5 {
            retry.back_off(KafkaError::passing("x")).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            retry.over();
        }
    }
}
