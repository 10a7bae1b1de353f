//! Records that somebody else wrote in a source's name: what is not right costs one dead letter,
//! and what the source sent is lost in silence by none of them.

use std::time::Duration;

use rusqlite::types::Value;

use crate::support::*;

const SOON: Duration = Duration::from_secs(60);

/// What lies in the sink's dead letters.
fn reasons(w: &Workspace) -> Vec<String> {
    let rows = w.rows(&w.sink(), "SELECT reason FROM _rowferry_dead_letters ORDER BY id");
    let text = |row: Vec<Value>| match &row[0] {
        Value::Text(text) => text.clone(),
        other => panic!("no reason but {other:?}"),
    };
    rows.into_iter().map(text).collect()
}

/// A source of these rows in a topic of one partition, or of more, shipped and landed.
fn shipped(sentence: &str, partitions: u32) -> Workspace {
    let w = Workspace::new(sentence).of("things");
    w.cluster().create_topic(w.topic(), partitions, &[]);
    w.sql(
        &w.source(),
        "CREATE TABLE things(k INTEGER PRIMARY KEY, v); INSERT INTO things VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    ship_and_land(&w);
    w
}

/// Source, epoch and the last number of partition 0 in the sink.
fn origin(w: &Workspace) -> (String, i64, i64) {
    let rows = w.rows(
        &w.sink(),
        "SELECT source, epoch, seq FROM _rowferry_positions WHERE partition = 0",
    );
    match &rows[0][..] {
        [Value::Text(source), Value::Integer(epoch), Value::Integer(seq)] => (source.clone(), *epoch, *seq),
        other => panic!("no origin but {other:?}"),
    }
}

const SCHEMA: &str = r#""_schema":{"table":"things","columns":[{"name":"k","type":"INTEGER","pk":1},{"name":"v"}]}"#;

/// The first record of a run as a source writes it.
fn beginning(schema: &str, run: &str, stamp: &str) -> Record {
    let run = if run.is_empty() {
        String::new()
    } else {
        format!(",{run}")
    };
    Record::new(
        r#"{"_schema":"things"}"#,
        format!("{{{schema}{run},\"_ferry\":\"{stamp}\"}}"),
    )
}

fn row(k: i64, v: &str, stamp: &str) -> Record {
    let value = format!("{{\"k\":{k},\"v\":\"{v}\",\"_ferry\":\"{stamp}\"}}");
    Record::new(format!("{{\"k\":{k}}}"), value)
}

#[test]
fn numbers_that_no_run_has_are_dead_letters_and_all_goes_on() {
    let w = shipped("what claims too much is put aside before it costs anything", 1);
    let last = 16_725_225_599_999_999_i64;
    let forged = |round: i64| {
        let (source, epoch, seq) = origin(&w);
        let (next, far) = (epoch + 1, 16_000_000_000_000_000 + round * 1_000_000);
        forged_numbers((&source, epoch, seq), (next, far, last))
    };
    for (round, heal) in [&[][..], &["--heal"]].into_iter().enumerate() {
        let forged = forged(round as i64);
        write_records(w.cluster(), w.topic(), 0, forged.iter().map(|(record, _)| record));
        w.sql(
            &w.source(),
            "UPDATE things SET v = v || '.'; INSERT INTO things(v) VALUES ('new')",
        );
        w.producer(&[]).ok();
        let run = w.consumer(&[&["--until-caught-up"], heal].concat()).ok();
        run.says(&format!("{} records were no rows", forged.len()));
        assert_equal(&w);
        let told = reasons(&w);
        assert_eq!(told.len(), (round + 1) * forged.len());
        for (told, (_, reason)) in told[round * forged.len()..].iter().zip(&forged) {
            assert!(told.contains(reason), "{told}: {reason}");
        }
    }
    write_records(
        w.cluster(),
        w.topic(),
        0,
        forged(2).iter().take(1).map(|(record, _)| record),
    );
    let stopped = w.consumer(&["--until-caught-up", "--on-bad-record", "stop"]).code(1);
    stopped.says("the run is said to send to 2147483647 partitions");
}

/// Records with numbers that no run has, behind this origin, and what their dead letters say.
fn forged_numbers(
    (source, epoch, seq): (&str, i64, i64),
    (next, far, last): (i64, i64, i64),
) -> Vec<(Record, &'static str)> {
    let run = |members: &str| format!(r#""_run":{{"acked":"{epoch}.{seq}","full":false,{members}}}"#);
    let begins = |members: &str| beginning(SCHEMA, &run(members), &format!("{source}.{next}.1"));
    vec![
        (begins(r#""partitions":2147483647"#), "the topic has 1"),
        (begins(r#""partitions":7,"moved":1"#), "the topic has 1"),
        (begins(r#""partitions":0"#), "0 partitions"),
        (begins(&format!(r#""partitions":1,"moved":{last}"#)), "comes after run"),
        (
            beginning(
                SCHEMA,
                &format!(r#""_run":{{"acked":"{last}.1","full":true}}"#),
                &format!("{source}.{next}.1"),
            ),
            "cannot follow its own record or one of run",
        ),
        (
            beginning(
                SCHEMA,
                r#""_pass":{"begin":18446744073709551615}"#,
                &format!("{source}.{epoch}.{}", seq + 1),
            ),
            "can have begun no pass",
        ),
        (row(1, "forged", &format!("{source}.{epoch}.0")), "is no stamp"),
        (
            row(1, "forged", &format!("{source}.{epoch}.18446744073709551615")),
            "is no stamp",
        ),
        (
            row(1, "forged", &format!("{source}.18446744073709551615.1")),
            "is no stamp",
        ),
        (
            row(1, "forged", &format!("{source}.{far}.1")),
            "the number of a run's first record",
        ),
    ]
}

#[test]
fn a_run_that_names_other_partitions_than_there_are_is_waited_for_no_longer_than_its_word_takes() {
    let w = shipped("a run over fewer or more partitions holds nobody up for ever", 3);
    let (source, epoch, seq) = origin(&w);
    let next = epoch + 1;
    let begins = |acked: &str, partitions: u32, stamp: &str| {
        let run = format!(r#""_run":{{"acked":{acked},"full":false,"partitions":{partitions},"moved":{next}}}"#);
        beginning(SCHEMA, &run, stamp)
    };
    let stamp = format!("{source}.{next}.1");
    let acked = format!("\"{epoch}.{seq}\"");
    write_records(
        w.cluster(),
        w.topic(),
        0,
        &[begins(&acked, 70, &stamp), begins(&acked, 2, &stamp)],
    );
    write_records(w.cluster(), w.topic(), 2, &[begins("null", 2, &stamp)]);
    w.consumer(&["--until-caught-up"]).ok().says("2 records were no rows");
    w.sql(&w.source(), "UPDATE things SET v = v || '.'");
    w.producer(&[]).ok();
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
}

/// A topic whose records are all forged: a good table, a bad schema with rows behind it, and the
/// good one again.
fn poison(bad: &str, rows_behind: &[&str]) -> Vec<Record> {
    let run = r#""_run":{"acked":null,"full":false}"#;
    let mut records = vec![
        beginning(SCHEMA, run, "me.5.1"),
        row(1, "before", "me.5.2"),
        beginning(bad, "", "me.5.3"),
    ];
    let mut seq = 4;
    for value in rows_behind {
        let value = format!("{{{value},\"_ferry\":\"me.5.{seq}\"}}");
        records.push(Record::new(r#"{"k":"x"}"#, value));
        seq += 1;
    }
    records.push(beginning(SCHEMA, "", &format!("me.5.{seq}")));
    records.push(row(2, "behind", &format!("me.5.{}", seq + 1)));
    records
}

#[test]
fn a_schema_of_which_no_table_can_be_made_is_a_dead_letter_and_so_are_its_rows() {
    let w = Workspace::new("one bad schema record spoils neither its neighbours nor another topic");
    let wide: Vec<String> = (0..600)
        .map(|i| format!("{{\"name\":\"k{i}\",\"pk\":{}}}", i + 1))
        .collect();
    let bad = [
        (r#""table":"things","columns":[]"#.to_owned(), "no columns"),
        (
            r#""table":"things","columns":[{"name":"k","pk":1},{"name":"K"}]"#.into(),
            "two columns with the name k",
        ),
        (
            r#""table":"_rowferry_sink","columns":[{"name":"k","pk":1}]"#.into(),
            "is reserved",
        ),
        (
            r#""table":"sqlite_schema","columns":[{"name":"k","pk":1}]"#.into(),
            "is reserved",
        ),
        (r#""table":"","columns":[{"name":"k","pk":1}]"#.into(), "without a name"),
        (
            r#""table":"things","columns":[{"name":"k\u0000","pk":1}]"#.into(),
            "zero byte",
        ),
        (
            format!("\"table\":\"things\",\"columns\":[{}]", wide.join(",")),
            "too large",
        ),
    ];
    for heal in [&[][..], &["--heal"]] {
        for (at, (schema, reason)) in bad.iter().enumerate() {
            let (mark, sink) = (
                format!("{at}-{}", heal.len()),
                w.path(&format!("sink-{at}-{}.db", heal.len())),
            );
            let (poisoned, other) = (
                format!("{}-bad-{mark}", w.topic()),
                format!("{}-good-{mark}", w.topic()),
            );
            w.cluster().create_topic(&poisoned, 1, &[]);
            w.cluster().create_topic(&other, 1, &[]);
            let rows = [r#""k":7,"v":"lost""#, r#""k":8"#];
            write_records(
                w.cluster(),
                &poisoned,
                0,
                &poison(&format!("\"_schema\":{{{schema}}}"), &rows),
            );
            write_records(
                w.cluster(),
                &other,
                0,
                &[Record::new(r#"{"id":1}"#, r#"{"a":"other"}"#)],
            );
            let file = sink.to_str().expect("a plain name");
            let args = [
                "--until-caught-up",
                "--sink",
                file,
                "--topic",
                &poisoned,
                "--topic",
                &other,
            ];
            w.consumer(&[&args[..], heal].concat())
                .ok()
                .says("3 records were no rows");
            let landed = w.rows(&sink, "SELECT k, v FROM things ORDER BY k");
            let expected: [[Value; 2]; 2] = [
                [1.into(), "before".to_owned().into()],
                [2.into(), "behind".to_owned().into()],
            ];
            assert_eq!(landed, expected, "{schema}");
            assert_eq!(w.number(&sink, &format!("SELECT count(*) FROM \"{other}\"")), 1);
            let told = w.rows(&sink, "SELECT reason FROM _rowferry_dead_letters ORDER BY id");
            assert!(
                matches!(&told[0][0], Value::Text(told) if told.contains(reason)),
                "{told:?}: {reason}"
            );
            let behind = "the schema by which it was written was refused";
            let is_told = |row: &Vec<Value>| matches!(&row[0], Value::Text(told) if told.contains(behind) || told.contains("columns of table"));
            assert!(told[1..].iter().all(is_told), "{told:?}");
        }
    }
}

#[test]
fn a_row_of_a_keyless_table_without_a_rowid_is_a_dead_letter() {
    let w = Workspace::new("a key that names no rowid costs one row");
    w.cluster().create_topic(w.topic(), 1, &[]);
    let schema = r#""_schema":{"table":"things","columns":[{"name":"v"}]}"#;
    let mut records = vec![beginning(schema, r#""_run":{"acked":null,"full":false}"#, "me.5.1")];
    for (at, key) in [
        r#"{"rowid":1}"#,
        r#"{"rowid":"x"}"#,
        "",
        "nonsense",
        r#"{"rowid":null}"#,
        r#"{"rowid":2}"#,
    ]
    .iter()
    .enumerate()
    {
        records.push(Record::new(
            *key,
            format!("{{\"v\":{at},\"_ferry\":\"me.5.{}\"}}", at + 2),
        ));
    }
    write_records(w.cluster(), w.topic(), 0, &records);
    w.consumer(&["--until-caught-up"]).ok().says("4 records were no rows");
    assert_eq!(
        w.rows(&w.sink(), "SELECT rowid, v FROM things"),
        [[1.into(), 0.into()], [2.into(), Value::Integer(5)]]
    );
    assert!(
        reasons(&w)
            .iter()
            .all(|reason| reason.contains("the key names no rowid"))
    );
}

/// The consumer finds a loss, and finds it again; then the source sends all rows, and both sides
/// are equal.
#[track_caller]
fn is_found_and_healed(w: &Workspace, text: &str) {
    for _ in 0..2 {
        let run = w.consumer(&["--until-caught-up"]).code(3);
        run.says(&format!("error: topic \"{}\" partition 0 offset", w.topic()))
            .says(text)
            .says("way out");
    }
    w.producer(&["--backfill"]).ok();
    w.consumer(&["--until-caught-up", "--heal"]).ok();
    assert_equal(w);
}

#[test]
fn a_number_that_a_forged_record_took_is_found_when_its_owner_comes() {
    for at_once in [false, true] {
        let w = shipped("a genuine row is no resend of a forged one", 1);
        let mut producer = w.start_producer(&["--follow"]);
        producer.wait_for_line("rows to ship", SOON);
        w.sql(&w.source(), "INSERT INTO things VALUES (4, 'd')");
        let landed = |k: i64| {
            w.consumer(&["--until-caught-up"]).ok();
            w.number(&w.sink(), &format!("SELECT count(*) FROM things WHERE k = {k}")) == 1
        };
        assert!(wait_until(SOON, || landed(4)), "the row does not land");
        let (source, epoch, seq) = origin(&w);
        write_records(
            w.cluster(),
            w.topic(),
            0,
            &[row(9, "forged", &format!("{source}.{epoch}.{}", seq + 1))],
        );
        if !at_once {
            w.consumer(&["--until-caught-up"]).ok();
        }
        let end = w.cluster().latest(w.topic())[0];
        w.sql(&w.source(), "INSERT INTO things VALUES (5, 'e')");
        assert!(
            wait_until(SOON, || w.cluster().latest(w.topic())[0] > end),
            "nothing is sent"
        );
        producer.signal(libc::SIGTERM);
        producer.wait(SOON);
        is_found_and_healed(&w, "was taken before");
    }
}

#[test]
fn a_run_that_nobody_began_silences_no_source() {
    let w = shipped(
        "rows that are skipped behind a forged run are a loss until the source has overtaken it",
        1,
    );
    let mut producer = w.start_producer(&["--follow"]);
    producer.wait_for_line("rows to ship", SOON);
    let living = w.start_consumer(&[]);
    let (source, ..) = origin(&w);
    let run = r#""_run":{"acked":null,"full":false}"#;
    write_records(
        w.cluster(),
        w.topic(),
        0,
        &[beginning(SCHEMA, run, &format!("{source}.16000000000000000.1"))],
    );
    w.sql(&w.source(), "INSERT INTO things VALUES (4, 'd')");
    let words = "was skipped, because run 16000000000000000 is newer";
    producer.wait(SOON).code(3).says("a copy of the file is shipped too");
    living.wait(SOON).code(3).says(words).says("start the producer again");
    for _ in 0..2 {
        w.consumer(&["--until-caught-up"])
            .code(3)
            .says(words)
            .says("offset")
            .says("start the producer again");
    }
    w.producer(&[]).ok();
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
    let (_, epoch, _) = origin(&w);
    assert!(epoch > 16_000_000_000_000_000);
}

#[test]
fn behind_the_last_of_all_numbers_no_run_begins() {
    let w = shipped("a source whose numbers were used up says so", 1);
    let (source, ..) = origin(&w);
    let run = r#""_run":{"acked":null,"full":false}"#;
    write_records(
        w.cluster(),
        w.topic(),
        0,
        &[beginning(SCHEMA, run, &format!("{source}.16725225599999999.1"))],
    );
    w.sql(&w.source(), "INSERT INTO things VALUES (4, 'd')");
    for _ in 0..2 {
        w.producer(&[])
            .code(1)
            .says("no run can follow run 16725225599999999")
            .says("--new-identity");
    }
}
