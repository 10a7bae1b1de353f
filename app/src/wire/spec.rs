//! The examples of the specification in `mod.rs`: each is read and written again. One that is not
//! tested cannot stand there.

use std::collections::{HashMap, HashSet};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::Connection;
use sha2::Sha256;

use super::decode::{self, NamedValues, Record, RecordKey};
use super::encode::{Encoder, placeholder};
use super::names::{BARE_KEY, PASS, SCHEMA};
use super::sign::SignKey;
use super::{base64, value};
use crate::model::{Column, LastApplied, TableSchema, Value};
use crate::sequence::{Verdict, decide};
use crate::sqlite;

struct Example<'a> {
    kind: &'a str,
    lines: Vec<String>,
}

/// The fenced blocks of the specification. No JSON stands outside of them.
fn examples() -> Vec<Example<'static>> {
    let mut examples: Vec<Example<'_>> = Vec::new();
    let mut in_block = false;
    let doc = include_str!("mod.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    for line in doc {
        match (line.strip_prefix("```"), in_block) {
            (Some(_), true) => in_block = false,
            (Some(info), false) => {
                let kind = info.strip_prefix("json ").expect("a block says of what kind it is");
                examples.push(Example {
                    kind,
                    lines: Vec::new(),
                });
                in_block = true;
            }
            (None, true) => {
                let lines = &mut examples.last_mut().unwrap().lines;
                match line.strip_prefix("  ") {
                    Some(more) => lines.last_mut().unwrap().push_str(more),
                    None => lines.push(line.to_owned()),
                }
            }
            (None, false) => assert!(!line.contains("{\""), "an example outside of a block: {line}"),
        }
    }
    examples
}

#[test]
fn every_example_is_read_and_written_again() {
    let examples = examples();
    let mut log = Log::default();
    for Example { kind, lines } in &examples {
        assert!(!lines.is_empty(), "{kind}");
        match *kind {
            "records" => log.take(lines),
            "signed" => signed(lines),
            "values" => each(lines, value_comes_back),
            "keys" => lines.iter().for_each(|key| key_comes_back(key)),
            "folded" => each(lines, folds),
            "refused" => each(lines, refuses),
            "ignored" => lines.iter().for_each(|json| ignores(json)),
            "others" => each(lines, others_row),
            "keys-of-others" => each(lines, others_key),
            kind => panic!("no test reads an example of kind {kind}"),
        }
    }
    let kinds: HashSet<&str> = examples.iter().map(|example| example.kind).collect();
    assert_eq!(kinds.len(), 9);
}

/// The two halves of each line.
fn each(lines: &[String], test: impl Fn(&str, &str)) {
    for line in lines {
        let (left, right) = line.split_once("  ").unwrap_or_else(|| panic!("one half only: {line}"));
        test(left, right);
    }
}

/// What SQLite makes of a list of expressions.
fn select(expressions: &str) -> Vec<(String, Value<'static>)> {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare(&format!("SELECT {expressions}")).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).unwrap();
    let row = rows.next().unwrap().unwrap();
    let value = |at| sqlite::values::borrow(row.get_ref(at).unwrap()).into_owned();
    names
        .into_iter()
        .enumerate()
        .map(|(at, name)| (name, value(at)))
        .collect()
}

