//! A table's schema as JSON: only what differs from the usual is written.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{Column, TableSchema};

const BINARY: &str = "BINARY";

#[derive(Serialize, Deserialize)]
pub(super) struct SchemaJson<'a> {
    #[serde(borrow)]
    table: Cow<'a, str>,
    /// What tells the table from others of its source, whatever it is called; only as it travels,
    /// and not from earlier versions.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    columns: Vec<ColumnJson<'a>>,
    #[serde(default, skip_serializing_if = "is_false")]
    strict: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    without_rowid: bool,
    /// The single INTEGER key column is, unusually, not the rowid.
    #[serde(default, skip_serializing_if = "is_false")]
    own_rowid: bool,
}

#[derive(Serialize, Deserialize)]
struct ColumnJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default, rename = "type", skip_serializing_if = "str::is_empty")]
    declared: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pk: usize,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    collation: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pk_collation: Option<Cow<'a, str>>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Whether a single INTEGER key column would be the rowid by the usual rule.
fn usually_alias(columns: &[(usize, &str)], without_rowid: bool) -> bool {
    let mut keys = columns.iter().filter(|(pk, _)| *pk > 0);
    match (keys.next(), keys.next()) {
        (Some((_, declared)), None) => !without_rowid && declared.eq_ignore_ascii_case("INTEGER"),
        _ => false,
    }
}

impl<'a> From<&'a TableSchema> for SchemaJson<'a> {
    fn from(schema: &'a TableSchema) -> Self {
        let not_binary = |name: &'a str| (name != BINARY).then_some(Cow::Borrowed(name));
        let kinds: Vec<_> = schema.columns.iter().map(|c| (c.pk, c.declared.as_str())).collect();
        Self {
            table: Cow::Borrowed(&schema.table),
            id: None,
            columns: schema
                .columns
                .iter()
                .map(|c| ColumnJson {
                    name: Cow::Borrowed(&c.name),
                    declared: Cow::Borrowed(&c.declared),
                    pk: c.pk,
                    collation: not_binary(&c.collation),
                    pk_collation: (c.pk > 0).then(|| not_binary(&c.pk_collation)).flatten(),
                })
                .collect(),
            strict: schema.strict,
            without_rowid: schema.without_rowid,
            own_rowid: usually_alias(&kinds, schema.without_rowid) && !schema.rowid_alias,
        }
    }
}

impl From<SchemaJson<'_>> for TableSchema {
    fn from(json: SchemaJson<'_>) -> Self {
        let or_binary = |name: Option<Cow<'_, str>>| name.map_or_else(|| BINARY.to_owned(), Cow::into_owned);
        let kinds: Vec<_> = json.columns.iter().map(|c| (c.pk, &*c.declared)).collect();
        let rowid_alias = usually_alias(&kinds, json.without_rowid) && !json.own_rowid;
        Self {
            table: json.table.into_owned(),
            columns: json
                .columns
                .into_iter()
                .map(|c| Column {
                    name: c.name.into_owned(),
                    declared: c.declared.into_owned(),
                    collation: or_binary(c.collation),
                    pk: c.pk,
                    pk_collation: or_binary(c.pk_collation),
                })
                .collect(),
            strict: json.strict,
            without_rowid: json.without_rowid,
            rowid_alias,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_json(schema: &TableSchema) -> String {
        serde_json::to_string(&SchemaJson::from(schema)).unwrap()
    }

    fn from_json(text: &str) -> TableSchema {
        serde_json::from_str::<SchemaJson>(text).unwrap().into()
    }

    fn column(name: &str, declared: &str, pk: usize) -> Column {
        Column {
            name: name.into(),
            declared: declared.into(),
            collation: BINARY.into(),
            pk,
            pk_collation: BINARY.into(),
        }
    }

    #[test]
    fn a_usual_table_travels_as_the_plainest_json() {
        let schema = TableSchema {
            table: "users".into(),
            columns: vec![column("id", "INTEGER", 1), column("name", "", 0)],
            strict: false,
            without_rowid: false,
            rowid_alias: true,
        };
        let json = to_json(&schema);
        assert_eq!(
            json,
            r#"{"table":"users","columns":[{"name":"id","type":"INTEGER","pk":1},{"name":"name"}]}"#
        );
        assert_eq!(from_json(&json), schema);
    }

    #[test]
    fn everything_unusual_comes_back() {
        let mut name = column("na\"me", "VARCHAR(20)", 2);
        name.collation = "RTRIM".into();
        name.pk_collation = "NOCASE".into();
        let wide = TableSchema {
            table: "täble".into(),
            columns: vec![name, column("n", "INTEGER", 1)],
            strict: true,
            without_rowid: true,
            rowid_alias: false,
        };
        assert_eq!(from_json(&to_json(&wide)), wide);
        let desc = TableSchema {
            columns: vec![column("id", "INTEGER", 1)],
            strict: false,
            without_rowid: false,
            ..wide
        };
        assert_eq!(from_json(&to_json(&desc)), desc);
    }
}
