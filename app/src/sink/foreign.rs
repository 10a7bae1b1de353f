//! Records without a schema: those that others wrote, and ours before their schema is known.
//! Members go by name, untyped.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::{ROWID, TableSchema, Value};
use crate::sqlite::names::{ROWID_NAMES, column_named, quote};

use super::error::cannot;
use super::landing::{Landed, Landing};
use super::table::{LandedTable, Statements};
use super::{catalog, passes, reshape};

/// Why a record does not land.
enum Unlanded {
    /// It cannot be a row of the table, for this reason.
    Unfit(String),
    Failed(Error),
}

impl From<String> for Unlanded {
    fn from(reason: String) -> Self {
        Unlanded::Unfit(reason)
    }
}

impl From<Error> for Unlanded {
    fn from(error: Error) -> Self {
        Unlanded::Failed(error)
    }
}

/// Nothing, or the reason.
fn unless(reason: Option<String>) -> Result<(), Unlanded> {
    reason.map_or(Ok(()), |reason| Err(Unlanded::Unfit(reason)))
}

/// What became of a record.
fn landed(done: Result<Landed, Unlanded>) -> Result<Landed> {
    match done {
        Ok(landed) => Ok(landed),
        Err(Unlanded::Unfit(reason)) => Ok(Landed::Unfit(reason)),
        Err(Unlanded::Failed(error)) => Err(error),
    }
}

/// A member of a record: its name and its value.
pub(crate) type NamedValue<'a> = (Cow<'a, str>, Value<'a>);

