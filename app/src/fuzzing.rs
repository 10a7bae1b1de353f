//! What is read from others, as functions of arbitrary bytes: the fuzz targets in app/fuzz and the
//! tests below call the same ones. They return nothing; what must not be, panics.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crate::broker::fuzzing as broker;
pub use crate::broker::fuzzing::{decode_batches, encode_batch};
use crate::model::{Column, TableSchema, Value};
use crate::wire::decode::{self, Record};
use crate::wire::encode::Encoder;

/// What a fuzzer calls.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("readers", readers),
    ("round_trip", round_trip),
    ("group_metadata", group_metadata),
    ("answers", answers),
    ("batches", batches),
    ("record_sets", record_sets),
    ("login", login),
];

/// The fast and the slow reader of rows agree on what is a row, and on what it holds.
pub fn readers(data: &[u8]) {
    let mut bytes = Bytes(data);
    let schema = schema(&mut bytes);
    let written = match bytes.byte() % 3 {
        0 => bytes.0.to_vec(),
        1 => {
            let mut written = row(&schema, &values(&schema, &mut bytes));
            for _ in 0..bytes.byte() % 4 {
                let at = bytes.number() as usize % written.len();
                written[at] = bytes.byte();
            }
            written
        }
        // Names as they are, which may be no JSON.
        _ => {
            let members = schema
                .columns
                .iter()
                .map(|c| format!("\"{}\":{},", c.name, bytes.byte()));
            format!("{{{}\"_ferry\":\"source.1.1\"}}", members.collect::<String>()).into_bytes()
        }
    };
    agree(&schema, &written);
}

fn agree(schema: &TableSchema, written: &[u8]) {
    let fast = decode::record(written, Some(schema), Vec::new());
    let Some(rest) = written.strip_prefix(b"{") else { return };
    // No row of ours has a space there.
    let spaced = [b"{ ", rest].concat();
    let slow = decode::record(&spaced, Some(schema), Vec::new());
    let text = String::from_utf8_lossy(written);
    match (fast, slow) {
        (Ok(Record::Row { id, row }), Ok(Record::Row { id: other, row: slow })) => {
            assert_eq!((id, row), (other, slow), "{text}");
        }
        (Ok(fast), Ok(slow)) => assert_eq!(mem::discriminant(&fast), mem::discriminant(&slow), "{text}"),
        (Err(_), Err(_)) => {}
        (fast, slow) => panic!("fast: {:?}, slow: {:?}: {text}", fast.err(), slow.err()),
    }
}

/// A row that was written is read back by both readers, value by value.
pub fn round_trip(data: &[u8]) {
    let mut bytes = Bytes(data);
    let schema = schema(&mut bytes);
    let values = values(&schema, &mut bytes);
    let written = row(&schema, &values);
    agree(&schema, &written);
    match decode::record(&written, Some(&schema), Vec::new()) {
        Ok(Record::Row { id, row }) => {
            assert_eq!((id.source, id.epoch, id.seq), ("source", 7, 3));
            assert_eq!(row, values);
        }
        Ok(_) => panic!("no row: {}", String::from_utf8_lossy(&written)),
        Err(why) => panic!("{why}: {}", String::from_utf8_lossy(&written)),
    }
}

/// What other members of a group say of themselves, and what its leader deals out.
pub fn group_metadata(data: &[u8]) {
    let mut bytes = Bytes(data);
    let counts: HashMap<String, i32> = [("t", bytes.byte()), ("u", bytes.byte())]
        .map(|(topic, count)| (topic.to_owned(), i32::from(count)))
        .into();
    broker::group_metadata(&counts, &bytes.pieces());
}

/// Answers of brokers.
pub fn answers(data: &[u8]) {
    let mut bytes = Bytes(data);
    broker::answer(bytes.byte(), bytes.0);
}

/// Compressed batches and the heads of batches.
pub fn batches(data: &[u8]) {
    broker::batch(data);
}

/// What a Fetch answer holds for a partition.
pub fn record_sets(data: &[u8]) {
    broker::record_sets(data);
}

/// What a server says in a login by SCRAM.
pub fn login(data: &[u8]) {
    broker::login(data);
}

fn row(schema: &TableSchema, values: &[Value<'_>]) -> Vec<u8> {
    let mut written = Vec::new();
    Encoder::new(Arc::new(schema.clone()), "source", 7).row(values, 3, &mut written);
    written
}

/// Bytes to make things of; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> u64 {
        self.take(8)
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn piece(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    fn pieces(&mut self) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !self.0.is_empty() {
            pieces.push(self.piece());
        }
        pieces
    }
}

