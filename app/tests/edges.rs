//! Where Kafka's old protocol and its clients have sharp edges: mixed codecs, large rows, missing
//! topics, and what else may listen where a broker should.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rusqlite::types::Value;

use crate::support::*;

/// No user waits longer to hear that there is no broker of ours.
const QUICK: Duration = Duration::from_secs(10);

/// Arguments of a user who does not want to wait.
const BRIEF: [&str; 4] = ["--patience", "2s", "--request-timeout", "1s"];

/// A cluster of Kafka 3.9.1, which makes no topic by itself.
pub(crate) fn modern() -> Cluster {
    static MODERN: OnceLock<Cluster> = OnceLock::new();
    let config = || Config {
        kafka_version: "3.9.1".to_owned(),
        broker_config: "auto.create.topics.enable=false".to_owned(),
        ..Config::default()
    };
    MODERN.get_or_init(|| Cluster::own(config())).clone()
}

#[test]
fn batches_of_another_client_in_every_codec_arrive_whole() {
    every_codec_arrives(Workspace::new);
}

#[test]
fn batches_of_another_client_arrive_whole_on_0_9_0_1_in_every_codec() {
    let cluster = Cluster::own(Config {
        kafka_version: "0.9.0.1".to_owned(),
        ..Config::default()
    });
    every_codec_arrives(|sentence| Workspace::on(&cluster, sentence).by("kafka"));
}

#[test]
fn batches_of_another_client_arrive_whole_on_3_9_1_in_every_codec() {
    every_codec_arrives(|sentence| Workspace::on(&modern(), sentence));
}

