//! A record that is no row is kept with all that is known of it, and the rest lands; or it ends the
//! consumer.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::*;

/// Records that are no rows of a table with the key `id`, with what the reason has to say.
fn no_rows() -> Vec<(Record, &'static str)> {
    let key = r#"{"id":900}"#;
    let deep = |open: &str, close: &str| [open.repeat(100_000), "1".into(), close.repeat(100_000)].concat();
    let wide: Vec<String> = (0..3000).map(|i| format!("\"c{i}\":{i}")).collect();
    vec![
        (
            Record::new(key, b"{\"name\":\"\xff\xfe\"}"),
            "the value is not UTF-8 (byte 9)",
        ),
        (Record::new(key, r#"{"name":"cut"#), "no JSON object: EOF"),
        (
            Record::new(key, r#"{"name":"whole"} and more"#),
            "no JSON object: trailing characters",
        ),
        (Record::new(key, "no JSON at all"), "no JSON object"),
        (
            Record::new(key, deep("[", "]")),
            "no JSON object: invalid type: sequence",
        ),
        (Record::new(key, "[".repeat(100_000)), "no JSON object"),
        (
            Record::new(key, format!("{{\"name\":{}}}", deep("[", "]"))),
            "member \"name\": JSON more than 128 levels deep",
        ),
        (
            Record::new(key, deep("{\"name\":", "}")),
            "member \"name\": JSON more than 128 levels deep",
        ),
        (
            Record::new(format!("{{\"id\":{}}}", deep("[", "]")), r#"{"name":"x"}"#),
            "member \"id\": JSON more than 128 levels deep",
        ),
        (Record::new(key, "[1,2]"), "no JSON object: invalid type: sequence"),
        (Record::new(key, "42"), "no JSON object: invalid type: integer"),
        (Record::new(key, "\"text\""), "no JSON object: invalid type: string"),
        (Record::new(key, "null"), "no JSON object: invalid type: null"),
        (
            Record::new(key, format!("{{{}}}", wide.join(","))),
            "columns, and SQLite allows 2000",
        ),
        (
            Record::new(key, r#"{"name":"a","name":"b"}"#),
            "member \"name\" stands twice",
        ),
        (
            Record::new(key, r#"{"name":"a","NAME":"b"}"#),
            "the member name comes twice",
        ),
        (
            Record::new(r#"{"code":1}"#, r#"{"name":"x"}"#),
            "the record's key is (code), that of table",
        ),
        (
            Record::new(r#"{"id":1,"code":1}"#, r#"{"name":"x"}"#),
            "the record's key is (id, code), that of table",
        ),
        (
            Record::new("7", r#"{"name":"x"}"#),
            "the record's key is (_key), that of table",
        ),
        (
            Record::new("", r#"{"name":"x"}"#),
            "the record's key is (), that of table",
        ),
        (Record::new("[1]", r#"{"name":"x"}"#), "the key is no JSON object"),
        (Record::new("{\"id\":", r#"{"name":"x"}"#), "the key is no JSON object"),
        (
            Record::new(b"{\"id\":\"\xff\"}", r#"{"name":"x"}"#),
            "the key is not UTF-8",
        ),
        (Record::new(r#"{"id":null}"#, r#"{"name":"x"}"#), "null in the key"),
        (
            Record::new(key, r#"{"id":901,"name":"x"}"#),
            "the member id is another in the key than in the value",
        ),
        (
            Record::new(r#"{"code":1}"#, ""),
            "the record's key is (code), that of table",
        ),
        (Record::new("", ""), "neither key nor value"),
    ]
}

/// A row of the table that the records around the bad ones make.
fn row(id: usize) -> Record {
    Record::new(format!("{{\"id\":{id}}}"), format!("{{\"name\":\"row {id}\"}}"))
}

fn dead_letters(ws: &Workspace) -> i64 {
    ws.number(&ws.sink(), "SELECT count(*) FROM _rowferry_dead_letters")
}

fn position(ws: &Workspace, partition: u32) -> i64 {
    let query = format!("SELECT next_offset FROM _rowferry_positions WHERE partition = {partition}");
    ws.number(&ws.sink(), &query)
}

#[test]
fn what_is_no_row_is_kept_as_it_came_and_the_rest_lands() {
    let ws = Workspace::new("each record that is no row is a dead letter, and those around it land");
    let bad = no_rows();
    ws.cluster().create_topic(ws.topic(), 3, &[]);
    let rows: Vec<Record> = (0..=bad.len()).map(row).collect();
    let records = rows.iter().zip(bad.iter().map(|(record, _)| record));
    let records: Vec<&Record> = records.flat_map(|(row, bad)| [row, bad]).chain(rows.last()).collect();
    write_records(ws.cluster(), ws.topic(), 2, records.iter().copied());

    let run = ws.consumer(&["--until-caught-up"]).ok();
    run.says(&format!("{} records were no rows", bad.len()))
        .says("_rowferry_dead_letters")
        .says(&format!("{} rows landed", rows.len()))
        .says(&format!(
            "topic \"{}\" partition 2 offset 1: put into the dead letters",
            ws.topic()
        ));

    let landed = ws.rows(
        &ws.sink(),
        &format!("SELECT id, name FROM \"{}\" ORDER BY id", ws.topic()),
    );
    let expected: Vec<Vec<Value>> = (0..rows.len())
        .map(|id| vec![(id as i64).into(), format!("row {id}").into()])
        .collect();
    assert_eq!(landed, expected);
    let letters = ws.rows(
        &ws.sink(),
        "SELECT topic, partition, \"offset\", key, value, reason FROM _rowferry_dead_letters ORDER BY id",
    );
    assert_eq!(letters.len(), bad.len());
    for (at, (letter, (record, reason))) in letters.iter().zip(&bad).enumerate() {
        let offset = 2 * at as i64 + 1;
        let place: [Value; 3] = [ws.topic().to_owned().into(), 2.into(), offset.into()];
        assert_eq!(letter[..3], place);
        let kept: [Value; 2] = [record.key.clone().into(), record.value.clone().into()];
        assert!(
            letter[3..5] == kept,
            "the record at offset {offset} ({reason}) is not kept as it came"
        );
        assert!(
            matches!(&letter[5], Value::Text(told) if told.contains(reason)),
            "{:?} does not say {reason}",
            letter[5]
        );
    }
    assert_eq!(position(&ws, 2), records.len() as i64);

    // They are behind the position: the next run does not meet them again.
    ws.consumer(&["--until-caught-up"])
        .ok()
        .says("0 rows landed")
        .never_says("were no rows");
    assert_eq!(dead_letters(&ws), bad.len() as i64);
}

#[test]
fn a_topic_may_begin_with_what_is_no_row() {
    let ws = Workspace::new("a bad record before the first row spoils nothing");
    // A key of another shape than the table's is just the first key where there is no table yet.
    let names_its_table = |reason: &str| reason.contains("that of table") || reason.contains("comes twice");
    let mut bad = no_rows();
    bad.retain(|(_, reason)| !names_its_table(reason));
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    let last = row(1);
    write_records(
        ws.cluster(),
        ws.topic(),
        0,
        bad.iter().map(|(record, _)| record).chain([&last]),
    );
    ws.consumer(&["--until-caught-up"])
        .ok()
        .says(&format!("{} records were no rows", bad.len()));
    let rows = ws.rows(&ws.sink(), &format!("SELECT * FROM \"{}\"", ws.topic()));
    assert_eq!(rows, [[Value::Integer(1), Value::Text("row 1".into())]]);
}

#[test]
fn on_bad_record_stop_names_the_place_and_leaves_the_position() {
    let ws = Workspace::new("--on-bad-record stop ends before the record, and without it the consumer goes on");
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    write_records(ws.cluster(), ws.topic(), 0, &[row(0)]);
    let stop = ["--until-caught-up", "--on-bad-record", "stop"];
    ws.consumer(&stop).ok().says("1 row landed");
    write_records(
        ws.cluster(),
        ws.topic(),
        0,
        &[row(1), Record::new("{\"id\":2}", "[2]"), row(3)],
    );
    let count = format!("SELECT count(*) FROM \"{}\"", ws.topic());
    for _ in 0..2 {
        ws.consumer(&stop)
            .code(1)
            .says(&format!(
                "error: topic \"{}\" partition 0 offset 2: the value is no JSON object",
                ws.topic()
            ))
            .says("way out: without --on-bad-record stop");
        assert!(position(&ws, 0) <= 2, "the position is behind the bad record");
        assert_eq!(
            (dead_letters(&ws), position(&ws, 0)),
            (0, ws.number(&ws.sink(), &count))
        );
    }
    ws.consumer(&["--until-caught-up"]).ok().says("1 records were no rows");
    assert_eq!(
        (dead_letters(&ws), position(&ws, 0), ws.number(&ws.sink(), &count)),
        (1, 4, 3)
    );
    ws.consumer(&stop).ok();
}

#[test]
fn garbage_in_a_topic_of_ours_harms_no_row() {
    let ws = Workspace::new("what others write into a shipped topic is kept aside").of("things");
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    ws.sql(
        &ws.source(),
        "CREATE TABLE things(k INTEGER PRIMARY KEY, v); INSERT INTO things(v) VALUES (1), (2), (3)",
    );
    ship_and_land(&ws);
    let garbage = [
        (
            Record::new("{\"k\":1}", "{\"k\":1,\"v\":\"forged\"}"),
            "no \"_ferry\" member",
        ),
        (
            Record::new("{\"k\":1}", "{\"k\":1,\"v\":\"forged\",\"_ferry\":\"x\"}"),
            "is no stamp",
        ),
        (
            Record::new("{\"k\":1}", "{\"k\":1,\"v\":\"forged\",\"_ferry\":7}"),
            "is no stamp",
        ),
        (Record::new("{\"k\":1}", b"{\"k\":1,\"v\":\"\xff\"}"), "not UTF-8"),
        (Record::new("{\"k\":1}", "{\"k\":1"), "no JSON object"),
    ];
    let tombstone = Record::new("{\"k\":1}", ""); // deletes nothing: ours stand behind a deletion
    write_records(
        ws.cluster(),
        ws.topic(),
        0,
        garbage.iter().map(|(record, _)| record).chain([&tombstone]),
    );
    ws.sql(
        &ws.source(),
        "UPDATE things SET v = 'new' WHERE k > 1; DELETE FROM things WHERE k = 3",
    );
    ws.producer(&[]).ok();
    let said = format!("{} records were no rows", garbage.len());
    ws.consumer(&["--until-caught-up"]).ok().says(&said);
    assert_equal(&ws);
    let letters = ws.rows(&ws.sink(), "SELECT reason FROM _rowferry_dead_letters ORDER BY id");
    for (letter, (_, reason)) in letters.iter().zip(&garbage) {
        assert!(
            matches!(&letter[0], Value::Text(told) if told.contains(reason)),
            "{letter:?}: {reason}"
        );
    }
}

#[test]
fn a_kill_doubles_and_drops_no_dead_letter() {
    const RECORDS: usize = 10_000;
    let ws = Workspace::new("dead letters and the position land in one transaction");
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    let padding = "x".repeat(4000); // many rounds, so that there is a middle
    let records: Vec<Record> = (0..RECORDS)
        .map(|id| match id % 2 {
            0 => Record::new(format!("{{\"id\":{id}}}"), format!("{{\"name\":\"{padding}\"}}")),
            _ => Record::new(format!("{{\"id\":{id}}}"), format!("[\"{padding}\"]")),
        })
        .collect();
    write_records(ws.cluster(), ws.topic(), 0, &records);
    let mut consumer = ws.start_consumer(&["--until-caught-up"]);
    let begun = wait_until(Duration::from_secs(60), || {
        assert!(consumer.is_running(), "it has ended already\n{}", consumer.output());
        let count = |connection: Connection| {
            connection.query_row("SELECT count(*) FROM _rowferry_dead_letters", [], |row| {
                row.get::<_, i64>(0)
            })
        };
        ws.sink().exists() && count(ws.connection(&ws.sink())).is_ok_and(|count| count > 0)
    });
    assert!(begun, "no dead letter within a minute");
    consumer.kill9();
    let before = dead_letters(&ws);
    assert!(0 < before && before < RECORDS as i64 / 2, "not in mid-flight: {before}");
    assert_eq!(before, position(&ws, 0) / 2);
    ws.consumer(&["--until-caught-up"]).ok().says(&format!(
        "{} records were no rows",
        thousands(RECORDS as i64 / 2 - before)
    ));
    let each_once = "SELECT count(*) = 5000 AND count(DISTINCT \"offset\") = 5000 AND min(\"offset\" % 2) = 1 FROM _rowferry_dead_letters";
    assert_eq!(ws.number(&ws.sink(), each_once), 1);
    assert_eq!(
        ws.number(&ws.sink(), &format!("SELECT count(*) FROM \"{}\"", ws.topic())),
        5000
    );
}

/// 1234 as "1,234".
fn thousands(number: i64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}
