//! The sink's file while it is open: what lands in one that was moved away, removed or replaced is
//! nobody's any more, and SQLite goes on writing there. So it is looked at before and after each
//! commit, and by whoever waits for something to land.
//!
//! Only ever by its name: to open and close a database file once more gives up the locks that
//! SQLite holds on it.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::ffi::has_moved;
use crate::sqlite::file_id::FileId;

/// The file that a connection has open.
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
}

impl OpenFile {
    /// The file at this path, which a connection has just opened.
    pub(super) fn of(conn: &Connection, path: &Path) -> Result<Self> {
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
    pub(super) fn check(&self) -> Result<()> {
        if FileId::at(&self.path) != Some(self.id) {
            return Err(gone(&self.path));
        }
        Ok(())
    }

    /// What tells the file from others on all running systems, by whatever path it is reached.
    pub(super) fn name(&self) -> String {
        let system = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        format!("{} {}", system.trim(), self.id)
    }
}

fn gone(path: &Path) -> Error {
    Error::failed(format!(
        "{}: the sink's file was moved, removed or replaced while it was open",
        path.display()
    ))
    .way_out("start the consumer again, or name the file's new place with --sink: it goes on where the file that it finds stands")
}
