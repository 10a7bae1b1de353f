//! DecodedRows to bytes (format `flat`): the producer's side.

use std::borrow::Cow;
use std::sync::Arc;

use super::names::{self, DELETED, PASS, PLACEHOLDER, RECORD_ID, RUN, SCHEMA};
use super::schema::SchemaJson;
use super::value;
use crate::model::{RunHeader, TableSchema, Value};

/// As many characters of a key as a placeholder repeats.
const LONGEST_KEY: usize = 200;

/// Writes the records of one table in one epoch. All of them end with their id.
pub struct Encoder {
    schema: Arc<TableSchema>,
    /// What tells the table from others of its source, where that is known.
    table_id: Option<Arc<str>>,
    /// `{"id":`, `,"part":` ... as they stand in a key.
    key_members: Vec<Vec<u8>>,
    /// The same for all columns of a row.
    members: Vec<Vec<u8>>,
    /// The last member up to the number of the record.
    record_id: Vec<u8>,
    /// The collation by which each key column compares.
    key_collations: Vec<String>,
}

fn openers<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    names
        .enumerate()
        .map(|(i, name)| {
            let mut opener = vec![if i == 0 { b'{' } else { b',' }];
            value::write_str(name, &mut opener);
            opener.push(b':');
            opener
        })
        .collect()
}

impl Encoder {
    /// Writes for one run of a source.
    pub fn new(schema: Arc<TableSchema>, source: &str, epoch: u64) -> Self {
        Self {
            key_members: openers(schema.key_names().into_iter()),
            members: openers(schema.columns.iter().map(|c| c.name.as_str())),
            record_id: format!("{}{source}.{epoch}.", RECORD_ID.next_string).into_bytes(),
            key_collations: schema
                .key()
                .into_iter()
                .map(|i| schema.columns[i].pk_collation.clone())
                .collect(),
            schema,
            table_id: None,
        }
    }

    /// Tells in schema records which table of its source it is.
    pub fn with_table_id(mut self, id: Arc<str>) -> Self {
        self.table_id = Some(id);
        self
    }

