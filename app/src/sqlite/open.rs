//! Opening a file, without locks where none can be made.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// To write, and made when it is missing.
    Create,
}

/// Opens a database. Nothing is read of it yet.
pub(crate) fn open(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let access = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    Connection::open_with_flags(literal(path), access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// The path so that SQLite takes it for nothing else: one that begins with `file:` would be a URI.
fn literal(path: &Path) -> PathBuf {
    if path.as_os_str().as_bytes().starts_with(b"file:") {
        return Path::new(".").join(path);
    }
    path.to_owned()
}

/// Opens a database to read it; `begin` settles the connection and reads for the first time. A WAL
/// database needs a file beside it for its locks: where none can be made and no log waits, none is
/// needed, and the database is opened without locks.
pub(crate) fn open_to_read(
    path: &Path,
    begin: impl Fn(&mut Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<(Connection, Option<Unlocked>)> {
    let opened = open(path, Access::Read).and_then(|mut conn| begin(&mut conn).map(|()| conn));
    match opened {
        Err(e) if lacks_access(&e) && is_quiet_wal(path) => {
            let unlocked = Unlocked::now(path);
            let mut conn = open_without_locks(path)?;
            begin(&mut conn)?;
            Ok((conn, Some(unlocked)))
        }
        opened => opened.map(|conn| (conn, None)),
    }
}

/// Whether SQLite could not make or open the database or a file beside it.
fn lacks_access(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Reads the file for the first time.
pub(crate) fn read_first(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Opens a database that nobody writes while it is read.
fn open_without_locks(path: &Path) -> rusqlite::Result<Connection> {
    let escape = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    let path: String = path.as_os_str().as_bytes().iter().map(escape).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)
}

/// A database that is open without locks, as its file was then.
#[derive(Debug)]
pub(crate) struct Unlocked {
    path: PathBuf,
    before: FileState,
}

/// Size and time of the last change.
type FileState = Option<(u64, SystemTime)>;

impl Unlocked {
    pub(crate) fn now(path: &Path) -> Unlocked {
        Unlocked {
            path: path.to_owned(),
            before: state(path),
        }
    }

    /// Whether somebody has written since: then what was read may be of no one state.
    pub(crate) fn has_changed(&self) -> bool {
        state(&self.path) != self.before || has_wal(&self.path)
    }
}

fn state(path: &Path) -> FileState {
    let file = fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

/// Whether the file is in WAL mode with nothing in its log.
fn is_quiet_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18..] == [2, 2] && !has_wal(path)
}

/// Whether there is a write-ahead log with something in it.
fn has_wal(path: &Path) -> bool {
    fs::metadata(wal(path)).is_ok_and(|wal| wal.len() > 0)
}

/// The write-ahead log of a database.
pub(crate) fn wal(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The file beside another one whose name goes on like this.
pub(crate) fn beside(path: &Path, end: impl AsRef<OsStr>) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_file_in_wal_mode_without_its_log_is_read_without_locks() {
        let path = std::env::temp_dir().join(format!("rowferry a b%?#-{}.db", std::process::id()));
        let user = open(&path, Access::Create).unwrap();
        user.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY)")
            .unwrap();
        user.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(!is_quiet_wal(&path), "its log waits");
        drop(user);
        assert!(is_quiet_wal(&path));
        // As if no file could be made beside it for the locks.
        let tries = Cell::new(0);
        let begin = |conn: &mut Connection| {
            tries.set(tries.get() + 1);
            if tries.get() == 1 {
                let cannot_open = ffi::Error::new(ffi::SQLITE_CANTOPEN);
                return Err(rusqlite::Error::SqliteFailure(cannot_open, None));
            }
            read_first(conn)
        };
        let (conn, unlocked) = open_to_read(&path, begin).unwrap();
        let unlocked = unlocked.expect("it is open without locks");
        let rows: i64 = conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
        assert!(!unlocked.has_changed());
        let user = open(&path, Access::Write).unwrap();
        user.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert!(unlocked.has_changed());
        drop((user, conn));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_path_is_no_uri() {
        assert_eq!(literal(Path::new("file:a.db")), Path::new("./file:a.db"));
        assert_eq!(literal(Path::new("/file:a.db")), Path::new("/file:a.db"));
    }
}
