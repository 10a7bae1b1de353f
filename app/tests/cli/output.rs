//! What the programs say: progress, summaries, printed records, and nothing with --quiet.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::SOON;
use crate::support::*;

/// A workspace with a table of so many rows.
fn workspace(sentence: &str, rows: u32) -> Workspace {
    let ws = Workspace::new(sentence).of("t");
    ws.sql(
        &ws.source(),
        &format!(
            "CREATE TABLE t(k INTEGER PRIMARY KEY, name TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows}) INSERT INTO t SELECT i, 'the name of row ' || i FROM n"
        ),
    );
    ws
}

/// The line that sums a run up, in parts: rows, bytes, seconds and rows a second.
fn summary(run: &Run, done: &str) -> [f64; 4] {
    let line = run
        .stdout()
        .lines()
        .last()
        .unwrap_or_else(|| panic!("no summary\n{run}"));
    let number = |text: &str| {
        text.replace(',', "")
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("{text} in {line}\n{run}"))
    };
    let words: Vec<&str> = line.split(' ').collect();
    let [rows, "rows", how, bytes, unit, "in", seconds, "s", speed, "rows/s)"] = words[..] else {
        panic!("no summary: {line}\n{run}");
    };
    assert_eq!(how, format!("{done},"), "{line}");
    let scale = match unit {
        "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        _ => panic!("{line}"),
    };
    [
        number(rows),
        number(bytes) * scale,
        number(seconds),
        number(&speed[1..]),
    ]
}

#[test]
fn each_run_ends_with_rows_bytes_and_speed() {
    let ws = workspace("the closing line sums the run up, and its figures agree", 20_000);
    let shipped = ws.producer(&[]).ok();
    let landed = ws.consumer(&["--until-caught-up"]).ok();
    for (run, done) in [(&shipped, "shipped"), (&landed, "landed")] {
        let [rows, bytes, seconds, speed] = summary(run, done);
        assert_eq!(rows, 20_000.0, "{run}");
        assert!((20_000.0 * 60.0..20_000.0 * 200.0).contains(&bytes), "{run}");
        assert!(seconds > 0.0 && seconds <= run.waited.as_secs_f64() + 0.1, "{run}");
        let expected = rows / seconds;
        let rounded = rows / (seconds + 0.051)..=rows / (seconds - 0.051).max(0.001);
        assert!(
            rounded.contains(&speed),
            "{speed} rows/s, and not about {expected:.0}\n{run}"
        );
    }
    let [rows, ..] = summary(&ws.producer(&[]).ok(), "shipped");
    assert_eq!(rows, 0.0);
    assert_equal(&ws);
}

#[test]
fn quiet_is_quiet() {
    let ws = workspace("--quiet says nothing when all is well, and errors all the same", 10);
    for run in [
        ws.producer(&["--quiet"]).ok(),
        ws.consumer(&["--quiet", "--until-caught-up"]).ok(),
        ws.verify(&["--quiet"]).ok(),
    ] {
        assert_eq!((run.stdout(), run.stderr()), ("", ""), "{run}");
    }
    assert_equal(&ws);
    ws.sql(&ws.sink(), "DELETE FROM t WHERE k = 1");
    ws.verify(&["--quiet"]).code(1).says("t: ").says("1 missing");
    ws.producer(&["--quiet", "--source", "nowhere.db"])
        .code(1)
        .says("error: ")
        .says("nowhere.db");
}

