//! A JSON object whose members are read one by one.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::record::NamedValues;
use super::value::{Name, Read};
use crate::model::{TableSchema, Value};

/// As deep as others' JSON may go.
const DEEPEST: usize = 128;

/// An object whose members are not looked into yet, each name once.
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

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
    /// Takes the member out of the others.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(place).1)
    }

    /// All that is left.
    pub(super) fn values(self) -> Result<NamedValues<'a>, String> {
        self.0
            .into_iter()
            .map(|(name, raw)| {
                let value = value_of(raw.get()).map_err(|e| format!("member \"{name}\": {e}"))?;
                Ok((name, value))
            })
            .collect()
    }

    /// The values, if the members are the columns in their order, and no value is one that we would
    /// not write.
    pub(super) fn columns(&self, schema: &TableSchema) -> Option<Vec<Value<'a>>> {
        let names = schema.columns.iter().map(|column| column.name.as_str());
        let values = self.0.iter().map(|(_, raw)| serde_json::from_str::<Read>(raw.get()));
        let are_columns = self.0.iter().map(|(name, _)| &**name).eq(names);
        if are_columns {
            values.map(|read| Some(read.ok()?.0)).collect()
        } else {
            None
        }
    }
}

/// A member's value; nested JSON that is no tagged value is kept as its text.
fn value_of(raw: &str) -> Result<Value<'_>, String> {
    match serde_json::from_str::<Read>(raw) {
        Ok(read) => Ok(read.0),
        Err(e) if !raw.starts_with(['{', '[']) => Err(e.to_string()),
        Err(_) if deeper_than(raw, DEEPEST) => Err(format!("JSON more than {DEEPEST} levels deep")),
        Err(_) => Ok(Value::Text(Cow::Borrowed(raw.as_bytes()))),
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
