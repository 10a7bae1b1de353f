//! A full pass: all rows of a table in the order of its b-tree, a batch at a time.

use rusqlite::Connection;

use super::file::Tried;
use super::schema::{quote, rowid_name};
use super::values::{Bind, borrow, packed, unpack, weight};
use super::{Event, capture, snapshot};
use crate::error::{Error, Result};
use crate::row::{TableSchema, Value, recycle};

/// Why a row whose key holds a NULL stays behind: no one could tell it from another such row.
pub const NULL_IN_KEY: &str = "its primary key holds a NULL, which no record's key can stand for";

/// How to read a table from a place on.
pub struct Scan {
    from_start: String,
    from_cursor: String,
    /// How many columns stand before the row's own: the rowid, where the row does not hold it.
    lead: usize,
    columns: usize,
    /// Where the key's values stand among the row's; empty when the rowid alone is the key.
    key: Vec<usize>,
    /// Where the values that order the scan stand among those of the statement.
    order: Vec<usize>,
}

impl Scan {
    pub fn new(schema: &TableSchema) -> Scan {
        let key = schema.key();
        let lead = usize::from(!schema.without_rowid && !schema.rowid_alias);
        let ordered = order(schema);
        let columns = schema.columns.iter().map(|c| quote(&c.name));
        let columns = ordered
            .iter()
            .take(lead)
            .cloned()
            .chain(columns)
            .collect::<Vec<_>>()
            .join(", ");
        let places = (2..ordered.len() + 2)
            .map(|i| format!("?{i}"))
            .collect::<Vec<_>>()
            .join(", ");
        let (table, order) = (quote(&schema.table), ordered.join(", "));
        Scan {
            from_start: format!("SELECT {columns} FROM {table} ORDER BY {order} LIMIT ?1"),
            from_cursor: format!(
                "SELECT {columns} FROM {table} WHERE ({order}) > ({places}) ORDER BY {order} LIMIT ?1"
            ),
            lead,
            columns: schema.columns.len(),
            order: if lead == 1 { vec![0] } else { key.clone() },
            key,
        }
    }

    /// How to read the copy that `snapshot` makes of a table.
    pub fn of_copy(schema: &TableSchema) -> Scan {
        let columns = (0..schema.columns.len()).map(snapshot::column).collect::<Vec<_>>();
        let select = format!("SELECT rowid, {} FROM {}", columns.join(", "), snapshot::COPY);
        Scan {
            from_start: format!("{select} ORDER BY rowid LIMIT ?1"),
            from_cursor: format!("{select} WHERE rowid > ?2 ORDER BY rowid LIMIT ?1"),
            lead: 1,
            columns: columns.len(),
            key: schema.key(),
            order: vec![0],
        }
    }

    /// Gives the rows after the cursor to `each`; the next cursor, or none when these were the last rows.
    pub fn read(
        &self,
        conn: &Connection,
        cursor: Option<&[u8]>,
        limits: (usize, usize),
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Tried<Option<Vec<u8>>> {
        let (max_rows, max_bytes) = limits;
        let mut statement = conn.prepare_cached(if cursor.is_some() {
            &self.from_cursor
        } else {
            &self.from_start
        })?;
        statement.raw_bind_parameter(1, max_rows as i64)?;
        let mut place = Vec::new();
        if !unpack(cursor.unwrap_or_default(), &mut place) {
            return Err(Error::failed("the cursor of the full pass is damaged")
                .way_out("start the pass again with --backfill")
                .into());
        }
        for (i, value) in place.iter().enumerate() {
            statement.raw_bind_parameter(i + 2, Bind(value))?;
        }
        let mut rows = statement.raw_query();
        let (mut count, mut bytes) = (0, 0);
        let (mut spare_row, mut spare_key) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let mut values = recycle(spare_row);
            for i in 0..self.columns {
                let value = borrow(row.get_ref(self.lead + i)?);
                bytes += weight(&value);
                values.push(value);
            }
            let mut key: Vec<Value<'_>> = recycle(spare_key);
            match self.key.is_empty() {
                true => key.push(borrow(row.get_ref(0)?)),
                false => key.extend(self.key.iter().map(|&i| values[i].borrow())),
            }
            each(upsert(&key, &values))?;
            count += 1;
            if count == max_rows || bytes >= max_bytes {
                let place = self.order.iter().map(|&i| row.get_ref(i).map(borrow));
                return Ok(Some(packed(&place.collect::<rusqlite::Result<Vec<_>>>()?)));
            }
            spare_key = recycle(key);
            spare_row = recycle(values);
        }
        Ok(None)
    }
}

/// What orders a table's b-tree: its rowid, or its key.
pub fn order(schema: &TableSchema) -> Vec<String> {
    match rowid_name(schema) {
        Some(rowid) => vec![quote(&rowid)],
        None => schema.key().into_iter().map(|i| collated(schema, i)).collect(),
    }
}

/// A row that travels, or one that cannot.
pub fn upsert<'a>(key: &'a [Value<'a>], row: &'a [Value<'a>]) -> Event<'a> {
    match key.iter().any(Value::is_null) {
        true => Event::Refused {
            key,
            reason: NULL_IN_KEY,
        },
        false => Event::Upsert { key, row },
    }
}

/// A key column, to be compared as the key's index compares it.
pub fn collated(schema: &TableSchema, column: usize) -> String {
    let column = &schema.columns[column];
    match column.collation == column.pk_collation {
        true => quote(&column.name),
        false => format!("{} COLLATE {}", quote(&column.name), column.pk_collation),
    }
}

/// The names of the key, to be compared as the key's index compares them.
pub fn collated_key(schema: &TableSchema) -> Vec<String> {
    match schema.keyed_by_rowid() {
        true => capture::key_names(schema).iter().map(|name| quote(name)).collect(),
        false => schema.key().into_iter().map(|i| collated(schema, i)).collect(),
    }
}
