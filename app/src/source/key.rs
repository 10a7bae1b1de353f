//! The key of a table, in SQL.

use crate::model::TableSchema;
use crate::sqlite::names::{quote, rowid_name};

/// The names by which a statement reaches the key: the primary key's columns, or the rowid.
pub(super) fn names(schema: &TableSchema) -> Vec<String> {
    match rowid_name(schema) {
        Some(rowid) if schema.keyed_by_rowid() => vec![rowid.to_owned()],
        _ => schema
            .key()
            .into_iter()
            .map(|i| schema.columns[i].name.clone())
            .collect(),
    }
}

/// Whether the key is the rowid, under whatever name.
pub(super) fn is_rowid(schema: &TableSchema) -> bool {
    schema.keyed_by_rowid() || schema.rowid_alias
}

/// What orders a table's b-tree: its rowid, or its key.
pub(super) fn order(schema: &TableSchema) -> Vec<String> {
    match rowid_name(schema) {
        Some(rowid) => vec![quote(rowid)],
        None => schema.key().into_iter().map(|i| collated_column(schema, i)).collect(),
    }
}

/// A key column, to be compared as the key's index compares it.
fn collated_column(schema: &TableSchema, column: usize) -> String {
    let column = &schema.columns[column];
    if column.collation == column.pk_collation {
        return quote(&column.name);
    }
    format!("{} COLLATE {}", quote(&column.name), column.pk_collation)
}

/// The names of the key, to be compared as the key's index compares them.
pub(super) fn collated(schema: &TableSchema) -> Vec<String> {
    if schema.keyed_by_rowid() {
        return names(schema).iter().map(|name| quote(name)).collect();
    }
    schema.key().into_iter().map(|i| collated_column(schema, i)).collect()
}
