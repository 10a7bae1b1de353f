//! A topic is bound at first contact: to one table of the sink, and to one source or to others.
//! What does not belong changes nothing.

use rusqlite::types::Value;
use serde_json::Value as Json;

use crate::support::*;

/// A table of the user's in the sink, with all that a takeover would cost it.
const THEIRS: &str =
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody' CHECK (name <> ''));
    INSERT INTO accounts VALUES (1, 'Ann'), (2, 'Bob')";

/// A run of a source, as someone forges it record by record.
struct Forged {
    source: String,
    epoch: u64,
    seq: u64,
}

impl Forged {
    fn new(source: &str, epoch: u64) -> Self {
        Self {
            source: source.to_owned(),
            epoch,
            seq: 0,
        }
    }

    /// A record with the next stamp: these members before it.
    fn record(&mut self, key: &str, members: &str) -> Record {
        self.seq += 1;
        let (source, epoch, seq) = (&self.source, self.epoch, self.seq);
        Record::new(key, format!("{{{members},\"_ferry\":\"{source}.{epoch}.{seq}\"}}"))
    }

    /// The schema of a table with the columns id and name, at the beginning of a run and of a full
    /// pass.
    fn begin(&mut self, table: &str, id: Option<&str>) -> Record {
        let id = id.map_or(String::new(), |id| format!("\"id\":\"{id}\","));
        let columns = r#"[{"name":"id","type":"INTEGER","pk":1},{"name":"name","type":"TEXT"}]"#;
        let run = r#""_run":{"full":true,"partitions":1}"#;
        let (key, epoch) = (format!("{{\"_schema\":\"{table}\"}}"), self.epoch);
        self.record(
            &key,
            &format!(
                "\"_schema\":{{\"table\":\"{table}\",{id}\"columns\":{columns}}},{run},\"_pass\":{{\"begin\":{epoch}}}"
            ),
        )
    }

    fn end(&mut self, table: &str) -> Record {
        let (key, epoch) = (format!("{{\"_schema\":\"{table}\"}}"), self.epoch);
        self.record(&key, &format!("\"_pass\":{{\"end\":{epoch}}}"))
    }

    fn row(&mut self, id: i64) -> Record {
        self.record(&format!("{{\"id\":{id}}}"), &format!("\"id\":{id},\"name\":\"forged\""))
    }
}

/// A row as others write it.
fn row(id: i64) -> Record {
    Record::new(
        format!("{{\"id\":{id}}}"),
        format!("{{\"name\":\"row {id}\",\"age\":{id}}}"),
    )
}

fn workspace(sentence: &str, partitions: u32) -> Workspace {
    let ws = Workspace::new(sentence).of("t");
    ws.cluster().create_topic(ws.topic(), partitions, &[]);
    ws
}

fn make_source(ws: &Workspace) {
    ws.sql(
        &ws.source(),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two'), (9, 'nine')",
    );
}

fn write(ws: &Workspace, partition: u32, records: &[Record]) {
    write_records(ws.cluster(), ws.topic(), partition, records);
}

fn dead_letters(ws: &Workspace) -> i64 {
    ws.number(&ws.sink(), "SELECT count(*) FROM _rowferry_dead_letters")
}

/// Fails unless each dead letter says this.
#[track_caller]
fn each_says(ws: &Workspace, parts: &[&str]) {
    for reason in ws
        .rows(&ws.sink(), "SELECT reason FROM _rowferry_dead_letters")
        .concat()
    {
        let Value::Text(reason) = reason else {
            panic!("{reason:?}")
        };
        assert!(parts.iter().all(|part| reason.contains(part)), "{reason}: {parts:?}");
    }
}

/// A table of the sink: its statement and its rows.
fn whole(ws: &Workspace, table: &str) -> Vec<Vec<Value>> {
    let mut found = ws.rows(
        &ws.sink(),
        &format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'"),
    );
    found.extend(ws.rows(&ws.sink(), &format!("SELECT * FROM \"{table}\" ORDER BY 1")));
    found
}