#[test]
fn printed_records_are_lines_of_json() {
    let ws = workspace("--print gives each landed record, and nothing else, on stdout", 2);
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    ws.sql(
        &ws.source(),
        "INSERT INTO t VALUES (3, char(10, 34) || '\u{1f980}'), (4, x'ff'), (5, NULL)",
    );
    ws.producer(&[]).ok();
    let printed = |args: &[&str]| -> Vec<Json> {
        let run = ws.consumer(args).ok();
        assert!(run.stderr().contains("landed, "), "the summary is not on stderr\n{run}");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{run}"));
        run.stdout().lines().map(parse).collect()
    };
    let print = ["--print", "--until-caught-up"];
    let line = |offset: i64, k: i64, row: Json| json!({"topic": ws.topic(), "partition": 0, "offset": offset, "key": {"k": k}, "row": row});
    let lines = printed(&print);
    let first = lines[0]["offset"].as_i64().expect("a number"); // behind the schema
    let expected = [
        line(first, 1, json!({"k": 1, "name": "the name of row 1"})),
        line(first + 1, 2, json!({"k": 2, "name": "the name of row 2"})),
        line(first + 2, 3, json!({"k": 3, "name": "\n\"\u{1f980}"})),
        line(first + 3, 4, json!({"k": 4, "name": {"$blob": "/w=="}})),
        line(first + 4, 5, json!({"k": 5, "name": null})),
    ];
    assert_eq!(lines, expected);
    let stored = read_records(ws.cluster(), ws.topic(), 0);
    for line in &lines {
        let offset = line["offset"].as_i64().expect("a number");
        let (_, record) = stored
            .iter()
            .find(|(at, _)| *at == offset)
            .expect("the offset is that of a record");
        let key: Json = serde_json::from_slice(&record.key).expect("JSON");
        assert_eq!(line["key"], key, "the offset is another record's");
    }
    ws.sql(&ws.source(), "DELETE FROM t WHERE k = 2");
    ws.producer(&[]).ok();
    let lines = printed(&print);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((&lines[0]["key"], &lines[0]["row"]), (&json!({"k": 2}), &Json::Null));
    assert_eq!(printed(&print), [] as [Json; 0]);
    assert_equal(&ws);
}

#[test]
fn records_of_others_are_printed_as_json_too() {
    let ws = Workspace::new("--print makes one line of JSON of whatever lands");
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    let records = [
        Record::new("plain text", "{\n  \"n\": 1,\r\n  \"of\": {\"deep\": [1, 2]}\n}"),
        Record::new("7", "{\"n\":2}"),
        Record::new("\"quo\\\"ted\"", "{\"n\":3}"),
        Record::new(" {\"a\": 1}x", "{\"n\":4}"),
        Record::new("7", ""),
    ];
    write_records(ws.cluster(), ws.topic(), 0, &records);
    let run = ws
        .consumer(&["--print", "--until-caught-up"])
        .ok()
        .says("1 records were no rows");
    let lines: Vec<Json> = run
        .stdout()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let pairs: Vec<(&Json, &Json)> = lines.iter().map(|line| (&line["key"], &line["row"])).collect();
    let expected = [
        (&json!("plain text"), &json!({"n": 1, "of": {"deep": [1, 2]}})),
        (&json!(7), &json!({"n": 2})),
        (&json!("quo\"ted"), &json!({"n": 3})),
        (&json!(7), &Json::Null),
    ];
    assert_eq!(pairs, expected);
}

#[test]
fn a_reader_that_goes_away_ends_the_consumer_cleanly() {
    let ws = workspace("consumer --print | head -1 shows one record and ends with 0", 5000);
    ws.producer(&[]).ok();
    let mut consumer = ws.command("consumer");
    consumer.args(["--brokers", &ws.cluster().brokers(), "--topic", ws.topic(), "--print"]);
    let mut pipe = Command::new("sh");
    pipe.current_dir(ws.path(""))
        .args(["-c", "{ \"$@\"; echo \"ended with $?\" >&2; } | head -n 1", "sh"]);
    pipe.arg(consumer.get_program())
        .args(consumer.get_args())
        .args(["--sink", "sink.db"]);
    let run = Process::start(&mut pipe)
        .wait(SOON)
        .ok()
        .says("ended with 0")
        .never_says("error")
        .never_says("panic");
    let line: Json = serde_json::from_str(run.stdout()).unwrap_or_else(|e| panic!("{e}\n{run}"));
    assert_eq!(line["topic"], ws.topic());
    ws.consumer(&["--until-caught-up"]).ok();
    assert_equal(&ws);
}

