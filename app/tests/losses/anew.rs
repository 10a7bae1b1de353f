//! Logs that were made anew and are as long as the old ones: a position is a number and what stood
//! there.

use super::shop::*;
use crate::support::*;

/// The topic as it was made first, without a record.
fn make_anew(w: &Workspace) {
    delete_topic(w);
    w.cluster().create_topic(w.topic(), 3, &[]);
}

/// A new log with a full pass of the changed table, exactly as long as the old one.
fn ship_a_log_of_the_same_length(w: &Workspace) {
    let ends = w.cluster().latest(w.topic());
    make_anew(w);
    change_all(w);
    w.producer(&["--backfill"]).ok();
    assert_eq!(
        w.cluster().latest(w.topic()),
        ends,
        "this test needs logs of one length"
    );
}

/// So many records of others in each partition.
fn write_others(w: &Workspace, value: &str) {
    for partition in 0..3 {
        let record = |i: u32| {
            Record::new(
                format!("{{\"id\":{}}}", 10 * i + partition),
                format!("{{\"id\":{},\"v\":\"{value}\"}}", 10 * i + partition),
            )
        };
        let records: Vec<Record> = (0..20).map(record).collect();
        write_records(w.cluster(), w.topic(), partition, &records);
    }
}

/// How many rows of others have landed that hold this.
fn others(w: &Workspace, value: &str) -> i64 {
    let table = w.topic();
    w.number(
        &w.sink(),
        &format!("SELECT count(*) FROM \"{table}\" WHERE v = '{value}'"),
    )
}

fn wait_for_others(w: &Workspace, consumer: &mut Process) {
    let made = format!("SELECT 1 FROM sqlite_schema WHERE name = '{}'", w.topic());
    let landed = || w.sink().exists() && !w.rows(&w.sink(), &made).is_empty() && others(w, "old") == 60;
    assert!(wait_until(SOON, landed), "{}", consumer.output());
}

#[test]
fn a_log_made_anew_with_the_same_length_is_taken_from_its_full_pass() {
    let w = shop("a log of the same length is not taken for the old one", 1000);
    ship_and_land(&w);
    ship_a_log_of_the_same_length(&w);
    let run = w.consumer(&["--until-caught-up"]).ok();
    run.says("the topic was made anew").says("a full pass");
    assert_equal(&w);
    // All goes on as ever after.
    let quiet = w.consumer(&["--until-caught-up"]).ok().says("0 rows landed");
    quiet.never_says("made anew").never_says("missing");
    change_all(&w);
    ship_and_land(&w);
}

#[test]
fn a_consumer_that_is_killed_where_it_takes_a_new_log_goes_on_there() {
    let w = shop("a new log is taken whole, whenever its consumer is killed", 3000);
    // Wide rows: the log is fetched in many steps.
    w.sql(&w.source(), "UPDATE items SET name = hex(randomblob(2000))");
    ship_and_land(&w);
    let set_back = "SELECT count(*) FROM _rowferry_positions WHERE healing OR next_offset < 900";
    let struck = (0..10).any(|_| {
        ship_a_log_of_the_same_length(&w);
        let mut consumer = w.start_consumer(&[]);
        let taken = || w.number(&w.sink(), set_back) > 0 || w.verify(&[]).status.success();
        assert!(wait_until(SOON, taken), "{}", consumer.output());
        consumer.signal(libc::SIGKILL);
        consumer.killed();
        let struck = !w.verify(&[]).status.success();
        w.consumer(&["--until-caught-up"]).ok();
        assert_equal(&w);
        struck
    });
    assert!(struck, "no consumer was killed while it took the new log");
}

