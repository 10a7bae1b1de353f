//! Others' records and keys, and what is no record.

use super::*;

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
}

#[test]
fn bad_records_are_refused_with_a_reason() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for (bad, why) in [
        (&b"\xff\xfe{}"[..], "not UTF-8"),
        (b"", "neither a row nor a deletion"),
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
    let key = |key| decode::key(Some(key));
    assert!(matches!(key(b"{\"id\":1}"), Ok(RecordKey::Object(m)) if m[0] == ("id".into(), Value::Integer(1))));
    assert!(matches!(key(b"17"), Ok(RecordKey::Bare(Value::Integer(17)))));
    assert!(matches!(key(b"till-1"), Ok(RecordKey::Bare(v)) if v == text("till-1")));
    assert!(matches!(key(b""), Ok(RecordKey::Bare(v)) if v == text("")));
    assert!(matches!(decode::key(None), Ok(RecordKey::None)));
    assert!(key(b"{\"id\":1").is_err());
    assert!(key(b"\xff").is_err());
}