#[test]
fn a_table_of_the_users_is_touched_only_when_adopt_says_so() {
    let ws = workspace("a source's table meets one that was in the sink before", 1);
    make_source(&ws);
    ws.sql(&ws.sink(), &THEIRS.replace("accounts", "t"));
    let before = whole(&ws, "t");
    ws.producer(&[]).ok();
    for args in [
        &["--until-caught-up"][..],
        &["--until-caught-up", "--heal"],
        &["--until-caught-up", "--adopt", "accounts"],
    ] {
        ws.consumer(args)
            .code(1)
            .says("the sink has a table t already")
            .says(&format!("topic \"{}\"", ws.topic()))
            .says("--adopt t")
            .says("rename")
            .says("--sink");
        assert_eq!(whole(&ws, "t"), before);
    }
    ws.consumer(&["--until-caught-up", "--adopt", "other", "--adopt", "T"])
        .ok();
    assert_equal(&ws);
    assert_ne!(whole(&ws, "t")[0], before[0], "it has the shape of the source's table");
    // From then on it is this topic's.
    ws.sql(&ws.source(), "UPDATE t SET name = '' WHERE id = 1");
    ship_and_land(&ws);
}

#[test]
fn a_table_of_the_users_takes_others_records_only_when_adopt_says_so() {
    let ws = workspace("others' records meet a table with the name of their topic", 1);
    let topic = ws.topic();
    ws.sql(&ws.sink(), &THEIRS.replace("accounts", &format!("\"{topic}\"")));
    let before = whole(&ws, topic);
    write(&ws, 0, &[row(3)]);
    ws.consumer(&["--until-caught-up"])
        .code(1)
        .says(&format!("the sink has a table {topic} already"))
        .says(&format!("--adopt {topic}"));
    assert_eq!(whole(&ws, topic), before);
    ws.consumer(&["--until-caught-up", "--adopt", topic]).ok();
    assert_eq!(
        ws.number(
            &ws.sink(),
            &format!("SELECT count(*) FROM \"{topic}\" WHERE name IN ('Ann', 'row 3')")
        ),
        2
    );
}

#[test]
fn a_schema_of_another_table_takes_over_nothing() {
    let ws = workspace("forged full passes name a table of the user's", 1);
    make_source(&ws);
    ship_and_land(&ws);
    ws.sql(&ws.sink(), THEIRS);
    let theirs = whole(&ws, "accounts");
    let schema = &read_records(ws.cluster(), ws.topic(), 0)[0].1.value;
    let schema: Json = serde_json::from_slice(schema).expect("the first record is JSON");
    let id = schema["_schema"]["id"].as_str().expect("the table has an id");
    let stamp = schema["_ferry"].as_str().expect("it has a stamp");
    let source = stamp.split('.').next().expect("it names the source");
    let mut epoch: u64 = stamp.split('.').nth(1).and_then(|e| e.parse().ok()).expect("a run");
    for (source, id, table, reason) in [
        // What only the source's own rename may do, and not into a name that is taken.
        (source, Some(id), "Accounts", "renames table \"t\" to \"Accounts\""),
        (source, None, "accounts", "is of table \"accounts\""),
        (source, None, "elsewhere", "is of table \"elsewhere\""),
        (source, Some("other"), "accounts", "is of table \"accounts\""),
        ("forged", Some(id), "accounts", "comes from another source database"),
        ("forged", None, "elsewhere", "comes from another source database"),
    ] {
        let before = whole(&ws, "t");
        epoch += 1_000_000_000;
        let mut forged = Forged::new(source, epoch);
        let records = [forged.begin(table, id), forged.row(1), forged.row(7), forged.end(table)];
        write(&ws, 0, &records);
        for heal in [&[][..], &["--heal"], &["--adopt", "accounts", "--heal"]] {
            let run = ws.consumer(&[&["--until-caught-up"], heal].concat()).code(3);
            if heal.is_empty() {
                run.says(reason).says("way out: ");
            }
            assert_eq!(whole(&ws, "accounts"), theirs, "{reason}");
            assert_eq!(whole(&ws, "t"), before, "{reason}");
        }
        let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'elsewhere'";
        assert_eq!(ws.number(&ws.sink(), made), 0);
        ws.sql(&ws.source(), "UPDATE t SET name = name || '.'");
        ws.producer(&["--backfill"]).ok();
        ws.consumer(&["--until-caught-up", "--heal"]).ok();
        assert_equal(&ws);
        assert_eq!(whole(&ws, "accounts"), theirs);
    }
}

