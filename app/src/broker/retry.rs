//! Errors that may pass, and for how long we try again: told once when they begin, once more when a
//! broker tells what lies behind them, and once when they are over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::Result;
use crate::stop::Stop;

use crate::broker::error::KafkaError;
use crate::broker::error_codes::RetryClass;

/// How long what may pass at once is not told.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What the user has heard of the failures of several clients, which are to be heard of as one.
#[derive(Debug, Clone, Default)]
pub(super) struct OutageLog(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Of so many clients.
    clients: AtomicUsize,
    /// What lies behind them, too.
    explained: AtomicBool,
}

/// The failures of one client, from the first one to the next success.
#[derive(Debug)]
pub(super) struct RetryBudget {
    patience: Duration,
    stop: Stop,
    outage_log: OutageLog,
    user: Option<String>,
    since: Option<Backoff>,
    told: bool,
}

impl RetryBudget {
    pub(super) fn new(patience: Duration, stop: Stop, outage_log: OutageLog) -> Self {
        Self {
            patience,
            stop,
            outage_log,
            user: None,
            since: None,
            told: false,
        }
    }

    /// The same for one whom the brokers know as a user.
    pub(super) fn of_user(mut self, user: Option<String>) -> Self {
        self.user = user;
        self
    }

    /// Takes note of a failure, which is an error when it is fatal or has lasted for longer than
    /// the patience. The user's wish to stop is one too.
    pub(super) fn record_failure(&mut self, failure: KafkaError) -> Result<()> {
        self.stop.check()?;
        if matches!(failure.class(), RetryClass::Fatal | RetryClass::Stopped) {
            return Err(match &self.user {
                Some(user) => failure.denied_to(user).into_error(),
                None => failure.into_error(),
            });
        }
        let Some(since) = &self.since else {
            self.since = Some(Backoff::new(self.patience));
            if failure.may_pass_at_once() {
                log::debug!("{failure}");
            } else {
                self.tell(&failure);
            }
            return Ok(());
        };
        if since.waited() >= self.patience {
            return Err(failure.after(since.waited().as_secs()).into_error());
        }
        // Several idle connections break one after the other.
        if !self.told && failure.may_pass_at_once() && since.waited() < AT_ONCE {
            log::debug!("{failure}");
        } else {
            self.tell(&failure);
        }
        Ok(())
    }

    fn tell(&mut self, failure: &KafkaError) {
        if self.is_news(failure) {
            log::warn!("{failure}; trying again for up to {} s", self.patience.as_secs());
        } else {
            log::debug!("{failure}");
        }
    }

    /// Whether it is the first failure that the user hears of, or the first that explains it.
    fn is_news(&mut self, failure: &KafkaError) -> bool {
        let heard = &self.outage_log.0;
        let first = !std::mem::replace(&mut self.told, true) && heard.clients.fetch_add(1, Ordering::Relaxed) == 0;
        let explains = failure.explains() && !heard.explained.swap(true, Ordering::Relaxed);
        first || explains
    }

    /// Waits for the next try, longer each time.
    pub(super) fn wait(&mut self) -> Result<()> {
        match &mut self.since {
            Some(since) => since.wait(&self.stop).map(|_| ()),
            None => self.stop.check(),
        }
    }

    /// Takes note of a failure, then waits for the next try.
    pub(super) fn back_off(&mut self, failure: KafkaError) -> Result<()> {
        self.record_failure(failure)?;
        self.wait()
    }

    /// The brokers answer again.
    pub(super) fn record_success(&mut self) {
        let Some(since) = self.since.take() else { return };
        if self.hush() {
            log::info!("Kafka answers again after {:.1} s", since.waited().as_secs_f64());
        }
    }

    /// Takes back what was told; true when it was the last failure that the user heard of.
    fn hush(&mut self) -> bool {
        let last = std::mem::take(&mut self.told) && self.outage_log.0.clients.fetch_sub(1, Ordering::Relaxed) == 1;
        if last {
            self.outage_log.0.explained.store(false, Ordering::Relaxed);
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
    fn a_fatal_failure_is_an_error_at_once_and_a_stop_comes_first() {
        let stop = Stop::default();
        let mut retry = RetryBudget::new(Duration::from_secs(60), stop.clone(), OutageLog::default());
        let error = retry.back_off(KafkaError::code(29).at("topic t")).unwrap_err();
        assert!(error.to_string().contains("TopicAuthorizationFailed"), "{error}");
        stop.request();
        assert_eq!(retry.back_off(KafkaError::passing("x")).unwrap_err().exit_code(), 0);
        let mut retry = RetryBudget::new(Duration::from_secs(60), Stop::default(), OutageLog::default());
        assert_eq!(retry.back_off(KafkaError::stopped()).unwrap_err().exit_code(), 0);
    }

    #[test]
    fn a_failure_is_told_once_and_so_is_what_explains_it() {
        let outage_log = OutageLog::default();
        let [mut one, mut other] =
            [(); 2].map(|()| RetryBudget::new(Duration::from_secs(60), Stop::default(), outage_log.clone()));
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
            retry.record_success();
        }
    }
}
