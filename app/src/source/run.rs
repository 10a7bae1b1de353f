//! One run of the producer: its epoch, and what its file remembers of the runs before.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::Connection;

use super::fork::{self, FileState, RunState};
use crate::error::{Error, Kind, Result};
use crate::model::bounds;
use crate::sequence::epoch_at;
use crate::sqlite::error::SqlResult;
use crate::wire::fingerprint::fingerprint;

/// One run of the producer.
#[derive(Debug, Clone)]
pub struct Run {
    /// The source's id, made once.
    pub source: String,
    /// Larger than that of every run before.
    pub epoch: u64,
    /// Whether the file remembers no run before it.
    pub is_first: bool,
    pub(super) state: RunState,
}

/// What a file remembers before a run.
#[derive(Debug)]
pub struct Noted {
    /// The source's id.
    pub source: String,
    /// Whether it was made just now, so that nothing can have been sent under it.
    pub is_new: bool,
}

impl Run {
    /// Begins a run whose epoch is larger than `above` and than all epochs and passes that the file
    /// knows, and stores it. An error when the file is not in the state `read` any more, or not in
    /// the one that our last run has left.
    pub(super) fn begin(conn: &Connection, above: u64, read: Option<FileState>, ours: Option<&Run>) -> SqlResult<Run> {
        if let Some(ours) = ours {
            ours.state.check(conn, ours.state.notes())?;
        } else if fork::state(conn)? != read {
            return Err(Error::new(Kind::Forked, "another producer has begun a run on this source").into());
        }
        let sql = "SELECT source, epoch, (SELECT max(pass) FROM _rowferry_tracked) FROM _rowferry_run";
        let (source, last, pass): (String, Option<i64>, Option<i64>) =
            conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let known = last.into_iter().chain(pass).map(|number| number as u64);
        let epoch = next_epoch(known.fold(above, u64::max))?;
        conn.execute("UPDATE _rowferry_run SET epoch = ?1, notes = 0", [epoch as i64])?;
        Ok(Run {
            source,
            epoch,
            is_first: last.is_none(),
            state: RunState::new(epoch, 0),
        })
    }

    /// Begins a run on a source that is only read.
    pub(super) fn unnoted(path: &Path, above: u64) -> Result<Run> {
        let epoch = next_epoch(above)?;
        Ok(Run {
            source: id_from_place(path),
            epoch,
            is_first: true,
            state: RunState::new(epoch, 0),
        })
    }
}

/// The epoch of a run that begins now. An error when none is left above those that are known.
fn next_epoch(above: u64) -> Result<u64> {
    bounds::next_epoch(epoch_at(SystemTime::now()), above).ok_or_else(|| {
        Error::failed(format!(
            "no run can follow run {above}: the numbers of runs end before the year 2500, and the file or the log says that one was there"
        ))
        .way_out("run `producer --new-identity`, and ship to a topic of its own; or put the file back from a backup and make the topic anew")
    })
}

/// A source that cannot be written has no other name than its place: the machine and the path.
pub(super) fn id_from_place(path: &Path) -> String {
    let machine = || {
        fs::read("/etc/machine-id")
            .ok()
            .filter(|id| !id.trim_ascii().is_empty())
    };
    let host = machine().or_else(|| fs::read("/proc/sys/kernel/hostname").ok());
    let path = path.as_os_str().as_encoded_bytes();
    format!("ro-{:016x}", fingerprint(&host.unwrap_or_default(), path))
}
