//! A table's schema as the sink stores it, apart from how schemas travel.
//!
//! It is a JSON object: `{"v":1,"table":NAME,"columns":[COLUMN,...]}`, with `"strict":true`,
//! `"without_rowid":true` and `"own_rowid":true` where they hold. A column is `{"name":NAME}`, with
//! its `"type"`, its place in the primary key as `"pk"`, and its `"collation"` and `"pk_collation"`
//! where they are not BINARY. `own_rowid` says that the only key column, though of type INTEGER, is
//! not the rowid.
//!
//! What was stored without a version, by sinks before this form had one, has the same members.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{Column, TableSchema};
use crate::sqlite::collation::Collation;

/// The version that is written.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct StoredSchema {
    /// None where the form had no version yet.
    v: Option<u32>,
    table: String,
    columns: Vec<StoredColumn>,
    #[serde(default, skip_serializing_if = "is_default")]
    strict: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    without_rowid: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    own_rowid: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredColumn {
    name: String,
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    declared: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pk: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    collation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pk_collation: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl StoredSchema {
    fn of(schema: &TableSchema) -> StoredSchema {
        let not_binary = |name: &String| (name != Collation::BINARY).then(|| name.clone());
        let column = |column: &Column| StoredColumn {
            name: column.name.clone(),
            declared: column.declared.clone(),
            pk: column.pk,
            collation: not_binary(&column.collation),
            pk_collation: Some(&column.pk_collation)
                .filter(|_| column.pk > 0)
                .and_then(not_binary),
        };
        let mut stored = StoredSchema {
            v: Some(VERSION),
            table: schema.table.clone(),
            columns: schema.columns.iter().map(column).collect(),
            strict: schema.strict,
            without_rowid: schema.without_rowid,
            own_rowid: false,
        };
        stored.own_rowid = stored.is_usually_alias() && !schema.rowid_alias;
        stored
    }

    /// Whether the key would be the rowid by the usual rule.
    fn is_usually_alias(&self) -> bool {
        let mut keys = self.columns.iter().filter(|column| column.pk > 0);
        match (keys.next(), keys.next()) {
            (Some(key), None) => !self.without_rowid && key.declared.eq_ignore_ascii_case("INTEGER"),
            _ => false,
        }
    }

    fn into_schema(self) -> TableSchema {
        let or_binary = |name: Option<String>| name.unwrap_or_else(|| Collation::BINARY.to_owned());
        TableSchema {
            rowid_alias: self.is_usually_alias() && !self.own_rowid,
            columns: self
                .columns
                .into_iter()
                .map(|column| Column {
                    name: column.name,
                    declared: column.declared,
                    collation: or_binary(column.collation),
                    pk: column.pk,
                    pk_collation: or_binary(column.pk_collation),
                })
                .collect(),
            table: self.table,
            strict: self.strict,
            without_rowid: self.without_rowid,
        }
    }
}

/// A schema as it is stored.
pub(super) fn write(schema: &TableSchema) -> String {
    serde_json::to_string(&StoredSchema::of(schema)).expect("a schema is always JSON")
}

/// A schema that was stored. An error where it is in a form that this program does not know.
pub(super) fn read(text: &str) -> Result<TableSchema> {
    let stored: StoredSchema =
        serde_json::from_str(text).map_err(|e| Error::failed(format!("this is no table schema: {e}: {text}")))?;
    match stored.v {
        None | Some(VERSION) => Ok(stored.into_schema()),
        Some(version) => Err(Error::failed(format!(
            "a newer Rowferry has stored a table's schema here (version {version}, this one knows up to {VERSION})"
        ))
        .way_out("use that version, or name another file with --sink")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, declared: &str, pk: usize) -> Column {
        Column {
            name: name.into(),
            declared: declared.into(),
            collation: Collation::BINARY.into(),
            pk,
            pk_collation: Collation::BINARY.into(),
        }
    }

    fn users() -> TableSchema {
        TableSchema {
            table: "users".into(),
            columns: vec![column("id", "INTEGER", 1), column("name", "", 0)],
            strict: false,
            without_rowid: false,
            rowid_alias: true,
        }
    }

    /// Everything that is unusual.
    fn wide() -> TableSchema {
        let mut name = column("na\"me", "VARCHAR(20)", 2);
        name.collation = "RTRIM".into();
        name.pk_collation = "NOCASE".into();
        TableSchema {
            table: "täble".into(),
            columns: vec![name, column("n", "INTEGER", 1)],
            strict: true,
            without_rowid: true,
            rowid_alias: false,
        }
    }

    /// Its key is of type INTEGER, and still not the rowid.
    fn descending() -> TableSchema {
        TableSchema {
            rowid_alias: false,
            ..users()
        }
    }

    #[test]
    fn a_schema_is_stored_with_its_version_and_comes_back() {
        assert_eq!(
            write(&users()),
            r#"{"v":1,"table":"users","columns":[{"name":"id","type":"INTEGER","pk":1},{"name":"name"}]}"#
        );
        for schema in [users(), wide(), descending()] {
            assert_eq!(read(&write(&schema)).unwrap(), schema);
        }
    }

    #[test]
    fn what_was_stored_without_a_version_is_read() {
        for (stored, schema) in [
            (
                r#"{"table":"users","columns":[{"name":"id","type":"INTEGER","pk":1},{"name":"name"}]}"#,
                users(),
            ),
            (
                r#"{"table":"täble","columns":[{"name":"na\"me","type":"VARCHAR(20)","pk":2,"collation":"RTRIM","pk_collation":"NOCASE"},{"name":"n","type":"INTEGER","pk":1}],"strict":true,"without_rowid":true}"#,
                wide(),
            ),
            (
                r#"{"table":"users","columns":[{"name":"id","type":"INTEGER","pk":1},{"name":"name"}],"own_rowid":true}"#,
                descending(),
            ),
        ] {
            assert_eq!(read(stored).unwrap(), schema);
        }
    }

    #[test]
    fn a_form_that_is_not_known_is_an_error() {
        let newer = read(r#"{"v":2,"table":"t","columns":[]}"#).unwrap_err().to_string();
        assert!(newer.contains("version 2") && newer.contains("way out"), "{newer}");
        assert!(read("{}").unwrap_err().to_string().contains("no table schema"));
    }
}
