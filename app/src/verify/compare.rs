//! The merge of a table's two sides.

use std::cmp::Ordering;

use rusqlite::types::ValueRef;
use rusqlite::{Row, Rows, Statement};

use super::file::File;
use super::order::{Collation, Order, same};
use super::report::Report;
use crate::error::{Error, Result};
use crate::row::{ROWID, TableSchema};
use crate::source::schema::{self, quote, rowid_name};

/// Compares one table.
pub fn table(source: &File, sink: &File, table: &str) -> Result<Report> {
    let ours = schema::read(source, table).map_err(|e| e.at(source))?;
    if !schema::user_tables(sink)?
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&ours.table))
    {
        let missing = format!("{sink} has no table {:?}", ours.table);
        return Err(
            Error::failed(missing).way_out("land it first (cargo run --bin consumer), or choose others with --table")
        );
    }
    let theirs = schema::read(sink, &ours.table).map_err(|e| e.at(sink))?;
    let plan = Plan::new(&ours, &theirs, source.is_utf8()? && sink.is_utf8()?).map_err(|e| e.at(sink))?;
    let mut report = Report::new(&ours.table, plan.shown.clone());
    plan.only_in(&ours, &theirs, "source", &mut report);
    plan.only_in(&theirs, &ours, "sink", &mut report);
    let keys = plan.key_columns;
    plan.pass(
        source,
        sink,
        keys,
        plan.order.clone(),
        plan.nulls("NOT NULL", " AND "),
        &mut report,
    )?;
    if plan.may_hold_nulls {
        // Rows with a null in the key may be there many times: all of their columns are their key.
        plan.pass(
            source,
            sink,
            plan.ours.len(),
            Order::Exact,
            plan.nulls("NULL", " OR "),
            &mut report,
        )?;
    }
    Ok(report)
}

/// How a table is read from both sides: the same columns in the same order, those of the key first.
struct Plan {
    /// The columns as SQL names them in the source's table and in the sink's.
    ours: Vec<String>,
    theirs: Vec<String>,
    tables: [String; 2],
    /// The columns as people name them.
    shown: Vec<String>,
    /// How many of them are the key.
    key_columns: usize,
    order: Order,
    may_hold_nulls: bool,
}

impl Plan {
    fn new(ours: &TableSchema, theirs: &TableSchema, utf8: bool) -> Result<Plan> {
        let mut plan = Plan {
            ours: Vec::new(),
            theirs: Vec::new(),
            tables: [quote(&ours.table), quote(&theirs.table)],
            shown: Vec::new(),
            key_columns: 1,
            order: Order::Native(vec![Collation::Binary]),
            may_hold_nulls: false,
        };
        let no_key = |name: &str| {
            Error::failed(format!(
                "the table {:?} has no {name} to find its rows by",
                theirs.table
            ))
            .way_out("land the table in another --sink, where its own key is made")
        };
        if ours.keyed_by_rowid() {
            let rowid = |schema| rowid_name(schema).ok_or_else(|| no_key(ROWID));
            plan.add(&rowid(ours)?, &rowid(theirs)?);
            plan.shown[0] = ROWID.to_owned();
        } else {
            for name in ours.key_names() {
                plan.add(
                    name,
                    place(theirs, name).ok_or_else(|| no_key(&format!("column {name:?}")))?,
                );
            }
            plan.key_columns = plan.ours.len();
            plan.order = order(ours, theirs, utf8);
            plan.may_hold_nulls = [ours, theirs]
                .iter()
                .any(|schema| !(schema.rowid_alias || schema.without_rowid));
        }
        let rest = ours.columns.iter().filter(|column| column.pk == 0);
        for (name, other) in rest.filter_map(|column| Some((&column.name, place(theirs, &column.name)?))) {
            plan.add(name, other);
        }
        Ok(plan)
    }

    fn add(&mut self, ours: &str, theirs: &str) {
        self.ours.push(format!("t.{}", quote(ours)));
        self.theirs.push(format!("t.{}", quote(theirs)));
        self.shown.push(ours.to_owned());
    }

    /// Notes the columns that the other side does not have.
    fn only_in(&self, schema: &TableSchema, other: &TableSchema, side: &'static str, report: &mut Report) {
        let lone = schema
            .columns
            .iter()
            .filter(|column| place(other, &column.name).is_none());
        lone.for_each(|column| report.lone_column(&column.name, side));
    }

    /// The condition that splits rows with a null in the key from the others; none where there can be no null.
    fn nulls(&self, what: &str, glue: &str) -> impl Fn(&[String]) -> String {
        let (what, glue) = (format!(" IS {what}"), glue.to_owned());
        let keys = if self.may_hold_nulls { self.key_columns } else { 0 };
        move |columns| {
            let tests: Vec<String> = columns[..keys].iter().map(|column| format!("{column}{what}")).collect();
            if tests.is_empty() {
                String::new()
            } else {
                format!("WHERE {}", tests.join(&glue))
            }
        }
    }

