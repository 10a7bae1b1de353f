//! Calls that may hang or panic run on threads of their own, so that nobody who waits for them is
//! caught up with them.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::stop::{STOP_POLL, Stop};

use crate::broker::error::KafkaError;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// When what is under way must be done. Who does several things, one after another, moves it on
/// with each, so that each has its own limit. Who waits for it can give it up: then nothing more is
/// begun.
#[derive(Debug, Clone)]
pub(super) struct Deadline(Arc<Mutex<Phase>>);

#[derive(Debug)]
enum Phase {
    Until(Instant),
    GivenUp,
}

impl Deadline {
    pub(super) fn within(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(Phase::Until(Instant::now() + limit))))
    }

    /// The next thing begins, which may take so long. An error when nobody waits for it any more:
    /// what is done late, such as sending records, would come behind what was done since.
    pub(super) fn begin(&self, limit: Duration) -> Result<(), KafkaError> {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*phase, Phase::GivenUp) {
            return Err(KafkaError::passing("the call was given up"));
        }
        *phase = Phase::Until(Instant::now() + limit);
        Ok(())
    }

    /// Nobody waits any more.
    pub(super) fn give_up(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Phase::GivenUp;
    }

    /// How much time is left.
    pub(super) fn left(&self) -> Duration {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Until(end) => end.saturating_duration_since(Instant::now()),
            Phase::GivenUp => Duration::ZERO,
        }
    }
}

/// Runs `work` on a thread of its own and waits for it, for at most `limit` and no longer than the
/// user wants.
pub(super) fn run_with_deadline<R: Send + 'static>(
    limit: Duration,
    stop: &Stop,
    work: impl FnOnce() -> Result<R, KafkaError> + Send + 'static,
) -> Result<R, KafkaError> {
    let (done, answer) = sync_channel(1);
    spawn("kafka-aside", move || {
        let _ = done.send(contained(work));
    });
    wait(&answer, &Deadline::within(limit), limit, stop)
}

/// Waits for what another thread does, until the deadline is over, after `limit`, or the user wants
/// to stop.
pub(super) fn wait<R>(
    answer: &Receiver<Result<R, KafkaError>>,
    deadline: &Deadline,
    limit: Duration,
    stop: &Stop,
) -> Result<R, KafkaError> {
    loop {
        if stop.requested() {
            return Err(KafkaError::stopped());
        }
        let left = deadline.left();
        match answer.recv_timeout(left.min(STOP_POLL)) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Disconnected) => return Err(KafkaError::passing("the call broke off")),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(KafkaError::overdue(limit)),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits on a thread that somebody else waits for with a deadline.
#[expect(
    clippy::disallowed_methods,
    reason = "who waits for this thread looks at the wish to stop"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Starts a thread whose panics are not printed.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    hush();
    thread::Builder::new()
        .name(name.to_string())
        .spawn(move || {
            QUIET.set(true);
            work();
        })
        .expect("the system lends a thread");
}

/// Runs `work`, and makes a panic in it an error: what came over the wire is not what a broker
/// says.
pub(super) fn contained<R>(work: impl FnOnce() -> Result<R, KafkaError>) -> Result<R, KafkaError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(KafkaError::passing(format!(
            "the answer is not one that a broker gives ({})",
            message(&*panic)
        )))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no reason given",
    }
}

/// Keeps the panics of our threads off the user's screen; those of others are printed as ever.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                log::debug!("contained: {info}");
            } else {
                others(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    #[test]
    fn a_panic_becomes_an_error() {
        let answer = run_with_deadline::<()>(LIMIT, &Stop::default(), || panic!("capacity overflow"));
        let text = answer.unwrap_err().into_error().to_string();
        assert!(
            text.contains("not one that a broker gives (capacity overflow)"),
            "{text}"
        );
    }

    #[test]
    fn a_call_that_hangs_is_left_behind() {
        let began = Instant::now();
        let answer = run_with_deadline(LIMIT, &Stop::default(), || {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        });
        let error = answer.unwrap_err().into_error().to_string();
        assert!(error.contains("no answer within"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let stop = Stop::default();
        stop.request();
        let answer = run_with_deadline(Duration::from_secs(5), &stop, || {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        });
        assert_eq!(answer.unwrap_err().into_error().exit_code(), 0);
    }

    #[test]
    fn each_of_several_things_has_its_own_limit() {
        let (done, answer) = sync_channel(1);
        let deadline = Deadline::within(LIMIT);
        let moved_on = deadline.clone();
        thread::spawn(move || {
            for _ in 0..4 {
                moved_on.begin(LIMIT).unwrap();
                thread::sleep(LIMIT / 2);
            }
            let _ = done.send(Ok(()));
        });
        wait(&answer, &deadline, LIMIT, &Stop::default()).unwrap();
    }

    #[test]
    fn what_was_given_up_begins_nothing_more() {
        let deadline = Deadline::within(LIMIT);
        deadline.begin(LIMIT).unwrap();
        deadline.give_up();
        assert!(deadline.begin(LIMIT).is_err() && deadline.left().is_zero());
    }
}