#[test]
fn a_source_renames_its_table_where_the_name_is_free() {
    let ws = workspace("a rename travels, and not into a table of the user's", 1);
    make_source(&ws);
    ship_and_land(&ws);
    ws.sql(&ws.sink(), THEIRS);
    let theirs = whole(&ws, "accounts");
    ws.sql(&ws.source(), "ALTER TABLE t RENAME TO accounts");
    ws.producer(&["--table", "accounts"]).ok();
    for _ in 0..2 {
        ws.consumer(&["--until-caught-up"])
            .code(3)
            .says("renames table \"t\" to \"accounts\"")
            .says("rename or drop");
        assert_eq!(whole(&ws, "accounts"), theirs);
    }
    ws.sql(&ws.sink(), "ALTER TABLE accounts RENAME TO old_accounts");
    ws.consumer(&["--until-caught-up"]).ok();
    ws.verify(&["--table", "accounts"]).ok().says("3 rows, equal");
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM old_accounts"), 2);
}

#[test]
fn stamped_records_in_a_topic_of_others_are_dead_letters() {
    let ws = workspace("one stamped record turns no topic of plain JSON into a source's", 1);
    let others: Vec<Record> = (0..100).map(row).collect();
    let mut forged = Forged::new("forged", 1_700_000_000_000_000);
    let stamped = [
        forged.row(5),
        forged.begin(ws.topic(), Some("x")),
        forged.row(6),
        forged.record(r#"{"id":7}"#, r#""id":7,"__deleted":true"#),
        forged.end(ws.topic()),
    ];
    write(&ws, 0, &others[..1]);
    write(&ws, 0, &stamped);
    write(&ws, 0, &others[1..]);
    ws.consumer(&["--until-caught-up"]).ok().says("100 rows landed");
    assert_eq!(dead_letters(&ws), stamped.len() as i64);
    let topic = format!("topic \"{}\"", ws.topic());
    let adopt = format!("consumer --adopt {}", ws.topic());
    each_says(
        &ws,
        &["source forged", &topic, &adopt, "producer --backfill", "another topic"],
    );
    let rows = format!("SELECT count(*) FROM \"{}\" WHERE name = 'row ' || age", ws.topic());
    assert_eq!(ws.number(&ws.sink(), &rows), 100);
    // Whatever else the user allows.
    write(&ws, 0, &[forged.row(5), forged.begin(ws.topic(), None)]);
    for args in [&["--heal"][..], &["--allow-gaps"], &["--adopt", "other"]] {
        ws.consumer(&[&["--until-caught-up"], args].concat()).ok();
    }
    assert_eq!(
        (dead_letters(&ws), ws.number(&ws.sink(), &rows)),
        (stamped.len() as i64 + 2, 100)
    );
    write(&ws, 0, &[forged.row(8)]);
    ws.consumer(&["--until-caught-up", "--on-bad-record", "stop"])
        .code(1)
        .says("source forged");
}

#[test]
fn a_source_takes_a_topic_of_others_only_when_adopt_says_so() {
    let ws = workspace(
        "three rows of others have landed when a source ships into their topic",
        2,
    );
    make_source(&ws);
    write(&ws, 0, &[row(1), row(5)]);
    write(&ws, 1, &[row(6)]);
    ws.consumer(&["--until-caught-up"]).ok().says("3 rows landed");
    let before = whole(&ws, ws.topic());
    ws.producer(&[]).ok();
    ws.consumer(&["--until-caught-up"]).ok().says("were no rows");
    assert_eq!(whole(&ws, ws.topic()), before);
    let kept = dead_letters(&ws);
    assert!(
        kept >= 3 + 2 * 2,
        "three rows, and a schema and an end in each partition: {kept}"
    );

    write(&ws, 0, &[row(7)]);
    ws.producer(&["--backfill"]).ok();
    ws.consumer(&["--until-caught-up", "--adopt", ws.topic()])
        .ok()
        .says("rows that the source has no more are removed");
    assert_equal(&ws);
    let names = format!("SELECT count(*) FROM sqlite_schema WHERE name = '{}'", ws.topic());
    assert_eq!(ws.number(&ws.sink(), &names), 0, "it is called like the source's table");
    // Now it is the source's, and what others write there is no row.
    let kept = dead_letters(&ws);
    write(&ws, 1, &[row(1), row(8)]);
    ws.sql(&ws.source(), "UPDATE t SET name = 'new' WHERE id = 1");
    ship_and_land(&ws);
    assert_eq!(dead_letters(&ws), kept + 2);
}

#[test]
fn partitions_of_a_topic_are_bound_together() {
    let ws = workspace("the first record of each partition is of another kind", 3);
    let mut one = Forged::new("one", 1_700_000_000_000_000);
    write(&ws, 0, &[one.begin("t", Some("a")), one.row(1)]);
    // A tombstone of nobody's deletes nothing here.
    write(&ws, 1, &[row(2), Record::new(r#"{"id":1}"#, "")]);
    let mut two = Forged::new("two", 1_800_000_000_000_000);
    write(&ws, 2, &[two.begin("t", Some("a")), two.row(3)]);
    ws.consumer(&["--until-caught-up", "--partitions", "0"]).ok();
    let landed = whole(&ws, "t");
    assert_eq!(landed.len(), 2);
    ws.consumer(&["--until-caught-up", "--partitions", "0,1"]).ok();
    assert_eq!((dead_letters(&ws), whole(&ws, "t")), (1, landed.clone()));
    each_says(&ws, &["no \"_ferry\" member", "source one", "another topic"]);
    ws.consumer(&["--until-caught-up", "--partitions", "0,1,2"])
        .code(3)
        .says("partition 2 offset 0")
        .says("comes from another source database");
    assert_eq!(whole(&ws, "t"), landed);
    // In a sink of its own a partition decides by itself.
    let other = ws.path("other.db");
    let other = other.to_str().expect("a plain name");
    ws.consumer(&["--until-caught-up", "--partitions", "1", "--sink", other])
        .ok()
        .says("2 rows landed");
    ws.consumer(&["--until-caught-up", "--partitions", "0,1", "--sink", other])
        .ok()
        .says("2 records were no rows");
}

#[test]
fn what_does_not_land_binds_nothing() {
    // A row of ours without its schema, and one of others', whose key is another than the value
    // says.
    let stamped = Forged::new("forged", 1_700_000_000_000_000).record(r#"{"id":1}"#, r#""id":2,"name":"x""#);
    let others = Record::new(r#"{"id":1}"#, r#"{"id":2,"name":"x"}"#);
    let tombstone = Record::new(r#"{"id":1}"#, "");
    let poison = [tombstone, stamped, others];

    let ws = workspace("others' records land behind what is no row", 1);
    // Nor is a table of the user's asked for in its name.
    ws.sql(&ws.sink(), THEIRS);
    write(&ws, 0, &poison);
    ws.consumer(&["--until-caught-up"]).ok().says("2 records were no rows");
    let made = format!("SELECT count(*) FROM sqlite_schema WHERE name = '{}'", ws.topic());
    assert_eq!(ws.number(&ws.sink(), &made), 0);
    write(&ws, 0, &[row(1), row(2)]);
    ws.consumer(&["--until-caught-up"]).ok().says("2 rows landed");
    assert_eq!(dead_letters(&ws), 2);

    let ws = workspace("a source's records land behind what is no row", 1);
    make_source(&ws);
    write(&ws, 0, &poison);
    ws.consumer(&["--until-caught-up"]).ok();
    ship_and_land(&ws);
    assert_eq!(dead_letters(&ws), 2);
}
