//! The demo table: users who do not exist.

use std::fs;
use std::path::Path;

use fake::faker::address::en::CityName;
use fake::faker::internet::en::SafeEmail;
use fake::faker::name::en::Name;
use fake::rand::SeedableRng;
use fake::rand::rngs::StdRng;
use fake::{Fake, RngExt};
use rusqlite::{Connection, Transaction, params};

use super::file::SourceFile;
use super::schema;
use crate::error::{Error, Result};
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::quote;
use crate::sqlite::open::{Access, open};
use crate::stop::Stop;

/// The demo table's name.
pub const TABLE: &str = "users";

const COLUMNS: [&str; 7] = ["id", "name", "email", "city", "age", "balance", "created_at"];

/// So many rows go into one transaction, so that others can write in between.
const AT_ONCE: u64 = 10_000;

/// Makes a database with a demo table of `rows` rows where there is no file yet; whether it did.
pub fn create_if_missing(path: &Path, rows: u64, seed: u64, stop: &Stop) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let cannot = |e: &dyn std::fmt::Display| {
        Error::failed(format!("cannot make the source database {}: {e}", path.display()))
            .way_out("name a place that can be written with --source")
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| cannot(&e))?;
    }
    let conn = open(path, Access::Create).map_err(|e| cannot(&e))?;
    conn.pragma_update(None, "journal_mode", "WAL")
        .map_err(|e| cannot(&e))?;
    drop(conn);
    add(path, TABLE, rows, seed, stop)?;
    Ok(true)
}

/// Adds so many users to a table of the demo's columns, which is made where it is missing. The same
/// seed gives the same users.
pub fn add(path: &Path, table: &str, rows: u64, seed: u64, stop: &Stop) -> Result<()> {
    let mut file = SourceFile::open(path, true, stop)?;
    let last: i64 = file.write(|tx| {
        tx.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {}(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER,
             balance REAL, created_at TEXT)",
            quote(table)
        ))?;
        check_shape(tx, table)?;
        Ok(
            tx.query_row(&format!("SELECT ifnull(max(id), 0) FROM {}", quote(table)), [], |row| {
                row.get(0)
            })?,
        )
    })?;
    // Later users are others than the first ones.
    let mut random = StdRng::seed_from_u64(seed ^ last as u64);
    let mut left = rows;
    while left > 0 {
        stop.check()?;
        let now = left.min(AT_ONCE);
        file.write(|tx| insert(tx, table, now, &mut random))?;
        left -= now;
    }
    Ok(())
}

fn check_shape(conn: &Connection, table: &str) -> SqlResult<()> {
    let schema = schema::read(conn, table)?;
    if !schema.rowid_alias || !schema.columns.iter().map(|c| c.name.as_str()).eq(COLUMNS) {
        return Err(Error::usage(format!(
            "--fake adds users to a table of the columns {}; {table:?} is another one",
            COLUMNS.join(", ")
        ))
        .way_out("leave out --fake, or name another --table")
        .into());
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, table: &str, rows: u64, random: &mut StdRng) -> SqlResult<()> {
    let mut statement = tx.prepare_cached(&format!(
        "INSERT INTO {}(name, email, city, age, balance, created_at) VALUES (?1, ?2, ?3, ?4, ?5, datetime(?6, 'unixepoch'))",
        quote(table)
    ))?;
    for _ in 0..rows {
        let name: String = Name().fake_with_rng(random);
        let email: String = SafeEmail().fake_with_rng(random);
        let city: String = CityName().fake_with_rng(random);
        let age = random.random_range(18..100);
        let balance = f64::from(random.random_range(-100_000..10_000_000)) / 100.0;
        // Some second between 2020 and 2026.
        let created = random.random_range(1_577_836_800_i64..1_767_225_600);
        statement.execute(params![name, email, city, age, balance, created])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All users of a fresh database with so many of them, then some more.
    fn users(first: u64, more: u64) -> Vec<String> {
        let folder = crate::source::tests::Folder::new();
        let (path, stop) = (folder.file("made/on/the/way/source.db"), Stop::default());
        assert!(create_if_missing(&path, first, 7, &stop).unwrap());
        assert!(!create_if_missing(&path, first, 7, &stop).unwrap());
        add(&path, TABLE, more, 7, &stop).unwrap();
        let conn = Connection::open(&path).unwrap();
        let sql = "SELECT concat_ws('|', name, email, city, age, balance, created_at) FROM users
                   WHERE typeof(balance) = 'real' AND created_at GLOB '20[0-9][0-9]-*:*' ORDER BY id";
        let mut statement = conn.prepare(sql).unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(|row| row.unwrap())
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_users_and_later_ones_are_others() {
        let users_there = users(50, 30);
        assert_eq!(users_there, users(50, 30));
        assert_eq!(users_there.len(), 80);
        assert_ne!(users_there[..30], users_there[50..]);
    }

    #[test]
    fn a_table_of_another_shape_gets_no_users() {
        let folder = crate::source::tests::Folder::new();
        let path = folder.file("source.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE mine(id INTEGER PRIMARY KEY, name)")
            .unwrap();
        let error = add(&path, "mine", 1, 1, &Stop::default()).unwrap_err();
        assert!(
            error.to_string().contains("--fake") && error.to_string().contains("mine"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }
}
