//! The sink's file while it is open: what lands in one that was moved away, removed or replaced is
//! nobody's any more, and SQLite goes on writing there. So it is looked at before and after each
//! commit, and by whoever waits for something to land.
//!
//! Only ever by its name: to open and close a database file once more gives up the locks that
//! SQLite holds on it.

use std::ffi::c_int;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};
use crate::sqlite::file_id::FileId;

/// The file that a connection has open.
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
}

impl OpenFile {
    /// The file at this path, which a connection has just opened.
    pub fn of(conn: &Connection, path: &Path) -> Result<Self> {
        let file = Self {
            path: path.to_owned(),
            id: FileId::at(path).ok_or_else(|| gone(path))?,
        };
        // Asked afterwards: what has not moved by now is what was found at the path.
        if has_moved(conn) {
            return Err(gone(path));
        }
        Ok(file)
    }

    /// An error unless the path still leads to the file.
    pub fn check(&self) -> Result<()> {
        if FileId::at(&self.path) != Some(self.id) {
            return Err(gone(&self.path));
        }
        Ok(())
    }

    /// What tells the file from others on all running systems, by whatever path it is reached.
    pub fn name(&self) -> String {
        let system = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        format!("{} {}", system.trim(), self.id)
    }
}

/// Whether SQLite finds another file, or none, where it opened this one.
fn has_moved(conn: &Connection) -> bool {
    let mut moved: c_int = 0;
    // SAFETY: the connection is open, and this question is answered with an int.
    let answer = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_HAS_MOVED,
            (&raw mut moved).cast(),
        )
    };
    answer == ffi::SQLITE_OK && moved != 0
}

fn gone(path: &Path) -> Error {
    Error::failed(format!(
        "{}: the sink's file was moved, removed or replaced while it was open",
        path.display()
    ))
    .way_out("start the consumer again, or name the file's new place with --sink: it goes on where the file that it finds stands")
}
