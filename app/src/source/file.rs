//! The database file: opening it, waiting for its locks, telling its errors.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::fork::forked;
use crate::error::{Error, Result};
use crate::stop::Stop;

/// What goes wrong inside a transaction: SQLite's own error, or a sentence that is ready.
pub enum SqlFault {
    Sqlite(rusqlite::Error),
    Told(Error),
}

pub type SqlResult<T> = std::result::Result<T, SqlFault>;

impl From<rusqlite::Error> for SqlFault {
    fn from(error: rusqlite::Error) -> Self {
        SqlFault::Sqlite(error)
    }
}

impl From<Error> for SqlFault {
    fn from(error: Error) -> Self {
        SqlFault::Told(error)
    }
}

/// How long a lock is waited for in silence.
const SILENCE: Duration = Duration::from_secs(1);

/// An open source database.
pub struct File {
    pub conn: Connection,
    path: PathBuf,
    /// As the user named it, and what was there when it was opened.
    named: PathBuf,
    inode: Option<(u64, u64)>,
    stop: Stop,
    patience: Arc<Patience>,
    /// The file's state when it was opened without locks, as it has to be in a folder where none can be made.
    unlocked: Option<(u64, SystemTime)>,
}

impl File {
    /// Opens a database that is there, to write into it too or only to read.
    pub fn open(path: &Path, writes: bool, stop: &Stop) -> Result<File> {
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
        let access = match writes {
            true => OpenFlags::SQLITE_OPEN_READ_WRITE,
            false => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let told = |e| tell(e, &real, stop);
        let conn = Connection::open_with_flags(&real, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(told)?;
        let mut file = File {
            conn,
            path: real,
            named: path.to_owned(),
            inode: inode(path),
            stop: stop.clone(),
            patience: Arc::default(),
            unlocked: None,
        };
        file.wait_for_locks().map_err(|e| file.error(e))?;
        match file.look() {
            Err(_) if !writes && file.is_quiet_wal() => file.reopen_unlocked()?,
            looked => looked.map_err(|e| file.error(e))?,
        }
        if writes && file.conn.is_readonly("main").map_err(|e| file.error(e))? {
            return Err(read_only(&file.path));
        }
        Ok(file)
    }

    /// Does something within one read transaction.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> SqlResult<T>) -> Result<T> {
        let done = self
            .conn
            .unchecked_transaction()
            .map_err(SqlFault::from)
            .and_then(|tx| work(&tx));
        done.map_err(|e| self.error(e))
    }

    /// Does something within one write transaction, which comes to nothing unless it all succeeds.
    pub fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> SqlResult<T>) -> Result<T> {
        let begun = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate);
        let done = begun.map_err(SqlFault::from).and_then(|tx| {
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        });
        done.map_err(|e| self.error(e))
    }

    /// An error when another file has taken this one's place, or none is there any more: what is open then is nobody's database.
    pub fn check_place(&self) -> Result<()> {
        match inode(&self.named) {
            None => Err(Error::failed(format!(
                "the source database {} was removed or renamed while the producer ran",
                self.named.display()
            ))
            .way_out("put it back, or name it with --source, and start the producer again: it goes on where it stood")),
            found if found == self.inode => Ok(()),
            _ => Err(forked("another file has taken its place")),
        }
    }

    /// Until `calm` no lock is waited for, and in WAL mode no commit waits for the disk while it holds the lock: what is written there
    /// can be lost with the power, the last first, and is whole in any case.
    pub fn hurry(&self) -> Result<()> {
        self.patience.ended.store(false, Ordering::Relaxed);
        self.patience.short.store(true, Ordering::Relaxed);
        match self.is_wal()? {
            true => self.sync("NORMAL"),
            false => Ok(()),
        }
    }

    /// Ends the hurry; whether anything failed in it because it would have had to wait for a lock.
    pub fn calm(&self) -> Result<bool> {
        self.patience.short.store(false, Ordering::Relaxed);
        self.sync("FULL")?;
        Ok(self.patience.ended.load(Ordering::Relaxed))
    }

    /// Whether a read transaction holds up the commits of others.
    pub fn holds_up_writers(&self) -> Result<bool> {
        Ok(self.unlocked.is_none() && !self.is_wal()?)
    }

    /// Lets a statement that takes long end when the user wants to stop.
    pub fn end_on_stop(&mut self) -> rusqlite::Result<()> {
        let stop = self.stop.clone();
        self.conn.progress_handler(10_000, Some(move || stop.requested()))
    }

    /// Whether the database was in WAL mode when it was read last. Asking takes no lock.
    fn is_wal(&self) -> Result<bool> {
        let ask = || {
            let mut statement = self.conn.prepare_cached("PRAGMA journal_mode")?;
            statement.query_row([], |row| row.get::<_, String>(0))
        };
        Ok(ask().map_err(|e| self.error(e))? == "wal")
    }

    fn sync(&self, level: &str) -> Result<()> {
        let pragma = format!("PRAGMA synchronous = {level}");
        self.conn.execute_batch(&pragma).map_err(|e| self.error(e))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error with the file's name and a way out.
    pub fn error(&self, fault: impl Into<SqlFault>) -> Error {
        match fault.into() {
            SqlFault::Told(error) => error,
            SqlFault::Sqlite(error) => tell(error, &self.path, &self.stop),
        }
    }

    /// Complains when a file that was opened without locks has changed since.
    pub fn check_unchanged(&self) -> Result<()> {
        let Some(before) = self.unlocked else {
            return Ok(());
        };
        if state(&self.path) == Some(before) && !self.has_wal() {
            return Ok(());
        }
        Err(Error::failed(format!(
            "{} changed while it was read without locks, because its folder is read-only",
            self.path.display()
        ))
        .way_out("run the producer again, or make the folder writable"))
    }

    /// Waits for as long as another process holds a lock, and says so once for each such time.
    fn wait_for_locks(&mut self) -> rusqlite::Result<()> {
        let (stop, path, patience) = (self.stop.clone(), self.path.clone(), self.patience.clone());
        let (mut since, mut said) = (Instant::now(), false);
        self.conn.busy_handler(Some(move |tries: i32| {
            if patience.short.load(Ordering::Relaxed) {
                patience.ended.store(true, Ordering::Relaxed);
                return false;
            }
            if tries == 0 {
                (since, said) = (Instant::now(), false);
            }
            if !said && since.elapsed() > SILENCE {
                said = true;
                log::warn!("another process holds the lock of {}: waiting for it", path.display());
            }
            thread::sleep(Duration::from_millis(tries.clamp(1, 20) as u64));
            !stop.requested()
        }))
    }

    /// Reads the file for the first time.
    fn look(&self) -> rusqlite::Result<()> {
        self.conn
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    }

    /// Whether there is a write-ahead log with something in it.
    fn has_wal(&self) -> bool {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        fs::metadata(wal).is_ok_and(|wal| wal.len() > 0)
    }

    /// Whether the file is in WAL mode with an empty log: SQLite needs a writable folder for it, though there is nothing to share.
    pub fn is_quiet_wal(&self) -> bool {
        let mut header = [0; 20];
        let read = fs::File::open(&self.path).and_then(|mut file| file.read_exact(&mut header));
        read.is_ok() && header[18..] == [2, 2] && !self.has_wal()
    }

    pub fn reopen_unlocked(&mut self) -> Result<()> {
        let escape = |byte: &u8| match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
            _ => format!("%{byte:02x}"),
        };
        let path: String = self.path.as_os_str().as_bytes().iter().map(escape).collect();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        self.unlocked = state(&self.path);
        self.conn =
            Connection::open_with_flags(format!("file:{path}?immutable=1"), flags).map_err(|e| self.error(e))?;
        self.look().map_err(|e| self.error(e))
    }
}