/// Another client's topic, and one of our own, in which the codecs take turns: all that our client
/// knows.
fn every_codec_arrives(workspace: impl Fn(&str) -> Workspace) {
    let w = workspace("no record is lost between batches of different codecs");
    let (cluster, codecs) = (w.cluster(), w.codecs());
    cluster.create_topic(w.topic(), 1, &[]);
    w.sql(
        &w.source(),
        &format!(
            "CREATE TABLE \"{}\" (id PRIMARY KEY, text); {}",
            w.topic(),
            numbers(900, w.topic(), "i, printf('row %d %.*c', i, i % 7 * 60, 'x')")
        ),
    );
    let rows = w.rows(
        &w.source(),
        &format!("SELECT id, text FROM \"{}\" ORDER BY id", w.topic()),
    );
    for (turn, rows) in rows.chunks(100).enumerate() {
        let lines: Vec<String> = rows
            .iter()
            .map(|row| match &row[..] {
                [Value::Integer(id), Value::Text(text)] => {
                    format!("{{\"id\":{id}}}\t{{\"id\":{id},\"text\":\"{text}\"}}\n")
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let codec = codecs[turn % codecs.len()];
        let args = [
            "-P",
            "-t",
            w.topic(),
            "-p",
            "0",
            "-K",
            "\t",
            "-z",
            codec,
            "-X",
            "batch.num.messages=10",
        ];
        kcat(cluster, &args, lines.concat().as_bytes());
    }
    assert_in_log(cluster, w.topic(), codecs);
    w.consumer(&["--until-caught-up"]).ok();
    w.verify(&["--table", w.topic()]).ok().says("900 rows, equal");

    let ours = workspace("no record of ours is lost between batches of different codecs").of("items");
    cluster.create_topic(ours.topic(), 1, &[]);
    make_items(&ours, 300);
    for codec in codecs.iter().chain(codecs.iter().rev()) {
        ours.sql(&ours.source(), "UPDATE items SET price = price + 1");
        ours.producer(&["--compression", codec]).ok();
    }
    assert_in_log(cluster, ours.topic(), codecs);
    ours.consumer(&["--until-caught-up"]).ok();
    assert_equal(&ours);
}

/// Looks into the log itself: did the broker keep the codecs that the client chose?
fn assert_in_log(cluster: &Cluster, topic: &str, codecs: &[&str]) {
    let file = cluster
        .folder()
        .join(format!("broker-1/{topic}-0/00000000000000000000.log"));
    let dump = cluster
        .tool("kafka-dump-log", &["--files", file.to_str().expect("a plain name")])
        .ok();
    let dump = dump.stdout().to_lowercase();
    for codec in codecs {
        let names = [
            format!("compresscodec: {codec}"),
            format!("compresscodec: {codec}compression"),
        ];
        let plain = *codec == "none" && dump.contains("compresscodec: nocompression");
        assert!(
            plain || names.iter().any(|name| dump.contains(name)),
            "no {codec} batch in the log of {topic}:\n{dump}"
        );
    }
}

#[test]
fn a_row_above_the_brokers_limit_stays_as_a_dead_letter_and_the_rest_goes_on() {
    let w = Workspace::new("a row that is too large is kept back, and nothing else").of("docs");
    w.cluster()
        .create_topic(w.topic(), 2, &[("max.message.bytes", "1000012")]);
    let text = |bytes: u32| format!("printf('%.*c', {bytes}, 'x')");
    let resize = |id: u32, bytes: u32| {
        w.sql(
            &w.source(),
            &format!("UPDATE docs SET body = {} WHERE id = {id}", text(bytes)),
        );
    };
    let letters = || {
        w.rows(
            &w.source(),
            "SELECT source_table, key, reason FROM _rowferry_dead_letters",
        )
    };
    w.sql(
        &w.source(),
        &format!(
            "CREATE TABLE docs (id INTEGER PRIMARY KEY, body TEXT); {}",
            numbers(40, "docs", "i, 'small ' || i")
        ),
    );
    resize(10, 900 * 1024);
    resize(15, 1_100_000);

    let first = w.producer(&[]).code(1);
    first
        .says("1 rows were kept back")
        .says("_rowferry_dead_letters")
        .says("way out");
    let [letter] = &letters()[..] else {
        panic!("one letter was due: {:?}", letters());
    };
    assert_eq!(
        letter[..2],
        [Value::Text("docs".into()), Value::Text("{\"id\":15}".into())]
    );
    assert!(
        matches!(&letter[2], Value::Text(reason) if reason.contains("too large") && reason.contains("max.message.bytes")),
        "{letter:?}"
    );
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("1 rows were kept back by the producer");
    w.verify(&[]).code(1).says("1 missing");
    assert_eq!(
        w.number(&w.sink(), "SELECT length(body) FROM docs WHERE id = 10"),
        900 * 1024
    );
    assert_eq!(w.number(&w.sink(), "SELECT count(*) FROM docs"), 39);

    // The next run tries again, and again the rest goes on.
    w.sql(&w.source(), "INSERT INTO docs VALUES (41, 'later')");
    w.producer(&[]).code(1).says("the row {\"id\":15} stays behind");
    assert_eq!(letters().len(), 1);
    w.consumer(&["--until-caught-up"]).ok();
    assert_eq!(w.number(&w.sink(), "SELECT count(*) FROM docs"), 40);

    resize(15, 1000);
    w.producer(&[]).ok();
    assert!(letters().is_empty(), "{:?}", letters());
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);

    // A row that grows too large after it had landed, and the way out that the letter names.
    resize(1, 1_100_000);
    w.producer(&[]).code(1);
    assert_eq!(letters().len(), 1);
    w.consumer(&["--until-caught-up"]).ok();
    w.verify(&[]).code(1).says("1 different");
    let entity = ["--alter", "--entity-type", "topics", "--entity-name", w.topic()];
    let server = [
        "--bootstrap-server",
        "localhost:9092",
        "--add-config",
        "max.message.bytes=4000000",
    ];
    w.cluster().tool("kafka-configs", &[&entity[..], &server].concat()).ok();
    w.producer(&[]).ok();
    assert!(letters().is_empty(), "{:?}", letters());
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
}

#[test]
fn a_consumer_waits_for_its_topic_and_the_producer_lets_the_broker_make_it() {
    let w = Workspace::new("a topic that is not there yet is waited for").of("items");
    make_items(&w, 50);
    let early = w.consumer(&["--until-caught-up"]).code(1);
    early
        .says(&format!("topic \"{}\" does not exist", w.topic()))
        .says("run the producer first");
    let mut consumer = w.start_consumer(&[]);
    consumer.wait_for_line("does not exist yet: waiting for it", QUICK);
    w.producer(&[]).ok();
    let landed = || {
        w.sink().exists()
            && w.rows(&w.sink(), "SELECT 1 FROM sqlite_schema WHERE name = 'items'")
                .len()
                == 1
    };
    assert!(wait_until(Duration::from_secs(30), || landed()
        && w.number(&w.sink(), "SELECT count(*) FROM items") == 50));
    consumer.signal(libc::SIGINT);
    consumer.wait(QUICK).ok();
    assert_equal(&w);
}

#[test]
fn a_topic_that_the_broker_does_not_create_is_a_clear_error_with_the_way_out() {
    let w = Workspace::on(&modern(), "a missing topic is told, with the command that makes it").of("items");
    make_items(&w, 50);
    let run = w.producer(&[]).code(1);
    assert!(run.waited < Duration::from_secs(20), "{run}");
    let run = run.says(&format!(
        "topic {} is not there and the broker does not create it",
        w.topic()
    ));
    run.says("way out: create it: kafka-topics.sh --create --bootstrap-server");
    w.cluster().create_topic(w.topic(), 3, &[]);
    ship_and_land(&w);
}

#[test]
fn what_is_no_broker_is_told_quickly_and_nothing_is_made() {
    let w = Workspace::new("whatever listens where a broker should, the user hears of it").of("items");
    make_items(&w, 5);
    let web = WebServer::start();
    refused(
        &w,
        &web.address(),
        1,
        &["what answers at", "is no Kafka broker", "--brokers HOST:PORT"],
    );
    // What a broker that starts, stops or is slow may do as well is borne, as long as the user
    // wants.
    let silent = listener(|client| {
        thread::spawn(move || drop(read_all(client)));
    });
    refused_with(
        &w,
        &silent,
        &BRIEF,
        1,
        &[
            "no Kafka broker answers at",
            "takes the connection, but does not answer",
            "way out",
        ],
    );
    let rude = listener(drop);
    refused_with(
        &w,
        &rude,
        &BRIEF,
        1,
        &[
            "closes the connection",
            "a broker that starts, stops or is slow, or what answers is no Kafka broker",
            "trying again for up to 2 s",
            "--brokers HOST:PORT",
        ],
    );
    // A listener for TLS: it closes, too, but what it says before is TLS.
    let tls = listener(|mut client| {
        let _ = client.read(&mut [0; 100]);
        let _ = client.write_all(&[0x15, 3, 3, 0, 2, 2, 10]);
    });
    refused(
        &w,
        &tls,
        1,
        &[
            "what answers at",
            "it speaks TLS, and --tls is not given",
            "add --tls",
            "--brokers HOST:PORT",
        ],
    );
    let nobody = format!("127.0.0.1:{}", free_port());
    refused(
        &w,
        &nobody,
        1,
        &[
            "no Kafka broker answers at",
            &nobody,
            "sh server_up.sh",
            "--brokers HOST:PORT",
        ],
    );
    for bad in [
        "",
        "localhost:port",
        "localhost:0",
        "http://localhost:9092",
        "a:1,,b:2",
        "localhost:70000",
    ] {
        refused(&w, bad, 2, &["--brokers '", "way out: write --brokers HOST:PORT"]);
    }
    // One that answers is enough.
    let list = format!("{nobody},{}", w.cluster().brokers());
    w.producer(&["--brokers", &list]).ok();
    w.consumer(&["--brokers", &list, "--until-caught-up"]).ok();
    assert_equal(&w);
}

#[test]
fn a_broker_of_kafka_4_is_too_new_for_the_client_kafka_and_that_is_said_at_once() {
    let w = Workspace::new("a broker that speaks only the new protocol is told from one that hangs").of("items");
    make_items(&w, 5);
    let cluster = Cluster::own(Config {
        stack: "kraft",
        ..Config::default()
    });
    assert!(cluster.kafka_version().starts_with("4."));
    let texts = [
        "is too new: this client speaks the 0.9-3.9 protocol",
        "run a broker of version 0.9 to 3.9",
        "--client native",
    ];
    refused_with(&w, &cluster.direct(), &["--client", "kafka"], 1, &texts);
    assert_eq!(cluster.awake(), [1], "it was no Kafka 4 that answered: it has ended");
}

/// Both commands end with this code and these words, soon, and leave no trace in either database.
#[track_caller]
fn refused(w: &Workspace, brokers: &str, code: i32, texts: &[&str]) {
    refused_with(w, brokers, &[], code, texts);
}

/// The same with these arguments beside the address.
#[track_caller]
fn refused_with(w: &Workspace, brokers: &str, args: &[&str], code: i32, texts: &[&str]) {
    let brokers = [&["--brokers", brokers], args].concat();
    for run in [
        w.producer(&brokers),
        w.consumer(&brokers),
        w.consumer(&[&brokers[..], &["--until-caught-up"]].concat()),
    ] {
        assert!(run.waited < QUICK, "that took too long\n{run}");
        texts.iter().fold(run.code(code), |run, text| run.says(text));
    }
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name GLOB '_rowferry*'";
    assert_eq!(w.number(&w.source(), ours), 0, "the source was touched");
    assert!(!w.sink().exists(), "a sink was made");
}

fn read_all(mut client: TcpStream) -> std::io::Result<usize> {
    client.read_to_end(&mut Vec::new())
}

/// A server on a free port that does this with each connection; ends with the test process.
fn listener(mut serve: impl FnMut(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || listener.incoming().flatten().for_each(&mut serve));
    address
}

/// A real web server.
struct WebServer {
    port: u16,
    _process: Process,
}

impl WebServer {
    fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(python());
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
        command.args(["--directory", env!("CARGO_MANIFEST_DIR")]);
        let process = Process::start(&mut command);
        let serves = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        assert!(
            wait_until(Duration::from_secs(20), serves),
            "no web server:\n{}",
            process.output()
        );
        Self {
            port,
            _process: process,
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A source with a table of this many items.
fn make_items(w: &Workspace, rows: u32) {
    w.sql(
        &w.source(),
        &format!(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL); {}",
            numbers(rows, "items", "i, 'item ' || i, i * 0.5")
        ),
    );
}

/// Inserts rows that are made of the numbers `i` from 1 on.
fn numbers(rows: u32, table: &str, row: &str) -> String {
    format!(
        "INSERT INTO \"{table}\" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         SELECT {row} FROM n;"
    )
}
