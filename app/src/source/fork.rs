//! Whether the file is still the one that this run left.
//!
//! A file can be put back, copied over or rewound under a running producer. What was read from it
//! before then belongs to a history that it no longer has, and what was sent of that is not what it
//! holds. Two things tell, in each transaction:
//!
//! - **The run's own notes.** The file carries the run's epoch and a count that each note of this
//!   run raises. Another process's run has another epoch, and an older state of this run a smaller
//!   count.
//! - **The last change that was read.** Between two notes the count stands still. But each row of
//!   the outbox has a random tag, and only this run removes rows of it, never the last: a file that
//!   holds the last change of an earlier look is a later state of what was looked at then, and
//!   nothing else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension};

use super::capture;
use crate::error::{Error, Kind};
use crate::sqlite::error::SqlResult;
use crate::sqlite::tables::has_table;

/// The state of a run in its file: shared by all who read and write for it.
#[derive(Debug, Clone)]
pub(super) struct RunState {
    epoch: u64,
    notes: Arc<AtomicU64>,
}

impl RunState {
    pub(super) fn new(epoch: u64, notes: u64) -> RunState {
        RunState {
            epoch,
            notes: Arc::new(AtomicU64::new(notes)),
        }
    }

    /// How many notes are known to be in the file. To be asked before the transaction that `check`
    /// looks at begins.
    pub(super) fn notes(&self) -> u64 {
        self.notes.load(Ordering::Acquire)
    }

    /// An error unless the run is still the file's last, in a state that has at least so many
    /// notes.
    pub(super) fn check(&self, conn: &Connection, at_least: u64) -> SqlResult<()> {
        let found = state(conn)?;
        match found {
            Some((Some(epoch), notes)) if epoch == self.epoch && notes >= at_least => Ok(()),
            Some((Some(epoch), _)) if epoch > self.epoch => Err(taken_over(self.epoch, epoch).into()),
            Some(_) => Err(forked("it holds an earlier state than this run has noted").into()),
            None => Err(Error::failed(
                "Rowferry's tables are no more in the source: they were taken out, or the file was put back",
            )
            .way_out("start the producer again; it makes them anew and sends all rows")
            .into()),
        }
    }

    /// Raises the count inside a write transaction; `confirm` is to follow when that is committed.
    pub(super) fn renew(&self, conn: &Connection) -> SqlResult<u64> {
        let notes: i64 = conn
            .prepare_cached("UPDATE _rowferry_run SET notes = notes + 1 RETURNING notes")?
            .query_row([], |row| row.get(0))?;
        Ok(notes as u64)
    }

    /// The transaction of `renew` is committed.
    pub(super) fn confirm(&self, notes: u64) {
        self.notes.fetch_max(notes, Ordering::Release);
    }
}

/// The last run's epoch, none before the first one, and its notes.
pub(super) type FileState = (Option<u64>, u64);

/// The state of the file; none where our tables are missing.
pub(super) fn state(conn: &Connection) -> SqlResult<Option<FileState>> {
    let read = || {
        let mut statement = conn.prepare_cached("SELECT epoch, notes FROM _rowferry_run")?;
        let state = statement.query_row([], |row| {
            let (epoch, notes): (Option<i64>, i64) = (row.get(0)?, row.get(1)?);
            Ok((epoch.map(|epoch| epoch as u64), notes as u64))
        });
        state.optional()
    };
    match read() {
        Err(_) if !has_table(conn, "_rowferry_run")? => Ok(None),
        state => Ok(state?),
    }
}

/// The last change in a table's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastChange {
    number: i64,
    tag: i64,
}

impl LastChange {
    pub(super) fn read(conn: &Connection, table: &str) -> SqlResult<Option<LastChange>> {
        let sql = format!(
            "SELECT seq, tag FROM {} ORDER BY seq DESC LIMIT 1",
            capture::outbox(table)
        );
        let last = conn.prepare_cached(&sql)?.query_row([], |row| {
            Ok(LastChange {
                number: row.get(0)?,
                tag: row.get(1)?,
            })
        });
        Ok(last.optional()?)
    }

    /// An error unless the outbox still holds it.
    pub(super) fn check(&self, conn: &Connection, table: &str) -> SqlResult<()> {
        let sql = format!("SELECT tag FROM {} WHERE seq = ?1", capture::outbox(table));
        let tag: Option<i64> = conn
            .prepare_cached(&sql)?
            .query_row([self.number], |row| row.get(0))
            .optional()?;
        if tag != Some(self.tag) {
            return Err(forked("changes that were read from it are not in it").into());
        }
        Ok(())
    }
}

/// The file is another one than this run knows: a new run is due.
pub(super) fn forked(why: &str) -> Error {
    Error::new(
        Kind::Forked,
        format!("the source was put back or replaced while it was shipped ({why})"),
    )
}

pub(super) fn taken_over(ours: u64, epoch: u64) -> Error {
    Error::failed(format!(
        "another producer has taken over this source (epoch {epoch} after ours, {ours}); nothing is lost"
    ))
    .way_out("let one producer run for each source; start this one again when the other has ended")
}
