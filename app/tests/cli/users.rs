//! The way that README leads a new user: without arguments, the tutorial, dummy rows.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use serde_json::Value as Json;

use super::{SOON, bare, text};
use crate::support::*;

#[test]
fn without_arguments_the_three_commands_ferry_a_thousand_users() {
    // The topic is called users, so that the cluster is not shared.
    let cluster = Cluster::own(Config::default());
    let ws = Workspace::on(
        &cluster,
        "producer, consumer and verify in an empty folder do what README says",
    );
    let brokers = cluster.brokers();
    let settings = [("ROWFERRY_BROKERS", brokers.as_str())];
    bare(&ws, "producer", &[], &settings)
        .ok()
        .says("made data/source.db with 1,000 dummy users")
        .says("1,000 rows to ship")
        .says("1,000 rows shipped");
    let mut consumer = Process::start(ws.command("consumer").envs(settings));
    let landed = wait_until(SOON, || {
        assert!(consumer.is_running(), "it has ended\n{}", consumer.output());
        let sink = ws.path("data/sink.db");
        sink.exists()
            && ws
                .connection(&sink)
                .query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))
                .is_ok_and(|count| count == 1000)
    });
    assert!(
        landed,
        "1,000 rows have not landed within {SOON:?}\n{}",
        consumer.output()
    );
    consumer.signal(libc::SIGINT);
    consumer.wait(Duration::from_secs(5)).ok().says("1,000 rows landed");
    assert_eq!(bare(&ws, "verify", &[], &[]).ok().stdout(), "users: 1000 rows, equal\n");

    bare(&ws, "producer", &[], &settings)
        .ok()
        .says("0 rows shipped")
        .never_says("made data");
    bare(&ws, "consumer", &["--until-caught-up"], &settings)
        .ok()
        .says("0 rows landed");
    bare(&ws, "producer", &["--fake", "5"], &settings)
        .ok()
        .says("5 rows shipped");
    bare(&ws, "consumer", &["--until-caught-up"], &settings)
        .ok()
        .says("5 rows landed");
    assert_eq!(bare(&ws, "verify", &[], &[]).ok().stdout(), "users: 1005 rows, equal\n");
    let columns = "SELECT group_concat(name, ' ') FROM pragma_table_info('users')";
    let columns = ws.rows(&ws.path("data/sink.db"), columns);
    assert_eq!(
        columns,
        [[Value::Text("id name email city age balance created_at".into())]]
    );
}

#[test]
fn the_classic_tutorial_works_as_written() {
    let ws = Workspace::new("a new user is registered every three seconds, and another program sees them arrive");
    let brokers = ws.cluster().brokers();
    let up = top().join("server_up.sh");
    ws.cluster()
        .script(&up, &["--native", "--topic", "registred_user"])
        .ok()
        .says("registred_user (created");
    let start =
        |name: &str, args: &[&str]| Process::start(ws.command(name).env("ROWFERRY_BROKERS", &brokers).args(args));
    let registers = ["--topic", "registred_user", "--follow", "--fake-every", "3s"];
    let sees = ["--topic", "registred_user", "--group", "my_favorite_group", "--print"];
    let mut producer = start("producer", &registers);
    let mut consumer = start("consumer", &sees);
    consumer.wait_for_lines("{\"topic\":\"registred_user\",", 1000, SOON);
    consumer.wait_for_line("\"key\":{\"id\":1002}", Duration::from_secs(30));
    for process in [&mut producer, &mut consumer] {
        process.signal(libc::SIGINT);
    }
    producer.wait(Duration::from_secs(5)).ok().says("rows shipped");
    let first = consumer.wait(Duration::from_secs(5)).ok();
    let ids = |run: &Run| -> Vec<i64> {
        let id = |line: &str| serde_json::from_str::<Json>(line).expect("a line is JSON")["row"]["id"].as_i64();
        run.stdout()
            .lines()
            .map(|line| id(line).expect("a row has an id"))
            .collect()
    };
    let seen = ids(&first);
    assert_eq!(
        HashSet::<&i64>::from_iter(&seen).len(),
        seen.len(),
        "one was seen twice"
    );

    // Started again, both go on where they were.
    let mut producer = start("producer", &registers);
    let mut consumer = start("consumer", &sees);
    let more = consumer.wait_for_line("{\"topic\":\"registred_user\",", SOON);
    let more = serde_json::from_str::<Json>(&more).expect("JSON")["row"]["id"]
        .as_i64()
        .expect("an id");
    assert!(more > 1002 && !seen.contains(&more), "{more} is not new");
    for process in [&mut producer, &mut consumer] {
        process.signal(libc::SIGINT);
    }
    producer.wait(Duration::from_secs(5)).ok();
    consumer.wait(Duration::from_secs(5)).ok();
    bare(
        &ws,
        "producer",
        &["--topic", "registred_user"],
        &[("ROWFERRY_BROKERS", &brokers)],
    )
    .ok();
    let rest = start("consumer", &[&sees[..], &["--until-caught-up"]].concat())
        .wait(SOON)
        .ok();
    let _ = ids(&rest);
    bare(&ws, "verify", &[], &[]).ok().says("users: 100").says("equal");

    assert_eq!(lags(&ws, "my_favorite_group", "registred_user"), ["0"; 3]);
}

