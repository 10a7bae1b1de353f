//! How a table is read from all of its databases: the same columns in the same order, those of the
//! key first.

use super::file::ComparedFile;
use super::order::Order;
use crate::error::{Error, Result};
use crate::model::{ROWID, TableSchema};
use crate::sqlite::collation::Collation;
use crate::sqlite::names::{column_named, quote, rowid_name};

/// The table in one of the databases. Of several sides the source's is the first, and those of the
/// sinks follow.
pub(super) struct Side<'a> {
    pub(super) file: &'a ComparedFile,
    pub(super) schema: TableSchema,
}

/// The rows that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Those that their key tells apart.
    Keyed,
    /// Those with a null in the key, which may be there many times: all of their columns are their
    /// key.
    Nulls,
}

pub(super) struct Plan {
    /// The columns as people name them.
    pub(super) columns: Vec<String>,
    /// How many of them are the key.
    pub(super) key_columns: usize,
    pub(super) may_hold_nulls: bool,
    /// The columns as SQL names them, for each side.
    names: Vec<Vec<String>>,
    order: Order,
}

impl Plan {
    /// Columns that one of the sides does not have are left out.
    pub(super) fn new(sides: &[Side<'_>]) -> Result<Plan> {
        let ours = &sides[0].schema;
        let by_rowid = ours.keyed_by_rowid();
        let mut columns: Vec<&str> = ours.key_names();
        let key_columns = columns.len();
        let everywhere = |name: &&str| sides.iter().all(|side| place(&side.schema, name).is_some());
        let rest = ours.columns.iter().filter(|column| column.pk == 0);
        columns.extend(rest.map(|column| column.name.as_str()).filter(everywhere));
        let names = sides.iter().map(|side| {
            let name = |(i, column): (usize, &&str)| {
                let (found, what) = if by_rowid && i == 0 {
                    (rowid_name(&side.schema), ROWID.to_owned())
                } else {
                    (place(&side.schema, column), format!("column {column:?}"))
                };
                let name = found.ok_or_else(|| {
                    let table = &side.schema.table;
                    Error::failed(format!("the table {table:?} has no {what} to find its rows by"))
                        .way_out("land the table in another --sink, where its own key is made")
                        .at(side.file)
                })?;
                Ok(format!("t.{}", quote(name)))
            };
            columns.iter().enumerate().map(name).collect()
        });
        let holds_nulls = |side: &Side<'_>| !(side.schema.rowid_alias || side.schema.without_rowid);
        Ok(Plan {
            names: names.collect::<Result<_>>()?,
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            key_columns,
            may_hold_nulls: !by_rowid && sides.iter().any(holds_nulls),
            order: if by_rowid {
                Order::Native(vec![Collation::Binary])
            } else {
                order(sides)?
            },
        })
    }

    /// How many columns are the key of these rows.
    pub(super) fn keys(&self, rows: Rows) -> usize {
        match rows {
            Rows::Keyed => self.key_columns,
            Rows::Nulls => self.columns.len(),
        }
    }

    pub(super) fn order(&self, rows: Rows) -> &Order {
        match rows {
            Rows::Keyed => &self.order,
            Rows::Nulls => &Order::Exact,
        }
    }

    /// The statement that reads these rows of a side, in their order.
    pub(super) fn select(&self, sides: &[Side<'_>], side: usize, rows: Rows) -> String {
        let names = &self.names[side];
        let (what, glue) = match rows {
            Rows::Keyed => ("IS NOT NULL", " AND "),
            Rows::Nulls => ("IS NULL", " OR "),
        };
        let tests = names[..self.key_columns].iter().map(|name| format!("{name} {what}"));
        let condition = if self.may_hold_nulls {
            format!("WHERE {}", tests.collect::<Vec<_>>().join(glue))
        } else {
            String::new()
        };
        format!(
            "SELECT {} FROM {} AS t {condition} ORDER BY {}",
            names.join(", "),
            quote(&sides[side].schema.table),
            self.order(rows).terms(&names[..self.keys(rows)])
        )
    }
}

/// The native order if all sides tell keys apart by the same rule, so that no side has two rows at
/// one place of it.
fn order(sides: &[Side<'_>]) -> Result<Order> {
    let ours = &sides[0].schema;
    let key = ours.key();
    let collation = |&i: &usize| {
        let ours = &ours.columns[i];
        let shares = |side: &Side<'_>| {
            let theirs = column_named(&side.schema, &ours.name).map(|i| &side.schema.columns[i]);
            theirs.is_some_and(|theirs| theirs.pk > 0 && theirs.pk_collation == ours.pk_collation)
        };
        Collation::named(&ours.pk_collation).filter(|_| sides.iter().all(shares))
    };
    let collations: Option<Vec<Collation>> = key.iter().map(collation).collect();
    for side in sides {
        if !side.file.is_utf8()? || side.schema.key().len() != key.len() {
            return Ok(Order::Exact);
        }
    }
    Ok(collations.map_or(Order::Exact, Order::Native))
}

/// The name of a column in a table that may spell it in other letters.
pub(super) fn place<'a>(schema: &'a TableSchema, name: &str) -> Option<&'a str> {
    column_named(schema, name).map(|i| schema.columns[i].name.as_str())
}
