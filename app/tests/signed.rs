//! --sign-key: with it nothing counts that its owner did not sign, on either side.

use crate::support::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A workspace with a table of three rows, a topic of one partition with these settings, and the
/// file of a key.
fn workspace(sentence: &str, settings: &[(&str, &str)]) -> (Workspace, String) {
    let ws = Workspace::new(sentence).of("t");
    ws.cluster().create_topic(ws.topic(), 1, settings);
    ws.sql(
        &ws.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    let key = ws.path("key");
    std::fs::write(&key, KEY).expect("a file can be written");
    let key = key.to_str().expect("a plain name").to_owned();
    (ws, key)
}

fn dead_letters(ws: &Workspace) -> i64 {
    ws.number(
        &ws.sink(),
        "SELECT count(*) FROM _rowferry_dead_letters WHERE reason LIKE '%--sign-key%'",
    )
}

#[test]
fn what_is_signed_lands_with_the_key_and_without() {
    let (ws, key) = workspace("signed rows travel", &[("max.message.bytes", "3000")]);
    let signed = ["--sign-key", &key];
    ws.producer(&signed).ok().says("chmod 600");
    ws.sql(
        &ws.source(),
        "UPDATE t SET v = 'B' WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (4, hex(randomblob(5000)))",
    );
    // Its stand-in is signed, too: its number is not missing.
    ws.producer(&signed).code(1).says("1 rows were kept back");
    ws.sql(&ws.source(), "UPDATE t SET v = 'd' WHERE id = 4");
    ws.producer(&signed).ok();
    let records = read_records(ws.cluster(), ws.topic(), 0);
    let is_signed = |record: &Record| String::from_utf8_lossy(&record.value).contains("\",\"_ferry\":\"");
    assert!(
        records
            .iter()
            .all(|(_, record)| record.value.is_empty() || is_signed(record))
    );
    let run = ws.consumer(&["--until-caught-up", "--print", "--sign-key", &key]).ok();
    run.says("\"row\":{\"id\":2,\"v\":\"B\"}")
        .never_says("_sig")
        .never_says("dead letters");
    assert_equal(&ws);
    ws.consumer(&[
        "--until-caught-up",
        "--sink",
        ws.path("plain.db").to_str().expect("a plain name"),
    ])
    .ok()
    .never_says("dead letters");
    ws.verify(&["--sink", ws.path("plain.db").to_str().expect("a plain name")])
        .ok();
}

#[test]
fn what_is_forged_changes_nothing_on_either_side() {
    let (ws, key) = workspace("a forger may write to the topic", &[]);
    let signed = ["--sign-key", &key];
    ws.producer(&signed).ok();
    ws.consumer(&["--until-caught-up", "--sign-key", &key]).ok();
    let records = read_records(ws.cluster(), ws.topic(), 0);
    let value = |record: &Record| String::from_utf8(record.value.clone()).expect("it is JSON");
    let is_row = |(_, record): &&(i64, Record)| record.key == b"{\"id\":3}";
    let (_, row) = records.iter().find(is_row).expect("rows were shipped");
    let (genuine, last) = (value(row), value(&records.last().expect("a pass has ended").1));
    let stamp_of = |value: &str| -> String {
        let at = value.find("\"_ferry\":\"").expect("a stamp") + 10;
        value[at..].trim_end_matches("\"}").to_owned()
    };
    let (stamp, last) = (stamp_of(&genuine), stamp_of(&last));
    let [source, epoch, seq] = last.split('.').collect::<Vec<_>>()[..] else {
        panic!("{last}");
    };
    let next = format!("{source}.{epoch}.{}", seq.parse::<u64>().expect("a number") + 1);
    let ahead = format!("{source}.9000000000000000.1");
    let plain = |stamp: &str| format!("{{\"id\":1,\"v\":\"forged\",\"_ferry\":\"{stamp}\"}}");
    let schema = value(&records[0].1);
    let forged = [
        Record::new("{\"id\":1}", plain(&next)),
        Record::new("{\"id\":1}", plain(&ahead)),
        Record::new("{\"id\":1}", genuine.clone()), // the genuine record of another key
        Record::new("{\"id\":3}", genuine.replace(&stamp, &next)),
        Record::new("{\"_schema\":\"t\"}", schema.replace(epoch, "9000000000000000")),
        Record::new("{\"id\":1}", "{\"id\":1,\"v\":\"others\"}"),
        Record::new("{\"id\":2}", ""), // a tombstone
    ];
    write_records(ws.cluster(), ws.topic(), 0, &forged);
    // The very same record again is a resend, as ever.
    write_records(ws.cluster(), ws.topic(), 0, [row]);
    ws.sql(&ws.source(), "UPDATE t SET v = 'A' WHERE id = 1");
    // It read back what is its own, and no more.
    ws.producer(&signed)
        .ok()
        .says("1 rows are sent again as they are now")
        .never_says("all rows are sent again");
    let records = read_records(ws.cluster(), ws.topic(), 0);
    let ends_with = records
        .last()
        .map(|(_, record)| String::from_utf8_lossy(&record.value).into_owned());
    let epoch = ends_with.as_deref().and_then(|value| value.rsplit('.').nth(1));
    assert!(
        epoch.is_some_and(|epoch| epoch.parse::<u64>().is_ok_and(|epoch| epoch < 9_000_000_000_000_000)),
        "{epoch:?}"
    );
    ws.consumer(&["--until-caught-up", "--sign-key", &key])
        .ok()
        .says("not signed by the key that --sign-key names");
    assert_equal(&ws);
    assert_eq!(dead_letters(&ws), forged.len() as i64 - 1);
}

#[test]
fn an_unsigned_topic_lands_nothing_where_a_key_is_asked_for() {
    let (ws, key) = workspace("a side without the key", &[]);
    ws.producer(&[]).ok();
    write_records(ws.cluster(), ws.topic(), 0, &[Record::new("{\"id\":1}", "")]);
    ws.consumer(&["--until-caught-up", "--sign-key", &key]).ok();
    assert_eq!(dead_letters(&ws), 6); // the schema, three rows, the end of the pass, and what deletes without a word
    assert_eq!(
        ws.number(&ws.sink(), "SELECT count(*) FROM sqlite_schema WHERE name = 't'"),
        0
    );
    // A full pass with the key makes it whole.
    ws.producer(&["--backfill", "--sign-key", &key]).ok();
    ws.consumer(&["--until-caught-up", "--sign-key", &key]).ok();
    assert_equal(&ws);
}

#[test]
fn a_key_that_is_none_is_refused_before_anything_is_made() {
    let (ws, key) = workspace("a short key", &[]);
    std::fs::write(&key, "too short, and secret").expect("a file can be written");
    for run in [
        ws.producer(&["--sign-key", &key]),
        ws.consumer(&["--until-caught-up", "--sign-key", &key]),
    ] {
        run.code(1)
            .says("it holds only 21 bytes")
            .says("way out: name a file of at least 32 random bytes")
            .never_says("secret");
    }
    assert!(!ws.sink().exists());
}