/// How far the broker says that a group is behind in each partition of a topic.
fn lags(ws: &Workspace, group: &str, topic: &str) -> Vec<String> {
    let args = ["--bootstrap-server", "localhost:9092", "--describe", "--group", group];
    let told = ws.cluster().tool("kafka-consumer-groups", &args).ok();
    let lines = told.stdout().lines().filter(|line| line.contains(topic));
    let lags = lines.filter_map(|line| line.split_whitespace().nth(5));
    lags.map(str::to_owned).collect()
}

#[test]
fn the_group_is_told_what_has_landed_even_when_the_consumer_is_stopped_at_once() {
    let ws =
        Workspace::new("lag monitors see the sink's position after Ctrl-C, and after a kill and a new start").of("t");
    ws.cluster().create_topic(ws.topic(), 1, &[]);
    ws.sql(
        &ws.source(),
        "CREATE TABLE t(k INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)",
    );
    ship_and_land(&ws);
    let group = ["--group", &format!("its-{}", ws.topic())];
    let land_one = |signal: i32| {
        ws.sql(&ws.source(), "INSERT INTO t SELECT max(k) + 1 FROM t");
        ws.producer(&[]).ok();
        let mut consumer = ws.start_consumer(&[&["--print"], &group[..]].concat());
        consumer.wait_for_line("\"row\":{\"k\":", SOON);
        consumer.signal(signal);
        consumer.wait(Duration::from_secs(5))
    };
    land_one(libc::SIGINT).ok().never_says("was not told");
    assert_eq!(lags(&ws, group[1], ws.topic()), ["0"]);
    land_one(libc::SIGKILL);
    let again = ws.consumer(&[&["--until-caught-up"], &group[..]].concat()).ok();
    again.says("0 rows landed");
    assert_eq!(lags(&ws, group[1], ws.topic()), ["0"]);
    assert_equal(&ws);
}

/// All dummy users of a database.
fn users(ws: &Workspace, file: &Path) -> Vec<Vec<Value>> {
    ws.rows(
        file,
        "SELECT name, email, city, age, balance, created_at FROM users ORDER BY id",
    )
}

