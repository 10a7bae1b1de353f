//! Records that speak of the table.

use super::*;

#[test]
fn the_records_about_the_table_come_back() {
    let header = RunHeader {
        acked: Some((5, 40)),
        full: true,
        partitions: Some(5),
        repartitioned_at: Some(4),
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
    header.repartitioned_at = Some(7);
    assert_eq!(
        said(&header),
        r#""_run":{"acked":null,"full":false,"partitions":3,"moved":7"#
    );
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
    assert!(reason(row.as_bytes(), Some(&super::schema())).contains("is no stamp"));
    assert_eq!(decode::record_id(row.as_bytes()), None);
}

#[test]
fn schemas_that_nothing_uses_take_no_memory() {
    let schemas = crate::model::Schemas::default();
    let mut reader = crate::wire::rows::Reader::new(None, schemas.clone());
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
