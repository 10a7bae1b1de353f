//! The table as it is at one moment, for a source that is only read: nobody tells what changes
//! during its pass.
//!
//! In WAL mode one read transaction lasts for the whole pass and holds nobody up. In the rollback
//! journal modes it would hold up every commit, for as long as a broker is away if need be. There
//! the rows are copied into a temporary database first: SQLite's own, in a file that has no name
//! from the moment on when it was made, so that it goes with the process. Its columns have no type,
//! so that each value stays as it was read.

use rusqlite::ErrorCode;

use super::file::SourceFile;
use super::key;
use crate::error::{Error, Result};
use crate::model::TableSchema;
use crate::sqlite::error::SqlFault;
use crate::sqlite::names::{quote, rowid_name};

/// The copy's name. Its rowid is the row's, where that is the key, and otherwise its number in the
/// order of the table's b-tree.
pub(super) const COPY: &str = "temp.rows_of_one_moment";

/// The name of the copy's column for the table's column at this place.
pub(super) fn column(place: usize) -> String {
    format!("c{place}")
}

/// Copies all rows in one read transaction, which is over at the end.
pub(super) fn copy(file: &mut SourceFile, schema: &TableSchema) -> Result<()> {
    let columns = (0..schema.columns.len()).map(column).collect::<Vec<_>>().join(", ");
    let names = schema.columns.iter().map(|c| quote(&c.name)).collect::<Vec<_>>();
    let rowid = rowid_name(schema).filter(|_| schema.keyed_by_rowid());
    let (from, to) = match rowid {
        Some(rowid) => (
            format!("{}, {}", quote(rowid), names.join(", ")),
            format!("rowid, {columns}"),
        ),
        None => (names.join(", "), columns.clone()),
    };
    let (table, order) = (quote(&schema.table), key::order(schema).join(", "));
    let copied = file.end_on_stop().and_then(|()| {
        file.conn.execute_batch(&format!(
            "PRAGMA temp_store = FILE; CREATE TABLE {COPY}({columns});
             INSERT INTO {COPY}({to}) SELECT {from} FROM main.{table} ORDER BY {order}"
        ))
    });
    copied.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::failed(format!(
            "no room for the copy of table {:?} in the folder of temporary files",
            schema.table
        ))
        .way_out("make room there, or name another folder by TMPDIR; a source in WAL mode is read without a copy"),
        _ => file.error(SqlFault::Sqlite(error)),
    })
}