#[test]
fn the_same_seed_makes_the_same_users() {
    let ws = Workspace::new("--fake adds so many rows, and --seed decides which");
    let fake = |name: &str, rows: &str, seed: &str| {
        let file = ws.path(name);
        let args = [
            "--source",
            &text(file.clone()),
            "--topic-prefix",
            &format!("{}-{name}-", ws.topic()),
            "--brokers",
            &ws.cluster().brokers(),
            "--fake",
            rows,
            "--seed",
            seed,
        ];
        bare(&ws, "producer", &args, &[])
            .ok()
            .says(&format!("{rows} rows shipped"));
        users(&ws, &file)
    };
    let first = fake("a", "300", "7");
    assert_eq!(first.len(), 300);
    assert!(
        HashSet::<String>::from_iter(first.iter().map(|row| format!("{row:?}"))).len() > 290,
        "too many are alike"
    );
    assert!(fake("b", "300", "7") == first, "the same seed made other users");
    let other = fake("c", "300", "8");
    assert_eq!(other.len(), 300);
    assert!(other != first, "another seed made the same users");
    // Rows that come later are new ones too.
    let longer = fake("a", "20", "7");
    assert_eq!(longer.len(), 320);
    assert!(
        longer[..300] == first && longer[300..] != first[..20],
        "the first users came again"
    );

    ws.sql(
        &ws.path("mine.db"),
        "CREATE TABLE users(id INTEGER PRIMARY KEY, mine TEXT); INSERT INTO users VALUES (1, 'x')",
    );
    ws.producer(&["--source", "mine.db", "--fake", "1"])
        .code(2)
        .says("error: --fake")
        .says("way out: ");
    assert_eq!(ws.number(&ws.path("mine.db"), "SELECT count(*) FROM users"), 1);
}

#[test]
fn batches_are_as_large_and_as_compressed_as_asked() {
    let ws = Workspace::new("--batch-rows and --compression decide what goes over the wire, and change no row").of("t");
    ws.sql(
        &ws.source(),
        "CREATE TABLE t(k INTEGER PRIMARY KEY, v);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200) INSERT INTO t(v) SELECT 'row ' || i FROM n",
    );
    let runs = [
        (
            "plain",
            &["--compression", "none", "--batch-rows", "10"][..],
            "NONE",
            20,
        ),
        ("gzip", &["--compression", "gzip", "--batch-rows", "50"], "GZIP", 4),
        ("snappy", &["--compression", "snappy"], "SNAPPY", 1),
    ];
    let mut logs = Vec::new();
    for (name, args, ..) in runs {
        let topic = format!("{}-{name}", ws.topic());
        ws.cluster().create_topic(&topic, 1, &[]);
        // Each topic has a source and a sink of its own.
        let (source, sink) = (
            text(ws.path(&format!("{name}.db"))),
            text(ws.path(&format!("{name}-sink.db"))),
        );
        std::fs::copy(ws.source(), &source).expect("it can be copied");
        ws.producer(&[args, &["--topic", &topic, "--source", &source]].concat())
            .ok()
            .says("200 rows shipped");
        ws.consumer(&["--until-caught-up", "--topic", &topic, "--sink", &sink])
            .ok();
        ws.verify(&["--source", &source, "--sink", &sink])
            .ok()
            .says("t: 200 rows, equal");
        logs.push(text(
            ws.cluster()
                .folder()
                .join(format!("broker-1/{topic}-0/00000000000000000000.log")),
        ));
    }
    let dump = ws.cluster().tool("kafka-dump-log", &["--files", &logs.join(",")]).ok();
    let parts: Vec<&str> = dump.stdout().split("Dumping ").skip(1).collect();
    assert_eq!(parts.len(), runs.len(), "{dump}");
    for (part, (name, _, codec, fewest)) in parts.iter().zip(runs) {
        let batches: Vec<&str> = part.lines().filter(|line| line.starts_with("baseOffset: ")).collect();
        // One with a pass mark alone may stand behind them.
        assert!(
            (fewest..=fewest + 2).contains(&batches.len()),
            "{name}: {} batches\n{part}",
            batches.len()
        );
        for batch in batches {
            let told = batch.to_uppercase(); // later versions tell it in small letters
            assert!(told.contains(&format!("COMPRESSCODEC: {codec}")), "{name}: {batch}");
        }
    }
}
