//! Text of a database that keeps it as UTF-16: SQLite hands it out as UTF-8, and what is no UTF-16
//! (half of a surrogate pair) comes out as something else. Such text cannot be read as it is, so a
//! row that holds some stays behind.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::sqlite::error::SqlResult;
use crate::sqlite::pragmas::encoding;

/// Why a row stays behind whose text cannot be read exactly.
pub(super) const BROKEN_TEXT: &str =
    "it holds text that is no UTF-16 (half of a surrogate pair), which cannot be read as it is";

/// Why a row stays behind whose key could not be looked up.
pub(super) const BROKEN_KEY: &str = "its key holds text that is no UTF-16 (half of a surrogate pair), so it cannot be looked up: \
     give it another key; --backfill looks again";

/// The SQL function that tells whether UTF-16 text, given as blobs, is whole.
const WHOLE: &str = "_rowferry_whole";

/// As many columns as one call is given.
const COLUMNS: usize = 50;

/// Makes the function where the database keeps its text as UTF-16; whether it does.
pub(super) fn prepare(conn: &Connection) -> SqlResult<bool> {
    let unit: fn([u8; 2]) -> u16 = match encoding(conn)?.as_str() {
        "UTF-16le" => u16::from_le_bytes,
        "UTF-16be" => u16::from_be_bytes,
        _ => return Ok(false),
    };
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function(WHOLE, -1, flags, move |values| {
        Ok((0..values.len()).all(|i| match values.get_raw(i) {
            ValueRef::Blob(bytes) => is_whole(bytes, unit),
            _ => true,
        }))
    })?;
    Ok(true)
}

fn is_whole(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    bytes.len().is_multiple_of(2) && char::decode_utf16(units).all(|sign| sign.is_ok())
}

/// The condition that the text in all of these columns is whole.
pub(super) fn whole(columns: &[String]) -> String {
    let call = |columns: &[String]| {
        let blobs = columns
            .iter()
            .map(|column| format!("CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) END"));
        format!("{WHOLE}({})", blobs.collect::<Vec<_>>().join(", "))
    };
    columns.chunks(COLUMNS).map(call).collect::<Vec<_>>().join(" AND ")
}
