//! Trouble with the brokers, and how long we bear it: told once when it begins, once when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::stop::Stop;

use super::codes::{self, Verdict};

/// Why a call did not bring what it should have.
#[derive(Debug)]
pub struct Trouble {
    what: String,
    /// What the user can do, when trying again changes nothing.
    fatal: Option<String>,
    /// The answer came, but what is in it can't be read.
    pub unreadable: bool,
}

impl Trouble {
    /// Trouble that may pass.
    pub fn passing(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fatal: None,
            unreadable: false,
        }
    }

    /// Trouble that trying again does not mend.
    pub fn fatal(what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            fatal: Some(way_out.into()),
            ..Self::passing(what)
        }
    }

    /// The error code that a broker gave for `place`.
    pub fn code(place: &str, code: i16) -> Self {
        let what = format!("{place}: the broker answers {}", codes::name(code));
        match codes::verdict(code) {
            Verdict::Fatal => Self::fatal(what, codes::ALLOW),
            _ => Self::passing(what),
        }
    }

    /// Puts the place where it happened before the sentence.
    pub fn at(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Whether trying again changes nothing.
    pub fn is_fatal(&self) -> bool {
        self.fatal.is_some()
    }

    /// The same, because of what is in an answer that came.
    pub fn unreadable(self) -> Self {
        Self {
            unreadable: true,
            ..self
        }
    }

    /// The error that it is when it is not to be borne.
    pub fn into_error(self) -> Error {
        Error::failed(self.what).way_out(self.fatal.as_deref().unwrap_or(WAY_OUT))
    }
}

const WAY_OUT: &str = "see that the brokers run (sh server_up.sh starts the project's own), then run the same command again: it goes on where it stood";

/// The outages of several clients that the user should hear of as one.
#[derive(Debug, Clone, Default)]
pub struct Herald(Arc<AtomicUsize>);

/// The trouble of one client, from its first failure to its next success.
#[derive(Debug)]
pub struct Outage {
    patience: Duration,
    stop: Stop,
    herald: Herald,
    since: Option<Backoff>,
}

impl Outage {
    pub fn new(patience: Duration, stop: Stop, herald: Herald) -> Self {
        Self {
            patience,
            stop,
            herald,
            since: None,
        }
    }

    /// Takes note of trouble: an error when it is fatal or has lasted for longer than we bear.
    pub fn note(&mut self, trouble: Trouble) -> Result<()> {
        self.stop.check()?;
        if trouble.is_fatal() {
            return Err(trouble.into_error());
        }
        let patience = self.patience;
        match &self.since {
            None => {
                self.since = Some(Backoff::new(patience));
                if self.herald.0.fetch_add(1, Ordering::Relaxed) == 0 {
                    log::warn!("{}; trying again for up to {} s", trouble.what, patience.as_secs());
                }
            }
            Some(since) if since.waited() >= patience => {
                let waited = since.waited().as_secs();
                return Err(Trouble::passing(format!("{}; so it has been for {waited} s", trouble.what)).into_error());
            }
            Some(_) => log::debug!("{}", trouble.what),
        }
        Ok(())
    }

    /// Waits for the next try, longer each time.
    pub fn wait(&mut self) -> Result<()> {
        match &mut self.since {
            Some(since) => since.wait(&self.stop).map(|_| ()),
            None => self.stop.check(),
        }
    }

    /// Takes note of trouble, then waits for the next try.
    pub fn bear(&mut self, trouble: Trouble) -> Result<()> {
        self.note(trouble)?;
        self.wait()
    }

    /// The brokers answer again.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take()
            && self.herald.0.fetch_sub(1, Ordering::Relaxed) == 1
        {
            log::info!("Kafka answers again after {:.1} s", since.waited().as_secs_f64());
        }
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        if self.since.is_some() {
            self.herald.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_an_error_that_says_what_and_how_to_go_on() {
        let mut outage = Outage::new(Duration::from_millis(50), Stop::default(), Herald::default());
        let error = loop {
            match outage.bear(Trouble::passing("topic t, partition 3: no leader")) {
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
        let mut outage = Outage::new(Duration::from_secs(60), stop.clone(), Herald::default());
        let error = outage.bear(Trouble::code("topic t", 29)).unwrap_err();
        assert!(error.to_string().contains("TopicAuthorizationFailed"), "{error}");
        stop.request();
        assert_eq!(outage.bear(Trouble::passing("x")).unwrap_err().exit_code(), 0);
    }

    #[test]
    fn patience_begins_anew_after_a_success() {
        let mut outage = Outage::new(Duration::from_millis(30), Stop::default(), Herald::default());
        for _ in 0..5 {
            outage.bear(Trouble::passing("x")).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            outage.over();
        }
    }
}
