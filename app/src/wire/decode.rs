//! Bytes to rows (format `flat`, and what others write): the consumer's side.

use std::borrow::Cow;

use super::names::{DELETED, PASS, PLACEHOLDER, RECORD_ID, SCHEMA, SIGNATURE};
use super::object::Object;
use super::value::Read;
use super::{scan, table_records};
use crate::model::{RecordId, TableSchema, Value, recycle};

pub use super::record::{NamedValues, Record, RecordKey};

/// The id of a record that one of our sources sent, read without the rest where it stands as we
/// write it.
pub fn record_id(value: &[u8]) -> Option<RecordId<'_>> {
    let text = std::str::from_utf8(value).ok()?;
    // Inside of a JSON text its quotes would be escaped.
    let last = text.rsplit_once(RECORD_ID.next_string).map(|(_, last)| last);
    let quick = last.and_then(|last| scan::record_id(last.strip_suffix("\"}")?));
    quick.or_else(|| record(value, None, Vec::new()).ok()?.id())
}

/// Whether a record of ours tells of the schema, as far as its beginning tells.
pub fn is_schema(value: &[u8]) -> bool {
    value.starts_with(SCHEMA.first.as_bytes())
}

/// Whether a record of ours speaks of a row, as far as its beginning tells.
pub fn is_row(value: &[u8]) -> bool {
    ![SCHEMA, PASS, PLACEHOLDER]
        .iter()
        .any(|member| value.starts_with(member.first.as_bytes()))
}

/// Reads a value that is not null. With the schema in force a row is read in one go into `spare`; the error is the
/// reason for a dead letter.
pub fn record<'a>(value: &'a [u8], schema: Option<&TableSchema>, spare: Vec<Value<'_>>) -> Result<Record<'a>, String> {
    if value.is_empty() {
        return Err("an empty value, which is neither a row nor a deletion: that one is null".into());
    }
    // Checked as a whole: faster than each string by itself.
    let text = std::str::from_utf8(value).map_err(|e| format!("the value is not UTF-8 (byte {})", e.valid_up_to()))?;
    if let Some(schema) = schema {
        let mut row = recycle(spare);
        if let Some(id) = scan::row(text, schema, |found| row.push(found.value())).and_then(scan::record_id) {
            return Ok(Record::Row { id, row });
        }
    }
    by_name(text, schema)
}

/// Reads a record's key. An empty one is others' empty text.
pub fn key(key: Option<&[u8]>) -> Result<RecordKey<'_>, String> {
    let Some(key) = key else {
        return Ok(RecordKey::None);
    };
    let text = std::str::from_utf8(key).map_err(|_| "the key is not UTF-8")?;
    if text.trim_start().starts_with(['{', '[']) {
        let object: Object = serde_json::from_str(text).map_err(|e| format!("the key is no JSON object: {e}"))?;
        return Ok(RecordKey::Object(object.values()?));
    }
    Ok(RecordKey::Bare(match serde_json::from_str::<Read>(text) {
        Ok(read) => read.0,
        Err(_) => Value::Text(Cow::Borrowed(key)),
    }))
}

fn by_name<'a>(text: &'a str, schema: Option<&TableSchema>) -> Result<Record<'a>, String> {
    let mut object: Object = serde_json::from_str(text).map_err(|e| format!("the value is no JSON object: {e}"))?;
    let Some(id) = object.take(RECORD_ID.name) else {
        return Ok(Record::Foreign(object.values()?));
    };
    let id = serde_json::from_str::<&str>(id.get())
        .ok()
        .and_then(RecordId::parse)
        .ok_or_else(|| format!("member \"{}\" is no stamp: {id}", RECORD_ID.name))?;
    // Whether it is genuine is judged before it is read.
    object.take(SIGNATURE.name);
    if let Some(record) = table_records::read(id, &mut object)? {
        return Ok(record);
    }
    if let Some(deleted) = object.take(DELETED.name) {
        let key = object.values()?;
        return match schema {
            _ if deleted.get() != "true" => Err(format!("member \"{}\" is {deleted}", DELETED.name)),
            Some(schema) if !key.iter().map(|(name, _)| &**name).eq(schema.key_names()) => {
                Err(format!("the key's members are not those of table \"{}\"", schema.table))
            }
            _ => Ok(Record::Deletion { id, key }),
        };
    }
    let Some(schema) = schema else {
        let row = object.values()?;
        return Ok(Record::RowWithoutSchema { id, row });
    };
    match object.columns(schema) {
        Some(row) => Ok(Record::Row { id, row }),
        None => Err(format!("the members are not the columns of table \"{}\"", schema.table)),
    }
}