fn schema(bytes: &mut Bytes) -> TableSchema {
    const NAMES: [&str; 8] = [
        "id",
        "a \"b",
        "back\\slash",
        "new\nline",
        "ünïcode",
        "\u{1}",
        "a/b",
        "$blob",
    ];
    let count = 1 + bytes.byte() % 5;
    let column = |at| {
        let kind = bytes.byte();
        let name = match NAMES.get(usize::from(kind % 16)) {
            Some(name) => (*name).to_owned(),
            None => String::from_utf8_lossy(bytes.piece()).into_owned(),
        };
        Column {
            // No two are of one name.
            name: format!("{name}{at}"),
            declared: String::new(),
            collation: "BINARY".into(),
            pk: usize::from(at == 0),
            pk_collation: "BINARY".into(),
        }
    };
    let columns: Vec<Column> = (0..count).map(column).collect();
    TableSchema {
        table: "t".into(),
        columns,
        strict: false,
        without_rowid: false,
        rowid_alias: false,
    }
}

fn values<'a>(schema: &TableSchema, bytes: &mut Bytes<'a>) -> Vec<Value<'a>> {
    schema.columns.iter().map(|_| value(bytes)).collect()
}

fn value<'a>(bytes: &mut Bytes<'a>) -> Value<'a> {
    match bytes.byte() % 7 {
        0 => Value::Null,
        1 => Value::Integer(bytes.number() as i64),
        2 => Value::Integer(bytes.byte().into()),
        3 => match f64::from_bits(bytes.number()) {
            // SQLite has none.
            real if real.is_nan() => Value::Null,
            real => Value::Real(real),
        },
        4 => Value::Real(f64::from(bytes.byte()) / 8.0),
        5 => Value::Text(bytes.piece().into()),
        _ => Value::Blob(bytes.piece().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::hash::{BuildHasher, RandomState};
    use std::panic;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    /// Without a time that is asked for, this many inputs for each target.
    const INPUTS: u64 = 20_000;

    /// A small generator (splitmix64).
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Bytes by chance alone, or one of the corpus with some of them changed.
    fn input(state: &mut u64, corpus: &[Vec<u8>]) -> Vec<u8> {
        const BYTES: [u8; 12] = [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'{', b'}', b'\\', b',', b':'];
        let chance = next(state) as usize;
        let mut input = match corpus {
            [] => Vec::new(),
            _ if chance.is_multiple_of(3) => Vec::new(),
            _ => corpus[chance / 3 % corpus.len()].clone(),
        };
        if input.is_empty() {
            let length = next(state) % 200;
            return (0..length).map(|_| next(state) as u8).collect();
        }
        for _ in 0..1 + next(state) % 6 {
            let (at, what) = (next(state) as usize % input.len(), next(state));
            match what % 4 {
                0 => input[at] = (what >> 8) as u8,
                1 => input.insert(at, BYTES[(what >> 8) as usize % BYTES.len()]),
                2 => input[at] = BYTES[(what >> 8) as usize % BYTES.len()],
                _ => input.truncate(at + 1),
            }
        }
        input
    }

    /// Calls a target with all of its corpus, and with inputs made of chance: as many as ever, or
    /// for ROWFERRY_FUZZ_SECONDS.
    fn holds(name: &str) {
        let (_, target) = TARGETS[TARGETS.iter().position(|(of, _)| *of == name).unwrap()];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let corpus: Vec<Vec<u8>> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
        assert!(!corpus.is_empty(), "{} holds nothing to begin with", folder.display());
        let seed = match env::var("ROWFERRY_TEST_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => RandomState::new().hash_one(0),
        };
        let time = env::var("ROWFERRY_FUZZ_SECONDS").map(|secs| Duration::from_secs(secs.parse().unwrap()));
        let (began, mut state, mut done) = (Instant::now(), seed, 0);
        let goes_on = |done: u64| match &time {
            Ok(time) => began.elapsed() < *time,
            // A login that goes on costs thousands of hashes.
            Err(_) if name == "login" => done < INPUTS / 20,
            Err(_) => done < INPUTS,
        };
        let made = std::iter::from_fn(|| Some(input(&mut state, &corpus)));
        for input in corpus.iter().cloned().chain(made) {
            if done >= corpus.len() as u64 && !goes_on(done) {
                break;
            }
            if let Err(why) = panic::catch_unwind(|| target(&input)) {
                eprintln!("{name}, ROWFERRY_TEST_SEED={seed}, input {done}: {input:?}");
                panic::resume_unwind(why);
            }
            done += 1;
        }
        println!("{name}: {done} inputs");
    }

    #[test]
    fn readers_of_rows_agree() {
        holds("readers");
    }

    #[test]
    fn round_trip_of_what_is_written() {
        holds("round_trip");
    }

    #[test]
    fn group_metadata_deals_out_all_partitions_whatever_members_say() {
        holds("group_metadata");
    }

    #[test]
    fn answers_of_brokers_are_read_or_refused() {
        holds("answers");
    }

    #[test]
    fn batches_are_looked_at_or_refused() {
        holds("batches");
    }

    #[test]
    fn login_messages_are_answered_or_refused() {
        holds("login");
    }

    #[test]
    fn record_sets_are_read_or_refused() {
        holds("record_sets");
    }
}
