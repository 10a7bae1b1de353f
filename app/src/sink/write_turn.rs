//! Consumers that share a sink file take turns at its one write lock.
//!
//! SQLite keeps no queue: who commits and begins again at once is nearly always faster than those
//! who look whether the lock is free. So everyone waits for the turn first and keeps it until the
//! lock is theirs: who has just committed finds that another one has it. It is a courtesy and
//! protects nothing: where it cannot be had, it is done without.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use log::debug;
use rusqlite::Connection;

use crate::error::Result;
use crate::sqlite::open::beside;
use crate::stop::Stop;

use super::error::{cannot, stopped_or};

/// The same for all who wait, so that all have the same chance.
const POLL: Duration = Duration::from_millis(1);
/// No longer than this, for the one before may be a process that was paused.
const PATIENCE: Duration = Duration::from_millis(500);

/// A file beside the sink, whose lock is the turn. It stays there: to remove it would part those
/// who have it open from those who come later.
pub(super) struct WriteTurns(Option<File>);

/// Having the turn, until this is dropped.
pub(super) struct WriteTurn<'a>(Option<&'a File>);

impl WriteTurns {
    /// The turns at a sink that is there.
    pub(super) fn beside(sink: &Path) -> Self {
        // By whatever links a consumer comes to the sink, the file is the same.
        let real = fs::canonicalize(sink).unwrap_or_else(|_| sink.to_owned());
        let path = beside(&real, "-turn");
        // Nothing but its lock is of use. It is never read, cut or followed, whatever somebody has
        // put there under its name.
        let open = |how: &mut OpenOptions| how.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
        let file = open(OpenOptions::new().create(true).append(true)).or_else(|_| open(OpenOptions::new().read(true))); // that of another user
        Self(
            file.inspect_err(|e| debug!("no turn file {}: {e}", path.display()))
                .ok(),
        )
    }

    /// Waits for the turn, until asked to stop.
    pub(super) fn take(&self, stop: &Stop) -> Result<WriteTurn<'_>> {
        let Some(file) = &self.0 else {
            return Ok(WriteTurn(None));
        };
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(WriteTurn(Some(file))),
                Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => stop.sleep(POLL)?,
                // Not every file system has such locks.
                Err(_) => return Ok(WriteTurn(None)),
            }
        }
    }
}

impl Drop for WriteTurn<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            let _ = file.unlock();
        }
    }
}

/// Lets the write-ahead log begin anew when it is long. What each commit copies out of it is never
/// all while the next one writes already, and then the log would grow as long as several consumers
/// are busy. To be called by who has the turn.
pub(super) fn shorten_log(conn: &Connection, pages: i64, stop: &Stop) -> Result<()> {
    let checkpoint = |mode: &str| -> Result<(bool, i64, i64)> {
        conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))
            .and_then(|mut s| s.query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))))
            .map_err(|e| cannot(e, "shorten the log of the sink"))
    };
    let (_, long, copied) = checkpoint("NOOP")?;
    if long < pages || long == copied {
        return Ok(());
    }
    // Whoever writes comes to an end first.
    conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        .map_err(|e| stopped_or(e, stop, "begin a transaction in the sink"))?;
    let since = Instant::now();
    // Busy is another one that copies. A reader in the way is not waited for.
    while checkpoint("PASSIVE")?.0 && since.elapsed() < PATIENCE {
        stop.sleep(POLL)?;
    }
    Ok(())
}
