//! Wrong clocks: a broker deletes and refuses records by the time that their producer gives them. Ours
//! have none.

use std::process::Command;
use std::time::Duration;

use crate::support::*;

/// How long the broker may take to look for what is to be deleted: it begins half a minute after its
/// start.
const LIMIT: Duration = Duration::from_secs(120);

/// Clocks as libfaketime knows them: a day back, a day ahead, and that of a machine without a battery.
const CLOCKS: [&str; 3] = ["-1d", "+1d", "@1970-01-02 00:00:00"];

/// One record with a time of the producer's choice, in milliseconds from now, and what became of it.
const WRITE_AT: &str = r#"
import sys, time
brokers, topic, ahead = sys.argv[1:]
at = max(1, int(time.time() * 1000) + int(ahead))
try:
    from confluent_kafka import Producer
    p = Producer({"bootstrap.servers": brokers})
    def told(error, _): print(error or "written")
    p.produce(topic, key=b"1", value=b"{}", timestamp=at, on_delivery=told)
    p.flush()
except ImportError:
    from kafka import KafkaProducer
    p = KafkaProducer(bootstrap_servers=brokers)
    try:
        p.send(topic, key=b"1", value=b"{}", timestamp_ms=at).get(30)
        print("written")
    except Exception as error: print(error)
"#;

const DAY: i64 = 86_400_000;

fn write_at(cluster: &Cluster, topic: &str, ahead: i64) -> String {
    let mut write = Command::new(python());
    write.args(["-c", WRITE_AT, &cluster.brokers(), topic, &ahead.to_string()]);
    Process::start(&mut write).wait(LIMIT).ok().stdout().trim().to_owned()
}

/// Ships all rows with a client whose clock is wrong.
fn ship(w: &Workspace, client: &str, clock: &str) {
    let producer = w.command("producer");
    let (source, brokers) = (w.source(), w.cluster().brokers());
    let mut wrong = Command::new("faketime"); // package faketime
    wrong
        .args(["-m", "-f", clock])
        .arg(producer.get_program())
        .args([
            "--client",
            client,
            "--brokers",
            &brokers,
            "--topic",
            w.topic(),
            "--table",
            "t",
        ])
        .arg("--source")
        .arg(source)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Process::start(&mut wrong).wait(LIMIT).ok();
}

/// What is kept for an hour is not deleted for its producer's clock, and none is refused.
fn records_outlive_wrong_clocks(config: Config<'_>, clients: &[&str], limits: &[(&str, &str)]) {
    let cluster = Cluster::own(Config {
        broker_config: "log.retention.check.interval.ms=300".to_owned(),
        ..config
    });
    let hour = [("retention.ms", "3600000"), ("segment.ms", "1000")];
    let with = |more: &[(&'static str, &'static str)]| [&hour[..], more].concat();
    let topics = [with(&[]), with(&[("message.timestamp.type", "LogAppendTime")])];
    let mut shipped = Vec::new();
    let strict = [&hour[..], limits].concat();
    for client in clients {
        for clock in CLOCKS {
            for settings in topics.iter().chain([&strict]) {
                let w = Workspace::on(&cluster, "no record is deleted or refused for its producer's clock").of("t");
                w.cluster().create_topic(w.topic(), 1, settings);
                w.sql(
                    &w.source(),
                    "CREATE TABLE t(id INTEGER PRIMARY KEY, v);
                     WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500) INSERT INTO t SELECT n, n FROM c",
                );
                ship(&w, client, clock);
                shipped.push(w);
            }
        }
    }
    // What others' clocks do to their records, written after ours.
    let is_4 = cluster.kafka_version().starts_with("4.");
    for (topic, ahead, is_refused) in [
        ("ahead", 2 * DAY, is_4),
        ("back", -DAY, false),
        ("in-1970", -99_999 * DAY, false),
    ] {
        cluster.create_topic(topic, 1, &hour);
        let told = write_at(&cluster, topic, ahead);
        assert_eq!(told != "written", is_refused, "{topic}: {told}");
    }
    for topic in ["back", "in-1970"] {
        let deleted = wait_until(LIMIT, || cluster.earliest(topic) == [1]);
        assert!(deleted, "the broker did not look for records that are too old");
    }
    for w in shipped {
        assert_eq!(cluster.earliest(w.topic()), [0], "records of ours were deleted");
        w.consumer(&["--until-caught-up", "--client", "native"]).ok();
        assert_equal(&w);
    }
}

#[test]
fn a_wrong_clock_costs_no_record() {
    let limits = [("message.timestamp.difference.max.ms", "1000")];
    records_outlive_wrong_clocks(Config::default(), &["native", "kafka"], &limits);
}

#[test]
fn a_wrong_clock_costs_no_record_on_kafka_4() {
    let config = Config {
        stack: "kraft",
        ..Config::default()
    };
    let limits = [
        ("message.timestamp.before.max.ms", "1000"),
        ("message.timestamp.after.max.ms", "1000"),
    ];
    records_outlive_wrong_clocks(config, &["native"], &limits);
}