fn owned(members: NamedValues<'_>) -> Vec<(String, Value<'static>)> {
    members
        .into_iter()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn value_comes_back(json: &str, sql: &str) {
    let [(_, expected)] = select(sql).try_into().unwrap();
    assert_eq!(written(|out| value::write(&expected, out)), json);
    let read: value::Read = serde_json::from_str(json).unwrap();
    assert_eq!(read.0, expected, "{json}");
}

/// The table whose key has these members.
fn keyed_by(names: &[(String, Value<'_>)], collation: &str) -> TableSchema {
    let by_rowid = names.len() == 1 && names[0].0 == crate::model::ROWID;
    let columns = names.iter().enumerate().map(|(at, (name, _))| Column {
        name: name.clone(),
        declared: String::new(),
        collation: collation.into(),
        pk: if by_rowid { 0 } else { at + 1 },
        pk_collation: collation.into(),
    });
    TableSchema {
        table: "t".into(),
        columns: columns.collect(),
        strict: false,
        without_rowid: false,
        rowid_alias: false,
    }
}

fn key_of(json: &str) -> Vec<(String, Value<'static>)> {
    match decode::key(Some(json.as_bytes())) {
        Ok(RecordKey::Object(members)) => owned(members),
        _ => panic!("{json} is no key of ours"),
    }
}

fn values(members: Vec<(String, Value<'static>)>) -> Vec<Value<'static>> {
    members.into_iter().map(|(_, value)| value).collect()
}

fn key_comes_back(json: &str) {
    let key = key_of(json);
    let encoder = Encoder::new(keyed_by(&key, "BINARY").into(), "s", 7);
    assert_eq!(written(|out| encoder.key(&values(key), out)), json);
}

fn folds(collation: &str, keys: &str) {
    let (json, expected) = keys.split_once("  {").unwrap();
    let key = key_of(json);
    let encoder = Encoder::new(keyed_by(&key, collation).into(), "s", 7);
    let mut folded = Vec::new();
    if !encoder.partition_key(&values(key), &mut folded) {
        folded = json.as_bytes().to_vec();
    }
    assert_eq!(String::from_utf8(folded).unwrap(), format!("{{{expected}"));
}

/// The table `users` of the first example.
fn users() -> TableSchema {
    let examples = examples();
    match decode::record(examples[0].lines[1].as_bytes(), None, Vec::new()) {
        Ok(Record::Schema { schema, .. }) => *schema,
        _ => panic!("the first example begins with a schema"),
    }
}

fn refuses(json: &str, reason: &str) {
    let given = decode::record(json.as_bytes(), Some(&users()), Vec::new()).err();
    assert!(
        given.as_ref().is_some_and(|given| given.contains(reason)),
        "{json}: {given:?}"
    );
}

fn ignores(json: &str) {
    assert!(json.contains("\"new\":1"));
    match decode::record(json.as_bytes(), None, Vec::new()) {
        Ok(Record::Schema { schema, header, .. }) => {
            assert_eq!((&*schema.table, schema.columns.len()), ("t", 1));
            assert!(header.is_some_and(|header| header.full));
        }
        Ok(Record::PassEnd { pass: 7, .. } | Record::Placeholder { .. }) => {}
        Ok(_) => panic!("{json} is something else"),
        Err(reason) => panic!("{json}: {reason}"),
    }
}

fn others_row(json: &str, sql: &str) {
    match decode::record(json.as_bytes(), Some(&users()), Vec::new()) {
        Ok(Record::Foreign(members)) => assert_eq!(owned(members), select(sql), "{json}"),
        Ok(_) => panic!("{json} is ours"),
        Err(reason) => panic!("{json}: {reason}"),
    }
}

fn others_key(text: &str, sql: &str) {
    let members = match decode::key(Some(text.as_bytes())).unwrap() {
        RecordKey::Object(members) => owned(members),
        RecordKey::Bare(value) => vec![(BARE_KEY.into(), value.into_owned())],
        RecordKey::None => panic!("{text} is no key"),
    };
    assert_eq!(members, select(sql), "{text}");
}

/// The bytes that are signed, put together as the specification has them.
fn signed(lines: &[String]) {
    let [key, value] = lines else {
        panic!("a key and a value")
    };
    let secret = b"0123456789abcdef0123456789abcdef";
    let (before, rest) = value.split_once(",\"_sig\":\"").unwrap();
    let (signature, behind) = rest.split_once('"').unwrap();
    let unsigned = format!("{before}{behind}");
    let mut bytes = b"rowferry 1\0".to_vec();
    bytes.extend(5_u64.to_le_bytes());
    bytes.extend(b"users");
    bytes.extend(0_i32.to_le_bytes());
    bytes.extend((key.len() as u64).to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(unsigned.as_bytes());
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret).unwrap();
    mac.update(&bytes);
    let expected = mac.finalize().into_bytes();
    assert_eq!(written(|out| base64::encode(&expected, out)), signature);
    let signer = SignKey::new(secret).signer("users", 0);
    let again = written(|out| {
        out.extend_from_slice(unsigned.as_bytes());
        signer.sign(key.as_bytes(), 0, out);
    });
    assert_eq!(again, *value);
    assert!(signer.has_signed(key.as_bytes(), value.as_bytes()));
}

/// What the partitions of several tables say, record by record.
#[derive(Default)]
struct Log {
    /// The schema in force.
    schema: Option<TableSchema>,
    /// The last record by table.
    landed: HashMap<String, LastApplied>,
}

impl Log {
    fn take(&mut self, lines: &[String]) {
        for record in lines.split(std::string::String::is_empty) {
            let [key, value] = record else {
                panic!("a key and a value: {record:?}")
            };
            self.record(key, value);
        }
    }

    fn record(&mut self, key: &str, value: &str) {
        if value == "null" {
            return key_comes_back(key);
        }
        let record = decode::record(value.as_bytes(), self.schema.as_ref(), Vec::new());
        let record = record.unwrap_or_else(|reason| panic!("{value}: {reason}"));
        let id = record.id().unwrap();
        assert_eq!(decode::record_id(value.as_bytes()), Some(id));
        if let Record::Schema { schema, .. } = &record {
            self.schema = Some(TableSchema::clone(schema));
        }
        self.follows(&record);
        let schema = self.schema.clone().unwrap();
        let (key_places, width) = (schema.key(), schema.columns.len());
        let mut encoder = Encoder::new(schema.into(), id.source, id.epoch);
        let about_table = decode::is_schema(value.as_bytes()) || !decode::is_row(value.as_bytes());
        let again = match record {
            Record::Row { row, .. } => {
                assert!(!about_table, "{value}");
                let in_key = values(key_of(key));
                assert!(
                    key_places
                        .iter()
                        .map(|&at| &row[at])
                        .eq(in_key.iter().take(key_places.len()))
                );
                let again = written(|out| encoder.row(&row, id.seq, out));
                (written(|out| encoder.key(&in_key, out)), again)
            }
            Record::Deletion { key, .. } => {
                assert!(!about_table, "{value}");
                let key = values(owned(key));
                let again = written(|out| encoder.deletion(&key, id.seq, out));
                (written(|out| encoder.key(&key, out)), again)
            }
            Record::Schema {
                table_id,
                header,
                begin,
                ..
            } => {
                assert!(about_table, "{value}");
                if let Some(table_id) = table_id {
                    encoder = encoder.with_table_id(table_id.into());
                }
                let again = written(|out| encoder.schema_record(header.as_ref(), begin, id.seq, out));
                (written(|out| encoder.table_key(&SCHEMA, out)), again)
            }
            Record::PassEnd { pass, .. } => {
                assert!(about_table, "{value}");
                let again = written(|out| encoder.pass_end(pass, id.seq, out));
                (written(|out| encoder.table_key(&PASS, out)), again)
            }
            Record::Placeholder { key, reason, .. } => {
                assert!(about_table, "{value}");
                let row = vec![Value::Null; width];
                let refused = written(|out| encoder.row(&row, id.seq, out));
                let (key, again) = placeholder(&key, &reason, Some(refused.as_bytes()));
                (
                    String::from_utf8(key).unwrap(),
                    String::from_utf8(again.unwrap()).unwrap(),
                )
            }
            Record::RowWithoutSchema { .. } | Record::Foreign(_) | Record::Null => panic!("{value} is not ours"),
        };
        assert_eq!(again, (key.to_owned(), value.to_owned()));
    }

    /// Each record is the next one of its table, or the first one.
    fn follows(&mut self, record: &Record<'_>) {
        let id = record.id().unwrap();
        let table = self.schema.as_ref().unwrap().table.clone();
        let verdict = decide(self.landed.get(&table), &id, record.header());
        let is_next = match verdict {
            Verdict::FirstContact { partial } => !partial,
            Verdict::Apply => true,
            _ => false,
        };
        assert!(is_next, "{id}: {verdict:?}");
        self.landed.insert(table, id.into());
    }
}