impl Landing<'_> {
    /// Inserts or updates the row of a record; without a key it is added at the end.
    pub fn foreign_upsert(
        &mut self,
        topic: &Arc<str>,
        key: &[NamedValue<'_>],
        members: &[NamedValue<'_>],
    ) -> Result<Landed> {
        landed(self.upsert_members(topic, key, members))
    }

    fn upsert_members(
        &mut self,
        topic: &Arc<str>,
        key: &[NamedValue<'_>],
        members: &[NamedValue<'_>],
    ) -> Result<Landed, Unlanded> {
        // Before the members are compared with one another, and with the columns.
        unless(passes::too_many(members.len().max(key.len())))?;
        if let Some(name) = contradiction(key, members) {
            return Err(is_another(name).into());
        }
        // A record that does not land makes no table: nothing below fails the one that a table was
        // guessed from.
        let place = match self.table(topic)? {
            Some(place) => place,
            None => self.guess(topic, key, members)?,
        };
        ordered_key(&self.cache.tables[place], key)?;
        let columns = self.columns(place, members)?;
        let table = &self.cache.tables[place];
        let mut row = vec![Value::Null; table.shape.columns.len()];
        for (&column, (_, value)) in columns.iter().zip(members) {
            row[column] = value.borrow();
        }
        let mut rowid = None;
        for (name, value) in key {
            let Some(column) = column_named(&table.shape, name).filter(|&i| table.shape.columns[i].pk > 0) else {
                rowid = integer(value);
                continue;
            };
            if columns.contains(&column) && row[column] != *value {
                return Err(is_another(name).into());
            }
            row[column] = value.borrow();
        }
        Ok(self.store(place, rowid, &row, 0)?)
    }

    /// Deletes the row with this key, if it is there.
    pub fn foreign_delete(&mut self, topic: &Arc<str>, key: &[NamedValue<'_>]) -> Result<Landed> {
        landed(self.delete_members(topic, key))
    }

    fn delete_members(&mut self, topic: &Arc<str>, key: &[NamedValue<'_>]) -> Result<Landed, Unlanded> {
        if key.is_empty() {
            return Err(Unlanded::Unfit("a deletion without a key".into()));
        }
        unless(passes::too_many(key.len()))?;
        let Some(place) = self.table(topic)? else {
            return Ok(Landed::Applied);
        };
        let key = ordered_key(&self.cache.tables[place], key)?;
        Ok(self.remove(place, &key)?)
    }

    /// Makes a table from the first record of a topic, or says why that cannot be.
    fn guess(
        &mut self,
        topic: &Arc<str>,
        key: &[NamedValue<'_>],
        members: &[NamedValue<'_>],
    ) -> Result<usize, Unlanded> {
        if let Some(reason) = passes::bad_name(topic) {
            return Err(Error::failed(format!("topic {topic} cannot become a table: {reason}"))
                .way_out("land another topic with --topic")
                .into());
        }
        let mut columns: Vec<_> = key
            .iter()
            .enumerate()
            .map(|(i, (name, _))| reshape::untyped(name.to_string(), i + 1))
            .collect();
        let is_key = |name: &str| key.iter().any(|(k, _)| k.eq_ignore_ascii_case(name));
        let rest = members.iter().filter(|(name, _)| !is_key(name));
        columns.extend(rest.map(|(name, _)| reshape::untyped(name.to_string(), 0)));
        if self.adopts(topic) {
            reshape::adopt_columns(self.conn, topic, &mut columns)?;
        }
        let names: Vec<_> = columns.iter().map(|c| c.name.as_str()).collect();
        unless(passes::bad_columns(&names, key.is_empty()))?;
        if key.iter().any(|(_, value)| value.is_null()) {
            return Err(Unlanded::Unfit("null in the key".into()));
        }
        let shape = TableSchema {
            table: topic.to_string(),
            columns,
            strict: false,
            without_rowid: false,
            rowid_alias: false,
        };
        unless(self.trial_refusal(&shape)?)?;
        Ok(self.make(LandedTable::new(topic.clone(), None, shape))?)
    }

    /// The column of each member, added where the table may still grow; or why there is none.
    fn columns(&mut self, place: usize, members: &[NamedValue<'_>]) -> Result<Vec<usize>, Unlanded> {
        let table = &self.cache.tables[place];
        let mut shape = table.shape.clone();
        let mut columns = Vec::with_capacity(members.len());
        let mut next = 0;
        for (name, _) in members {
            // Members mostly come in the order of the columns.
            let expected = shape.columns.get(next).filter(|c| c.name == **name).map(|_| next);
            let column = expected.or_else(|| column_named(&shape, name)).unwrap_or_else(|| {
                shape.columns.push(reshape::untyped(name.to_string(), 0));
                shape.columns.len() - 1
            });
            columns.push(column);
            next = column + 1;
        }
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let name = &shape.columns[twice[0]].name;
            return Err(Unlanded::Unfit(format!("the member {name} comes twice")));
        }
        let known = table.shape.columns.len();
        if shape.columns.len() == known {
            return Ok(columns);
        }
        if table.schema.is_some() {
            let (name, table) = (&shape.columns[known].name, &shape.table);
            let reason = format!("the member {name} is no column of table {table}");
            return Err(Unlanded::Unfit(reason));
        }
        let names: Vec<_> = shape.columns.iter().map(|c| c.name.as_str()).collect();
        unless(passes::bad_columns(&names, shape.keyed_by_rowid()))?;
        self.grow(place, shape)?;
        Ok(columns)
    }

    /// Adds the columns by which `shape` is wider than the table.
    fn grow(&mut self, place: usize, shape: TableSchema) -> Result<()> {
        let table = &mut self.cache.tables[place];
        let failed = |e| cannot(e, format!("add a column to table {}", shape.table));
        let new = &shape.columns[table.shape.columns.len()..];
        // SQLite adds no column that hides the rowid, but makes a table with one.
        if new
            .iter()
            .any(|c| ROWID_NAMES.iter().any(|name| c.name.eq_ignore_ascii_case(name)))
        {
            return self.rebuild(place, shape);
        }
        for column in new {
            let sql = format!("ALTER TABLE {} ADD COLUMN {}", quote(&shape.table), quote(&column.name));
            self.conn.execute_batch(&sql).map_err(failed)?;
        }
        table.reshape(shape);
        self.statements[place] = Statements::default();
        catalog::note_table(self.conn, table).map_err(|e| cannot(e, "note the columns of a table"))
    }
}

/// A member that the key and the value do not agree on.
fn contradiction<'m>(key: &'m [NamedValue<'_>], members: &[NamedValue<'_>]) -> Option<&'m str> {
    let differs =
        |(name, value): &NamedValue<'_>| members.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v != value);
    key.iter().find(|member| differs(member)).map(|(name, _)| &**name)
}

fn is_another(name: &str) -> String {
    format!("the member {name} is another in the key than in the value")
}

fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(i) => Some(*i),
        _ => None,
    }
}

/// The values of a record's key in the order of the table's key; or how the two differ.
fn ordered_key<'k>(table: &LandedTable, key: &'k [NamedValue<'k>]) -> Result<Vec<Value<'k>>, String> {
    let shape = &table.shape;
    let names = match (&table.schema, shape.keyed_by_rowid()) {
        (None, true) => Vec::new(),
        _ => shape.key_names(),
    };
    let value = |name: &&str| {
        key.iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.borrow())
    };
    let ordered: Option<Vec<_>> = names.iter().map(value).collect();
    match ordered.filter(|ordered| ordered.len() == key.len()) {
        Some(ordered) if ordered.iter().any(Value::is_null) => Err(format!("null in the key of table {}", shape.table)),
        Some(ordered) if names == [ROWID] && shape.keyed_by_rowid() && integer(&ordered[0]).is_none() => {
            Err(format!("a rowid of table {} that is no integer", shape.table))
        }
        Some(ordered) => Ok(ordered),
        None => {
            let found: Vec<_> = key.iter().map(|(name, _)| &**name).collect();
            let (found, names) = (found.join(", "), names.join(", "));
            Err(format!(
                "the record's key is ({found}), that of table {} is ({names})",
                shape.table
            ))
        }
    }
}
