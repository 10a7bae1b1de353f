//! What one end writes the other reads.

use super::decode::{self, Record, RecordKey};
use super::encode::{Encoder, placeholder};
use crate::model::{Column, RunHeader, TableSchema, Value};

fn column(name: &str, declared: &str, pk: usize, pk_collation: &str) -> Column {
    Column {
        name: name.into(),
        declared: declared.into(),
        collation: "BINARY".into(),
        pk,
        pk_collation: pk_collation.into(),
    }
}

fn schema() -> TableSchema {
    TableSchema {
        table: "us\"ers".into(),
        columns: vec![
            column("id", "TEXT", 2, "NOCASE"),
            column("a \"b\"", "", 0, "BINARY"),
            column("n", "INT", 1, "BINARY"),
        ],
        strict: false,
        without_rowid: false,
        rowid_alias: false,
    }
}

fn encoder() -> Encoder {
    Encoder::new(schema().into(), "s0", 7)
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.as_bytes().into())
}

fn written(write: impl FnOnce(&Encoder, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&encoder(), &mut out);
    String::from_utf8(out).unwrap()
}

fn reason(value: &[u8], schema: Option<&TableSchema>) -> String {
    match decode::record(value, schema, Vec::new()) {
        Err(reason) => reason,
        Ok(_) => panic!("{} was read", String::from_utf8_lossy(value)),
    }
}

