//! The outbox: keys of changed rows in the order of their changes, and each row as it is now.

use std::collections::HashSet;

use rusqlite::Connection;

use super::event::Event;
use super::values::{pack, unpack, weight};
use super::{capture, key, scan, utf16};
use crate::error::Result;
use crate::model::{TableSchema, Value, recycle};
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::quote;
use crate::sqlite::values::{Bind, borrow};

/// How to read a table's changes.
pub(super) struct Changes {
    outbox: String,
    lookup: String,
    /// For text in UTF-16: whether the text of the row that a key finds is whole, and whether an
    /// entry's key, by its number, is that of a row.
    in_utf16: Option<(String, String)>,
    columns: usize,
    /// Where the key's values stand among the row's; empty when the rowid alone is the key.
    key: Vec<usize>,
    width: usize,
    /// The keys of a batch, packed one after the other, and where each ends.
    keys: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    number: i64,
    end: usize,
    /// A later entry of the batch has the same key.
    repeated: bool,
    /// The key cannot be looked up as it was read.
    broken: bool,
}

impl Changes {
    pub(super) fn new(schema: &TableSchema, in_utf16: bool) -> Changes {
        let width = key::names(schema).len();
        let names: Vec<String> = schema.columns.iter().map(|c| quote(&c.name)).collect();
        let columns = names.join(", ");
        let mut same: Vec<String> = key::collated(schema)
            .into_iter()
            .enumerate()
            .map(|(i, name)| format!("{name} IS ?{}", i + 1))
            .collect();
        // The key's collation is for its index. Beside a NULL there may be a row for each spelling,
        // and one is meant.
        let spelled = schema.key().into_iter().map(|i| &schema.columns[i]).enumerate();
        let spelled = spelled.filter(|(_, column)| column.pk_collation != "BINARY");
        same.extend(spelled.map(|(i, column)| format!("{} COLLATE BINARY IS ?{}", quote(&column.name), i + 1)));
        let same = same.join(" AND ");
        let (outbox, table) = (capture::outbox(&schema.table), quote(&schema.table));
        let keys: Vec<String> = (1..=width).map(|i| format!("k{i}")).collect();
        let own: Vec<String> = key::names(schema)
            .iter()
            .zip(&keys)
            .map(|(name, key)| format!("t.{} COLLATE BINARY IS o.{key}", quote(name)))
            .collect();
        let broken = if in_utf16 {
            format!("NOT ({})", utf16::whole(&keys))
        } else {
            "0".into()
        };
        Changes {
            in_utf16: in_utf16.then(|| {
                (
                    format!("SELECT {} FROM {table} WHERE {same}", utf16::whole(&names)),
                    format!(
                        "SELECT 1 FROM {outbox} AS o, {table} AS t WHERE o.seq = ?1 AND {}",
                        own.join(" AND ")
                    ),
                )
            }),
            outbox: format!(
                "SELECT seq, {}, {broken} FROM {} WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                capture::outbox_columns(schema),
                outbox
            ),
            lookup: format!("SELECT {columns} FROM {table} WHERE {same}"),
            columns: schema.columns.len(),
            key: schema.key(),
            width,
            keys: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Gives the changes after number `shipped` to `each`; the number up to which they were given,
    /// or none when there are none.
    pub(super) fn read(
        &mut self,
        conn: &Connection,
        shipped: i64,
        limits: (usize, usize),
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> SqlResult<Option<i64>> {
        let (max_rows, max_bytes) = limits;
        self.collect(conn, shipped, max_rows, max_bytes)?;
        self.find_repeated();
        let mut statement = conn.prepare_cached(&self.lookup)?;
        let (mut start, mut bytes, mut upto) = (0, 0, None);
        let (mut spare_row, mut spare_key) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            let packed = &self.keys[start..entry.end];
            (start, upto) = (entry.end, Some(entry.number));
            if entry.repeated {
                continue;
            }
            let mut key = Vec::with_capacity(self.width);
            unpack(packed, &mut key);
            if let Some((_, is_there)) = self.in_utf16.as_ref().filter(|_| entry.broken) {
                if conn.prepare_cached(is_there)?.exists([entry.number])? {
                    each(scan::refused(&key, utf16::BROKEN_KEY))?;
                }
                continue;
            }
            for (i, value) in key.iter().enumerate() {
                statement.raw_bind_parameter(i + 1, Bind(value))?;
            }
            bytes += packed.len();
            let mut rows = statement.raw_query();
            let found = rows.next()?;
            let mut row: Vec<Value<'_>> = recycle(spare_row);
            let mut its_key: Vec<Value<'_>> = recycle(spare_key);
            if let Some(found) = found {
                for i in 0..self.columns {
                    row.push(borrow(found.get_ref(i)?));
                }
                its_key.extend(self.key.iter().map(|&i| row[i].borrow()));
            }
            // A key's collation may find the row of another spelling: the one that was asked for is
            // gone.
            let is_it = !row.is_empty() && (self.key.is_empty() || its_key == key);
            let is_whole = match self.in_utf16.as_ref().filter(|_| is_it) {
                Some((is_whole, _)) => {
                    let mut statement = conn.prepare_cached(is_whole)?;
                    for (i, value) in key.iter().enumerate() {
                        statement.raw_bind_parameter(i + 1, Bind(value))?;
                    }
                    let mut rows = statement.raw_query();
                    rows.next()?.map_or(Ok(true), |row| row.get(0))?
                }
                None => true,
            };
            if !is_whole {
                each(scan::refused(&key, utf16::BROKEN_TEXT))?;
            } else if is_it {
                bytes += row.iter().map(weight).sum::<usize>();
                each(scan::upsert(&key, &row))?;
            } else if !key.iter().any(Value::is_null) {
                each(Event::Delete { key: &key })?;
            }
            spare_key = recycle(its_key);
            spare_row = recycle(row);
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(upto)
    }

    fn collect(&mut self, conn: &Connection, shipped: i64, max_rows: usize, max_bytes: usize) -> SqlResult<()> {
        self.keys.clear();
        self.entries.clear();
        let mut statement = conn.prepare_cached(&self.outbox)?;
        let mut rows = statement.query([shipped, max_rows as i64])?;
        while let Some(row) = rows.next()? {
            for i in 1..=self.width {
                pack(&borrow(row.get_ref(i)?), &mut self.keys);
            }
            self.entries.push(Entry {
                number: row.get(0)?,
                end: self.keys.len(),
                repeated: false,
                broken: row.get(self.width + 1)?,
            });
            if self.keys.len() >= max_bytes {
                break;
            }
        }
        Ok(())
    }

    fn find_repeated(&mut self) {
        let mut seen = HashSet::with_capacity(self.entries.len());
        for i in (0..self.entries.len()).rev() {
            if self.entries[i].broken {
                continue;
            }
            let start = if i == 0 { 0 } else { self.entries[i - 1].end };
            self.entries[i].repeated = !seen.insert(&self.keys[start..self.entries[i].end]);
        }
    }
}
