//! Opening the sink: the file, its settings, and the wait for other processes' locks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, Result};
use crate::sqlite::locks::{self, Pace};
use crate::sqlite::open::{self, Access};
use crate::sqlite::pragmas;
use crate::sqlite::values::add_exactly;
use crate::stop::Stop;

use super::error::{cannot, stopped_or};
use super::{catalog, ddl};

/// The pause before the journal mode is asked for again.
const SETTLE_AGAIN: Duration = Duration::from_millis(10);
/// The pages that may gather in the write-ahead log. More than SQLite's 1000 spare keys in no order
/// from being written again and again.
pub(super) const LOG_PAGES: i64 = 4000;
/// The size of a new sink's pages: twice SQLite's own makes half as many to split, to log and to
/// copy; still larger ones bring little.
pub(super) const PAGE: u32 = 8192;
/// Statements kept prepared: a few for each of many topics.
const STATEMENTS: usize = 256;

/// Opens the database with everything that a landing needs, and tells its id.
pub(super) fn open(path: &Path, stop: &Stop) -> Result<(Connection, String)> {
    let shown = path.display();
    let at = |e: Error| e.at(shown.to_string());
    make_folder(path)?;
    let fresh = fs::metadata(path).map_or(true, |file| file.len() == 0);
    let mut conn = open::open(path, Access::Create).map_err(|e| at(cannot(e, "open the sink")))?;
    if conn.is_readonly("main").unwrap_or(false) {
        return Err(at(Error::failed("the sink is read-only"))
            .way_out("make the file writable, or name another one with --sink"));
    }
    let notice = format!("{shown}: another process holds the lock; waiting for it");
    let asked = stop.clone();
    locks::wait(&mut conn, Pace::Eager, notice, move |_| !asked.requested())
        .map_err(|e| at(cannot(e, "open the sink")))?;
    // Changing the journal mode asks for locks in an order in which SQLite does not wait for them.
    let settled = loop {
        match settle(&conn, fresh, stop) {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => stop.sleep(SETTLE_AGAIN)?,
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
    let encoding = pragmas::encoding(conn).map_err(|e| cannot(e, "read the sink"))?;
    if encoding == "UTF-8" {
        return Ok(());
    }
    Err(Error::failed(format!(
        "the sink keeps its text as {encoding}, which would change some of it"
    ))
    .way_out("name another file with --sink, which is made in UTF-8"))
}

/// The settings of the connection; the journal mode of a file that was there is left as it is.
fn settle(conn: &Connection, fresh: bool, stop: &Stop) -> rusqlite::Result<()> {
    if fresh {
        conn.execute_batch(&format!("PRAGMA page_size = {PAGE}"))?;
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    if pragmas::is_wal(conn)? {
        conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    }
    conn.execute_batch(&format!(
        "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = {LOG_PAGES}"
    ))?;
    // Rows land in any order, so that references may point nowhere for a while; a table is renamed
    // without a look at the user's views.
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON")?;
    // A quoted name that is no column must not be taken for a text.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    add_exactly(conn)?;
    let stop = stop.clone();
    conn.create_scalar_function(ddl::GO_ON, 0, FunctionFlags::SQLITE_UTF8, move |_| {
        stop.check()
            .map(|()| true)
            .map_err(|e| rusqlite::Error::UserFunctionError(Box::new(e)))
    })
}
