//! The source's database file: opening it, its transactions, whether it is still there.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fork::forked;
use crate::error::{Error, Result};
use crate::sqlite::error::{Database, SqlFault, SqlResult, explain, source_is_read_only};
use crate::sqlite::file_id::FileId;
use crate::sqlite::locks::{self, Pace};
use crate::sqlite::open::{Access, Unlocked, open, open_to_read, read_first};
use crate::sqlite::pragmas;
use crate::stop::Stop;

/// An open source database.
pub(super) struct SourceFile {
    pub(super) conn: Connection,
    path: PathBuf,
    /// As the user named it, and what was there when it was opened.
    named: PathBuf,
    id: Option<FileId>,
    stop: Stop,
    patience: Arc<Patience>,
    /// The file as it was opened without locks, as it has to be in a folder where none can be made.
    unlocked: Option<Unlocked>,
}

/// Whether locks are waited for.
#[derive(Default)]
struct Patience {
    short: AtomicBool,
    /// A lock was not waited for.
    ended: AtomicBool,
}

impl Patience {
    /// Whether a lock is to be waited for.
    fn lasts(&self) -> bool {
        let is_short = self.short.load(Ordering::Relaxed);
        self.ended.fetch_or(is_short, Ordering::Relaxed);
        !is_short
    }
}

impl SourceFile {
    /// Opens a database that is there, to write into it too or only to read.
    pub(super) fn open(path: &Path, writes: bool, stop: &Stop) -> Result<SourceFile> {
        let real = fs::canonicalize(path).map_err(|e| {
            Error::failed(format!("cannot open the source database {}: {e}", path.display()))
                .way_out("name an existing SQLite database with --source; --fake N makes one with N rows")
        })?;
        if real.is_dir() {
            return Err(
                Error::failed(format!("the source {} is a folder, not a database", path.display()))
                    .way_out("name a SQLite database with --source"),
            );
        }
        let patience = Arc::<Patience>::default();
        // What is open is told from what takes its place, also while a lock is waited for.
        let id = Cell::new(None);
        let begin = |conn: &mut Connection| {
            id.set(FileId::at(path));
            let notice = format!("another process holds the lock of {}: waiting for it", real.display());
            let (stop, patience) = (stop.clone(), patience.clone());
            let goes_on = move |_: Duration| patience.lasts() && !stop.requested();
            locks::wait(conn, Pace::Gentle, notice, goes_on)?;
            read_first(conn)
        };
        let opened = if writes {
            open(&real, Access::Write).and_then(|mut conn| begin(&mut conn).map(|()| (conn, None)))
        } else {
            open_to_read(&real, begin)
        };
        let (conn, unlocked) = opened.map_err(|e| explain(e, Database::Source { path: &real }, Some(stop)))?;
        let file = SourceFile {
            conn,
            path: real,
            named: path.to_owned(),
            id: id.get(),
            stop: stop.clone(),
            patience,
            unlocked,
        };
        if writes && file.conn.is_readonly("main").map_err(|e| file.error(e))? {
            return Err(source_is_read_only(&file.path));
        }
        Ok(file)
    }

    /// Does something within one read transaction.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> SqlResult<T>) -> Result<T> {
        let done = self
            .conn
            .unchecked_transaction()
            .map_err(SqlFault::from)
            .and_then(|tx| work(&tx));
        done.map_err(|e| self.error(e))
    }

    /// Does something within one write transaction, which comes to nothing unless it all succeeds.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> SqlResult<T>) -> Result<T> {
        let begun = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate);
        let done = begun.map_err(SqlFault::from).and_then(|tx| {
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        });
        done.map_err(|e| self.error(e))
    }

    /// An error when another file has taken this one's place, or none is there any more: what is
    /// open then is nobody's database.
    pub(super) fn check_place(&self) -> Result<()> {
        match FileId::at(&self.named) {
            None => Err(Error::failed(format!(
                "the source database {} was removed or renamed while the producer ran",
                self.named.display()
            ))
            .way_out("put it back, or name it with --source, and start the producer again: it goes on where it stood")),
            found if found == self.id => Ok(()),
            _ => Err(forked("another file has taken its place")),
        }
    }

    /// Until `calm` no lock is waited for, and in WAL mode no commit waits for the disk while it
    /// holds the lock: what is written there can be lost with the power, the last first, and is
    /// whole in any case.
    pub(super) fn hurry(&self) -> Result<()> {
        self.patience.ended.store(false, Ordering::Relaxed);
        self.patience.short.store(true, Ordering::Relaxed);
        if self.is_wal()? {
            self.sync("NORMAL")?;
        }
        Ok(())
    }

    /// Ends the hurry; whether anything failed in it because it would have had to wait for a lock.
    pub(super) fn calm(&self) -> Result<bool> {
        self.patience.short.store(false, Ordering::Relaxed);
        self.sync("FULL")?;
        Ok(self.patience.ended.load(Ordering::Relaxed))
    }

    /// Whether a read transaction holds up the commits of others.
    pub(super) fn holds_up_writers(&self) -> Result<bool> {
        Ok(self.unlocked.is_none() && !self.is_wal()?)
    }

    /// Lets a statement that takes long end when the user wants to stop.
    pub(super) fn end_on_stop(&mut self) -> rusqlite::Result<()> {
        let stop = self.stop.clone();
        self.conn.progress_handler(10_000, Some(move || stop.requested()))
    }

    fn is_wal(&self) -> Result<bool> {
        pragmas::is_wal(&self.conn).map_err(|e| self.error(e))
    }

    fn sync(&self, level: &str) -> Result<()> {
        let pragma = format!("PRAGMA synchronous = {level}");
        self.conn.execute_batch(&pragma).map_err(|e| self.error(e))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The sentence for what went wrong, with the file's name and a way out.
    pub(super) fn error(&self, fault: impl Into<SqlFault>) -> Error {
        explain(fault, Database::Source { path: &self.path }, Some(&self.stop))
    }

    /// The same as if it had been opened without locks.
    #[cfg(test)]
    pub(super) fn without_locks(self) -> Self {
        Self {
            unlocked: Some(Unlocked::now(&self.path)),
            ..self
        }
    }

    /// Complains when a file that was opened without locks has changed since.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        if !self.unlocked.as_ref().is_some_and(Unlocked::has_changed) {
            return Ok(());
        }
        Err(Error::failed(format!(
            "{} changed while it was read without locks, because its folder is read-only",
            self.path.display()
        ))
        .way_out("run the producer again, or make the folder writable"))
    }
}
