//! Compares tables of two databases: every value, by its storage class and every bit.
//!
//! Both sides are read once, in the same order of the key, and merged; so the memory stays flat.
//!
//! | file | what it holds |
//! |---|---|
//! | `file` | a database, opened to read one state of it |
//! | `order` | the order of keys, in SQL and in Rust alike |
//! | `compare` | the merge of a table's two sides |
//! | `report` | what came out, for people |

mod compare;
mod file;
mod order;
mod report;

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::source::{schema, tracked_tables};

use file::File;
pub use report::Report;

/// Compares the tables, or those that the source ships when none is named, and tells of each as it is done.
pub fn verify(source: &Path, sink: &Path, tables: &[String], mut each: impl FnMut(&Report)) -> Result<()> {
    let source_file = File::open(source, "source", "cargo run --bin producer makes it")?;
    let sink_file = File::open(sink, "sink", "cargo run --bin consumer makes it")?;
    if fs::canonicalize(source).is_ok_and(|same| fs::canonicalize(sink).is_ok_and(|sink| sink == same)) {
        let both = format!("--source and --sink are the same file, {}", source.display());
        return Err(Error::usage(both).way_out("name the two databases that are to be compared"));
    }
    let tables = match tables {
        [] => shipped(&source_file)?,
        named => named.to_vec(),
    };
    for table in tables {
        each(&compare::table(&source_file, &sink_file, &table)?);
    }
    source_file.check_unchanged()?;
    sink_file.check_unchanged()
}

/// The tables that the source ships, as far as it remembers; otherwise all.
fn shipped(source: &File) -> Result<Vec<String>> {
    let mut tables = tracked_tables(source)?;
    if tables.is_empty() {
        tables = schema::user_tables(source)?;
    }
    match tables.is_empty() {
        true => Err(Error::failed(format!("{source} has no tables")).way_out("name the right file with --source")),
        false => Ok(tables),
    }
}