#[test]
fn another_sources_rows_in_a_log_of_the_same_length_are_not_taken_for_landed() {
    let w = shop("another source's rows are not taken for those that landed", 200);
    ship_and_land(&w);
    let (ends, at) = (w.cluster().latest(w.topic()), position(&w, w.topic(), 0));
    make_anew(&w);
    let other = w.path("other.db");
    w.sql(
        &other,
        &format!("{ITEMS} {} UPDATE items SET name = 'other'", more_items(1, 200)),
    );
    w.producer(&["--source", text(&other)]).ok();
    assert_eq!(
        w.cluster().latest(w.topic()),
        ends,
        "this test needs logs of one length"
    );
    for _ in 0..2 {
        let run = w
            .consumer(&["--until-caught-up"])
            .code(3)
            .says("the topic was made anew");
        run.says("topic \"").says(&format!("offset {}", at - 1)).says(WAY_OUT);
        assert_eq!(position(&w, w.topic(), 0), at, "it was stepped over");
    }
    assert_equal(&w);
    w.consumer(&["--until-caught-up", "--heal"]).ok();
    w.verify(&["--source", text(&other)]).ok().says("200 rows, equal");
}

#[test]
fn others_records_in_a_log_of_the_same_length_are_not_taken_for_landed() {
    let w = Workspace::new("a position in others' records is a number and what stood there");
    w.cluster().create_topic(w.topic(), 3, &[]);
    write_others(&w, "old");
    w.consumer(&["--until-caught-up"]).ok();
    make_anew(&w);
    write_others(&w, "new");
    for _ in 0..2 {
        let run = w
            .consumer(&["--until-caught-up"])
            .code(3)
            .says("the topic was made anew");
        run.says("way out: `consumer --heal` goes on with what is there");
        assert_eq!((others(&w, "old"), others(&w, "new")), (60, 0));
    }
    w.consumer(&["--until-caught-up", "--heal"]).ok();
    assert_eq!((others(&w, "old"), others(&w, "new")), (0, 60));
    w.consumer(&["--until-caught-up"]).ok().says("0 rows landed");
}

/// Stops a consumer in its tracks while the topic is made anew. Without a group, so that nobody
/// deals its partitions out anew.
fn behind_the_back_of(consumer: &mut Process, change: impl FnOnce()) {
    consumer.signal(libc::SIGSTOP);
    change();
    consumer.signal(libc::SIGCONT);
}

const PINNED: [&str; 2] = ["--partitions", "0,1,2"];

#[test]
fn a_log_made_anew_with_the_same_length_behind_a_living_consumer_is_taken_from_its_full_pass() {
    let w = shop("a living consumer takes a new log for what it is", 1000);
    w.producer(&[]).ok();
    let mut consumer = w.start_consumer(&PINNED);
    wait_for_rows(&w, 1000);
    consumer.wait_for_line("all of the table has landed", SOON);
    behind_the_back_of(&mut consumer, || ship_a_log_of_the_same_length(&w));
    consumer.wait_for_line("the topic was made anew", SOON);
    let equal = || w.verify(&[]).status.success();
    assert!(wait_until(SOON, equal), "{}\n{}", w.verify(&[]), consumer.output());
    assert!(consumer.is_running(), "{}", consumer.output());
    consumer.signal(libc::SIGTERM);
    consumer.wait(SOON).ok();
}

#[test]
fn others_log_made_anew_with_the_same_length_behind_a_living_consumer_stops_it() {
    let w = Workspace::new("a living consumer does not take others' new records for the old ones");
    w.cluster().create_topic(w.topic(), 3, &[]);
    write_others(&w, "old");
    let mut consumer = w.start_consumer(&PINNED);
    wait_for_others(&w, &mut consumer);
    behind_the_back_of(&mut consumer, || {
        make_anew(&w);
        write_others(&w, "new");
    });
    let run = consumer.wait(SOON).code(3).says("the topic was made anew");
    run.says("way out: `consumer --heal` goes on with what is there");
    assert_eq!((others(&w, "old"), others(&w, "new")), (60, 0));
}

#[test]
fn others_log_made_anew_under_a_living_consumer_stops_it() {
    let w = Workspace::new("a living consumer sees others' topic go and come back");
    w.cluster().create_topic(w.topic(), 3, &[]);
    write_others(&w, "old");
    let mut consumer = w.start_consumer(&[]);
    wait_for_others(&w, &mut consumer);
    make_anew(&w);
    write_others(&w, "new");
    consumer.wait(SOON).code(3).says("the topic was made anew");
    assert_eq!(others(&w, "new"), 0);
}

