//! Others' transactions: what was aborted does not land, and what is open is waited for by nobody.

use std::process::Command;
use std::time::Duration;

use rusqlite::types::Value;

use crate::support::*;

const LIMIT: Duration = Duration::from_secs(60);

/// Takes steps, each of a producer by its transactional id: a row and its value, "commit" or "abort".
/// One without an id writes outside of transactions. What is open then stays open.
const STEPS: &str = r#"
import json, os, sys
brokers, topic, steps = sys.argv[1:]
producers, begun = {}, set()
try:
    from confluent_kafka import Producer
    def make(name):
        more = {"transactional.id": f"{topic}-{name}"} if name else {}
        return Producer({"bootstrap.servers": brokers, **more})
    def write(p, key, value): p.produce(topic, key=key, value=value)
except ImportError:
    from kafka import KafkaProducer
    def make(name):
        more = {"transactional_id": f"{topic}-{name}"} if name else {}
        return KafkaProducer(bootstrap_servers=brokers, **more)
    def write(p, key, value): p.send(topic, key=key, value=value)
for name, what, *value in json.loads(steps):
    if name not in producers:
        producers[name] = make(name)
        if name: producers[name].init_transactions()
    p = producers[name]
    if what == "commit": p.commit_transaction(); begun.discard(name)
    elif what == "abort": p.abort_transaction(); begun.discard(name)
    else:
        if name and name not in begun: p.begin_transaction(); begun.add(name)
        write(p, json.dumps({"id": what}).encode(), json.dumps({"v": value[0]}).encode())
        p.flush()
sys.stdout.flush()
os._exit(0)
"#;

fn cluster(stack: Config<'_>) -> Cluster {
    Cluster::own(Config {
        broker_config: "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                        transaction.state.log.num.partitions=1\nlog.cleaner.backoff.ms=200"
            .to_owned(),
        ..stack
    })
}

fn kraft() -> Config<'static> {
    Config {
        stack: "kraft",
        ..Config::default()
    }
}

fn take(w: &Workspace, steps: &str) {
    let mut command = Command::new(python());
    command.args(["-c", STEPS, &w.cluster().brokers(), w.topic(), steps]);
    Process::start(&mut command).wait(LIMIT).ok();
}

/// What has landed, as `id:v`.
fn landed(w: &Workspace) -> String {
    let made = format!("SELECT 1 FROM sqlite_schema WHERE name = '{}'", w.topic());
    if !w.sink().exists() || w.rows(&w.sink(), &made).is_empty() {
        return String::new();
    }
    let rows = format!(
        "SELECT ifnull(group_concat(id || ':' || v, ' '), '') FROM (SELECT * FROM \"{}\" ORDER BY id)",
        w.topic()
    );
    match &w.rows(&w.sink(), &rows)[0][0] {
        Value::Text(text) => text.clone(),
        other => panic!("no text but {other:?}"),
    }
}

/// Interleaved transactions that end in every way, and one that stays open before a record that
/// belongs to none.
const EVERY_WAY: &str = r#"[["a",1,"a"], ["b",2,"aborted"], ["a","commit"], ["b","abort"], ["c",3,"aborted"], ["c","abort"],
    ["c",3,"c"], ["c","commit"], ["",4,"plain"], ["a",1,"aborted"], ["b",5,"b"], ["a","abort"], ["b","commit"],
    ["c",4,"aborted"], ["",6,"plain"], ["c","abort"], ["d",7,"open"], ["",8,"behind"], ["a",9,"behind"], ["a","commit"]]"#;

