//! The three programs as a person at a shell meets them.

mod databases;
mod output;
mod users;

use std::collections::HashSet;
use std::time::Duration;

use crate::support::*;

/// How long a command may take that has little to do.
const SOON: Duration = Duration::from_secs(60);

/// The options of both commands that speak to brokers.
const AT_BROKERS: [&str; 14] = [
    "--brokers",
    "--sign-key",
    "--quiet",
    "--request-timeout",
    "--patience",
    "--tls",
    "--client",
    "--tls-ca",
    "--tls-cert",
    "--tls-key",
    "--sasl",
    "--sasl-user",
    "--sasl-password-file",
    "--sasl-plain-in-clear",
];

/// The commands and the options that each one has, beside `AT_BROKERS` where it speaks to any.
const OPTIONS: [(&str, &[&str]); 3] = [
    (
        "producer",
        &[
            "--source",
            "--table",
            "--topic",
            "--topic-prefix",
            "--follow",
            "--fake",
            "--fake-every",
            "--seed",
            "--batch-rows",
            "--compression",
            "--capture",
            "--backfill",
            "--strict",
            "--new-identity",
            "--uninstall",
        ],
    ),
    (
        "consumer",
        &[
            "--sink",
            "--topic",
            "--group",
            "--partitions",
            "--session-timeout",
            "--apply-timeout",
            "--from",
            "--until-caught-up",
            "--print",
            "--on-bad-record",
            "--adopt",
            "--allow-gaps",
            "--heal",
        ],
    ),
    ("verify", &["--source", "--sink", "--table", "--quiet"]),
];

/// Runs a command with nothing but these arguments and settings.
fn bare(ws: &Workspace, name: &str, args: &[&str], settings: &[(&str, &str)]) -> Run {
    Process::start(ws.command(name).args(args).envs(settings.iter().copied())).wait(SOON)
}

/// A path as an argument.
fn text(path: std::path::PathBuf) -> String {
    path.into_os_string()
        .into_string()
        .expect("the folder has a plain name")
}

