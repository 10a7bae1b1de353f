//! The floor under both sides: the same rows through SQLite and JSON, without Kafka and without any
//! promise.
//!
//!   floor users SOURCE ROWS SEED   makes the table that all contenders ship
//!   floor produce SOURCE LINES     reads the rows and serialises them into a file, a line each
//!   floor consume SINK LINES       parses the lines and upserts them, 10,000 a transaction

use std::borrow::Cow;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use rowferry::source::dummy;
use rowferry::stop::Stop;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

const AT_ONCE: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct User<'a> {
    id: i64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    city: Cow<'a, str>,
    age: i64,
    balance: f64,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["users", source, rows, seed] => users(source, rows.parse()?, seed.parse()?),
        ["produce", source, lines] => produce(source, lines),
        ["consume", sink, lines] => consume(sink, lines),
        _ => Err("floor users SOURCE ROWS SEED, floor produce SOURCE LINES or floor consume SINK LINES".into()),
    }
}

fn users(source: &str, rows: u64, seed: u64) -> Result<(), Box<dyn Error>> {
    dummy::create_if_missing(Path::new(source), rows, seed, &Stop::default())?;
    Ok(())
}

fn produce(source: &str, lines: &str) -> Result<(), Box<dyn Error>> {
    let source = Connection::open(source)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(lines)?);
    let mut statement = source.prepare("SELECT id, name, email, city, age, balance, created_at FROM users")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column: usize| Ok::<_, rusqlite::Error>(Cow::Borrowed(row.get_ref(column)?.as_str()?));
        let user = User {
            id: row.get(0)?,
            name: text(1)?,
            email: text(2)?,
            city: text(3)?,
            age: row.get(4)?,
            balance: row.get(5)?,
            created_at: text(6)?,
        };
        serde_json::to_writer(&mut out, &user)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn consume(sink: &str, lines: &str) -> Result<(), Box<dyn Error>> {
    let mut sink = Connection::open(sink)?;
    sink.pragma_update(None, "journal_mode", "WAL")?;
    sink.pragma_update(None, "synchronous", "NORMAL")?;
    sink.execute_batch(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER, balance REAL, created_at TEXT)",
    )?;
    let lines = fs::read(lines)?;
    let mut lines = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .peekable();
    while lines.peek().is_some() {
        let tx = sink.transaction()?;
        let mut upsert = tx.prepare_cached(
            "INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(id) DO UPDATE SET name = excluded.name,
             email = excluded.email, city = excluded.city, age = excluded.age, balance = excluded.balance,
             created_at = excluded.created_at",
        )?;
        for line in lines.by_ref().take(AT_ONCE) {
            let user: User = serde_json::from_slice(line)?;
            upsert.execute(params![
                user.id,
                user.name,
                user.email,
                user.city,
                user.age,
                user.balance,
                user.created_at
            ])?;
        }
        drop(upsert);
        tx.commit()?;
    }
    Ok(())
}
