//! Shipping, whole: from a real source to a scripted cluster.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use super::*;
use crate::broker::fake::{self, Fault};
use crate::model::TopicPartition;
use crate::source::{Capture, Run};

const PATIENCE: Duration = Duration::from_secs(10);

/// A source with table `t(id INTEGER PRIMARY KEY, v)`, and the cluster with topic "t" of one
/// partition to which it is shipped.
struct Shipping {
    folder: PathBuf,
    options: ShipOptions,
    user: Connection,
    brokers: fake::Cluster,
}

impl Shipping {
    fn new(rows: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rowferry-ship-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let source = folder.join("source.db");
        let user = Connection::open(&source).unwrap();
        user.execute_batch(&format!(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES {rows}"
        ))
        .unwrap();
        let options = ShipOptions {
            source,
            tables: vec![("t".into(), "t".into())],
            capture: Capture::Triggers,
            backfill: false,
            strict: false,
            follow: false,
            batch_rows: 2,
            sign_key: None,
        };
        Self {
            folder,
            options,
            user,
            brokers: fake::Cluster::new("t", 1, "a:1"),
        }
    }

    fn ship(&self) -> ShipSummary {
        self.try_ship().unwrap()
    }

    fn try_ship(&self) -> Result<ShipSummary> {
        let stop = Stop::default();
        let cluster = Cluster::fake(&self.brokers, PATIENCE, &stop);
        ship(&self.options, &cluster, &mut Progress::new("shipped", true), &stop)
    }

    /// Ships in one run; `meanwhile` comes after its first records, and before its rows.
    fn run(&self, meanwhile: impl FnOnce(&Run)) -> Result<()> {
        let (options, stop) = (&self.options, Stop::default());
        let cluster = Cluster::fake(&self.brokers, PATIENCE, &stop);
        let mut state = SourceState::open(&options.source, options.capture, stop.clone())?;
        let mut producer = cluster.producer();
        let begun = begin(options, false, &cluster, &mut state, &mut producer, &stop)?;
        let (run, tables) = begun.expect("rows wait");
        meanwhile(&run);
        let topics = tables.iter().map(shipped_topic).collect();
        let (batches, queue) = sync_channel(BATCHES);
        let (mut progress, stop) = (Progress::new("shipped", true), &stop);
        let mut shipper = Shipper::new(options, &run, &mut state, producer, &cluster, &mut progress, stop).to(topics);
        thread::scope(|scope| {
            scope.spawn(move || read_all(options, tables, &batches, None, stop));
            shipper.ship(queue)
        })
    }

