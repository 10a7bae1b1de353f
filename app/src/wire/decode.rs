//! Bytes to rows (format `flat`, and what others write): the consumer's side.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scan;
use super::schema::SchemaJson;
use super::value::{Name, Read};
use crate::model::bounds;
use crate::model::{RecordId, RunHeader};
use crate::model::{TableSchema, Value, recycle};

/// Members of an object by name, in their order.
pub type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// One record of a topic.
pub enum Record<'a> {
    /// A row in the order of the schema's columns.
    Row { stamp: RecordId<'a>, row: Vec<Value<'a>> },
    /// A row that is gone.
    Deletion { stamp: RecordId<'a>, key: Members<'a> },
    /// A row of ours whose schema record was not read.
    Loose { stamp: RecordId<'a>, row: Members<'a> },
    /// The table's schema; `begin` names the full pass that begins here.
    Schema {
        stamp: RecordId<'a>,
        schema: Box<TableSchema>,
        /// What tells the table from others of its source; none from earlier versions.
        id: Option<String>,
        link: Option<RunHeader>,
        begin: Option<u64>,
    },
    /// The end of a full pass.
    PassEnd { stamp: RecordId<'a>, pass: u64 },
    /// The place of a row that the broker would not take.
    KeptBack {
        stamp: RecordId<'a>,
        key: String,
        reason: String,
    },
    /// A row that others wrote.
    Foreign(Members<'a>),
    /// No value: a tombstone of ours, or others' deletion.
    Empty,
}

impl<'a> Record<'a> {
    pub fn stamp(&self) -> Option<RecordId<'a>> {
        match self {
            Record::Row { stamp, .. }
            | Record::Deletion { stamp, .. }
            | Record::Loose { stamp, .. }
            | Record::Schema { stamp, .. }
            | Record::PassEnd { stamp, .. }
            | Record::KeptBack { stamp, .. } => Some(*stamp),
            Record::Foreign(_) | Record::Empty => None,
        }
    }

    /// The link to the runs before, in the first record of a run.
    pub fn link(&self) -> Option<&RunHeader> {
        match self {
            Record::Schema { link, .. } => link.as_ref(),
            _ => None,
        }
    }
}

/// A record's key.
pub enum Key<'a> {
    Object(Members<'a>),
    /// What others use for a key: a bare JSON scalar, or any text.
    Bare(Value<'a>),
    None,
}

/// How a record that we wrote about the schema begins.
pub const SCHEMA_START: &[u8] = b"{\"_schema\":";

/// The stamp of a record that one of our sources sent, read without the rest where it stands as we write it.
pub fn stamp(value: &[u8]) -> Option<RecordId<'_>> {
    const MEMBER: &str = ",\"_ferry\":\"";
    let text = std::str::from_utf8(value).ok()?;
    // Inside of a JSON text its quotes would be escaped.
    let last = text.rfind(MEMBER).map(|at| &text[at + MEMBER.len()..]);
    let quick = last.and_then(|last| scan::stamp(last.strip_suffix("\"}")?));
    quick.or_else(|| record(value, None, Vec::new()).ok()?.stamp())
}

/// Whether a record of ours speaks of a row, as far as its beginning tells.
pub fn is_row(value: &[u8]) -> bool {
    ![SCHEMA_START, b"{\"_pass\":", b"{\"_kept\":"]
        .iter()
        .any(|start| value.starts_with(start))
}

/// As deep as others' JSON may go.
const DEEPEST: usize = 128;

/// Reads a value. With the schema in force a row is read in one go into `spare`; the error is the reason for a dead letter.
pub fn record<'a>(value: &'a [u8], schema: Option<&TableSchema>, spare: Vec<Value<'_>>) -> Result<Record<'a>, String> {
    if value.is_empty() {
        return Ok(Record::Empty);
    }
    // Checked as a whole: faster than each string by itself.
    let text = std::str::from_utf8(value).map_err(|e| format!("the value is not UTF-8 (byte {})", e.valid_up_to()))?;
    if let Some(schema) = schema {
        let mut row = recycle(spare);
        if let Some(stamp) = scan::row(text, schema, &mut row).and_then(scan::stamp) {
            return Ok(Record::Row { stamp, row });
        }
    }
    by_name(text, schema)
}

/// Reads a record's key.
pub fn key(key: &[u8]) -> Result<Key<'_>, String> {
    if key.is_empty() {
        return Ok(Key::None);
    }
    let text = std::str::from_utf8(key).map_err(|_| "the key is not UTF-8")?;
    if text.trim_start().starts_with(['{', '[']) {
        let object: Object = serde_json::from_str(text).map_err(|e| format!("the key is no JSON object: {e}"))?;
        return Ok(Key::Object(object.values()?));
    }
    Ok(Key::Bare(match serde_json::from_str::<Read>(text) {
        Ok(read) => read.0,
        Err(_) => Value::Text(Cow::Borrowed(key)),
    }))
}

/// An object whose members are not looked into yet, each name once.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor).map(Object)
    }
}

struct ObjectVisitor;

impl<'a> Visitor<'a> for ObjectVisitor {
    type Value = Vec<(Cow<'a, str>, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value::<&RawValue>()?));
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(de::Error::custom(format!("member \"{}\" stands twice", pair[0]))),
            None => Ok(members),
        }
    }
}

