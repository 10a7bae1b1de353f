//! What source, sink and verify share of SQLite.
//!
//! - `open`: opening a file, without locks where none can be made
//! - `locks`: waiting for the locks of other processes
//! - `ffi`: what `rusqlite` does not ask of SQLite
//! - `file_id`: which file a path leads to
//! - `error`: what goes wrong, as a sentence with its way out
//! - `pragmas`: questions to a connection
//! - `tables`: what a database holds: tables, columns, indexes
//! - `schema`: the schema of a table
//! - `affinity`: what a column's type does to values
//! - `collation`: how text is compared
//! - `names`: names in SQL, and those of the rowid
//! - `values`: values in and out, and when two are exactly equal
//! - `tokens`: SQL cut into its parts

pub(crate) mod affinity;
pub(crate) mod collation;
pub(crate) mod error;
pub(crate) mod ffi;
pub(crate) mod file_id;
pub(crate) mod locks;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod pragmas;
pub(crate) mod schema;
pub(crate) mod tables;
pub(crate) mod tokens;
pub(crate) mod values;