    /// Reads both sides in one order, of the first `keys` columns, and merges them.
    fn pass(
        &self,
        source: &File,
        sink: &File,
        keys: usize,
        order: Order,
        condition: impl Fn(&[String]) -> String,
        report: &mut Report,
    ) -> Result<()> {
        let select = |columns: &[String], table: &str| {
            let (list, terms) = (columns.join(", "), order.terms(&columns[..keys]));
            format!(
                "SELECT {list} FROM {table} AS t {} ORDER BY {terms}",
                condition(columns)
            )
        };
        let mut ours = Side::new(source, &select(&self.ours, &self.tables[0]))?;
        let mut theirs = Side::new(sink, &select(&self.theirs, &self.tables[1]))?;
        let (mut ours, mut theirs) = (ours.rows()?, theirs.rows()?);
        let (mut our, mut their) = (ours.next()?, theirs.next()?);
        loop {
            let found = match (our, their) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(our), Some(their)) => (0..keys)
                    .map(|i| order.compare(i, our.get_ref_unwrap(i), their.get_ref_unwrap(i)))
                    .find(|found| found.is_ne())
                    .unwrap_or(Ordering::Equal),
            };
            match (our, their) {
                (Some(our), Some(their)) if found.is_eq() => self.pair(our, their, keys, report),
                _ => {
                    our.filter(|_| found.is_lt())
                        .into_iter()
                        .for_each(|row| report.missing(self.key(row)));
                    their
                        .filter(|_| found.is_gt())
                        .into_iter()
                        .for_each(|row| report.extra(self.key(row)));
                }
            }
            if found.is_le() {
                report.source_rows += 1;
                our = ours.next()?;
            }
            if found.is_ge() {
                report.sink_rows += 1;
                their = theirs.next()?;
            }
        }
    }

    /// Two rows whose keys come to the same place in the order.
    fn pair(&self, our: &Row<'_>, their: &Row<'_>, keys: usize, report: &mut Report) {
        let differs = |i: &usize| !same(our.get_ref_unwrap(*i), their.get_ref_unwrap(*i));
        let Some(first) = (0..self.ours.len()).find(differs) else {
            return;
        };
        if first < keys {
            // Keys are equal by exact bytes, so these are two rows: 'k1' under NOCASE beside 'K1', or 1 beside 1.0.
            report.missing(self.key(our));
            report.extra(self.key(their));
            return;
        }
        let others = (first + 1..self.ours.len()).filter(differs).count();
        report.different(
            self.key(our),
            first,
            our.get_ref_unwrap(first),
            their.get_ref_unwrap(first),
            others,
        );
    }

    /// The key of a row, for the report to show.
    fn key<'a>(&self, row: &'a Row<'_>) -> impl Iterator<Item = ValueRef<'a>> {
        (0..self.key_columns).map(|i| row.get_ref_unwrap(i))
    }
}

/// The native order if both sides tell keys apart by the same rule, so that no side has two rows at one place of it.
fn order(ours: &TableSchema, theirs: &TableSchema, utf8: bool) -> Order {
    let key = ours.key();
    let collation = |&i: &usize| {
        let ours = &ours.columns[i];
        let theirs = theirs
            .columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(&ours.name))?;
        let shared = theirs.pk > 0 && theirs.pk_collation == ours.pk_collation;
        Collation::named(&ours.pk_collation).filter(|_| shared)
    };
    let collations: Option<Vec<Collation>> = key.iter().map(collation).collect();
    match collations {
        Some(collations) if utf8 && theirs.key().len() == key.len() => Order::Native(collations),
        _ => Order::Exact,
    }
}

/// The name of a column in a table that may spell it in other letters.
fn place<'a>(schema: &'a TableSchema, name: &str) -> Option<&'a str> {
    schema
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .find(|column| column.eq_ignore_ascii_case(name))
}

/// One side's statement, whose errors name the file.
struct Side<'a> {
    statement: Statement<'a>,
    file: &'a File,
}

/// Its rows.
struct SideRows<'a> {
    rows: Rows<'a>,
    file: &'a File,
}

impl<'a> Side<'a> {
    fn new(file: &'a File, select: &str) -> Result<Side<'a>> {
        let statement = file.prepare(select).map_err(|e| file.error(&e))?;
        Ok(Side { statement, file })
    }

    fn rows(&mut self) -> Result<SideRows<'_>> {
        let rows = self.statement.query([]).map_err(|e| self.file.error(&e))?;
        Ok(SideRows { rows, file: self.file })
    }
}

impl<'a> SideRows<'a> {
    fn next(&mut self) -> Result<Option<&Row<'a>>> {
        self.rows.next().map_err(|e| self.file.error(&e))
    }
}