impl<'a> Object<'a> {
    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(place).1)
    }

    fn values(self) -> Result<Members<'a>, String> {
        self.0
            .into_iter()
            .map(|(name, raw)| {
                let value = member(raw.get()).map_err(|e| format!("member \"{name}\": {e}"))?;
                Ok((name, value))
            })
            .collect()
    }

    /// The values, if the members are the columns in their order, and no value is one that we would not write.
    fn columns(&self, schema: &TableSchema) -> Option<Vec<Value<'a>>> {
        let names = schema.columns.iter().map(|column| column.name.as_str());
        let values = self.0.iter().map(|(_, raw)| serde_json::from_str::<Read>(raw.get()));
        match self.0.iter().map(|(name, _)| &**name).eq(names) {
            true => values.map(|read| Some(read.ok()?.0)).collect(),
            false => None,
        }
    }
}

/// A member's value; nested JSON that is no tagged value is kept as its text.
fn member(raw: &str) -> Result<Value<'_>, String> {
    match serde_json::from_str::<Read>(raw) {
        Ok(read) => Ok(read.0),
        Err(_) if raw.starts_with(['{', '[']) => match deeper_than(raw, DEEPEST) {
            true => Err(format!("JSON more than {DEEPEST} levels deep")),
            false => Ok(Value::Text(Cow::Borrowed(raw.as_bytes()))),
        },
        Err(e) => Err(e.to_string()),
    }
}

fn deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

fn by_name<'a>(text: &'a str, schema: Option<&TableSchema>) -> Result<Record<'a>, String> {
    let mut object: Object = serde_json::from_str(text).map_err(|e| format!("the value is no JSON object: {e}"))?;
    let Some(stamp) = object.take("_ferry") else {
        return Ok(Record::Foreign(object.values()?));
    };
    let stamp = serde_json::from_str::<&str>(stamp.get())
        .ok()
        .and_then(RecordId::parse)
        .ok_or_else(|| format!("member \"_ferry\" is no stamp: {stamp}"))?;
    // Whether it is genuine is judged before it is read.
    object.take("_sig");
    if let Some(schema) = object.take("_schema") {
        return schema_record(stamp, schema, &mut object);
    }
    if let Some(mark) = object.take("_pass") {
        let pass = part::<PassJson>("_pass", mark)?.end;
        let pass = pass.ok_or_else(|| format!("member \"_pass\" names no end: {mark}"))?;
        check_pass(pass, &stamp)?;
        return Ok(Record::PassEnd { stamp, pass });
    }
    if let Some(kept) = object.take("_kept") {
        let KeptJson { key, reason } = part("_kept", kept)?;
        return Ok(Record::KeptBack { stamp, key, reason });
    }
    if let Some(word) = object.take("__deleted") {
        let key = object.values()?;
        return match schema {
            _ if word.get() != "true" => Err(format!("member \"__deleted\" is {word}")),
            Some(schema) if !key.iter().map(|(name, _)| &**name).eq(schema.key_names()) => {
                Err(format!("the key's members are not those of table \"{}\"", schema.table))
            }
            _ => Ok(Record::Deletion { stamp, key }),
        };
    }
    match schema {
        None => Ok(Record::Loose {
            stamp,
            row: object.values()?,
        }),
        Some(schema) => {
            let row = object.columns(schema);
            let other = || format!("the members are not the columns of table \"{}\"", schema.table);
            row.map(|row| Record::Row { stamp, row }).ok_or_else(other)
        }
    }
}

#[derive(Deserialize)]
struct RunJson {
    acked: Option<String>,
    full: bool,
    partitions: Option<i32>,
    moved: Option<u64>,
}

#[derive(Deserialize)]
struct PassJson {
    begin: Option<u64>,
    end: Option<u64>,
}

#[derive(Deserialize)]
struct KeptJson {
    key: String,
    reason: String,
}

/// One of the members that only our own records have.
fn part<'a, T: Deserialize<'a>>(name: &str, raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|e| format!("member \"{name}\": {e}"))
}

/// A pass that a run of ours can have begun.
fn check_pass(pass: u64, stamp: &RecordId<'_>) -> Result<(), String> {
    match bounds::is_pass(pass, stamp.epoch) {
        true => Ok(()),
        false => Err(format!(
            "member \"_pass\": run {} can have begun no pass {pass}",
            stamp.epoch
        )),
    }
}

fn run_link(raw: &RawValue) -> Result<RunHeader, String> {
    let RunJson {
        acked,
        full,
        partitions,
        moved,
    } = part("_run", raw)?;
    let number = |text: &str| {
        let (epoch, seq) = text.split_once('.')?;
        Some((bounds::epoch(epoch)?, bounds::seq(seq)?))
    };
    let no_number = |text: &str| format!("member \"_run\": acked is \"{text}\"");
    let acked = acked.map(|text| number(&text).ok_or_else(|| no_number(&text)));
    if let Some(count) = partitions.filter(|count| *count < 1) {
        return Err(format!("member \"_run\": {count} partitions"));
    }
    if let Some(run) = moved.filter(|run| !bounds::is_epoch(*run)) {
        return Err(format!(
            "member \"_run\": no run has the number {run}, where keys are said to have moved"
        ));
    }
    Ok(RunHeader {
        acked: acked.transpose()?,
        full,
        partitions,
        repartitioned_at: moved,
    })
}

fn schema_record<'a>(stamp: RecordId<'a>, schema: &'a RawValue, object: &mut Object<'a>) -> Result<Record<'a>, String> {
    let schema: SchemaJson = part("_schema", schema)?;
    let id = schema.id.as_deref().map(str::to_owned);
    let schema = Box::new(TableSchema::from(schema));
    let link = object.take("_run").map(run_link).transpose()?;
    let begin = match object.take("_pass") {
        None => None,
        Some(raw) => part::<PassJson>("_pass", raw)?.begin,
    };
    begin.map_or(Ok(()), |pass| check_pass(pass, &stamp))?;
    Ok(Record::Schema {
        stamp,
        schema,
        id,
        link,
        begin,
    })
}
