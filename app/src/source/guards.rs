//! Which rows a REPLACE could push out: a condition for each unique index of a table, under which a row collides with NEW.

use rusqlite::{Connection, OptionalExtension};

use super::file::Tried;
use super::schema::{quote, rowid_name};
use crate::row::{Column, TableSchema};

/// One column or expression of an index.
struct Term {
    /// Place in the table's columns; none for an expression.
    column: Option<usize>,
    collation: String,
}

/// The conditions for all unique indexes that can push out a row of another key. SQLite drops such rows without a delete trigger.
pub fn read(conn: &Connection, schema: &TableSchema) -> Tried<Vec<String>> {
    let mut statement = conn.prepare("SELECT name, origin FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY seq")?;
    let indexes = statement.query_map([&schema.table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let indexes = indexes.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let defaults = defaults(conn, schema)?;
    let mut guards = Vec::new();
    // Where the rowid is not the key, it is a unique index like others: REPLACE makes room for a rowid too.
    if let (false, false, Some(rowid)) = (schema.rowid_alias, schema.keyed_by_rowid(), rowid_name(schema)) {
        guards.push(format!("{0} = NEW.{0}", quote(&rowid)));
    }
    for (index, origin) in indexes {
        if origin != "pk" || !schema.key().into_iter().all(|i| is_exact(schema, &schema.columns[i])) {
            guards.push(guard(conn, schema, &defaults, &index)?);
        }
    }
    Ok(guards)
}

/// Under which name a guard's SELECT knows the table: its own, unless that is what triggers call the row that comes or goes.
pub fn row_name(schema: &TableSchema) -> String {
    match schema.table.to_ascii_lowercase().as_str() {
        "new" | "old" => quote("_rowferry_row"),
        _ => quote(&schema.table),
    }
}

/// Whether two values of a key column that its index holds for equal are always the same bytes of the same class:
/// 1 and 1.0 are equal where the type lets both stand, 0.0 and -0.0 where reals stand.
fn is_exact(schema: &TableSchema, column: &Column) -> bool {
    column.pk_collation == "BINARY" && matches!(affinity(schema, column), Some("TEXT" | "NUMERIC"))
}

/// What a column's declared type converts values to, by SQLite's rules; none when it leaves them alone.
fn affinity(schema: &TableSchema, column: &Column) -> Option<&'static str> {
    let declared = column.declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    match () {
        () if has(&["INT"]) => Some("NUMERIC"),
        () if has(&["CHAR", "CLOB", "TEXT"]) => Some("TEXT"),
        () if has(&["BLOB"]) || declared.is_empty() || schema.strict && declared == "ANY" => None,
        () if has(&["REAL", "FLOA", "DOUB"]) => Some("REAL"),
        () => Some("NUMERIC"),
    }
}

/// The defaults that REPLACE puts in the place of a NULL in a NOT NULL column, by column.
fn defaults(conn: &Connection, schema: &TableSchema) -> Tried<Vec<Option<String>>> {
    let sql = "SELECT name, dflt_value FROM pragma_table_xinfo(?1) WHERE \"notnull\" AND dflt_value IS NOT NULL";
    let mut statement = conn.prepare(sql)?;
    let found = statement.query_map([&schema.table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = found.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let default = |c: &Column| {
        found
            .iter()
            .find(|(name, _)| *name == c.name)
            .map(|(_, default)| default.clone())
    };
    Ok(schema.columns.iter().map(default).collect())
}

fn guard(conn: &Connection, schema: &TableSchema, defaults: &[Option<String>], index: &str) -> Tried<String> {
    let sql: Option<String> = conn
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1",
            [index],
            |row| row.get(0),
        )
        .optional()?
        .flatten();
    let sql = without_comments(&sql.unwrap_or_default());
    let (expressions, filter) = parts(&sql);
    let new = |i: usize| {
        let name = quote(&schema.columns[i].name);
        match &defaults[i] {
            Some(default) => format!("ifnull(NEW.{name}, ({default}))"),
            None => format!("NEW.{name}"),
        }
    };
    let mut conditions = Vec::new();
    for (place, term) in terms(conn, schema, index)?.into_iter().enumerate() {
        conditions.push(match term.column {
            Some(i) => format!(
                "{} COLLATE {} = {}",
                quote(&schema.columns[i].name),
                quote(&term.collation),
                new(i)
            ),
            None => collision(schema, expressions.get(place).copied().unwrap_or("NULL"), new),
        });
    }
    conditions.extend(filter.map(|filter| format!("({filter})")));
    Ok(conditions.join(" AND "))
}

/// The condition that an index's expression has the same value for a row and for NEW. What it compares may depend on the affinity
/// of columns, which NEW has none of: so it is worked out with values that were cast to it, and, for those that a cast changes, without.
fn collision(schema: &TableSchema, expression: &str, new: impl Fn(usize) -> String) -> String {
    let columns = mentioned(schema, expression);
    let row = |value: &dyn Fn(usize) -> String| {
        let named = columns
            .iter()
            .map(|&i| format!("{} AS {}", value(i), quote(&schema.columns[i].name)));
        let named = named.collect::<Vec<_>>().join(", ");
        let named = if named.is_empty() { "NULL" } else { &named };
        format!("SELECT {expression} FROM (SELECT {named}) AS {}", row_name(schema))
    };
    let cast = |i: usize| match affinity(schema, &schema.columns[i]) {
        Some(affinity) => format!("CAST({} AS {affinity})", new(i)),
        None => new(i),
    };
    format!("({expression}) IN ({} UNION ALL {})", row(&cast), row(&new))
}

fn terms(conn: &Connection, schema: &TableSchema, index: &str) -> Tried<Vec<Term>> {
    let mut statement = conn.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
    let mut rows = statement.query([index])?;
    let mut terms = Vec::new();
    while let Some(row) = rows.next()? {
        let name: Option<String> = row.get(0)?;
        terms.push(Term {
            column: name.and_then(|name| schema.columns.iter().position(|c| c.name == name)),
            collation: row.get(1)?,
        });
    }
    Ok(terms)
}

/// The columns that an expression may mention: every word in it that is a column's name.
fn mentioned(schema: &TableSchema, expression: &str) -> Vec<usize> {
    let words: Vec<String> = tokens(expression).map(bare).collect();
    let is_mentioned = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    (0..schema.columns.len())
        .filter(|&i| is_mentioned(&schema.columns[i].name))
        .collect()
}

/// A name without its quotes.
fn bare(token: &str) -> String {
    let inner = |token: &str| token[1..token.len() - 1].to_string();
    match token.as_bytes() {
        [quote @ (b'"' | b'`' | b'\''), .., last] if quote == last => {
            let quote = &token[..1];
            inner(token).replace(&quote.repeat(2), quote)
        }
        [b'[', .., b']'] => inner(token),
        _ => token.to_string(),
    }
}

/// The terms of a CREATE INDEX statement as they stand, without their direction, and its WHERE.
fn parts(sql: &str) -> (Vec<&str>, Option<&str>) {
    let (mut terms, mut filter) = (Vec::new(), None);
    let (mut depth, mut start) = (0, 0);
    for token in tokens(sql) {
        let at = token.as_ptr() as usize - sql.as_ptr() as usize;
        match token {
            "(" => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            "," | ")" if depth == 1 => {
                terms.push(undirected(&sql[start..at]));
                start = at + 1;
                depth -= i32::from(token == ")");
            }
            ")" => depth -= 1,
            word if depth == 0 && !terms.is_empty() && word.eq_ignore_ascii_case("where") => {
                filter = Some(sql[at + word.len()..].trim());
                break;
            }
            _ => {}
        }
    }
    (terms, filter)
}

/// A term without ASC or DESC at its end.
fn undirected(term: &str) -> &str {
    let term = term.trim();
    match tokens(term).last() {
        Some(last) if last.eq_ignore_ascii_case("asc") || last.eq_ignore_ascii_case("desc") => {
            term[..term.len() - last.len()].trim_end()
        }
        _ => term,
    }
}

/// The SQL with a space for each comment.
fn without_comments(sql: &str) -> String {
    tokens(sql)
        .fold((String::new(), 0), |(mut out, end), token| {
            let at = token.as_ptr() as usize - sql.as_ptr() as usize;
            out.push_str(if at > end { " " } else { "" });
            out.push_str(token);
            (out, at + token.len())
        })
        .0
}

/// Cuts SQL into words, quoted names and texts, and single signs; spaces and comments are left out.
fn tokens(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            let end = |mark: &str| rest[2..].find(mark).map_or(rest.len(), |i| i + 2 + mark.len());
            match rest {
                comment if comment.starts_with("--") => rest = &rest[end("\n")..],
                comment if comment.starts_with("/*") => rest = &rest[end("*/")..],
                _ => break,
            }
        }
        let length = length_of_token(rest)?;
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

fn length_of_token(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    Some(match first {
        '[' => text.find(']').map_or(text.len(), |i| i + 1),
        '"' | '`' | '\'' => {
            // A doubled quote reads as the end of one piece and the beginning of the next.
            let mut end = 0;
            while text[end..].starts_with(first) {
                end = text[end + 1..].find(first).map_or(text.len(), |i| end + 1 + i + 1);
            }
            end
        }
        _ if is_word(first) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        _ => first.len_utf8(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::schema;

    #[test]
    fn an_index_is_cut_into_its_terms_and_its_filter() {
        let sql = "CREATE UNIQUE INDEX \"i(\"\"x\" ON t(lower(a) /* ) */ DESC, [b,], 'it''s, (' || \"c)\" COLLATE nocase asc)\n\
                   WHERE a > 0 -- end";
        let sql = without_comments(sql);
        let (terms, filter) = parts(&sql);
        assert_eq!(terms, ["lower(a)", "[b,]", "'it''s, (' || \"c)\" COLLATE nocase"]);
        assert_eq!(filter, Some("a > 0"));
        assert_eq!(parts(""), (vec![], None));
    }

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
    fn an_index_that_only_pushes_out_the_same_key_needs_no_guard() {
        let guards = |sql: &str| {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch(sql).unwrap();
            read(&conn, &schema::read(&conn, "t").unwrap()).map_err(|_| ()).unwrap()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(guards("CREATE TABLE t(id INTEGER PRIMARY KEY, v)"), none);
        assert_eq!(
            guards("CREATE TABLE t(a TEXT, b INT, PRIMARY KEY(a, b)) WITHOUT ROWID"),
            none
        );
        assert_eq!(guards("CREATE TABLE t(a, b)"), none);
        assert_eq!(
            guards("CREATE TABLE t(a VARCHAR(9) PRIMARY KEY)"),
            ["\"rowid\" = NEW.\"rowid\""]
        );
        assert_eq!(guards("CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID").len(), 1);
        assert_eq!(
            guards("CREATE TABLE t(a ANY PRIMARY KEY) STRICT, WITHOUT ROWID").len(),
            1
        );
        assert_eq!(guards("CREATE TABLE t(a REAL PRIMARY KEY) WITHOUT ROWID").len(), 1);
        assert_eq!(
            guards("CREATE TABLE t(a TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID"),
            ["\"a\" COLLATE \"NOCASE\" = NEW.\"a\""]
        );
        assert_eq!(
            guards("CREATE TABLE t(id INTEGER PRIMARY KEY, e NOT NULL DEFAULT 'x' UNIQUE, f); CREATE INDEX i ON t(f)"),
            ["\"e\" COLLATE \"BINARY\" = ifnull(NEW.\"e\", ('x'))"]
        );
    }
}
