//! Sets of format 0, as brokers of 0.9 keep them, and newer ones that took over their logs: the
//! compressed message in a compressed one among them.

use std::fs;

use rusqlite::types::Value;

use crate::support::message_set::{GZIP, gzip, message, produce};
use crate::support::*;

/// As often as this the log is read: what is read from memory that was given back need not be wrong
/// each time.
const ROUNDS: usize = 20;

fn row(id: i64) -> Vec<u8> {
    let (key, value) = (
        format!("{{\"id\":{id}}}"),
        format!("{{\"id\":{id},\"name\":\"row {id}\"}}"),
    );
    message(0, 0, key.as_bytes(), value.as_bytes())
}

fn rows(ids: std::ops::Range<i64>) -> Vec<u8> {
    ids.flat_map(row).collect()
}

fn packed(set: &[u8]) -> Vec<u8> {
    message(0, GZIP, b"", &gzip(set))
}

/// A consumer with an empty sink lands all rows, and puts aside what is no row.
#[track_caller]
fn lands(w: &Workspace, client: &str, expected: &[Vec<Value>], put_aside: &[Vec<Value>]) {
    for _ in 0..ROUNDS {
        let _ = fs::remove_file(w.sink());
        let run = w
            .consumer(&["--until-caught-up", "--partitions", "0", "--client", client])
            .ok();
        run.says(&format!("{} records were no rows", put_aside.len()));
        let (sink, table) = (w.sink(), w.topic());
        let landed = w.rows(&sink, &format!("SELECT id, name FROM \"{table}\" ORDER BY id"));
        assert_eq!(landed, expected, "{client}");
        let query = "SELECT \"offset\", value FROM _rowferry_dead_letters ORDER BY id";
        assert_eq!(w.rows(&sink, query), put_aside, "{client}");
    }
}

#[test]
fn a_compressed_message_in_a_compressed_one_is_put_aside_before_and_after_an_upgrade() {
    let cluster = Cluster::own(Config {
        kafka_version: "0.9.0.1".to_owned(),
        ..Config::default()
    });
    let w = Workspace::on(&cluster, "what an old broker stored is read alike by both clients");
    cluster.create_topic(w.topic(), 1, &[]);
    let send = |set: &[u8]| produce(&cluster.direct(), w.topic(), 0, set);
    // In each of these messages lie rows that have no offset of their own. The second one holds another.
    let inner = gzip(&rows(900..1400));
    let innermost = gzip(&[rows(900..910), packed(&rows(1400..1900)), rows(910..920)].concat());
    let nested = |inner: &[u8]| message(0, GZIP, b"{\"id\":900}", inner);
    for (offset, set) in [
        (0, rows(0..3)),
        (3, packed(&[row(3), nested(&inner), row(5)].concat())),
        (6, rows(6..8)),
        (8, packed(&rows(8..700))),
        (700, packed(&nested(&innermost))),
        (701, rows(701..702)),
    ] {
        assert_eq!(send(&set), Ok(offset));
    }
    let text = |id: i64| vec![Value::Integer(id), Value::Text(format!("row {id}"))];
    let blob = |offset: i64, value: &[u8]| vec![Value::Integer(offset), Value::Blob(value.to_vec())];
    let mut expected: Vec<_> = (0..702).filter(|id| ![4, 700].contains(id)).map(text).collect();
    let put_aside = [blob(4, &inner), blob(700, &innermost)];
    lands(&w, "kafka", &expected, &put_aside);
    let brief = ["--request-timeout", "1s", "--patience", "10s", "--client", "native"];
    let run = w.consumer(&[&brief[..], &["--until-caught-up"]].concat()).code(1);
    run.says("the broker is older than 0.11").says("--client kafka");

    cluster.upgrade("2.8.1");
    let refused = send(&packed(&nested(&inner)));
    assert!(refused.is_err(), "a newer broker took it at offset {refused:?}");
    for client in ["kafka", "native"] {
        lands(&w, client, &expected, &put_aside);
    }
    for id in 702..705 {
        assert_eq!(send(&packed(&row(id))), Ok(id));
        expected.push(text(id));
    }
    // Behind the old sets: the crate reads on.
    let run = w.consumer(&["--until-caught-up", "--partitions", "0", "--client", "kafka"]);
    run.ok().says("3 rows landed");
    for client in ["kafka", "native"] {
        lands(&w, client, &expected, &put_aside);
    }
}