#[test]
fn a_terminal_shows_progress_as_a_bar() {
    let ws = workspace(
        "on a terminal there is a bar, and it goes away before the summary",
        50_000,
    );
    let flags = |name: &str, file: [&str; 2]| {
        let mut command = ws.command(name);
        command
            .args(["--brokers", &ws.cluster().brokers(), "--topic", ws.topic()])
            .args(file);
        command
    };
    for (name, file, more, done) in [
        (
            "producer",
            ["--source", "source.db"],
            &["--table", "t", "--batch-rows", "1000"][..],
            "shipped",
        ),
        ("consumer", ["--sink", "sink.db"], &["--until-caught-up"], "landed"),
    ] {
        let command = flags(name, file);
        let terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut python = Command::new("python3");
        python
            .current_dir(ws.path(""))
            .env("TERM", "xterm")
            .args(["-c", terminal]);
        python.arg(command.get_program()).args(command.get_args()).args(more);
        let run = Process::start(&mut python).wait(SOON).ok();
        let shown = run.stdout();
        let bars = shown
            .split('\r')
            .filter(|part| part.contains(&format!("rows {done}")))
            .count();
        assert!(bars > 1 && shown.contains("\u{1b}["), "no bar was drawn\n{run}");
        let last = shown.trim_end().rsplit(['\r', '\n']).next().unwrap_or_default();
        let last = last.rsplit("\u{1b}[2K").next().unwrap_or_default();
        assert!(
            last.starts_with(&format!("50,000 rows {done}, ")),
            "the summary does not stand alone: {last:?}"
        );
    }
    assert_equal(&ws);
}

#[test]
fn without_a_terminal_progress_comes_as_plain_lines() {
    let ws = workspace(
        "the consumer logs its progress now and then, without a terminal's signs",
        1,
    );
    let mut producer = ws.start_producer(&[
        "--follow",
        "--source",
        "users.db",
        "--table",
        "users",
        "--fake-every",
        "200ms",
    ]);
    let mut consumer = ws.start_consumer(&[]);
    let lines = consumer.wait_for_lines(" info ", 2, SOON);
    let progress = consumer.wait_for_line("rows landed, ", Duration::from_secs(30));
    assert!(
        progress.contains(" info ") && progress.ends_with("rows/s)"),
        "{progress}\n{lines:?}"
    );
    for process in [&mut producer, &mut consumer] {
        process.signal(libc::SIGINT);
    }
    producer.wait(SOON).ok().never_says("\u{1b}").never_says("\r");
    consumer.wait(SOON).ok().never_says("\u{1b}").never_says("\r");
}

#[test]
fn what_a_record_holds_steers_no_terminal_and_begins_no_line() {
    let ws = Workspace::new("a forged record stays inside of its line").of("t");
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    let forged = "\u{1b}[2J\nerror: \u{202e}believe me";
    let twice = r#"{"\u001b[2J\nerror: x":1,"\u001b[2J\nerror: x":2}"#;
    let records = [
        Record::new(forged, "{\n\"v\":\"\u{9b}1m\"}"),
        Record::new(forged, twice),
        Record::new("1", forged),
    ];
    write_records(ws.cluster(), ws.topic(), 0, &records);
    let run = ws.consumer(&["--until-caught-up", "--print"]).ok();
    let acts = |text: &str| text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}'));
    assert!(!acts(run.stdout()) && !acts(run.stderr()), "{run}");
    let line: Json = serde_json::from_str(run.stdout()).unwrap_or_else(|e| panic!("{e}\n{run}"));
    assert_eq!(
        (&line["key"], &line["row"]),
        (&json!(forged), &json!({"v": "\u{9b}1m"})),
        "{run}"
    );
    assert!(!run.stderr().lines().any(|line| line.starts_with("error:")), "{run}");
    run.says("member \"\\u{1b}[2J\\nerror: x\" stands twice");
}
