//! The two questions to SQLite that `rusqlite` does not ask. The only place with `unsafe`.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int};

use rusqlite::{Connection, ffi};

/// Whether SQLite finds another file, or none, where it opened this one.
pub(crate) fn has_moved(conn: &Connection) -> bool {
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

/// Whether SQL has this word for itself. One that SQLite cannot be asked about is taken for such a
/// word.
pub(crate) fn is_keyword(word: &str) -> bool {
    let (Ok(text), Ok(length)) = (CString::new(word), c_int::try_from(word.len())) else {
        return true;
    };
    // SAFETY: the pointer and the length are those of a string that outlives the call.
    unsafe { ffi::sqlite3_keyword_check(text.as_ptr(), length) != 0 }
}
