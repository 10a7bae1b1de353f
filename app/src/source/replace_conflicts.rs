//! Which rows a REPLACE could push out: a condition for each unique index of a table, under which a
//! row collides with NEW.

use rusqlite::Connection;

use crate::model::{Column, TableSchema};
use crate::sqlite::affinity::Affinity;
use crate::sqlite::collation::Collation;
use crate::sqlite::error::SqlResult;
use crate::sqlite::names::{quote, rowid_name};
use crate::sqlite::tables::{self, sql_of};
use crate::sqlite::tokens::{bare, expression, parts, tokens, without_comments};

/// One column or expression of an index.
struct Term {
    /// Place in the table's columns; none for an expression.
    column: Option<usize>,
    collation: String,
}

/// The conditions for all unique indexes that can push out a row of another key. SQLite drops such
/// rows without a delete trigger.
pub(super) fn read(conn: &Connection, schema: &TableSchema) -> SqlResult<Vec<String>> {
    let indexes = tables::indexes(conn, &schema.table)?;
    let sql = without_comments(&sql_of(conn, "table", &schema.table)?);
    let (defaults, generated) = (defaults(conn, schema)?, generated(conn, schema, &sql)?);
    let mut new = NewRow {
        schema,
        defaults: &defaults,
        generated: &generated,
        rowid: None,
    };
    let mut conditions = Vec::new();
    // Where the rowid is not the key, it is a unique index like others: REPLACE makes room for a
    // rowid too.
    if let (false, false, Some(rowid)) = (schema.rowid_alias, schema.keyed_by_rowid(), rowid_name(schema)) {
        conditions.push(format!("{0} = NEW.{0}", quote(rowid)));
    }
    for index in indexes.iter().filter(|index| index.unique) {
        if !index.of_key || !schema.key().into_iter().all(|i| is_exact(schema, &schema.columns[i])) {
            let given = condition(conn, &new, &index.name)?;
            new.rowid = next_rowid(schema, &sql);
            let yet_to_come = condition(conn, &new, &index.name)?;
            new.rowid = None;
            conditions.extend((yet_to_come != given).then_some(yet_to_come));
            conditions.push(given);
        }
    }
    Ok(conditions)
}

/// Under which name a condition's SELECT knows the table: its own, unless that is what triggers
/// call the row that comes or goes.
pub(super) fn row_name(schema: &TableSchema) -> String {
    match schema.table.to_ascii_lowercase().as_str() {
        "new" | "old" => quote("_rowferry_row"),
        _ => quote(&schema.table),
    }
}

/// Whether two values of a key column that its index holds for equal are always the same bytes of
/// the same class: 1 and 1.0 are equal where the type lets both stand, 0.0 and -0.0 where reals
/// stand.
fn is_exact(schema: &TableSchema, column: &Column) -> bool {
    column.pk_collation == Collation::BINARY && matches!(affinity(schema, column), Some("TEXT" | "NUMERIC"))
}

/// The type that converts values as a column does; none where the column leaves them alone.
fn affinity(schema: &TableSchema, column: &Column) -> Option<&'static str> {
    Affinity::of(&column.declared, schema.strict).cast()
}

/// The defaults that REPLACE puts in the place of a NULL in a NOT NULL column, by column.
fn defaults(conn: &Connection, schema: &TableSchema) -> SqlResult<Vec<Option<String>>> {
    let found = tables::columns(conn, &schema.table)?;
    let default = |c: &Column| {
        let found = found.iter().find(|found| found.name == c.name && found.not_null);
        // A comment at its end would take the bracket that is put behind it.
        found?.default.as_deref().map(without_comments)
    };
    Ok(schema.columns.iter().map(default).collect())
}

/// How a generated column is computed.
struct Generated {
    expression: String,
    sources: Vec<usize>,
}

/// How each column is computed; from nothing where its values are given.
fn generated(conn: &Connection, schema: &TableSchema, sql: &str) -> SqlResult<Vec<Generated>> {
    let columns = tables::columns(conn, &schema.table)?.into_iter();
    let names: Vec<String> = columns
        .filter(|column| matches!(column.hidden, 2 | 3))
        .map(|column| column.name)
        .collect();
    let (definitions, _) = parts(sql);
    let is_of = |name: &str, definition: &str| {
        let first = tokens(definition).next().map(bare);
        first.is_some_and(|first| first.eq_ignore_ascii_case(name))
    };
    let generated = |column: &Column| {
        let mut definitions = definitions.iter().filter(|_| names.contains(&column.name));
        let definition = definitions.find(|definition| is_of(&column.name, definition));
        let expression = definition.and_then(|definition| expression(definition)).unwrap_or("");
        Generated {
            sources: mentioned(schema, expression),
            expression: expression.to_owned(),
        }
    };
    Ok(schema.columns.iter().map(generated).collect())
}

