//! What goes wrong, as a sentence with its way out.
//!
//! Inside a transaction functions return `SqlResult` and use `?`. Where the database is known by
//! name, at the edge of its room, `explain` makes the sentence of it: `SourceFile::error` and
//! `ComparedFile::error` in source and verify, `cannot` in the sink.

use std::fmt::Display;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::error::Error;
use crate::stop::Stop;

/// What goes wrong inside a transaction: SQLite's own error, or a sentence that is ready.
#[derive(Debug)]
pub(crate) enum SqlFault {
    Sqlite(rusqlite::Error),
    Explained(Error),
}

pub(crate) type SqlResult<T> = std::result::Result<T, SqlFault>;

impl From<rusqlite::Error> for SqlFault {
    fn from(error: rusqlite::Error) -> Self {
        SqlFault::Sqlite(error)
    }
}

impl From<Error> for SqlFault {
    fn from(error: Error) -> Self {
        SqlFault::Explained(error)
    }
}

/// Which database it is, and how its errors are explained.
#[derive(Clone, Copy)]
pub(crate) enum Database<'a> {
    Source {
        path: &'a Path,
    },
    Sink {
        /// What could not be done.
        what: &'a dyn Display,
    },
    /// One that is compared with others.
    Compared {
        name: &'a str,
        /// The flag that names it, without its dashes.
        flag: &'a str,
        /// How many seconds its locks are waited for.
        patience: u64,
    },
}

/// The sentence for a fault. What ended because the user wants to stop is no failure.
pub(crate) fn explain(fault: impl Into<SqlFault>, database: Database<'_>, stop: Option<&Stop>) -> Error {
    let error = match fault.into() {
        SqlFault::Explained(error) => return error,
        SqlFault::Sqlite(error) => error,
    };
    let is_ended = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::OperationInterrupted)
    );
    if is_ended && stop.is_some_and(Stop::requested) {
        return Error::stopped();
    }
    match database {
        Database::Source { path } => of_source(&error, path),
        Database::Sink { what } => of_sink(&error, what),
        Database::Compared { name, flag, patience } => of_compared(&error, name, flag, patience),
    }
}

fn of_source(error: &rusqlite::Error, path: &Path) -> Error {
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            Error::failed(format!("{shown} is not a SQLite database")).way_out("name a SQLite database with --source")
        }
        Some(ErrorCode::ReadOnly) => source_is_read_only(path),
        Some(ErrorCode::CannotOpen) => Error::failed(format!("cannot open the source database {shown}: {error}"))
            .way_out("make the file readable and its folder writable, or copy the file to such a place"),
        Some(ErrorCode::DiskFull) => {
            Error::failed(format!("{shown}: the disk is full")).way_out("make room and start again")
        }
        _ => Error::failed(format!("{shown}: {error}")),
    }
}

pub(crate) fn source_is_read_only(path: &Path) -> Error {
    Error::failed(format!("the source database {} cannot be written", path.display())).way_out(
        "make the file and its folder writable (the outbox of changes lives in it), or only read it with --capture none",
    )
}

fn of_sink(error: &rusqlite::Error, what: &dyn Display) -> Error {
    let explained = Error::failed(format!("cannot {what}: {error}"));
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => explained.way_out("make room on that disk and start again"),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            explained.way_out("make the file and its folder writable, or name another file with --sink")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => explained.way_out("name another file with --sink"),
        Some(ErrorCode::ConstraintViolation) => {
            explained.way_out("take away the index or trigger that was added to that table, and start again")
        }
        Some(ErrorCode::Unknown) => explained.way_out(
            "was the table changed by hand? land into a new file with --sink, and send all rows with `producer --backfill`",
        ),
        _ => explained,
    }
}

fn of_compared(error: &rusqlite::Error, name: &str, flag: &str, patience: u64) -> Error {
    let failed = |what: &str| Error::failed(format!("{name} {what}"));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            failed("is no SQLite database").way_out(format!("name a SQLite file with --{flag}"))
        }
        Some(ErrorCode::DatabaseBusy) => failed(&format!("has been locked by another process for {patience} s"))
            .way_out("end that process or its transaction, then verify again"),
        // A journal that a killed writer has left can only be rolled back by one that may write.
        Some(ErrorCode::ReadOnly) if is_half(error) => failed("holds half of a transaction, whose writer was killed")
            .way_out("start that program again, or open the file once with sqlite3 and read a table: SQLite then rolls it back"),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => failed(&format!("cannot be read: {error}"))
            .way_out("make the file readable and its folder writable (a WAL database is read with a file beside it), or copy it, with its -wal, to such a place"),
        _ => failed(&format!("cannot be read: {error}")),
    }
}

/// Whether a transaction would have to be rolled back first.
fn is_half(error: &rusqlite::Error) -> bool {
    let error = error.sqlite_error();
    error.is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_own_way_out_and_a_stop_is_no_failure() {
        let full = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let busy = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None);
        let source = Database::Source {
            path: Path::new("s.db"),
        };
        let sink = Database::Sink { what: &"land" };
        let compared = Database::Compared {
            name: "the sink database t.db",
            flag: "sink",
            patience: 120,
        };
        let explained = |fault, database| explain(fault, database, Some(&Stop::default())).to_string();
        assert_eq!(
            explained(full(), source),
            "s.db: the disk is full; way out: make room and start again"
        );
        assert!(explained(full(), sink).ends_with("; way out: make room on that disk and start again"));
        assert!(explained(busy(), compared).contains("t.db has been locked by another process for 120 s; way out: "));
        let stop = Stop::default();
        stop.request();
        assert_eq!(explain(busy(), source, Some(&stop)).exit_code(), 0);
        assert_eq!(explain(full(), source, Some(&stop)).exit_code(), 1);
        let ready = explain(Error::usage("as it is"), sink, None);
        assert_eq!((ready.to_string().as_str(), ready.exit_code()), ("as it is", 2));
    }
}