    /// The record key of a row.
    pub fn key(&self, key: &[Value<'_>], out: &mut Vec<u8>) {
        write_members(&self.key_members, key, out);
        out.push(b'}');
    }

    /// What decides a row's partition. Spellings that the table takes for one key (k1 and K1 under
    /// NOCASE, 1 and 1.0) must stay in order, so they must meet in one partition. False, and
    /// nothing written, when that is the record key itself.
    pub fn partition_key(&self, key: &[Value<'_>], out: &mut Vec<u8>) -> bool {
        if self.schema.keyed_by_rowid() {
            return false;
        }
        let foldable = || key.iter().zip(&self.key_collations).map(|(v, c)| fold(v, c));
        if foldable().all(|folded| folded.is_none()) {
            return false;
        }
        let values: Vec<_> = foldable().zip(key).map(|(f, v)| f.unwrap_or(v.borrow())).collect();
        self.key(&values, out);
        true
    }

    /// A row as it is now.
    pub fn row(&self, row: &[Value<'_>], seq: u64, out: &mut Vec<u8>) {
        write_members(&self.members, row, out);
        self.end(seq, out);
    }

    /// The word that a row is gone.
    pub fn deletion(&self, key: &[Value<'_>], seq: u64, out: &mut Vec<u8>) {
        write_members(&self.key_members, key, out);
        out.extend_from_slice(DELETED.next.as_bytes());
        out.extend_from_slice(b"true");
        self.end(seq, out);
    }

    /// The key of a record that speaks of the table, not of a row.
    pub(crate) fn table_key(&self, kind: &names::Member, out: &mut Vec<u8>) {
        out.extend_from_slice(kind.first.as_bytes());
        value::write_str(&self.schema.table, out);
        out.push(b'}');
    }

    /// The schema record; `begin` names the full pass that begins with it.
    pub fn schema_record(&self, header: Option<&RunHeader>, begin: Option<u64>, seq: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(SCHEMA.first.as_bytes());
        let mut schema = SchemaJson::from(&*self.schema);
        schema.id = self.table_id.as_deref().map(Cow::Borrowed);
        serde_json::to_writer(&mut *out, &schema).expect("a vector takes every byte");
        if let Some(header) = header {
            let acked = header.acked.map_or("null".into(), |(e, s)| format!("\"{e}.{s}\""));
            let (member, full) = (RUN.next, header.full);
            out.extend_from_slice(format!("{member}{{\"acked\":{acked},\"full\":{full}").as_bytes());
            if let Some(partitions) = header.partitions {
                out.extend_from_slice(format!(",\"partitions\":{partitions}").as_bytes());
            }
            if let Some(moved) = header.repartitioned_at {
                out.extend_from_slice(format!(",\"moved\":{moved}").as_bytes());
            }
            out.push(b'}');
        }
        if let Some(pass) = begin {
            out.extend_from_slice(format!("{}{{\"begin\":{pass}}}", PASS.next).as_bytes());
        }
        self.end(seq, out);
    }

    /// The word that a full pass is over.
    pub fn pass_end(&self, pass: u64, seq: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{}{{\"end\":{pass}}}", PASS.first).as_bytes());
        self.end(seq, out);
    }

    fn end(&self, seq: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.record_id);
        serde_json::to_writer(&mut *out, &seq).expect("a vector takes every byte");
        out.extend_from_slice(b"\"}");
    }
}

/// The key and the value that take the place of a record which the broker refused, whose value is
/// given: its id must not be missing.
pub fn placeholder(key: &str, reason: &str, value: Option<&[u8]>) -> (Vec<u8>, Option<Vec<u8>>) {
    let short: String = key.chars().take(LONGEST_KEY).collect();
    let value = value.map(|value| {
        let member = RECORD_ID.next.as_bytes();
        let id = value.windows(member.len()).rposition(|w| w == member).unwrap_or(0);
        let mut out = PLACEHOLDER.first.as_bytes().to_vec();
        out.extend_from_slice(b"{\"key\":");
        value::write_str(&short, &mut out);
        out.extend_from_slice(b",\"reason\":");
        value::write_str(reason, &mut out);
        out.push(b'}');
        out.extend_from_slice(&value[id..]);
        out
    });
    let mut key = PLACEHOLDER.first.as_bytes().to_vec();
    value::write_str(&short, &mut key);
    key.push(b'}');
    (key, value)
}

fn write_members(openers: &[Vec<u8>], values: &[Value<'_>], out: &mut Vec<u8>) {
    debug_assert_eq!(openers.len(), values.len());
    for (opener, value) in openers.iter().zip(values) {
        out.extend_from_slice(opener);
        value::write(value, out);
    }
}

/// The one spelling that stands for all that compare equal; nothing when the value is it already.
fn fold<'a>(value: &'a Value<'_>, collation: &str) -> Option<Value<'a>> {
    match (value, collation) {
        (Value::Text(text), "NOCASE") if text.iter().any(|b| *b == 0 || b.is_ascii_uppercase()) => {
            let mut folded = text.to_ascii_lowercase();
            // Behind a zero byte NOCASE compares nothing but the length.
            let end = folded.iter().position(|&b| b == 0).unwrap_or(folded.len());
            folded[end..].fill(0);
            Some(Value::Text(Cow::Owned(folded)))
        }
        (Value::Text(text), "RTRIM") if text.ends_with(b" ") => {
            let end = text.iter().rposition(|&b| b != b' ').map_or(0, |i| i + 1);
            Some(Value::Text(Cow::Borrowed(&text[..end])))
        }
        // 2^63 itself is beyond the integers, though it converts to the largest of them.
        (Value::Real(real), _) if *real < i64::MAX as f64 && *real as i64 as f64 == *real => {
            Some(Value::Integer(*real as i64))
        }
        _ => None,
    }
}
