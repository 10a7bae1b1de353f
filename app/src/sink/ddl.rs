//! The SQL that is written for a table: names are quoted, types are checked, values are only ever
//! bound.

use std::fmt::Write;

use crate::model::{Column, ROWID, TableSchema};

use crate::sqlite::affinity::Affinity;
use crate::sqlite::collation::Collation;
use crate::sqlite::ffi::is_keyword;
use crate::sqlite::names::{quote, rowid_name};
use crate::sqlite::values::EXACTLY;

const STRICT_TYPES: [&str; 6] = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];

/// The table that the sink makes for a schema: its types, collations and primary key, as far as
/// they are safe to write.
pub(super) fn shape(schema: &TableSchema) -> TableSchema {
    let mut shape = schema.clone();
    let keys = shape.columns.iter().filter(|c| c.pk > 0).count();
    shape.without_rowid &= keys > 0;
    for column in &mut shape.columns {
        column.declared = safe_type(&column.declared, schema.strict);
        column.collation = known_collation(&column.collation);
        column.pk_collation = known_collation(&column.pk_collation);
    }
    let integer_key = |c: &&mut Column| c.pk > 0 && c.declared.eq_ignore_ascii_case("INTEGER");
    match shape.columns.iter_mut().find(integer_key) {
        Some(_) if keys == 1 && shape.rowid_alias && !shape.without_rowid => {}
        // Only under this other name of the type is a single INTEGER key column not the rowid.
        Some(column) if keys == 1 && !shape.without_rowid => {
            column.declared = "INT".into();
            shape.rowid_alias = false;
        }
        _ => shape.rowid_alias = false,
    }
    shape
}

/// Takes the type away from a column, so that it keeps every value as it is.
pub(super) fn loosen(shape: &mut TableSchema, column: usize) {
    shape.columns[column].declared = if shape.strict { "ANY".into() } else { String::new() };
    shape.rowid_alias &= shape.columns[column].pk == 0;
}

fn known_collation(name: &str) -> String {
    let known = Collation::named(name).unwrap_or(Collation::Binary);
    known.name().to_owned()
}

/// The declared type itself when it is plain words and one optional (n[,m]); otherwise the name of
/// its affinity.
fn safe_type(declared: &str, strict: bool) -> String {
    if strict {
        let known = STRICT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(declared));
        return if known { declared.into() } else { "ANY".into() };
    }
    if declared.is_empty() || is_plain_type(declared) {
        return declared.into();
    }
    match Affinity::of(declared, false) {
        Affinity::Text => "TEXT",
        Affinity::Real => "REAL",
        Affinity::Numeric if declared.to_ascii_uppercase().contains("INT") => "INTEGER",
        Affinity::Numeric => "NUMERIC",
        _ => "BLOB",
    }
    .into()
}

fn is_plain_type(declared: &str) -> bool {
    let (words, numbers) = match declared.split_once('(') {
        Some((words, rest)) => (words, rest.strip_suffix(')')),
        None => (declared, Some("0")),
    };
    let is_number =
        |n: &str| !n.trim_matches(' ').is_empty() && n.trim_matches(' ').bytes().all(|b| b.is_ascii_digit());
    let numbers_are_plain = numbers.is_some_and(|n| n.split(',').count() <= 2 && n.split(',').all(is_number));
    numbers_are_plain
        && words.split(' ').any(|w| !w.is_empty())
        && words.split(' ').all(|w| w.is_empty() || is_plain_word(w))
}

/// A word that no parser can take for the beginning of a constraint.
fn is_plain_word(word: &str) -> bool {
    let mut bytes = word.bytes();
    let letters = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    letters && !is_keyword(word)
}

/// The statement that makes the table under the given name.
pub(super) fn create_table(shape: &TableSchema, name: &str) -> String {
    let mut sql = format!("CREATE TABLE {} (", quote(name));
    for (i, column) in shape.columns.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let _ = write!(sql, "{comma}{}", quote(&column.name));
        if !column.declared.is_empty() {
            let _ = write!(sql, " {}", column.declared);
        }
        if column.collation != Collation::BINARY {
            let _ = write!(sql, " COLLATE {}", column.collation);
        }
    }
    if !shape.keyed_by_rowid() {
        let _ = write!(sql, ", PRIMARY KEY ({})", key_list(shape));
    }
    sql.push(')');
    match (shape.strict, shape.without_rowid) {
        (true, true) => sql.push_str(" STRICT, WITHOUT ROWID"),
        (true, false) => sql.push_str(" STRICT"),
        (false, true) => sql.push_str(" WITHOUT ROWID"),
        (false, false) => {}
    }
    sql
}

/// The key's columns with the collations by which the key compares them.
fn key_list(shape: &TableSchema) -> String {
    let column = |i: usize| match &shape.columns[i] {
        c if shape.rowid_alias => quote(&c.name),
        c => format!("{} COLLATE {}", quote(&c.name), c.pk_collation),
    };
    shape.key().into_iter().map(column).collect::<Vec<_>>().join(", ")
}

/// How the parts of the key are written in SQL, in key order.
pub(super) fn key_expressions(shape: &TableSchema) -> Vec<String> {
    if shape.keyed_by_rowid() {
        return vec![rowid_name(shape).unwrap_or(ROWID).into()];
    }
    shape.key().into_iter().map(|i| quote(&shape.columns[i].name)).collect()
}

/// Inserts or updates one row: the rowid first where it is the key, then all columns in order.
pub(super) fn upsert(shape: &TableSchema) -> String {
    let columns: Vec<_> = shape.columns.iter().map(|c| quote(&c.name)).collect();
    let mut targets = columns.clone();
    let mut conflict = key_list(shape);
    if shape.keyed_by_rowid() {
        conflict = rowid_name(shape).unwrap_or(ROWID).into();
        targets.insert(0, conflict.clone());
    }
    let values: Vec<_> = (1..=targets.len()).map(|i| format!("?{i}")).collect();
    // The key is set too: a NOCASE key may come in another spelling. The rowid has only one.
    let is_set = |(column, _): &(&Column, &String)| !(shape.rowid_alias && column.pk > 0);
    let set = shape.columns.iter().zip(&columns).filter(is_set);
    let sets: Vec<_> = set.map(|(_, name)| format!("{name} = excluded.{name}")).collect();
    let action = if sets.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", sets.join(", "))
    };
    format!(
        "INSERT INTO {} AS {ROW} ({}) VALUES ({}) ON CONFLICT ({conflict}) DO {action}",
        quote(&shape.table),
        targets.join(", "),
        values.join(", ")
    )
}

/// Deletes the row whose key is the same to the last bit; the first comparison finds it, the second
/// makes sure.
pub(super) fn delete(shape: &TableSchema) -> String {
    let key = shape.key();
    let part = |(i, name): (usize, &String)| {
        let collation = key.get(i).map_or("BINARY", |&k| &shape.columns[k].pk_collation);
        let p = i + 1;
        format!("{name} COLLATE {collation} = ?{p} AND {EXACTLY}({name}, ?{p})")
    };
    let parts: Vec<_> = key_expressions(shape).iter().enumerate().map(part).collect();
    format!("DELETE FROM {} WHERE {}", quote(&shape.table), parts.join(" AND "))
}

/// What an upsert calls the table, which may itself be named "excluded".
const ROW: &str = "_rowferry_row";

/// The SQL function that is true for each row of a long statement, until the user wants to stop:
/// then it fails.
pub(super) const GO_ON: &str = "_rowferry_go_on";
