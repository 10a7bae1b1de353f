//! What source, sink and verify share of SQLite.
//!
//! - `open`: opening a file, without locks where none can be made
//! - `locks`: waiting for the locks of other processes
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

pub mod affinity;
pub mod collation;
pub mod error;
pub mod file_id;
pub mod locks;
pub mod names;
pub mod open;
pub mod pragmas;
pub mod schema;
pub mod tables;
pub mod tokens;
pub mod values;
