//! Records that others wrote land as plain rows, and others can read ours.

use std::process::Command;
use std::time::Duration;

use rusqlite::types::Value;
use serde_json::Value as Json;

use crate::support::*;

/// A record as a person writes it.
fn record(key: &str, value: &str) -> Record {
    Record::new(key, value)
}

/// A topic with one partition, so that its records have an order.
fn workspace(sentence: &str) -> Workspace {
    let ws = Workspace::new(sentence);
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    ws
}

/// Lands what kcat writes.
fn land(ws: &Workspace, records: &[Record]) -> Run {
    write_records(ws.cluster(), ws.topic(), 0, records);
    ws.consumer(&["--until-caught-up"]).ok().never_says("were no rows")
}

/// A query on the table that the topic landed in, as SQLite would write its values.
fn table(ws: &Workspace, columns: &str) -> Vec<String> {
    let quoted: Vec<String> = columns.split(", ").map(|column| format!("quote({column})")).collect();
    let query = format!(
        "SELECT concat_ws(' ', {}) FROM \"{}\" ORDER BY rowid",
        quoted.join(", "),
        ws.topic()
    );
    texts(&ws.rows(&ws.sink(), &query))
}

fn texts(rows: &[Vec<Value>]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("no text but {other:?}"),
    };
    rows.iter().map(|row| text(&row[0])).collect()
}

