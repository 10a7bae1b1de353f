//! Text of a database that keeps it as UTF-16: SQLite hands it out as UTF-8, and what is no UTF-16 (half of a surrogate pair) comes out as
//! something else. Such text cannot be read as it is, so a row that holds some stays behind.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use super::file::Tried;

/// Why a row stays behind whose text cannot be read exactly.
pub const BROKEN_TEXT: &str =
    "it holds text that is no UTF-16 (half of a surrogate pair), which cannot be read as it is";

/// Why a row stays behind whose key could not be looked up: U+FFFE and U+FFFF, too, come back into SQLite as another sign.
pub const BROKEN_KEY: &str = "its key holds text that cannot be looked up (half of a surrogate pair, U+FFFE or U+FFFF): \
     give it another key; --backfill looks again";

/// The SQL function that tells whether UTF-16 text, given as blobs, is whole; the first argument is 1 for text to be looked up.
const WHOLE: &str = "_rowferry_whole";

/// As many columns as one call is given.
const COLUMNS: usize = 50;

/// Makes the function where the database keeps its text as UTF-16; whether it does.
pub fn prepare(conn: &Connection) -> Tried<bool> {
    let encoding: String = conn.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let unit: fn([u8; 2]) -> u16 = match encoding.as_str() {
        "UTF-16le" => u16::from_le_bytes,
        "UTF-16be" => u16::from_be_bytes,
        _ => return Ok(false),
    };
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function(WHOLE, -1, flags, move |values| {
        let looked_up: bool = values.get(0)?;
        Ok((1..values.len()).all(|i| match values.get_raw(i) {
            ValueRef::Blob(bytes) => is_whole(bytes, unit, looked_up),
            _ => true,
        }))
    })?;
    Ok(true)
}

fn is_whole(bytes: &[u8], unit: fn([u8; 2]) -> u16, looked_up: bool) -> bool {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let is_good = |sign: Result<char, _>| sign.is_ok_and(|sign| !looked_up || !matches!(sign, '\u{fffe}' | '\u{ffff}'));
    bytes.len().is_multiple_of(2) && char::decode_utf16(units).all(is_good)
}

/// The condition that the text in all of these columns is whole.
pub fn whole(columns: &[String], looked_up: bool) -> String {
    let call = |columns: &[String]| {
        let blobs = columns
            .iter()
            .map(|column| format!(", CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) END"));
        format!("{WHOLE}({}{})", i32::from(looked_up), blobs.collect::<String>())
    };
    columns.chunks(COLUMNS).map(call).collect::<Vec<_>>().join(" AND ")
}