#[test]
fn a_row_is_a_plain_object_and_comes_back_in_column_order() {
    let row = [text("K1"), Value::Null, Value::Integer(3)];
    let json = written(|e, out| e.row(&row, 12, out));
    assert_eq!(json, r#"{"id":"K1","a \"b\"":null,"n":3,"_ferry":"s0.7.12"}"#);
    match decode::record(json.as_bytes(), Some(&schema()), Vec::new()).unwrap() {
        Record::Row { id, row: back } => {
            assert_eq!(back, row);
            assert_eq!((id.source, id.epoch, id.seq), ("s0", 7, 12));
        }
        _ => panic!("no row"),
    };
    let Ok(Record::RowWithoutSchema { row: by_name, .. }) = decode::record(json.as_bytes(), None, Vec::new()) else {
        panic!("without the schema it is a row by names");
    };
    assert_eq!(by_name[1], ("a \"b\"".into(), Value::Null));
}

#[test]
fn a_row_that_another_program_wrote_anew_is_still_a_row() {
    let spaced = r#"{ "id": 1, "a \"b\"": "x", "n" :null, "_ferry": "s.1.1" }"#;
    let Ok(Record::Row { row, id }) = decode::record(spaced.as_bytes(), Some(&schema()), Vec::new()) else {
        panic!("no row");
    };
    assert_eq!(row[0], Value::Integer(1));
    assert_eq!(row[2], Value::Null);
    assert_eq!((id.source, id.seq), ("s", 1));
}

#[test]
fn what_follows_the_id_is_not_taken_for_a_part_of_it() {
    let schema = TableSchema {
        columns: schema().columns[..1].to_vec(),
        ..schema()
    };
    for bad in [
        r#"{"id":1,"_ferry":"s.1.1","m":"s.1.1"}"#,
        r#"{"id":1,"_ferry":"s\".1.1"}"#,
    ] {
        let read = decode::record(bad.as_bytes(), Some(&schema), Vec::new());
        assert!(read.is_err(), "{bad}");
    }
}

#[test]
fn a_row_whose_members_are_not_the_columns_is_refused() {
    for bad in [
        r#"{"id":1,"n":3,"_ferry":"s.1.1"}"#,
        r#"{"id":1,"n":3,"a \"b\"":2,"_ferry":"s.1.1"}"#,
        r#"{"id":1,"a \"b\"":2,"n":3,"m":4,"_ferry":"s.1.1"}"#,
        r#"{"id":1,"a \"b\"":2,"n":[3],"_ferry":"s.1.1"}"#,
        r#"{"id":1,"a \"b\"":2,"n":3,"_ferry":"s.1.1","m":"s.1.1"}"#,
    ] {
        assert!(
            reason(bad.as_bytes(), Some(&schema())).contains("columns of table"),
            "{bad}"
        );
    }
}

#[test]
fn a_deletion_names_the_key_in_key_order() {
    let key = [Value::Integer(3), text("K1")];
    let json = written(|e, out| e.deletion(&key, 13, out));
    assert_eq!(json, r#"{"n":3,"id":"K1","__deleted":true,"_ferry":"s0.7.13"}"#);
    match decode::record(json.as_bytes(), Some(&schema()), Vec::new()).unwrap() {
        Record::Deletion { key: back, .. } => {
            assert!(back.iter().map(|(_, v)| v).eq(&key));
        }
        _ => panic!("no deletion"),
    };
    assert!(reason(br#"{"id":1,"n":3,"__deleted":true,"_ferry":"s.1.1"}"#, Some(&schema())).contains("key"));
    assert!(reason(br#"{"n":1,"id":3,"__deleted":1,"_ferry":"s.1.1"}"#, Some(&schema())).contains("__deleted"));
}

#[test]
fn keys_that_compare_equal_share_a_partition_key() {
    let folded = |key: [Value<'_>; 2]| {
        let (mut out, mut own) = (Vec::new(), Vec::new());
        encoder().key(&key, &mut own);
        if encoder().partition_key(&key, &mut out) {
            out
        } else {
            own
        }
    };
    let plain = folded([Value::Integer(1), text("k1")]);
    assert_eq!(plain, br#"{"n":1,"id":"k1"}"#);
    assert_eq!(folded([Value::Real(1.0), text("K1")]), plain);
    assert_ne!(folded([Value::Real(1.5), text("k1")]), plain);
    let cut = folded([Value::Integer(1), text("K\0ab")]);
    assert_eq!(folded([Value::Integer(1), text("k\0Xy")]), cut);
    assert_ne!(folded([Value::Integer(1), text("k\0abc")]), cut);
    assert_eq!(
        folded([Value::Real(9223372036854775808.0), text("k")]),
        br#"{"n":9.223372036854776e+18,"id":"k"}"#
    );
}

#[test]
fn the_records_about_the_table_come_back() {
    let header = RunHeader {
        acked: Some((5, 40)),
        full: true,
        partitions: Some(5),
        moved: Some(4),
    };
    let mut json = Vec::new();
    let encoder = encoder().with_table_id("the first name".into());
    encoder.schema_record(Some(&header), Some(99), 1, &mut json);
    let json = String::from_utf8(json).unwrap();
    match decode::record(json.as_bytes(), None, Vec::new()).unwrap() {
        Record::Schema {
            schema: back,
            header: Some(header_back),
            table_id,
            begin: Some(99),
            id,
        } => {
            assert_eq!(table_id.as_deref(), Some("the first name"));
            assert_eq!(*back, schema());
            assert_eq!(header_back, header);
            assert_eq!(id.seq, 1);
        }
        _ => panic!("{json}"),
    };
    let json = written(|e, out| e.schema_record(None, None, 2, out));
    assert!(matches!(
        decode::record(json.as_bytes(), Some(&schema()), Vec::new()),
        Ok(Record::Schema {
            table_id: None,
            header: None,
            begin: None,
            ..
        })
    ));
    let json = written(|e, out| e.pass_end(99, 3, out));
    assert!(matches!(
        decode::record(json.as_bytes(), Some(&schema()), Vec::new()),
        Ok(Record::PassEnd { pass: 99, .. })
    ));
    let row = written(|e, out| e.row(&[text("x"), text(",\"_ferry\":"), Value::Null], 4, out));
    let (key, value) = placeholder("{\"n\":1}", "too large", Some(row.as_bytes()));
    assert_eq!(key, br#"{"_kept":"{\"n\":1}"}"#);
    let value = value.unwrap();
    match decode::record(&value, Some(&schema()), Vec::new()).unwrap() {
        Record::Placeholder { id, key, reason } => {
            assert_eq!((id.seq, &*key, &*reason), (4, "{\"n\":1}", "too large"));
        }
        _ => panic!("{}", String::from_utf8_lossy(&value)),
    };
}

#[test]
fn a_run_header_tells_of_partitions_only_what_its_run_knows() {
    let said = |header: &RunHeader| {
        let json = written(|e, out| e.schema_record(Some(header), None, 1, out));
        match decode::record(json.as_bytes(), None, Vec::new()).unwrap() {
            Record::Schema { header: Some(back), .. } => assert_eq!(back, *header),
            _ => panic!("{json}"),
        };
        let at = json.find("\"_run\"").unwrap();
        json[at..].split_once('}').unwrap().0.to_owned()
    };
    // As runs wrote it before there was a count.
    let mut header = RunHeader::default();
    assert_eq!(said(&header), r#""_run":{"acked":null,"full":false"#);
    header.partitions = Some(3);
    assert_eq!(said(&header), r#""_run":{"acked":null,"full":false,"partitions":3"#);
    header.moved = Some(7);
    assert_eq!(
        said(&header),
        r#""_run":{"acked":null,"full":false,"partitions":3,"moved":7"#
    );
}

#[test]
fn others_records_are_read_by_name() {
    let json = br#" {"b": true, "n": {"x": [1, 2]}, "l": [], "t": {"$blob": "AA=="}, "big": 18446744073709551615} "#;
    let Ok(Record::Foreign(members)) = decode::record(json, Some(&schema()), Vec::new()) else {
        panic!("no foreign record");
    };
    let values: Vec<_> = members.into_iter().map(|(_, value)| value).collect();
    assert_eq!(
        values,
        [
            Value::Integer(1),
            text("{\"x\": [1, 2]}"),
            text("[]"),
            Value::Blob(vec![0].into()),
            Value::Real(18446744073709551615.0),
        ]
    );
    assert!(matches!(decode::record(b"", None, Vec::new()), Ok(Record::Empty)));
}

#[test]
fn bad_records_are_refused_with_a_reason() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for (bad, why) in [
        (&b"\xff\xfe{}"[..], "not UTF-8"),
        (b"{\"a\":1", "EOF"),
        (b"{\"a\":1} x", "trailing"),
        (b"[1,2]", "no JSON object"),
        (b"7", "no JSON object"),
        (b"{\"a\":1,\"a\":2}", "stands twice"),
        (b"{\"a\":1,\"_ferry\":\"x\"}", "no stamp"),
        (b"{\"a\":1e999}", "out of range"),
        (deep.as_bytes(), "levels deep"),
    ] {
        let reason = reason(bad, None);
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn a_key_is_an_object_or_a_bare_value() {
    assert!(matches!(decode::key(b"{\"id\":1}"), Ok(RecordKey::Object(m)) if m[0] == ("id".into(), Value::Integer(1))));
    assert!(matches!(decode::key(b"17"), Ok(RecordKey::Bare(Value::Integer(17)))));
    assert!(matches!(decode::key(b"till-1"), Ok(RecordKey::Bare(v)) if v == text("till-1")));
    assert!(matches!(decode::key(b""), Ok(RecordKey::None)));
    assert!(decode::key(b"{\"id\":1").is_err());
    assert!(decode::key(b"\xff").is_err());
}

#[test]
fn numbers_that_no_run_has_are_refused_where_they_are_read() {
    let schema = r#""_schema":{"table":"t","columns":[{"name":"id"}]}"#;
    let record = |members: &str, id: &str| format!("{{{schema}{members},\"_ferry\":\"{id}\"}}");
    let read = |json: &str| decode::record(json.as_bytes(), None, Vec::new()).map(|record| record.id().unwrap().seq);
    assert_eq!(
        read(&record(
            r#","_run":{"acked":"6.3","full":false,"partitions":3,"moved":7}"#,
            "s.7.1"
        )),
        Ok(1)
    );
    assert_eq!(read(&record(r#","_pass":{"begin":7}"#, "s.7.1")), Ok(1));
    for (members, id, why) in [
        ("", "s.7.0", "is no stamp"),
        ("", "s.0.1", "is no stamp"),
        ("", "s.7.18446744073709551615", "is no stamp"),
        ("", "s.16725225600000000.1", "is no stamp"),
        (
            r#","_run":{"acked":null,"full":false,"partitions":0}"#,
            "s.7.1",
            "0 partitions",
        ),
        (
            r#","_run":{"acked":null,"full":false,"partitions":-7}"#,
            "s.7.1",
            "-7 partitions",
        ),
        (
            r#","_run":{"acked":null,"full":false,"partitions":2147483648}"#,
            "s.7.1",
            "\"_run\"",
        ),
        (r#","_run":{"acked":"6.0","full":false}"#, "s.7.1", "acked is \"6.0\""),
        (
            r#","_run":{"acked":"6.18446744073709551615","full":true}"#,
            "s.7.1",
            "acked is",
        ),
        (
            r#","_run":{"acked":"99999999999999999.1","full":true}"#,
            "s.7.1",
            "acked is",
        ),
        (
            r#","_run":{"acked":null,"full":false,"moved":18446744073709551615}"#,
            "s.7.1",
            "no run has the number",
        ),
        (
            r#","_pass":{"begin":18446744073709551615}"#,
            "s.7.1",
            "can have begun no pass",
        ),
        (
            r#","_pass":{"begin":16725225599999999}"#,
            "s.7.1",
            "can have begun no pass",
        ),
        (r#","_pass":{"begin":0}"#, "s.7.1", "can have begun no pass 0"),
    ] {
        let reason = read(&record(members, id)).unwrap_err();
        assert!(reason.contains(why), "{members} {id}: {reason}");
    }
    let end = read(r#"{"_pass":{"end":18446744073709551615},"_ferry":"s.7.1"}"#).unwrap_err();
    assert!(end.contains("can have begun no pass"), "{end}");
    // The fast way to a row's id is no way around.
    let row = r#"{"id":"a","a \"b\"":2,"n":3,"_ferry":"s.7.0"}"#;
    assert!(reason(row.as_bytes(), Some(&self::schema())).contains("is no stamp"));
    assert_eq!(decode::record_id(row.as_bytes()), None);
}

/// Numbers for a property test: always the same ones.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Text in which everything stands that JSON escapes, and what looks like an escape.
    fn text(&mut self, longest: usize) -> String {
        const PARTS: [&str; 22] = [
            "a",
            "Z",
            "7",
            "\"",
            "\\",
            "\\n",
            "\\u0041",
            "\\\"",
            "\n",
            "\r",
            "\t",
            "\u{1}",
            "\u{1f}",
            "\u{7f}",
            "\u{80}",
            "\u{e9}",
            "\u{2028}",
            "\u{1f980}",
            "\":",
            ",\"",
            "{",
            "}",
        ];
        (0..self.below(longest + 1))
            .map(|_| PARTS[self.below(PARTS.len())])
            .collect()
    }

    fn value(&mut self) -> Value<'static> {
        match self.below(6) {
            0 => Value::Null,
            1 => Value::Integer(self.below(1 << 20) as i64 - (1 << 19)),
            2 => Value::Real(self.below(1 << 20) as f64 / 64.0),
            3 => Value::Blob(self.text(6).into_bytes().into()),
            4 => Value::Text(b"\xff\xfe".as_slice().into()),
            _ => Value::Text(self.text(12).into_bytes().into()),
        }
    }
}

/// A row as the reader of names has it, where the fast one must not differ.
fn read_by_name(json: &str, schema: &TableSchema) -> Option<Vec<Value<'static>>> {
    // A space is nothing to JSON, and the fast reader reads none.
    let spaced = json.replacen('{', "{ ", 1);
    match decode::record(spaced.as_bytes(), Some(schema), Vec::new()) {
        Ok(Record::Row { row, .. }) => Some(row.into_iter().map(Value::into_owned).collect()),
        _ => None,
    }
}

#[test]
fn both_readers_agree_with_the_writer_whatever_columns_are_called() {
    let mut chance = Chance(7);
    for round in 0..20_000 {
        let mut names: Vec<String> = (0..=chance.below(4)).map(|_| chance.text(5)).collect();
        names.sort_unstable();
        names.dedup();
        let schema = TableSchema {
            columns: names
                .iter()
                .map(|name| column(name, "", usize::from(*name == names[0]), "BINARY"))
                .collect(),
            ..schema()
        };
        let row: Vec<Value<'_>> = names.iter().map(|_| chance.value()).collect();
        let mut json = Vec::new();
        Encoder::new(schema.clone().into(), "s0", 7).row(&row, 12, &mut json);
        let json = String::from_utf8(json).unwrap();
        let mut fast = Vec::new();
        let id = super::scan::row(&json, &schema, |found| fast.push(found.value()));
        assert_eq!((id, &fast), (Some("s0.7.12"), &row), "round {round}: {json}");
        assert_eq!(
            read_by_name(&json, &schema).as_ref(),
            Some(&row),
            "round {round}: {json}"
        );
    }
}

#[test]
fn the_fast_reader_takes_no_other_name_for_a_column() {
    let mut chance = Chance(9);
    for round in 0..50_000 {
        // A member as somebody else may write it, and a column that is called as the member is
        // spelled, or nearly so.
        let spelled = chance.text(4);
        let name = if chance.below(2) == 0 {
            spelled.clone()
        } else {
            chance.text(4)
        };
        let schema = TableSchema {
            columns: vec![column(&name, "", 1, "BINARY")],
            ..schema()
        };
        let json = format!("{{\"{spelled}\":1,\"_ferry\":\"s.7.1\"}}");
        let mut fast = Vec::new();
        if super::scan::row(&json, &schema, |found| fast.push(found.value()))
            .and_then(super::scan::record_id)
            .is_some()
        {
            assert_eq!(
                Some(fast),
                read_by_name(&json, &schema),
                "round {round}: {json} for {name:?}"
            );
        }
    }
}

#[test]
fn schemas_that_nothing_uses_take_no_memory() {
    let schemas = crate::model::Schemas::default();
    let mut reader = super::rows::Reader::new(None, schemas.clone());
    let values: Vec<Vec<u8>> = (0..5000)
        .map(|i| {
            let schema = TableSchema {
                table: format!("t{i}"),
                ..schema()
            };
            let mut json = Vec::new();
            Encoder::new(schema.into(), "s0", 7).schema_record(None, None, i + 1, &mut json);
            json
        })
        .collect();
    reader.read(values.iter().map(|value| (&b"{}"[..], value.as_slice())), &mut 1000);
    assert_eq!(schemas.in_use(), 1, "the reader uses the last one");
}
