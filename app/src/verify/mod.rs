//! Compares tables of the source with those of a sink, or of several over which their rows are
//! spread: every value, by its storage class and every bit.
//!
//! All sides are read once, in the same order of the key, and merged; so the memory stays flat.
//!
//! - `file`: a database, opened to read one state of it
//! - `order`: the order of keys, in SQL and in Rust alike
//! - `plan`: how a table is read from each side
//! - `compare`: the merge of a table's sides
//! - `report`: what came out, for people

mod compare;
mod file;
mod order;
mod plan;
mod report;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::source::{schema, tracked_tables};

use file::ComparedFile;
pub use report::Report;

/// Compares the tables, or those that the source ships when none is named, and tells of each as it
/// is done.
pub fn verify(source: &Path, sinks: &[PathBuf], tables: &[String], mut each: impl FnMut(&Report)) -> Result<()> {
    let source_file = ComparedFile::open(source, "source", "cargo run --bin producer makes it")?;
    let open = |sink: &PathBuf| ComparedFile::open(sink, "sink", "cargo run --bin consumer makes it");
    let sink_files = sinks.iter().map(open).collect::<Result<Vec<_>>>()?;
    refuse_same(source, sinks)?;
    let tables = match tables {
        [] => shipped(&source_file)?,
        named => named.to_vec(),
    };
    for table in tables {
        each(&compare::table(&source_file, &sink_files, &table)?);
    }
    source_file.check_unchanged()?;
    sink_files.iter().try_for_each(ComparedFile::check_unchanged)
}

/// A file that is named twice would be compared with itself, or have all of its rows in two sinks.
fn refuse_same(source: &Path, sinks: &[PathBuf]) -> Result<()> {
    let same = |a: &Path, b: &Path| fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b));
    for (i, sink) in sinks.iter().enumerate() {
        if same(source, sink) {
            let both = format!("--source and --sink are the same file, {}", source.display());
            return Err(Error::usage(both).way_out("name the two databases that are to be compared"));
        }
        if let Some(other) = sinks[..i].iter().find(|other| same(other, sink)) {
            let both = format!(
                "--sink {} and --sink {} are the same file",
                other.display(),
                sink.display()
            );
            return Err(Error::usage(both).way_out("name each sink once"));
        }
    }
    Ok(())
}

/// The tables that the source ships, as far as it remembers; otherwise all.
fn shipped(source: &ComparedFile) -> Result<Vec<String>> {
    let mut tables = tracked_tables(source)?;
    if tables.is_empty() {
        tables = schema::user_tables(source)?;
    }
    if tables.is_empty() {
        Err(Error::failed(format!("{source} has no tables")).way_out("name the right file with --source"))
    } else {
        Ok(tables)
    }
}
