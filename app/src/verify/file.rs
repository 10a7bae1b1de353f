//! A database, opened to read one state of it and never to write.

use std::fmt::{self, Display};
use std::fs;
use std::io::Read;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::order;
use crate::error::{Error, Result};

/// How long a lock is waited for in silence, and how long at all.
const SILENCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the databases, in a read transaction that lasts as long as this.
pub struct File {
    connection: Connection,
    path: PathBuf,
    /// "source" or "sink", which is also the name of its flag.
    side: &'static str,
    /// The file as it was when it was opened without locks.
    unlocked: Option<State>,
}

/// Size and time of the last change.
type State = (u64, SystemTime);

impl File {
    /// Opens a database that is there; `maker` is how one comes to be.
    pub fn open(path: &Path, side: &'static str, maker: &str) -> Result<File> {
        let name = format!("the {side} database {}", path.display());
        match fs::metadata(path) {
            Ok(file) if file.is_dir() => {
                let way_out = format!("name a file with --{side}");
                return Err(Error::failed(format!("{name} is a folder")).way_out(way_out));
            }
            Ok(_) => (),
            Err(e) => {
                let way_out = format!("{maker}; or name another file with --{side}");
                return Err(Error::failed(format!("cannot open {name}: {e}")).way_out(way_out));
            }
        }
        let mut unlocked = None;
        let opened = match begin(path, &name, false) {
            // A WAL database needs a file beside it for its locks. Where none can be made and no log waits, none is needed.
            Err(e) if cannot_share(&e) && is_quiet_wal(path) => {
                unlocked = state(path);
                begin(path, &name, true)
            }
            other => other,
        };
        let connection = opened.map_err(|e| tell(&e, &name, side))?;
        Ok(File {
            connection,
            path: path.to_owned(),
            side,
            unlocked,
        })
    }

    /// Its path, as the user gave it.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether it keeps text as UTF-8, and so orders it by the bytes that a reader gets.
    pub fn is_utf8(&self) -> Result<bool> {
        let encoding = self
            .connection
            .query_row("PRAGMA encoding", [], |row| row.get::<_, String>(0));
        Ok(encoding.map_err(|e| self.error(&e))? == "UTF-8")
    }

    /// Complains when a file that was opened without locks has changed since.
    pub fn check_unchanged(&self) -> Result<()> {
        if self.unlocked.is_none() || self.unlocked == state(&self.path) && !has_log(&self.path) {
            return Ok(());
        }
        let changed = format!("{self} changed while it was read, without locks because its folder is read-only");
        Err(Error::failed(changed).way_out("verify again, or make the folder writable"))
    }

    /// What SQLite complains of, with the file's name and the way out.
    pub fn error(&self, error: &rusqlite::Error) -> Error {
        tell(error, &self.to_string(), self.side)
    }
}

impl Deref for File {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} database {}", self.side, self.path.display())
    }
}

/// Opens the file and begins the read transaction; `unlocked` is for a file that nobody can write.
fn begin(path: &Path, name: &str, unlocked: bool) -> rusqlite::Result<Connection> {
    let escape = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    let path: String = path.as_os_str().as_bytes().iter().map(escape).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let how = if unlocked { "?immutable=1" } else { "" };
    let mut connection = Connection::open_with_flags(format!("file:{path}{how}"), flags)?;
    let name = name.to_owned();
    let (mut since, mut said) = (Instant::now(), false);
    connection.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            (since, said) = (Instant::now(), false);
        }
        if !said && since.elapsed() > SILENCE {
            said = true;
            log::warn!("another process holds the lock of {name}: waiting for it");
        }
        thread::sleep(Duration::from_millis(tries.clamp(1, 20) as u64));
        since.elapsed() < PATIENCE
    }))?;
    order::add_function(&connection)?;
    connection.execute_batch("BEGIN")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?; // the first read takes the state
    Ok(connection)
}

/// Whether the file is in WAL mode and no log waits beside it.
fn is_quiet_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18..] == [2, 2] && !has_log(path)
}

/// Whether there is a write-ahead log with something in it.
fn has_log(path: &Path) -> bool {
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn state(path: &Path) -> Option<State> {
    let file = fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

fn tell(error: &rusqlite::Error, name: &str, side: &str) -> Error {
    let failed = |what: &str| Error::failed(format!("{name} {what}"));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            failed("is no SQLite database").way_out(format!("name a SQLite file with --{side}"))
        }
        Some(ErrorCode::DatabaseBusy) => {
            failed(&format!("has been locked by another process for {} s", PATIENCE.as_secs()))
                .way_out("end that process or its transaction, then verify again")
        }
        // A journal that a killed writer has left can only be rolled back by one that may write.
        Some(ErrorCode::ReadOnly) if is_half(error) => failed("holds half of a transaction, whose writer was killed")
            .way_out("start that program again, or open the file once with sqlite3 and read a table: SQLite then rolls it back"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => failed(&format!("cannot be read: {error}"))
            .way_out("make the file readable and its folder writable (a WAL database is read with a file beside it), or copy it, with its -wal, to such a place"),
        _ => failed(&format!("cannot be read: {error}")),
    }
}

/// Whether SQLite could not make or open the file beside the database.
fn cannot_share(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

/// Whether a transaction would have to be rolled back first.
fn is_half(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}