/// The columns that these ones are computed from, directly or through others.
fn sources(generated: &[Generated], mut columns: Vec<usize>) -> Vec<usize> {
    let mut sources = Vec::new();
    while let Some(column) = columns.pop() {
        let new = generated[column]
            .sources
            .iter()
            .filter(|source| !sources.contains(*source));
        let new: Vec<usize> = new.copied().collect();
        sources.extend(&new);
        columns.extend(new);
    }
    sources.sort_unstable();
    sources
}

fn condition(conn: &Connection, new: &NewRow<'_>, index: &str) -> SqlResult<String> {
    let schema = new.schema;
    let sql = without_comments(&sql_of(conn, "index", index)?);
    let (expressions, filter) = parts(&sql);
    let (mut conditions, mut compared) = (Vec::new(), Vec::new());
    for (place, term) in terms(conn, schema, index)?.into_iter().enumerate() {
        conditions.push(match term.column {
            Some(i) => {
                compared.push(i);
                format!(
                    "{} COLLATE {} = {}",
                    quote(&schema.columns[i].name),
                    quote(&term.collation),
                    new.value(i)
                )
            }
            None => {
                let expression = expressions.get(place).copied().unwrap_or("NULL");
                compared.extend(mentioned(schema, expression));
                collision(new, expression)
            }
        });
    }
    conditions.extend(filter.map(|filter| format!("({filter})")));
    // A trigger before an UPDATE sees NULL in the place of a column that the UPDATE leaves alone,
    // unless it names that column: NEW's generated columns are right only where all that they are
    // computed from is named. This is always true.
    let loaded = |&i: &usize| format!("(NEW.{} IS NULL)", quote(&schema.columns[i].name));
    let loaded: Vec<_> = sources(new.generated, compared).iter().map(loaded).collect();
    if !loaded.is_empty() {
        conditions.push(format!("{} >= 0", loaded.join(" + ")));
    }
    Ok(conditions.join(" AND "))
}

/// The row that comes, as NEW shows it before it is there, and what else its values may be.
struct NewRow<'a> {
    schema: &'a TableSchema,
    /// The defaults that REPLACE puts in the place of a NULL, by column.
    defaults: &'a [Option<String>],
    generated: &'a [Generated],
    /// The rowid that SQLite will give to a row which comes without one; nothing for rows that
    /// bring theirs.
    rowid: Option<String>,
}

impl NewRow<'_> {
    /// The value that a column will have. NEW has a NULL where a default will be, -1 in the place
    /// of a rowid that is yet to be given, and generated columns that were computed from those.
    fn value(&self, i: usize) -> String {
        let given = self.name(i);
        if let Some(default) = &self.defaults[i] {
            return format!("ifnull({given}, ({default}))");
        }
        if let Some((when, value)) = self.instead(i) {
            return format!("CASE WHEN {when} THEN {value} ELSE {given} END");
        }
        let Generated { expression, sources } = &self.generated[i];
        let whens = self::sources(self.generated, vec![i]).into_iter();
        let whens: Vec<_> = whens.filter_map(|i| Some(self.instead(i)?.0)).collect();
        if whens.is_empty() {
            return given;
        }
        let computed = one_row(self.schema, expression, sources, &|i| self.cast(i));
        format!("CASE WHEN {} THEN ({computed}) ELSE {given} END", whens.join(" OR "))
    }

    /// The value as its column's affinity would have it.
    fn cast(&self, i: usize) -> String {
        let value = self.value(i);
        match affinity(self.schema, &self.schema.columns[i]) {
            Some(affinity) => format!("CAST({value} AS {affinity})"),
            None => value,
        }
    }

    fn name(&self, i: usize) -> String {
        format!("NEW.{}", quote(&self.schema.columns[i].name))
    }

    /// When NEW does not have a column's value, and what that value is.
    fn instead(&self, i: usize) -> Option<(String, String)> {
        let is_rowid = self.schema.rowid_alias && self.schema.columns[i].pk > 0;
        match (&self.defaults[i], &self.rowid) {
            (Some(default), _) => Some((format!("{} IS NULL", self.name(i)), format!("({default})"))),
            (_, Some(rowid)) if is_rowid => Some((format!("{} = -1", self.name(i)), rowid.clone())),
            _ => None,
        }
    }
}