#[test]
fn a_log_that_ends_with_a_tombstone_is_known_by_the_deletion_before_it() {
    let w = shop("tombstones of one key are all alike", 100);
    let pass_and_a_day = || {
        w.producer(&["--backfill"]).ok();
        w.sql(&w.source(), &more_items(0, 1));
        w.producer(&[]).ok();
        w.sql(&w.source(), "DELETE FROM items WHERE id = 0");
        w.producer(&[]).ok();
    };
    w.cluster().create_topic(w.topic(), 1, &[]);
    pass_and_a_day();
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(&w);
    let ends = w.cluster().latest(w.topic());
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 1, &[]);
    change_all(&w);
    pass_and_a_day();
    assert_eq!(
        w.cluster().latest(w.topic()),
        ends,
        "this test needs logs of one length"
    );
    w.consumer(&["--until-caught-up"]).ok().says("the topic was made anew");
    assert_equal(&w);
}

/// The topic is deleted while both sides are down, and a stranger fills it with the same keys: what
/// stands below the sink's positions is the same, and so are the last records that the producer
/// noted; the rows between them are not.
fn refilled_by_a_stranger(cluster: &Cluster, client: &str) {
    let w = Workspace::on(cluster, "another topic of the same name is not taken for the old one").of("items");
    w.sql(&w.source(), &format!("{ITEMS} {}", more_items(1, 300)));
    w.cluster().create_topic(w.topic(), 3, &[]);
    let client = ["--client", client];
    let land = [&client[..], &["--until-caught-up"]].concat();
    w.producer(&client).ok();
    w.consumer(&land).ok();
    let landed: Vec<i64> = (0..3).map(|partition| position(&w, w.topic(), partition)).collect();
    w.sql(&w.source(), "UPDATE items SET name = 'shipped'");
    w.producer(&client).ok();
    let logs: Vec<_> = (0..3)
        .map(|partition| read_records(cluster, w.topic(), partition))
        .collect();
    cluster.delete_topic(w.topic());
    cluster.create_topic(w.topic(), 3, &[]);
    let mut forged = 0;
    for (partition, log) in logs.iter().enumerate() {
        let last = log.len() as i64 - 1;
        let records: Vec<Record> = log
            .iter()
            .map(|(offset, record)| {
                let text = String::from_utf8(record.value.clone()).expect("JSON is UTF-8");
                if *offset < landed[partition] || *offset == last || !text.contains("\"shipped\"") {
                    return record.clone();
                }
                forged += 1;
                Record::new(record.key.clone(), text.replace("\"shipped\"", "\"forged\""))
            })
            .collect();
        write_records(cluster, w.topic(), partition as u32, &records);
        assert_eq!(read_records(cluster, w.topic(), partition as u32).len(), log.len());
    }
    assert!(forged > 100, "the stranger changed {forged} rows only");
    // Without the id the sink would go on: so the fault is real.
    let sink = w.path("old-sink.db");
    w.sql(&w.sink(), &format!("VACUUM INTO '{}'", text(&sink)));
    w.sql(&sink, "UPDATE _rowferry_positions SET topic_id = NULL");
    w.consumer(&[&land[..], &["--sink", text(&sink)]].concat()).ok();
    assert!(w.number(&sink, "SELECT count(*) FROM items WHERE name = 'forged'") > 100);
    // With them neither does.
    w.consumer(&land)
        .code(3)
        .says("the topic was made anew")
        .says("the id ");
    w.producer(&client).ok().says("the topic was made anew");
    w.consumer(&land).ok().says("a full pass of its source begins at");
    assert_equal(&w);
    w.consumer(&land).ok().never_says("made anew");
    change_all(&w);
    w.producer(&client).ok().never_says("made anew");
    w.consumer(&land).ok();
    assert_equal(&w);
}

#[test]
fn a_topic_refilled_by_a_stranger_is_known_by_its_id() {
    refilled_by_a_stranger(&Cluster::shared(), "kafka");
}

#[test]
fn a_topic_refilled_by_a_stranger_is_known_by_its_id_on_kafka_4() {
    let cluster = Cluster::own(Config {
        stack: "kraft",
        ..Config::default()
    });
    refilled_by_a_stranger(&cluster, "native");
}
