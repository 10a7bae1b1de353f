//! The merge of a table's sides: the source's, and those of the sinks over which its rows are
//! spread.

use std::cmp::Ordering;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Row, Statement};

use super::file::ComparedFile;
use super::plan::{Plan, Rows, Side, place};
use super::report::{Report, list};
use crate::error::{Error, Result};
use crate::source::schema;
use crate::sqlite::values::exactly;

/// Compares one table.
pub(super) fn table(source: &ComparedFile, sinks: &[ComparedFile], table: &str) -> Result<Report> {
    let schema = schema::read(source, table).map_err(|e| e.at(source))?;
    let table = schema.table.clone();
    let mut sides = vec![Side { file: source, schema }];
    let mut without = Vec::new();
    for file in sinks {
        let tables = schema::user_tables(file).map_err(|e| e.at(file))?;
        if tables.iter().any(|name| name.eq_ignore_ascii_case(&table)) {
            let schema = schema::read(file, &table).map_err(|e| e.at(file))?;
            sides.push(Side { file, schema });
        } else {
            without.push(file);
        }
    }
    // A sink without the table has none of its rows; the others may have them all.
    if sides.len() == 1 {
        let missing = match &without[..] {
            [file] => format!("{file} has no table {table:?}"),
            files => format!(
                "none of the sinks {} has a table {table:?}",
                list(files.iter().map(|file| file.name()))
            ),
        };
        return Err(
            Error::failed(missing).way_out("land it first (cargo run --bin consumer), or choose others with --table")
        );
    }
    let plan = Plan::new(&sides)?;
    let names = sides[1..].iter().map(|side| side.file.name()).collect();
    let without = without.into_iter().map(ComparedFile::name).collect();
    let mut report = Report::new(&table, plan.columns.clone(), names, without);
    lone_columns(&sides, &mut report);
    merge(&plan, &sides, Rows::Keyed, &mut report)?;
    if plan.may_hold_nulls {
        merge(&plan, &sides, Rows::Nulls, &mut report)?;
    }
    Ok(report)
}

/// Notes the columns that some sides do not have.
fn lone_columns(sides: &[Side<'_>], report: &mut Report) {
    let with = |name: &str, there: bool| -> Vec<usize> {
        let has = |side: &usize| place(&sides[*side].schema, name).is_some() == there;
        (0..sides.len()).filter(has).collect()
    };
    for column in &sides[0].schema.columns {
        let lacking = with(&column.name, false);
        if !lacking.is_empty() {
            report.column_missing(&column.name, &lacking);
        }
    }
    for (number, side) in sides.iter().enumerate().skip(1) {
        for column in &side.schema.columns {
            let having = with(&column.name, true);
            if having[0] == number {
                report.column_extra(&column.name, &having);
            }
        }
    }
}

/// Reads these rows of all sides in one order and merges them.
fn merge(plan: &Plan, sides: &[Side<'_>], rows: Rows, report: &mut Report) -> Result<()> {
    let prepared = (0..sides.len()).map(|side| Prepared::new(sides[side].file, &plan.select(sides, side, rows)));
    let mut prepared = prepared.collect::<Result<Vec<_>>>()?;
    let mut streams = prepared.iter_mut().map(Prepared::rows).collect::<Result<Vec<_>>>()?;
    // The sides whose rows stand at the first place of the order.
    let mut first = Vec::new();
    loop {
        find_first(plan, rows, &streams, &mut first);
        if first.is_empty() {
            return Ok(());
        }
        compare(plan, rows, &streams, &mut first, report);
        for &side in &first {
            report.rows[side] += 1;
            streams[side].next()?;
        }
    }
}

fn find_first(plan: &Plan, rows: Rows, streams: &[Stream<'_>], first: &mut Vec<usize>) {
    let (keys, order) = (plan.keys(rows), plan.order(rows));
    first.clear();
    for (side, stream) in streams.iter().enumerate() {
        let Some(row) = stream.row() else {
            continue;
        };
        let found = match first.first().and_then(|&side| streams[side].row()) {
            None => Ordering::Less,
            Some(other) => (0..keys)
                .map(|i| order.compare(i, row.get_ref_unwrap(i), other.get_ref_unwrap(i)))
                .find(|found| found.is_ne())
                .unwrap_or(Ordering::Equal),
        };
        if found.is_lt() {
            first.clear();
        }
        if found.is_le() {
            first.push(side);
        }
    }
}

/// Compares rows whose keys come to the same place in the order; takes those out of `first` whose
/// turn is later.
fn compare(plan: &Plan, rows: Rows, streams: &[Stream<'_>], first: &mut Vec<usize>, report: &mut Report) {
    let row = |side: usize| streams[side].row().expect("a side at a place has a row there");
    let key = |side: usize| (0..plan.key_columns).map(move |i| row(side).get_ref_unwrap(i));
    if first[0] > 0 {
        first.iter().for_each(|&side| report.extra(side, key(side)));
        return;
    }
    if rows == Rows::Nulls {
        // Rows may be there many times, and in several sinks: one answers one.
        first.truncate(2);
    }
    let our = row(0);
    let differing = |side: usize| {
        let their = row(side);
        (0..plan.columns.len()).filter(move |&i| !exactly(our.get_ref_unwrap(i), their.get_ref_unwrap(i)))
    };
    let found = first[1..].iter().map(|&side| (side, differing(side).next()));
    // Keys are equal by exact bytes, so there may be other rows at this place: 'k1' under NOCASE
    // beside 'K1', or 1 beside 1.0.
    let is_ours = |found: &(usize, Option<usize>)| found.1.is_none_or(|column| column >= plan.keys(rows));
    let (found, others): (Vec<_>, Vec<_>) = found.partition(is_ours);
    match found[..] {
        [] => report.missing(key(0)),
        [(_, None)] => (),
        [(side, Some(column))] => {
            let values = [our, row(side)].map(|row| row.get_ref_unwrap(column));
            report.different(side, key(0), column, values, differing(side).count() - 1);
        }
        _ => report.doubled(key(0), &found),
    }
    others.iter().for_each(|(side, _)| report.extra(*side, key(*side)));
}

/// One side's statement, whose errors name the file.
struct Prepared<'a> {
    statement: Statement<'a>,
    file: &'a ComparedFile,
}

/// Its rows.
struct Stream<'a> {
    rows: rusqlite::Rows<'a>,
    file: &'a ComparedFile,
}

impl<'a> Prepared<'a> {
    fn new(file: &'a ComparedFile, select: &str) -> Result<Self> {
        let statement = file.prepare(select).map_err(|e| file.error(e))?;
        Ok(Self { statement, file })
    }

    /// Its rows, at the first one.
    fn rows(&mut self) -> Result<Stream<'_>> {
        let rows = self.statement.query([]).map_err(|e| self.file.error(e))?;
        let mut stream = Stream { rows, file: self.file };
        stream.next()?;
        Ok(stream)
    }
}

impl<'a> Stream<'a> {
    /// The row at which it stands; none at the end.
    fn row(&self) -> Option<&Row<'a>> {
        self.rows.get()
    }

    fn next(&mut self) -> Result<()> {
        self.rows.advance().map_err(|e| self.file.error(e))
    }
}
