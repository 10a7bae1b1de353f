//! Noticing that somebody has written, without a lock.
//!
//! `PRAGMA data_version` asks SQLite, which takes a shared lock for it in the rollback journal
//! modes: a writer that wants to commit at that moment is told that the database is locked. The
//! times and sizes of the files tell nearly as much and disturb nobody. The files are never opened:
//! the end of any descriptor would end all locks that SQLite holds on that file in this process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::sqlite::file_id::FileId;
use crate::sqlite::open;

/// Longer than the tick by which file systems tell the time: what is written this long after a look
/// has another time.
const TICK: Duration = Duration::from_millis(20);

/// In WAL mode a commit is written first and shows a little later, when it has reached the disk.
/// Looks disturb no writer there.
const SHOWS: Duration = Duration::from_millis(500);

/// Which file it is, its size and when it was last written: seconds and nanoseconds.
type FileTime = (FileId, u64, i64, i64);

/// The times of a database and its write-ahead log, the two files that a commit can change.
pub(super) struct FileTimes {
    files: [PathBuf; 2],
    seen: [Option<FileTime>; 2],
    /// When the files were first seen so, until a look has come late enough after that to have
    /// missed nothing.
    fresh: Option<Instant>,
}

impl FileTimes {
    pub(super) fn new(database: &Path) -> FileTimes {
        FileTimes {
            files: [database.to_owned(), open::wal(database)],
            seen: [None, None],
            fresh: None,
        }
    }

    /// Remembers how the files are now: the database is going to be read.
    pub(super) fn remember(&mut self) {
        let now = self.times();
        let late = if now[1].is_some() { SHOWS } else { TICK };
        if now != self.seen {
            self.seen = now;
            self.fresh = Some(Instant::now());
        } else if self.fresh.is_some_and(|since| since.elapsed() > late) {
            self.fresh = None;
        }
    }

    /// Whether something may have been written that the last look did not see. Once nothing is,
    /// this stays false; file systems whose times are coarser than a tick need a look from time to
    /// time all the same.
    pub(super) fn is_due(&self) -> bool {
        let now = self.times();
        let wal = now[1].is_some();
        now != self.seen || self.fresh.is_some_and(|since| wal || since.elapsed() > TICK)
    }

    fn times(&self) -> [Option<FileTime>; 2] {
        self.files.each_ref().map(|file| {
            let file = fs::metadata(file).ok()?;
            Some((FileId::of(&file), file.size(), file.mtime(), file.mtime_nsec()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::SystemTime;

    #[test]
    fn what_was_written_in_the_tick_of_the_last_look_is_not_missed() {
        let path = std::env::temp_dir().join(format!("rowferry-times-{}", std::process::id()));
        fs::write(&path, "one").unwrap();
        let time = SystemTime::now();
        let write = |text: &str| {
            fs::write(&path, text).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        };
        write("one");
        let mut times = FileTimes::new(&path);
        assert!(times.is_due());
        times.remember();
        write("two");
        thread::sleep(TICK * 2);
        assert!(times.is_due());
        times.remember();
        assert!(!times.is_due());
        write("three");
        assert!(times.is_due(), "its size is another");
        fs::remove_file(&path).unwrap();
    }
}
