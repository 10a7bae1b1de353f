//! A full pass: all rows of a table in the order of its b-tree, a batch at a time.

use rusqlite::Connection;

use super::event::Event;
use super::values::{packed, unpack, weight};
use super::{key, snapshot, utf16};
use crate::error::{Error, Result};
use crate::model::{TableSchema, Value, recycle};
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::{MOST_COLUMNS, quote};
use crate::sqlite::values::{Bind, borrow};

/// Why a row whose key holds a NULL stays behind: no one could tell it from another such row.
pub(super) const NULL_IN_KEY: &str = "its primary key holds a NULL, which no record's key can stand for";

/// How to read a table from a place on.
pub(super) struct Scan {
    from_start: String,
    from_cursor: String,
    /// Statements that go beside those two, row by row: the rowid, whether the row's text is whole,
    /// whether its key's is. For text in UTF-16, and where the rowid would be one column more than
    /// a statement can have.
    beside: Option<[String; 2]>,
    by_rowid: bool,
    /// How many columns stand before the row's own: the rowid, where the row does not hold it.
    lead: usize,
    columns: usize,
    /// Where the key's values stand among the row's; empty when the rowid alone is the key.
    key: Vec<usize>,
    /// Where the values that order the scan stand among those of the statement.
    order: Vec<usize>,
}

impl Scan {
    pub(super) fn new(schema: &TableSchema, in_utf16: bool) -> Scan {
        let key = schema.key();
        let by_rowid = !schema.without_rowid && !schema.rowid_alias;
        let is_wide = by_rowid && schema.columns.len() == MOST_COLUMNS;
        let lead = usize::from(by_rowid && !is_wide);
        let ordered = key::order(schema);
        let names: Vec<String> = schema.columns.iter().map(|c| quote(&c.name)).collect();
        let columns = ordered
            .iter()
            .take(lead)
            .chain(&names)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let places = (2..ordered.len() + 2)
            .map(|i| format!("?{i}"))
            .collect::<Vec<_>>()
            .join(", ");
        let (table, order) = (quote(&schema.table), ordered.join(", "));
        let from_start = |what: &str| format!("SELECT {what} FROM {table} ORDER BY {order} LIMIT ?1");
        let from_cursor =
            |what: &str| format!("SELECT {what} FROM {table} WHERE ({order}) > ({places}) ORDER BY {order} LIMIT ?1");
        let rowid = if by_rowid { ordered[0].as_str() } else { "NULL" };
        let whole = if in_utf16 {
            [utf16::whole(&names), utf16::whole(&key::collated(schema))]
        } else {
            ["1".into(), "1".into()]
        };
        let beside = format!("{rowid}, {}, {}", whole[0], whole[1]);
        Scan {
            from_start: from_start(&columns),
            from_cursor: from_cursor(&columns),
            beside: (in_utf16 || is_wide).then(|| [from_start(&beside), from_cursor(&beside)]),
            by_rowid,
            lead,
            columns: schema.columns.len(),
            order: if lead == 1 { vec![0] } else { key.clone() },
            key,
        }
    }

    /// How to read the copy that `snapshot` makes of a table.
    pub(super) fn of_copy(schema: &TableSchema, in_utf16: bool) -> Scan {
        let columns: Vec<String> = (0..schema.columns.len()).map(snapshot::column).collect();
        let key = schema.key();
        let key_columns: Vec<String> = key.iter().map(|&i| columns[i].clone()).collect();
        let lead = usize::from(columns.len() < MOST_COLUMNS);
        let read = ["rowid".to_owned()]
            .into_iter()
            .take(lead)
            .chain(columns.iter().cloned());
        let read = read.collect::<Vec<_>>().join(", ");
        let copy = snapshot::COPY;
        let from_start = |what: &str| format!("SELECT {what} FROM {copy} ORDER BY rowid LIMIT ?1");
        let from_cursor = |what: &str| format!("SELECT {what} FROM {copy} WHERE rowid > ?2 ORDER BY rowid LIMIT ?1");
        let whole = |columns: &[String]| {
            if in_utf16 && !columns.is_empty() {
                utf16::whole(columns)
            } else {
                "1".into()
            }
        };
        let beside = format!("rowid, {}, {}", whole(&columns), whole(&key_columns));
        Scan {
            from_start: from_start(&read),
            from_cursor: from_cursor(&read),
            beside: (in_utf16 || lead == 0).then(|| [from_start(&beside), from_cursor(&beside)]),
            by_rowid: true,
            lead,
            columns: columns.len(),
            key,
            order: vec![0],
        }
    }

