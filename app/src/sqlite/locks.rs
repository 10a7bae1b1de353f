//! Waiting for the locks of other processes.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// How long a lock is waited for in silence.
const SILENCE: Duration = Duration::from_secs(1);

/// How soon a lock is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// After 1 to 20 milliseconds: each try takes a lock for a moment, which the user's own
    /// writers must hardly ever meet.
    Gentle,
    /// After a tenth of the time for which it is held already, 0.1 to 10 milliseconds: consumers
    /// that share a sink hand its lock on many times a second.
    Eager,
}

impl Pace {
    fn pause(self, tries: i32, held: Duration) -> Duration {
        match self {
            Pace::Gentle => Duration::from_millis(tries.clamp(1, 20) as u64),
            Pace::Eager => (held / 10).clamp(Duration::from_micros(100), Duration::from_millis(10)),
        }
    }
}

/// Waits whenever another process holds a lock, for as long as `goes_on` says so of the time that
/// has passed. Where that is long, `notice` is logged, once for each such time.
pub(crate) fn wait(
    conn: &mut Connection,
    pace: Pace,
    notice: String,
    mut goes_on: impl FnMut(Duration) -> bool + Send + 'static,
) -> rusqlite::Result<()> {
    let (mut since, mut is_said) = (Instant::now(), false);
    conn.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            (since, is_said) = (Instant::now(), false);
        }
        if !goes_on(since.elapsed()) {
            return false;
        }
        if !is_said && since.elapsed() > SILENCE {
            is_said = true;
            log::warn!("{notice}");
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "milliseconds, and the wish to stop is looked at before and after"
        )]
        thread::sleep(pace.pause(tries, since.elapsed()));
        goes_on(since.elapsed())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open::{Access, open};

    #[test]
    fn a_lock_is_waited_for_until_it_is_free_or_the_wait_is_over() {
        let path = std::env::temp_dir().join(format!("rowferry-locks-{}", std::process::id()));
        let other = open(&path, Access::Create).unwrap();
        other.execute_batch("CREATE TABLE t(x); BEGIN IMMEDIATE").unwrap();
        for pace in [Pace::Gentle, Pace::Eager] {
            let mut conn = open(&path, Access::Write).unwrap();
            let limit = Duration::from_millis(60);
            wait(&mut conn, pace, String::new(), move |held| held < limit).unwrap();
            let since = Instant::now();
            let error = conn.execute_batch("BEGIN IMMEDIATE").unwrap_err();
            assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
            assert!(since.elapsed() >= limit);
        }
        let mut conn = open(&path, Access::Write).unwrap();
        wait(&mut conn, Pace::Eager, String::new(), |_| true).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap());
            thread::sleep(Duration::from_millis(20));
            other.execute_batch("COMMIT").unwrap();
        });
        std::fs::remove_file(&path).unwrap();
    }
}
