//! What is remembered of a landed table between two rows.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection};

use crate::model::{TableSchema, Value};

use crate::sqlite::affinity::Affinity;
use crate::sqlite::values::Bind;

/// A table that rows land in.
pub(super) struct LandedTable {
    pub topic: Arc<str>,
    /// As the source tells it; none while it is only guessed from the records.
    pub schema: Option<Arc<TableSchema>>,
    /// As the table stands in the sink.
    pub shape: TableSchema,
    /// The last full pass begun, 0 when there was none.
    pub pass: u64,
    /// How many keys the running pass has not touched yet; none when no pass runs.
    pub unvisited: Option<u64>,
    /// `unvisited` has changed since it was noted.
    pub unvisited_moved: bool,
    pub key: Vec<usize>,
    affinities: Vec<Affinity>,
}

/// The statements of one table, made when they are first needed.
#[derive(Default)]
pub(super) struct Statements<'a> {
    pub upsert: Option<CachedStatement<'a>>,
    pub delete: Option<CachedStatement<'a>>,
    pub visit: Option<CachedStatement<'a>>,
    pub unvisit: Option<CachedStatement<'a>>,
}

/// The statement in its place, made when it is first needed.
pub(super) fn prepared<'s, 'a>(
    place: &'s mut Option<CachedStatement<'a>>,
    conn: &'a Connection,
    sql: impl FnOnce() -> String,
) -> rusqlite::Result<&'s mut CachedStatement<'a>> {
    Ok(match place {
        Some(statement) => statement,
        None => place.insert(conn.prepare_cached(&sql())?),
    })
}

/// Binds values to the parameters from number `first` on.
pub(super) fn bind(statement: &mut CachedStatement<'_>, first: usize, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for (i, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(first + i, Bind(value))?;
    }
    Ok(())
}

/// Why a table cannot store a row as it is.
pub(super) enum Misfit {
    /// The row is none of this table's, for this reason.
    Unfit(String),
    /// These columns would convert their values.
    Converts(Vec<usize>),
}

impl LandedTable {
    pub(super) fn new(topic: Arc<str>, schema: Option<Arc<TableSchema>>, shape: TableSchema) -> Self {
        let mut table = Self {
            topic,
            schema,
            shape,
            pass: 0,
            unvisited: None,
            unvisited_moved: false,
            key: Vec::new(),
            affinities: Vec::new(),
        };
        table.learn_shape();
        table
    }

    /// Gives the table another shape.
    pub(super) fn reshape(&mut self, shape: TableSchema) {
        self.shape = shape;
        self.learn_shape();
    }

    fn learn_shape(&mut self) {
        self.key = self.shape.key();
        self.affinities = Affinity::of_columns(&self.shape);
    }

    /// The name of the table that holds the keys which the running pass has not touched.
    pub(super) fn unvisited_name(&self) -> String {
        format!("_rowferry_unseen_{}", self.shape.table)
    }

    /// The key of a row, in key order.
    pub(super) fn key_of<'r>(&self, rowid: Option<i64>, row: &'r [Value<'r>]) -> Cow<'r, [Value<'r>]> {
        match (self.key.as_slice(), rowid) {
            ([], rowid) => Cow::Owned(vec![rowid.map_or(Value::Null, Value::Integer)]),
            ([one], _) => Cow::Borrowed(std::slice::from_ref(&row[*one])),
            (several, _) => Cow::Owned(several.iter().map(|&i| row[i].borrow()).collect()),
        }
    }

    /// Whether the table stores the row as it is; the reason when it does not. A rowid may be
    /// missing where the sink gives it.
    pub(super) fn misfit(&self, rowid: Option<i64>, row: &[Value<'_>]) -> Option<Misfit> {
        let fits = row.len() == self.affinities.len()
            && (rowid.is_some() || !self.key.is_empty() || self.schema.is_none())
            && self.key.iter().all(|&i| !row[i].is_null())
            && row
                .iter()
                .zip(&self.affinities)
                .all(|(value, affinity)| affinity.keeps(value));
        if fits { None } else { Some(self.explain(rowid, row)) }
    }

    fn explain(&self, rowid: Option<i64>, row: &[Value<'_>]) -> Misfit {
        let (columns, table) = (&self.shape.columns, &self.shape.table);
        if row.len() != columns.len() {
            return Misfit::Unfit(format!(
                "the row has {} values, the table {table} has {} columns",
                row.len(),
                columns.len()
            ));
        }
        if let Some(&i) = self.key.iter().find(|&&i| row[i].is_null()) {
            return Misfit::Unfit(format!(
                "null in {}, a column of the primary key of {table}",
                columns[i].name
            ));
        }
        if let Some(i) = row.iter().position(|v| matches!(v, Value::Real(r) if r.is_nan())) {
            return Misfit::Unfit(format!("not a number in {}: SQLite would store null", columns[i].name));
        }
        if self.key.is_empty() && rowid.is_none() && self.schema.is_some() {
            return Misfit::Unfit(format!("a row without a rowid, which is the key of {table}"));
        }
        let converts = |&i: &usize| !self.affinities[i].keeps(&row[i]);
        Misfit::Converts((0..row.len()).filter(converts).collect())
    }
}
