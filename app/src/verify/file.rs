//! A database, opened to read one state of it and never to write.

use std::fmt::{self, Display};
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::order;
use crate::error::{Error, Result};
use crate::sqlite::error::{self, Database, SqlFault};
use crate::sqlite::locks::{self, Pace};
use crate::sqlite::open::{Unlocked, open_to_read, read_first};
use crate::sqlite::pragmas;

/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the databases, in a read transaction that lasts as long as this.
pub(super) struct ComparedFile {
    connection: Connection,
    path: PathBuf,
    /// "source" or "sink", which is also the name of its flag.
    side: &'static str,
    /// The file as it was when it was opened without locks.
    unlocked: Option<Unlocked>,
}

impl ComparedFile {
    /// Opens a database that is there; `maker` is how one comes to be.
    pub(super) fn open(path: &Path, side: &'static str, maker: &str) -> Result<ComparedFile> {
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
        let opened = open_to_read(path, |conn| begin(conn, &name));
        let (connection, unlocked) = opened.map_err(|e| explain(e, &name, side))?;
        Ok(ComparedFile {
            connection,
            path: path.to_owned(),
            side,
            unlocked,
        })
    }

    /// Its path, as the user gave it.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether it keeps text as UTF-8, and so orders it by the bytes that a reader gets.
    pub(super) fn is_utf8(&self) -> Result<bool> {
        let encoding = pragmas::encoding(&self.connection).map_err(|e| self.error(e))?;
        Ok(encoding == "UTF-8")
    }

    /// Complains when a file that was opened without locks has changed since.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        if !self.unlocked.as_ref().is_some_and(Unlocked::has_changed) {
            return Ok(());
        }
        let changed = format!("{self} changed while it was read, without locks because its folder is read-only");
        Err(Error::failed(changed).way_out("verify again, or make the folder writable"))
    }

    /// The sentence for what went wrong, with the file's name and a way out.
    pub(super) fn error(&self, fault: impl Into<SqlFault>) -> Error {
        explain(fault, &self.to_string(), self.side)
    }
}

impl Deref for ComparedFile {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Display for ComparedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} database {}", self.side, self.path.display())
    }
}

/// Begins the read transaction, which takes the file's state.
fn begin(conn: &mut Connection, name: &str) -> rusqlite::Result<()> {
    let notice = format!("another process holds the lock of {name}: waiting for it");
    // Nobody else can end the wait: verify listens to no wish to stop.
    locks::wait(conn, Pace::Gentle, notice, |held| held < PATIENCE)?;
    order::add_function(conn)?;
    conn.execute_batch("BEGIN")?;
    read_first(conn)
}

fn explain(fault: impl Into<SqlFault>, name: &str, flag: &str) -> Error {
    let patience = PATIENCE.as_secs();
    error::explain(fault, Database::Compared { name, flag, patience }, None)
}
