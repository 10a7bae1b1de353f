//! Rows, deletions and what decides their partition.

use super::*;

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
