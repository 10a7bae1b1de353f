//! Opening the sink: the file, its settings, and the wait for other processes' locks.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use log::warn;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Result};
use crate::sqlite::value;
use crate::stop::Stop;

use super::{cannot, catalog, ddl, stopped_or};

/// How long another process may hold the lock before the user is told.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// The pause between two looks at a lock grows with the time it is held already.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(10)];
/// The pages that may gather in the write-ahead log. More than SQLite's 1000 spare keys in no order from being written again and again.
pub(super) const LOG_PAGES: i64 = 4000;
/// The size of a new sink's pages: twice SQLite's own makes half as many to split, to log and to copy; still larger ones bring little.
pub(super) const PAGE: u32 = 8192;
/// Statements kept prepared: a few for each of many topics.
const STATEMENTS: usize = 256;

/// Opens the database with everything that a landing needs, and tells its id.
pub(super) fn open(path: &Path, stop: &Stop) -> Result<(Connection, String)> {
    let shown = path.display();
    let at = |e: Error| e.at(shown.to_string());
    make_folder(path)?;
    let fresh = fs::metadata(path).map_or(true, |file| file.len() == 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(|e| at(cannot(e, "open the sink")))?;
    if conn.is_readonly("main").unwrap_or(false) {
        return Err(at(Error::failed("the sink is read-only"))
            .way_out("make the file writable, or name another one with --sink"));
    }
    wait_for_locks(&mut conn, path, stop).map_err(|e| at(cannot(e, "open the sink")))?;
    // Changing the journal mode asks for locks in an order in which SQLite does not wait for them.
    let settled = loop {
        match settle(&conn, fresh, stop) {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => stop.sleep(LOOK_AGAIN[1])?,
            settled => break settled,
        }
    };
    settled.map_err(|e| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            at(Error::failed("this is no SQLite database")).way_out("name another file with --sink")
        }
        _ => at(stopped_or(e, stop, "open the sink")),
    })?;
    check_encoding(&conn).map_err(at)?;
    let id = catalog::prepare(&conn)
        .and_then(|()| catalog::id(&conn))
        .map_err(|e| if stop.requested() { Error::stopped() } else { at(e) })?;
    Ok((conn, id))
}

fn make_folder(path: &Path) -> Result<()> {
    let failed = |what: String| Error::failed(what).way_out("name a file in a folder of yours with --sink");
    if path.is_dir() {
        return Err(failed(format!("{} is a folder, not a database", path.display())));
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::create_dir_all(folder)
            .map_err(|e| failed(format!("cannot make the folder {} for the sink: {e}", folder.display()))),
        None => Ok(()),
    }
}

/// Text that is no UTF-8 would not outlive another encoding.
fn check_encoding(conn: &Connection) -> Result<()> {
    let encoding: String = conn
        .query_row("PRAGMA encoding", [], |r| r.get(0))
        .map_err(|e| cannot(e, "read the sink"))?;
    match encoding.as_str() {
        "UTF-8" => Ok(()),
        _ => Err(Error::failed(format!(
            "the sink keeps its text as {encoding}, which would change some of it"
        ))
        .way_out("name another file with --sink, which is made in UTF-8")),
    }
}

/// Waits as long as another process holds a lock, and says so once; gives up only when the user wants to stop.
fn wait_for_locks(conn: &mut Connection, path: &Path, stop: &Stop) -> rusqlite::Result<()> {
    let (path, stop) = (path.to_owned(), stop.clone());
    let mut since = Instant::now();
    let mut told = false;
    conn.busy_handler(Some(move |count: i32| {
        if count == 0 {
            since = Instant::now();
            told = false;
        }
        if !told && since.elapsed() >= SAY_AFTER {
            warn!("{}: another process holds the lock; waiting for it", path.display());
            told = true;
        }
        let pause = (since.elapsed() / 10).clamp(LOOK_AGAIN[0], LOOK_AGAIN[1]);
        stop.sleep(pause).is_ok()
    }))
}

/// The settings of the connection; the journal mode of a file that was there is left as it is.
fn settle(conn: &Connection, fresh: bool, stop: &Stop) -> rusqlite::Result<()> {
    if fresh {
        conn.execute_batch(&format!("PRAGMA page_size = {PAGE}"))?;
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    let journal: String = conn.query_row("PRAGMA journal_mode", [], |r| r.get(0))?;
    if journal == "wal" {
        conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    }
    conn.execute_batch(&format!(
        "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = {LOG_PAGES}"
    ))?;
    // Rows land in any order, so that references may point nowhere for a while; a table is renamed without a look at the user's views.
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON")?;
    // A quoted name that is no column must not be taken for a text.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function(ddl::EXACTLY, 2, flags, |values| {
        Ok(value(values.get_raw(0)) == value(values.get_raw(1)))
    })?;
    let stop = stop.clone();
    conn.create_scalar_function(ddl::GO_ON, 0, FunctionFlags::SQLITE_UTF8, move |_| {
        stop.check()
            .map(|()| true)
            .map_err(|e| rusqlite::Error::UserFunctionError(Box::new(e)))
    })
}