    /// Puts a row's record that says of itself that it is the first of this run.
    fn put(&self, source: &str, epoch: u64) {
        let value = format!(r#"{{"id":9,"v":9,"_ferry":"{source}.{epoch}.1"}}"#);
        self.brokers.append(&at(), &[(r#"{"id":9}"#.into(), value)]);
    }

    /// The records that the topic holds, but for schemas and passes.
    fn rows(&self) -> Vec<String> {
        let values = self.brokers.values(&at()).into_iter();
        // Without the id at the end.
        let row = |value: String| value.split(r#","_ferry""#).next().unwrap().to_owned();
        values
            .map(row)
            .filter(|row| !row.starts_with(r#"{"_schema""#) && !row.starts_with(r#"{"_pass""#))
            .collect()
    }

    fn query_number(&self, sql: &str) -> i64 {
        self.user.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn query(&self, sql: &str) -> String {
        self.user.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn at() -> TopicPartition {
    TopicPartition::new("t", 0)
}

#[test]
fn all_rows_are_shipped_once_and_then_what_changes() {
    let shipping = Shipping::new("(1, 10), (2, 20), (3, 30)");
    shipping.ship();
    let all = [r#"{"id":1,"v":10"#, r#"{"id":2,"v":20"#, r#"{"id":3,"v":30"#];
    assert_eq!(shipping.rows(), all);
    let end = shipping.brokers.values(&at()).len();
    shipping.ship();
    assert_eq!(shipping.brokers.values(&at()).len(), end, "nothing is left to ship");
    shipping.user.execute_batch("UPDATE t SET v = 21 WHERE id = 2").unwrap();
    shipping.ship();
    assert_eq!(shipping.rows()[3..], [r#"{"id":2,"v":21"#]);
}

#[test]
fn a_row_that_is_too_large_is_kept_back_and_a_placeholder_takes_its_number() {
    let shipping = Shipping::new("(1, 10), (2, hex(zeroblob(500))), (3, 30)");
    shipping.brokers.state().max_value = Some(600);
    assert_eq!(shipping.ship().kept_back, 1);
    let rows = shipping.rows();
    assert_eq!(
        (rows[0].as_str(), rows[2].as_str()),
        (r#"{"id":1,"v":10"#, r#"{"id":3,"v":30"#)
    );
    assert!(rows[1].starts_with(r#"{"_kept":{"key":"{\"id\":2}""#), "{}", rows[1]);
    let ids = shipping.brokers.values(&at());
    assert!(ids[2].ends_with(r#".3"}"#), "{}", ids[2]);
    let kept = shipping.query("SELECT key || reason FROM _rowferry_dead_letters");
    assert!(kept.starts_with(r#"{"id":2}the broker refuses a record of"#), "{kept}");
    // It is sent as soon as it fits.
    shipping.user.execute_batch("UPDATE t SET v = 22 WHERE id = 2").unwrap();
    assert_eq!(shipping.ship().kept_back, 0);
    assert_eq!(shipping.rows()[3..], [r#"{"id":2,"v":22"#]);
}

#[test]
fn a_newer_run_of_the_same_source_that_its_file_does_not_know_is_a_living_copy() {
    let shipping = Shipping::new("(1, 10)");
    let error = shipping
        .run(|run| shipping.put(&run.source, run.epoch + 1))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Loss, "{error}");
    let told = "topic \"t\" partition 0 offset 1: a newer run";
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn what_else_comes_between_is_none_of_its_business() {
    let shipping = Shipping::new("(1, 10)");
    shipping
        .run(|run| {
            shipping.put(&run.source, run.epoch - 1);
            shipping.put("another", run.epoch + 1);
            // Its own records, which it sends again.
            shipping.brokers.state().faults.push_back(Fault::LostAnswer);
        })
        .unwrap();
    assert_eq!(shipping.rows()[2..], [r#"{"id":1,"v":10"#; 2]);
}

#[test]
fn an_answer_before_what_was_sent_tells_that_the_topic_was_made_anew() {
    let shipping = Shipping::new("(1, 10)");
    let error = shipping.run(|_| shipping.brokers.make_anew(&at(), &[])).unwrap_err();
    assert_eq!(error.kind(), Kind::Forked, "{error}");
    assert!(error.to_string().contains("the topic was made anew"), "{error}");
}

#[test]
fn a_topic_with_another_id_gets_all_rows_whatever_it_holds() {
    let mut shipping = Shipping::new("(1, 10), (2, 20)");
    let known = "SELECT count(topic_id) FROM _rowferry_acked";
    shipping.ship();
    assert_eq!(shipping.query_number(known), 0);
    // An id that is told for the first time, or no more, is no other.
    for (told, v) in [(Some(1), 11), (None, 12), (Some(1), 13)] {
        match told {
            Some(byte) => shipping.brokers.identify("t", byte),
            None => shipping.brokers.state().topic_ids.clear(),
        }
        shipping
            .user
            .execute_batch(&format!("UPDATE t SET v = {v} WHERE id = 1"))
            .unwrap();
        let before = shipping.rows().len();
        shipping.ship();
        assert_eq!(shipping.rows()[before..], [format!(r#"{{"id":1,"v":{v}"#)]);
        assert_eq!(shipping.query_number(known), 1);
    }
    // The log is the same, record by record.
    shipping.brokers.identify("t", 2);
    let before = shipping.rows().len();
    shipping.options.strict = true;
    let error = shipping.try_ship().unwrap_err();
    assert_eq!(error.kind(), Kind::Loss, "{error}");
    assert!(
        error.to_string().contains("has another id than the one to which"),
        "{error}"
    );
    shipping.options.strict = false;
    shipping.ship();
    assert_eq!(shipping.rows()[before..], [r#"{"id":1,"v":13"#, r#"{"id":2,"v":20"#]);
    shipping.ship();
    assert_eq!(shipping.rows().len(), before + 2, "once");
}

#[test]
fn a_run_sees_another_id_when_anything_had_to_be_sent_again() {
    let shipping = Shipping::new("(1, 10)");
    shipping.brokers.identify("t", 1);
    let error = shipping
        .run(|_| {
            shipping.brokers.identify("t", 2);
            shipping.brokers.state().faults.push_back(Fault::Refused);
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Forked, "{error}");
    assert!(error.to_string().contains("another id"), "{error}");
    // The run that follows sends all.
    shipping.ship();
    assert_eq!(shipping.rows(), [r#"{"id":1,"v":10"#; 2]);
}