/// The device and the number of the file that a path leads to; none when it leads to none.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Whether locks are waited for.
#[derive(Default)]
struct Patience {
    short: AtomicBool,
    /// A lock was not waited for.
    ended: AtomicBool,
}

/// Size and time of the last change.
fn state(path: &Path) -> Option<(u64, SystemTime)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

fn read_only(path: &Path) -> Error {
    Error::failed(format!("the source database {} cannot be written", path.display())).way_out(
        "make the file and its folder writable (the outbox of changes lives in it), or only read it with --capture none",
    )
}

fn tell(error: rusqlite::Error, path: &Path, stop: &Stop) -> Error {
    let path_shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::OperationInterrupted) if stop.requested() => Error::stopped(),
        Some(ErrorCode::NotADatabase) => Error::failed(format!("{path_shown} is not a SQLite database"))
            .way_out("name a SQLite database with --source"),
        Some(ErrorCode::ReadOnly) => read_only(path),
        Some(ErrorCode::CannotOpen) => Error::failed(format!("cannot open the source database {path_shown}: {error}"))
            .way_out("make the file readable and its folder writable, or copy the file to such a place"),
        Some(ErrorCode::DiskFull) => {
            Error::failed(format!("{path_shown}: the disk is full")).way_out("make room and start again")
        }
        _ => Error::failed(format!("{path_shown}: {error}")),
    }
}