    /// Gives the rows after the cursor to `each`; the next cursor, or none when these were the last
    /// rows.
    pub(super) fn read(
        &self,
        conn: &Connection,
        cursor: Option<&[u8]>,
        limits: (usize, usize),
        each: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> SqlResult<Option<Vec<u8>>> {
        let (max_rows, max_bytes) = limits;
        let mut statement = conn.prepare_cached(if cursor.is_some() {
            &self.from_cursor
        } else {
            &self.from_start
        })?;
        // In the order of keys that may be no place to go on from, a batch can be longer.
        let limit = match &self.beside {
            Some(_) if !self.by_rowid => -1,
            _ => max_rows as i64,
        };
        statement.raw_bind_parameter(1, limit)?;
        let mut place = Vec::new();
        if !unpack(cursor.unwrap_or_default(), &mut place) {
            return Err(Error::failed("the cursor of the full pass is damaged")
                .way_out("start the pass again with --backfill")
                .into());
        }
        for (i, value) in place.iter().enumerate() {
            statement.raw_bind_parameter(i + 2, Bind(value))?;
        }
        let mut beside = match &self.beside {
            Some(sql) => Some(conn.prepare_cached(&sql[usize::from(cursor.is_some())])?),
            None => None,
        };
        if let Some(beside) = &mut beside {
            beside.raw_bind_parameter(1, limit)?;
            for (i, value) in place.iter().enumerate() {
                beside.raw_bind_parameter(i + 2, Bind(value))?;
            }
        }
        let mut beside = beside.as_mut().map(|beside| beside.raw_query());
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
            if self.key.is_empty() {
                key.push(borrow(row.get_ref(0)?));
            } else {
                key.extend(self.key.iter().map(|&i| values[i].borrow()));
            }
            let (rowid, is_whole, has_whole_key) =
                match beside.as_mut().map(rusqlite::Rows::next).transpose()?.flatten() {
                    Some(beside) => (beside.get(0)?, beside.get(1)?, beside.get(2)?),
                    None => (None::<i64>, true, true),
                };
            each(match (is_whole, has_whole_key) {
                (_, false) => refused(&key, utf16::BROKEN_KEY),
                (false, _) => refused(&key, utf16::BROKEN_TEXT),
                _ => upsert(&key, &values),
            })?;
            count += 1;
            if let Some(rowid) = rowid.filter(|_| count == max_rows || bytes >= max_bytes) {
                return Ok(Some(packed(&[Value::Integer(rowid)])));
            }
            // A key that cannot be looked up is no place to go on from.
            if has_whole_key && (count >= max_rows || bytes >= max_bytes) {
                let place = self.order.iter().map(|&i| row.get_ref(i).map(borrow));
                return Ok(Some(packed(&place.collect::<rusqlite::Result<Vec<_>>>()?)));
            }
            spare_key = recycle(key);
            spare_row = recycle(values);
        }
        Ok(None)
    }
}

/// A row that stays behind.
pub(super) fn refused<'a>(key: &'a [Value<'a>], reason: &'a str) -> Event<'a> {
    Event::Refused { key, reason }
}

/// A row that travels, or one that cannot.
pub(super) fn upsert<'a>(key: &'a [Value<'a>], row: &'a [Value<'a>]) -> Event<'a> {
    if key.iter().any(Value::is_null) {
        Event::Refused {
            key,
            reason: NULL_IN_KEY,
        }
    } else {
        Event::Upsert { key, row }
    }
}