/// The rowid that SQLite gives to a row that comes without one: the next one, unless the last
/// possible one is taken.
fn next_rowid(schema: &TableSchema, sql: &str) -> Option<String> {
    let rowid = rowid_name(schema).filter(|_| schema.rowid_alias)?;
    let table = quote(&schema.table);
    let highest = format!("(SELECT ifnull(max({}), 0) FROM {table})", quote(rowid));
    if tokens(sql).any(|token| token.eq_ignore_ascii_case("autoincrement")) {
        Some(format!(
            "max({highest}, ifnull((SELECT max(seq) FROM sqlite_sequence WHERE name = '{}'), 0)) + 1",
            schema.table.replace('\'', "''")
        ))
    } else {
        Some(format!("{highest} + 1"))
    }
}

/// A SELECT of what an expression is for a row of these values.
fn one_row(schema: &TableSchema, expression: &str, columns: &[usize], value: &dyn Fn(usize) -> String) -> String {
    let named = columns
        .iter()
        .map(|&i| format!("{} AS {}", value(i), quote(&schema.columns[i].name)));
    let named = named.collect::<Vec<_>>().join(", ");
    let named = if named.is_empty() { "NULL" } else { &named };
    format!("SELECT {expression} FROM (SELECT {named}) AS {}", row_name(schema))
}

/// The condition that an index's expression has the same value for a row and for NEW. What it
/// compares may depend on the affinity of columns, which NEW has none of: so it is worked out with
/// values that were cast to it, and, for those that a cast changes, without.
fn collision(new: &NewRow<'_>, expression: &str) -> String {
    let columns = mentioned(new.schema, expression);
    let row = |value: &dyn Fn(usize) -> String| one_row(new.schema, expression, &columns, value);
    let (cast, given) = (row(&|i| new.cast(i)), row(&|i| new.value(i)));
    format!("({expression}) IN ({cast} UNION ALL {given})")
}

fn terms(conn: &Connection, schema: &TableSchema, index: &str) -> SqlResult<Vec<Term>> {
    let place = |name: String| schema.columns.iter().position(|c| c.name == name);
    let term = |term: tables::Term| Term {
        column: term.column.and_then(place),
        collation: term.collation,
    };
    Ok(tables::terms(conn, index)?.into_iter().map(term).collect())
}

/// The columns that an expression may mention: every word in it that is a column's name.
fn mentioned(schema: &TableSchema, expression: &str) -> Vec<usize> {
    let words: Vec<String> = tokens(expression).map(bare).collect();
    let is_mentioned = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    (0..schema.columns.len())
        .filter(|&i| is_mentioned(&schema.columns[i].name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::schema;

    #[test]
    fn names_are_found_however_they_are_quoted() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(a, \"b\"\"c\", [d e], f, g)")
            .unwrap();
        let schema = schema::read(&conn, "t").unwrap();
        assert_eq!(
            mentioned(&schema, "A + \"b\"\"c\" || [d e] || x'00' || `F`"),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn an_index_that_only_pushes_out_the_same_key_needs_no_condition() {
        let replace_conflicts = |sql: &str| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch(sql).unwrap();
            read(&conn, &schema::read(&conn, "t").unwrap()).map_err(|_| ()).unwrap()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(replace_conflicts("CREATE TABLE t(id INTEGER PRIMARY KEY, v)"), none);
        assert_eq!(
            replace_conflicts("CREATE TABLE t(a TEXT, b INT, PRIMARY KEY(a, b)) WITHOUT ROWID"),
            none
        );
        assert_eq!(replace_conflicts("CREATE TABLE t(a, b)"), none);
        assert_eq!(
            replace_conflicts("CREATE TABLE t(a VARCHAR(9) PRIMARY KEY)"),
            ["\"rowid\" = NEW.\"rowid\""]
        );
        assert_eq!(
            replace_conflicts("CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID").len(),
            1
        );
        assert_eq!(
            replace_conflicts("CREATE TABLE t(a ANY PRIMARY KEY) STRICT, WITHOUT ROWID").len(),
            1
        );
        assert_eq!(
            replace_conflicts("CREATE TABLE t(a REAL PRIMARY KEY) WITHOUT ROWID").len(),
            1
        );
        assert_eq!(
            replace_conflicts("CREATE TABLE t(a TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID"),
            ["\"a\" COLLATE \"NOCASE\" = NEW.\"a\""]
        );
        assert_eq!(
            replace_conflicts(
                "CREATE TABLE t(id INTEGER PRIMARY KEY, e NOT NULL DEFAULT 'x' UNIQUE, f); CREATE INDEX i ON t(f)"
            ),
            ["\"e\" COLLATE \"BINARY\" = ifnull(NEW.\"e\", ('x'))"]
        );
    }
}