#[test]
fn values_of_others_land_untyped_and_unconverted() {
    let ws = workspace("strings stay text, numbers numbers, nested JSON is text, true and false are 1 and 0");
    let values = [
        (r#""00123""#, "'00123'"),
        (r#""""#, "''"),
        (r#""caf\u00e9 \ud83d\ude80 \"q\"""#, "'café 🚀 \"q\"'"),
        ("30", "30"),
        ("-0", "0.0"),
        ("1.0", "1.0"),
        ("1.5e3", "1500.0"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "1.8446744073709552e+19"),
        ("true", "1"),
        ("false", "0"),
        ("null", "NULL"),
        (r#"["a", {"b":1}]"#, r#"'["a", {"b":1}]'"#),
        (
            r#"{"city":"Oslo","geo":[59.9,10.7]}"#,
            r#"'{"city":"Oslo","geo":[59.9,10.7]}'"#,
        ),
        ("[]", "'[]'"),
        ("{}", "'{}'"),
    ];
    let members: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(at, (json, _))| format!("\"c{at}\":{json}"))
        .collect();
    land(&ws, &[Record::new(r#"{"id":1}"#, format!("{{{}}}", members.join(",")))]);
    for (at, (json, landed)) in values.iter().enumerate() {
        assert_eq!(table(&ws, &format!("c{at}")), [*landed], "{json}");
    }
    let declared = format!("SELECT group_concat(type, '') FROM pragma_table_info('{}')", ws.topic());
    assert_eq!(texts(&ws.rows(&ws.sink(), &declared)), [""], "a column has a type");
    let city = format!("SELECT json_extract(c14, '$.city') FROM \"{}\"", ws.topic());
    assert_eq!(texts(&ws.rows(&ws.sink(), &city)), ["Oslo"]);
}

#[test]
fn an_object_for_a_key_is_the_primary_key() {
    let ws = workspace("a record replaces the row with its key, an empty value deletes it");
    land(
        &ws,
        &[
            record(r#"{"shop":"a","nr":1}"#, r#"{"what":"tea","price":3.5}"#),
            record(r#"{"shop":"a","nr":2}"#, r#"{"what":"milk","price":1}"#),
            record(
                r#"{"nr":1,"shop":"b"}"#,
                r#"{"nr":1,"shop":"b","price":2,"what":"nuts"}"#,
            ),
            record(r#"{"shop":"a","nr":3}"#, r#"{"what":"salt"}"#),
        ],
    );
    let key = format!(
        "SELECT group_concat(name || pk, ' ') FROM pragma_table_info('{}') WHERE pk",
        ws.topic()
    );
    assert_eq!(texts(&ws.rows(&ws.sink(), &key)), ["shop1 nr2"]);
    let all = "shop, nr, what, price";
    let first = [
        "'a' 1 'tea' 3.5",
        "'a' 2 'milk' 1",
        "'b' 1 'nuts' 2",
        "'a' 3 'salt' NULL",
    ];
    assert_eq!(table(&ws, all), first);
    land(
        &ws,
        &[
            record(r#"{"shop":"a","nr":1}"#, r#"{"what":"green tea","price":4}"#),
            record(r#"{"shop":"a","nr":2}"#, ""),
            record(r#"{"nr":3,"shop":"a"}"#, ""),
            record(r#"{"shop":"z","nr":99}"#, ""), // never there
        ],
    );
    assert_eq!(table(&ws, all), ["'a' 1 'green tea' 4", "'b' 1 'nuts' 2"]);
    land(&ws, &[record(r#"{"shop":"a","nr":2}"#, r#"{"what":"milk again"}"#)]);
    assert_eq!(table(&ws, "shop, nr, what").len(), 3);
}

#[test]
fn new_members_become_new_columns() {
    let ws = workspace("a member that comes later is a column that earlier rows have NULL in");
    let lines = |columns| table(&ws, columns);
    land(
        &ws,
        &[
            record(r#"{"id":1}"#, r#"{"name":"Ann"}"#),
            record(r#"{"id":2}"#, r#"{"name":"Bob","Älter als":5}"#),
        ],
    );
    assert_eq!(lines("id, name, \"Älter als\""), ["1 'Ann' NULL", "2 'Bob' 5"]);
    land(
        &ws,
        &[
            record(r#"{"id":3}"#, r#"{"email":"c@example.org","name":"Cy"}"#),
            record(r#"{"id":1}"#, r#"{"select":true,"name":"Ann"}"#),
        ],
    );
    let rows = [
        "1 'Ann' NULL NULL 1",
        "2 'Bob' 5 NULL NULL",
        "3 'Cy' NULL 'c@example.org' NULL",
    ];
    assert_eq!(lines("id, name, \"Älter als\", email, \"select\""), rows);
}

#[test]
fn a_bare_key_is_the_column_key() {
    let ws = workspace("a key that is no object lands in the column _key, with its own type");
    let keys = [
        ("alice", "'alice'"),
        ("7", "7"),
        ("\"7\"", "'7'"),
        ("1.5", "1.5"),
        ("a b{", "'a b{'"),
        ("ключ", "'ключ'"),
    ];
    let records: Vec<Record> = keys.iter().map(|(key, _)| record(key, r#"{"n":1}"#)).collect();
    land(&ws, &records);
    let landed: Vec<String> = keys.iter().map(|(_, landed)| format!("{landed} 1")).collect();
    assert_eq!(table(&ws, "_key, n"), landed);
    land(
        &ws,
        &[
            record("alice", r#"{"n":2}"#),
            record("7", ""),
            record("\"7\"", r#"{"n":3}"#),
        ],
    );
    assert_eq!(
        table(&ws, "_key, n"),
        ["'alice' 2", "'7' 3", "1.5 1", "'a b{' 1", "'ключ' 1"]
    );
}

#[test]
fn records_without_a_key_are_added_one_after_the_other() {
    let ws = workspace("without a key each record is a row, and none is landed twice");
    land(
        &ws,
        &[
            record("", r#"{"n":1}"#),
            record("", r#"{"n":1}"#),
            record("", r#"{"n":2,"m":0}"#),
        ],
    );
    land(&ws, &[record("", r#"{"n":1}"#)]);
    assert_eq!(table(&ws, "n, m"), ["1 NULL", "1 NULL", "2 0", "1 NULL"]);
    ws.consumer(&["--until-caught-up"]).ok().says("0 rows landed");
}

/// A Python client at work: writes rows, changes one, deletes one; with the module that is named.
const PYTHON: &str = r#"
import json, sys
module, brokers, topic = sys.argv[1:]
rows = [({"id": n}, {"name": f"näme {n}", "score": n / 4, "tags": [n, str(n)], "member": n % 2 == 0}) for n in range(500)]
rows += [({"id": 7}, {"name": "seven", "score": 7, "tags": None, "member": True}), ({"id": 8}, None)]
rows = [(json.dumps(k).encode(), None if v is None else json.dumps(v, ensure_ascii=False).encode()) for k, v in rows]
if module == "kafka":
    from kafka import KafkaProducer
    p = KafkaProducer(bootstrap_servers=brokers, compression_type="gzip", linger_ms=5)
    for k, v in rows: p.send(topic, key=k, value=v)
else:
    from confluent_kafka import Producer
    p = Producer({"bootstrap.servers": brokers, "compression.type": "snappy", "linger.ms": 5})
    for k, v in rows: p.produce(topic, key=k, value=v)
p.flush()
"#;

#[test]
fn rows_of_a_python_client_land() {
    let mut modules = 0;
    for module in ["kafka", "confluent_kafka"] {
        let mut import = Command::new(python());
        if !Process::start(import.args(["-c", &format!("import {module}")]))
            .wait(Duration::from_secs(60))
            .status
            .success()
        {
            continue; // python() has seen to it that one of them is there
        }
        modules += 1;
        let ws = Workspace::new("json.dumps of a Python client lands, its None deletes");
        ws.cluster().create_topic(ws.topic(), 3, &[]);
        Process::start(Command::new(python()).args(["-c", PYTHON, module, &ws.cluster().brokers(), ws.topic()]))
            .wait(Duration::from_secs(60))
            .ok();
        ws.consumer(&["--until-caught-up"]).ok().never_says("were no rows");
        let rows = ws.rows(
            &ws.sink(),
            &format!("SELECT concat_ws('|', quote(id), name, quote(score), quote(tags), quote(member)) FROM \"{}\" ORDER BY id", ws.topic()),
        );
        let expected: Vec<String> = (0..500)
            .filter(|n| *n != 8)
            .map(|n| match n {
                7 => "7|seven|7|NULL|1".to_owned(),
                _ => format!("{n}|näme {n}|{:?}|'[{n}, \"{n}\"]'|{}", f64::from(n) / 4.0, (n + 1) % 2),
            })
            .collect();
        assert_eq!(texts(&rows), expected, "{module}");
    }
    assert!(modules > 0, "no Python client was tried");
}

/// Writes records, each a key and a value, where None is null and "" is empty.
const WRITE: &str = r#"
import json, sys
brokers, topic, records = sys.argv[1:]
records = [[None if part is None else part.encode() for part in record] for record in json.loads(records)]
try:
    from confluent_kafka import Producer
    p = Producer({"bootstrap.servers": brokers})
    for k, v in records: p.produce(topic, key=k, value=v)
except ImportError:
    from kafka import KafkaProducer
    p = KafkaProducer(bootstrap_servers=brokers)
    for k, v in records: p.send(topic, key=k, value=v)
p.flush()
"#;

/// Lands records that hold null and empty keys and values with a client, and tells the table's rows
/// and the reasons of the dead letters.
fn land_nulls(ws: &Workspace, client: &str, columns: &str) -> (Vec<String>, Vec<String>) {
    let sink = ws.path(&format!("{client}.db"));
    let of = sink.to_str().expect("the temporary folder has a plain name");
    ws.consumer(&["--until-caught-up", "--client", client, "--sink", of])
        .ok();
    let query = format!(
        "SELECT concat_ws(' ', {columns}) FROM \"{}\" ORDER BY rowid",
        ws.topic()
    );
    let reasons = "SELECT reason FROM _rowferry_dead_letters ORDER BY id";
    (texts(&ws.rows(&sink, &query)), texts(&ws.rows(&sink, reasons)))
}

fn write_nulls(ws: &Workspace, records: &str) {
    let mut write = Command::new(python());
    let write = write.args(["-c", WRITE, &ws.cluster().brokers(), ws.topic(), records]);
    Process::start(write).wait(Duration::from_secs(60)).ok();
}

#[test]
fn an_empty_value_of_others_is_no_deletion() {
    let ws = workspace("only a null value deletes a row, where the client tells it from an empty one");
    let records = r#"[["{\"id\":1}", "{\"n\":1}"], ["{\"id\":2}", "{\"n\":2}"], ["{\"id\":1}", ""],
        ["{\"id\":2}", null], [null, null], ["{\"id\":3}", "{\"n\":3}"]]"#;
    write_nulls(&ws, records);
    let (rows, reasons) = land_nulls(&ws, "native", "id, n");
    assert_eq!(rows, ["1 1", "3 3"]);
    assert!(reasons[0].contains("an empty value"), "{reasons:?}");
    assert_eq!(reasons[1..], ["neither key nor value"]);
    // What holds with the other client, as README says.
    let (rows, reasons) = land_nulls(&ws, "kafka", "id, n");
    assert_eq!(
        (rows, reasons),
        (vec!["3 3".into()], vec!["neither key nor value".into()])
    );
}

#[test]
fn an_empty_key_of_others_is_a_key() {
    let ws = workspace("an empty key is an empty text, where the client tells it from none");
    write_nulls(
        &ws,
        r#"[["", "{\"n\":1}"], ["", "{\"n\":2}"], ["a", "{\"n\":3}"], [null, "{\"n\":4}"]]"#,
    );
    let (rows, reasons) = land_nulls(&ws, "native", "quote(_key), n");
    assert_eq!(rows, ["'' 2", "'a' 3"]);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].starts_with("the record's key is ()"), "{reasons:?}");
    let (rows, reasons) = land_nulls(&ws, "kafka", "n");
    assert_eq!(rows, ["1", "2", "4"]);
    assert!(reasons[0].starts_with("the record's key is (_key)"), "{reasons:?}");
}

#[test]
fn kcat_reads_our_rows_as_plain_json() {
    let ws = workspace("each key and value of ours is plain JSON, and a tombstone stands behind a deletion")
        .of("odd things");
    ws.sql(
        &ws.source(),
        r#"CREATE TABLE "odd things"(id INTEGER PRIMARY KEY, "na""me", price REAL);
        INSERT INTO "odd things" VALUES (1, 'plain', 1), (2, 'q " \ ' || char(0, 9, 10, 128640), 0.1), (3, x'00ff', 9e999),
            (4, NULL, -1e308), (5, CAST(x'ff' AS TEXT), 5e-324), (9223372036854775807, -9223372036854775808, 0.0)"#,
    );
    ship_and_land(&ws);
    ws.sql(
        &ws.source(),
        r#"DELETE FROM "odd things" WHERE id IN (2, 5); UPDATE "odd things" SET price = 2 WHERE id = 1"#,
    );
    ship_and_land(&ws);

    let records = read_records(ws.cluster(), ws.topic(), 0);
    let parse = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}"));
    let mut rows = Vec::new();
    let mut deleted = Vec::new();
    for (at, (offset, Record { key, value })) in records.iter().enumerate() {
        assert_eq!(*offset, at as i64);
        let key_json = parse(key);
        if value.is_empty() {
            let before = &records[at - 1].1;
            assert_eq!(&before.key, key, "a tombstone that stands alone");
            assert_eq!(parse(&before.value)["__deleted"], Json::Bool(true));
            deleted.push(key_json["id"].as_i64().expect("the key is id"));
            continue;
        }
        let json = parse(value);
        let stamp: Vec<&str> = json["_ferry"]
            .as_str()
            .expect("each has its number")
            .split('.')
            .collect();
        assert!(
            stamp.len() == 3 && stamp[2].parse::<u64>().is_ok_and(|seq| seq > 0),
            "{json}"
        );
        assert!(
            value.ends_with(format!("\"_ferry\":\"{}\"}}", stamp.join(".")).as_bytes()),
            "{json}"
        );
        if json.get("id").is_some() && json.get("__deleted").is_none() {
            assert_eq!(key_json["id"], json["id"]);
            let text = String::from_utf8(value.clone()).expect("JSON is UTF-8");
            rows.push(text[..text.find(",\"_ferry\"").expect("just seen")].to_owned() + "}");
        }
    }
    assert_eq!(deleted, [2, 5]);
    let expected = [
        r#"{"id":1,"na\"me":"plain","price":1.0}"#,
        r#"{"id":2,"na\"me":"q \" \\ \u0000\t\n🚀","price":0.1}"#,
        r#"{"id":3,"na\"me":{"$blob":"AP8="},"price":{"$real":"inf"}}"#,
        r#"{"id":4,"na\"me":null,"price":-1e+308}"#,
        r#"{"id":5,"na\"me":{"$text":"/w=="},"price":5e-324}"#,
        r#"{"id":9223372036854775807,"na\"me":-9223372036854775808,"price":0.0}"#,
        r#"{"id":1,"na\"me":"plain","price":2.0}"#,
    ];
    assert_eq!(rows, expected);
}