#[test]
fn help_tells_every_option_its_variable_and_the_exit_codes() {
    let ws = Workspace::new("--help is whole");
    for (name, options) in OPTIONS {
        let run = bare(&ws, name, &["--help"], &[]).ok();
        let help = run.stdout().split_whitespace().collect::<Vec<_>>().join(" "); // as if no line were wrapped
        let listed: HashSet<&str> = run
            .stdout()
            .lines()
            .filter_map(|line| {
                line.strip_prefix("      ")
                    .or(line.strip_prefix("  -h, "))
                    .or(line.strip_prefix("  -V, "))
            })
            .filter(|line| line.starts_with("--"))
            .filter_map(|line| line.split([' ', '=']).next())
            .collect();
        let at_brokers: &[&str] = if name == "verify" { &[] } else { &AT_BROKERS };
        let options: Vec<&str> = options.iter().chain(at_brokers).copied().collect();
        for option in &options {
            assert!(listed.contains(option), "{name} --help does not list {option}\n{run}");
            let variable = format!("[env: ROWFERRY_{}=]", option[2..].replace('-', "_").to_uppercase());
            assert!(
                help.contains(&variable),
                "{name} --help does not tell {variable}\n{run}"
            );
        }
        let untested: Vec<_> = listed
            .iter()
            // A variable that stays set would give the file a new identity again and again.
            .filter(|o| !options.contains(o) && !["--help", "--version", "--new-identity"].contains(o))
            .collect();
        assert!(untested.is_empty(), "{name} has more options: {untested:?}");
        let codes = match name {
            "verify" => "Exit codes: 0 equal, 1 different or an error, 2 wrong usage",
            _ => "Exit codes: 0 done, 1 error, 2 usage, 3 a gap or a loss was found",
        };
        assert!(
            help.contains(codes),
            "{name} --help does not tell its exit codes\n{run}"
        );
        bare(&ws, name, &["--version"], &[])
            .ok()
            .says(env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_by_name() {
    let ws = Workspace::new("a wrong option ends with exit code 2 and names the flag");
    let wrong: &[(&str, &[&str], &str)] = &[
        ("producer", &["--batch-rows", "0"], "--batch-rows"),
        ("producer", &["--batch-rows", "1000001"], "--batch-rows"),
        ("producer", &["--batch-rows", "many"], "--batch-rows"),
        ("producer", &["--compression", "brotli"], "--compression"),
        ("producer", &["--capture", "log"], "--capture"),
        ("producer", &["--fake", "-1"], "--fake"),
        ("producer", &["--batch-rows", "-5"], "--batch-rows"),
        ("producer", &["--fake", "ten"], "--fake"),
        ("producer", &["--fake-every", "3s"], "--follow"),
        ("producer", &["--follow", "--fake-every", "3"], "--fake-every"),
        ("producer", &["--follow", "--fake-every", "0s"], "--fake-every"),
        ("producer", &["--seed", "x"], "--seed"),
        ("producer", &["--request-timeout", "0s"], "--request-timeout"),
        ("producer", &["--patience", "long"], "--patience"),
        ("producer", &["--topic", "t", "--topic-prefix", "p"], "--topic-prefix"),
        (
            "producer",
            &["--topic", "t", "--table", "a", "--table", "b"],
            "--topic-prefix",
        ),
        ("producer", &["--capture", "none", "--follow"], "--capture"),
        ("producer", &["--uninstall", "--follow"], "--uninstall"),
        ("producer", &["--uninstall", "--backfill"], "--uninstall"),
        ("producer", &["--brokers", "localhost:port"], "--brokers"),
        ("producer", &["--brokers", ""], "--brokers"),
        ("producer", &["--sink", "x"], "--sink"),
        ("producer", &["stray"], "stray"),
        ("consumer", &["--from", "middle"], "--from"),
        ("consumer", &["--on-bad-record", "ignore"], "--on-bad-record"),
        ("consumer", &["--brokers", "http://localhost:9092"], "--brokers"),
        ("consumer", &["--until-caught-up=maybe"], "--until-caught-up"),
        ("consumer", &["--what"], "--what"),
        ("consumer", &["--topic"], "--topic"),
        ("consumer", &["--follow"], "--follow"),
        ("verify", &["--source"], "--source"),
        ("verify", &["--brokers", "x"], "--brokers"),
    ];
    for (name, args, flag) in wrong {
        bare(&ws, name, args, &[]).code(2).says("error: ").says(flag);
    }
    let settings = [
        ("producer", "ROWFERRY_BATCH_ROWS", "0", "--batch-rows"),
        ("producer", "ROWFERRY_COMPRESSION", "zip", "--compression"),
        ("producer", "ROWFERRY_FAKE_EVERY", "3", "--fake-every"),
        ("producer", "ROWFERRY_FAKE_EVERY", "3s", "--follow"),
        ("consumer", "ROWFERRY_FROM", "now", "--from"),
        ("consumer", "ROWFERRY_BROKERS", ":9092", "--brokers"),
    ];
    for (name, variable, value, flag) in settings {
        bare(&ws, name, &[], &[(variable, value)])
            .code(2)
            .says("error: ")
            .says(flag);
    }
    for name in ["data", "data/source.db", "data/sink.db"] {
        assert!(!ws.path(name).exists(), "{name} was made all the same");
    }
}

#[test]
fn a_topic_name_that_kafka_refuses_is_named() {
    let ws = Workspace::new("a wrong topic name is a clear error at once").of("t");
    ws.sql(&ws.source(), "CREATE TABLE t(k PRIMARY KEY); INSERT INTO t VALUES (1)");
    let long = "x".repeat(250);
    for name in ["a b", "", "..", "né", &long] {
        let run = ws.producer(&["--topic", name]);
        let asked = run.waited;
        assert!([1, 2].contains(&run.status.code().unwrap_or(0)), "{name:?}\n{run}");
        run.says("error: ")
            .says(&format!("no topic can be named '{name}'"))
            .says("way out: ");
        assert!(asked < Duration::from_secs(30), "{asked:?} for {name:?}");
        let run = ws.consumer(&["--topic", name, "--until-caught-up"]);
        assert!([1, 2].contains(&run.status.code().unwrap_or(0)), "{name:?}\n{run}");
        run.says("error: ")
            .says(&format!("no topic can be named '{name}'"))
            .says("way out: ");
    }
}

#[test]
fn all_options_can_come_from_the_environment() {
    let ws = Workspace::new("each option is also an environment variable; the command line has the last word");
    let (source, sink, brokers) = (text(ws.source()), text(ws.sink()), ws.cluster().brokers());
    ws.sql(
        &ws.source(),
        "CREATE TABLE things(k INTEGER PRIMARY KEY); INSERT INTO things VALUES (1), (2)",
    );
    let both = [("ROWFERRY_BROKERS", brokers.as_str()), ("ROWFERRY_TOPIC", ws.topic())];
    let producer = [
        ("ROWFERRY_SOURCE", source.as_str()),
        ("ROWFERRY_TABLE", "things"),
        ("ROWFERRY_BATCH_ROWS", "1"),
        ("ROWFERRY_COMPRESSION", "gzip"),
        ("ROWFERRY_FOLLOW", "0"),
        ("ROWFERRY_QUIET", "no"),
        ("ROWFERRY_REQUEST_TIMEOUT", "20s"),
        ("ROWFERRY_PATIENCE", "1m"),
    ];
    let producer = [&both[..], &producer].concat();
    bare(&ws, "producer", &[], &producer).ok().says("2 rows shipped");
    let consumer = [
        ("ROWFERRY_SINK", sink.as_str()),
        ("ROWFERRY_GROUP", "some-group"),
        ("ROWFERRY_FROM", "earliest"),
        ("ROWFERRY_UNTIL_CAUGHT_UP", "1"),
        ("ROWFERRY_PRINT", "true"),
        ("ROWFERRY_ON_BAD_RECORD", "stop"),
        ("ROWFERRY_ALLOW_GAPS", "false"),
        ("ROWFERRY_HEAL", ""),
        ("ROWFERRY_QUIET", "1"),
    ];
    let consumer = [&both[..], &consumer].concat();
    let run = bare(&ws, "consumer", &[], &consumer).ok();
    assert_eq!((run.stdout().lines().count(), run.stderr()), (2, ""), "{run}");
    let verify = [
        ("ROWFERRY_SOURCE", source.as_str()),
        ("ROWFERRY_SINK", &sink),
        ("ROWFERRY_TABLE", "things"),
    ];
    bare(&ws, "verify", &[], &verify).ok().says("things: 2 rows, equal");
    let quiet = [&verify[..], &[("ROWFERRY_QUIET", "true")]].concat();
    assert_eq!(bare(&ws, "verify", &[], &quiet).ok().stdout(), "");

    // The command line has the last word.
    bare(&ws, "verify", &["--table", "nothing"], &verify)
        .code(1)
        .says("nothing");
    // Following is seen by what comes after the start.
    let follow = [&producer[..], &[("ROWFERRY_FOLLOW", "1"), ("ROWFERRY_BACKFILL", "1")]].concat();
    let mut following = Process::start(ws.command("producer").envs(follow));
    following.wait_for_line("2 rows to ship", SOON);
    ws.sql(&ws.source(), "INSERT INTO things VALUES (3)");
    let mut landing = Process::start(
        ws.command("consumer")
            .envs(consumer)
            .env("ROWFERRY_UNTIL_CAUGHT_UP", "no"),
    );
    landing.wait_for_line("\"row\":{\"k\":3}", SOON);
    for mut process in [following, landing] {
        process.signal(libc::SIGTERM);
        process.wait(SOON).ok();
    }
    bare(&ws, "verify", &[], &verify).ok().says("things: 3 rows, equal");
    let uninstall = [&producer[..], &[("ROWFERRY_UNINSTALL", "yes")]].concat();
    bare(&ws, "producer", &[], &uninstall).ok().says("took out");
    let elsewhere = format!("{}-elsewhere", ws.topic());
    let capture = [("ROWFERRY_CAPTURE", "none"), ("ROWFERRY_TOPIC", &elsewhere)];
    let capture = [&producer[..], &capture].concat();
    bare(&ws, "producer", &[], &capture).ok().says("3 rows shipped");
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_rowferry%' ESCAPE '\\'";
    assert_eq!(ws.number(&ws.source(), ours), 0, "--capture none wrote into the source");
}

#[test]
fn several_tables_travel_in_topics_of_their_own() {
    let ws = Workspace::new("--table and --topic can be repeated, --topic-prefix names the topics");
    ws.sql(
        &ws.source(),
        "CREATE TABLE a(k INTEGER PRIMARY KEY, v); INSERT INTO a(v) VALUES (1), (2);
         CREATE TABLE b(k TEXT PRIMARY KEY); INSERT INTO b VALUES ('x'), ('y'), ('z')",
    );
    let (source, sink, brokers) = (text(ws.source()), text(ws.sink()), ws.cluster().brokers());
    let prefix = format!("{}-", ws.topic());
    let topics = ["a", "b"].map(|table| prefix.clone() + table);
    let from = ["--brokers", &brokers, "--source", &source];
    let tables = ["--table", "a", "--table", "b"];
    let ship = [&from[..], &tables, &["--topic-prefix", &prefix]].concat();
    bare(&ws, "producer", &ship, &[]).ok().says("5 rows shipped");
    let land = [
        "--brokers",
        &brokers,
        "--sink",
        &sink,
        "--until-caught-up",
        "--topic",
        &topics[0],
        "--topic",
        &topics[1],
    ];
    bare(&ws, "consumer", &land, &[]).ok().says("5 rows landed");
    bare(&ws, "verify", &["--source", &source, "--sink", &sink], &[])
        .ok()
        .says("a: 2 rows, equal")
        .says("b: 3 rows, equal");
    bare(&ws, "producer", &ship, &[]).ok().says("0 rows shipped");
    bare(&ws, "consumer", &land, &[]).ok().says("0 rows landed");
}