fn transactions_that_end_in_every_way(cluster: &Cluster) {
    let w = Workspace::on(
        cluster,
        "aborted records do not land, and an open transaction hangs nobody",
    );
    cluster.create_topic(w.topic(), 1, &[]);
    take(&w, EVERY_WAY);
    let caught_up = ["--client", "native", "--until-caught-up"];
    w.consumer(&caught_up).ok().never_says("were no rows");
    assert_eq!(landed(&w), "1:a 3:c 4:plain 5:b 6:plain");
    w.consumer(&caught_up).ok().says("0 rows landed");
    // The next one of that name ends what was left open.
    let mut follower = w.start_consumer(&["--client", "native"]);
    take(&w, r#"[["d",7,"late"], ["d","commit"]]"#);
    let all = "1:a 3:c 4:plain 5:b 6:plain 7:late 8:behind 9:behind";
    let done = wait_until(LIMIT, || landed(&w) == all);
    assert!(done, "{}\n{}", landed(&w), follower.output());
    take(
        &w,
        r#"[["d",10,"aborted"], ["d","abort"], ["d",1,"last"], ["d","commit"]]"#,
    );
    let all = all.replace("1:a", "1:last");
    let done = wait_until(LIMIT, || landed(&w) == all);
    assert!(done, "{}\n{}", landed(&w), follower.output());
    follower.signal(libc::SIGTERM);
    follower.wait(LIMIT).ok();
    // One that begins now comes to the same.
    let sink = w.path("other.db");
    let sink = sink.to_str().expect("the temporary folder has a plain name");
    w.consumer(&[&caught_up[..], &["--sink", sink]].concat()).ok();
    let rows = |file| w.rows(file, &format!("SELECT * FROM \"{}\" ORDER BY id", w.topic()));
    assert_eq!(rows(&w.path("other.db")), rows(&w.sink()));
}

/// Compaction takes records out of transactions, and leaves marks and empty batches behind.
fn transactions_that_were_compacted(cluster: &Cluster) {
    let w = Workspace::on(
        cluster,
        "what compaction leaves of transactions lands as it was committed",
    );
    let compact = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "1"),
    ];
    cluster.create_topic(w.topic(), 1, &compact);
    let round = |n: u32| {
        let row = |id: u32| {
            format!(
                "[\"a\",{id},\"{n}\"],[\"b\",{id},\"aborted\"],[\"\",{},\"{n}\"]",
                id + 10
            )
        };
        let rows: Vec<String> = (1..=5).map(row).collect();
        format!("[{},[\"b\",\"abort\"],[\"a\",\"commit\"]]", rows.join(","))
    };
    let mut rounds = 0;
    let holes = || {
        let records = read_records(cluster, w.topic(), 0);
        let offsets: Vec<i64> = records.iter().map(|(offset, _)| *offset).collect();
        offsets.first().is_some_and(|first| *first > 10)
    };
    while !holes() {
        rounds += 1;
        assert!(rounds < 60, "the broker does not compact the topic");
        take(&w, &round(rounds));
    }
    w.consumer(&["--client", "native", "--until-caught-up"]).ok();
    let ids = (1..=5).chain(11..=15);
    let expected: Vec<String> = ids.map(|id| format!("{id}:{rounds}")).collect();
    assert_eq!(landed(&w), expected.join(" "));
}

#[test]
fn others_transactions_land_as_they_were_committed() {
    let cluster = cluster(Config::default());
    transactions_that_end_in_every_way(&cluster);
    transactions_that_were_compacted(&cluster);
}

#[test]
fn others_transactions_land_as_they_were_committed_on_kafka_4() {
    let cluster = cluster(kraft());
    transactions_that_end_in_every_way(&cluster);
    transactions_that_were_compacted(&cluster);
}

/// What README says of the other client: it is not told what was aborted.
#[test]
fn the_crate_lands_what_was_aborted() {
    let cluster = cluster(Config::default());
    let w = Workspace::on(&cluster, "the client kafka lands what aborted transactions wrote");
    cluster.create_topic(w.topic(), 1, &[]);
    take(
        &w,
        r#"[["a",1,"a"], ["a","commit"], ["a",2,"aborted"], ["a","abort"], ["b",3,"open"]]"#,
    );
    w.consumer(&["--client", "kafka", "--until-caught-up"]).ok();
    assert_eq!(landed(&w), "1:a 2:aborted 3:open");
}
