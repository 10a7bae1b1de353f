//! Values of every storage class arrive as they are, to the bit, in every kind of column.

mod values;

use rusqlite::{Connection, params_from_iter};

use crate::support::*;

use values::Exact::{self, Blob, Integer, Null, Real, Text};
use values::{COLUMNS, every_value, integers, random_value, reals, texts};

fn insert(connection: &Connection, values: &[Exact]) {
    let places = vec!["?"; values.len()].join(", ");
    let done = connection.execute(&format!("INSERT INTO t VALUES ({places})"), params_from_iter(values));
    done.unwrap_or_else(|e| panic!("{e}: {values:?}"));
}

/// A source with a table `t (id INTEGER PRIMARY KEY, <columns>)`; each value stands once in each
/// column, which may convert it.
fn every_value_in(workspace: &Workspace, columns: &[&str], options: &str, values: &[Exact]) {
    let connection = workspace.connection(&workspace.source());
    let list = columns.join(", ");
    connection
        .execute_batch(&format!(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, {list}){options}; BEGIN"
        ))
        .expect("the table can be made");
    for (id, value) in values.iter().enumerate() {
        let row = vec![value.clone(); columns.len()];
        insert(&connection, &[&[Integer(id as i64)], &row[..]].concat());
    }
    connection.execute_batch("COMMIT").expect("it can be committed");
}

/// All rows of `t` in the order of their ids, read without the help of verify.
fn contents(workspace: &Workspace, sink: bool) -> Vec<Vec<Exact>> {
    let file = if sink { workspace.sink() } else { workspace.source() };
    let connection = workspace.connection(&file);
    let mut statement = connection.prepare("SELECT * FROM t ORDER BY 1").expect("t is there");
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..width).map(|i| row.get_ref(i).map(Exact::from)).collect();
    let rows = statement.query_map([], row).expect("t can be read");
    rows.collect::<rusqlite::Result<_>>().expect("t can be read")
}

/// Ships and lands, and compares by this file's own reading too. Gives what the source holds.
#[track_caller]
fn arrives(workspace: &Workspace, producer_args: &[&str]) -> Vec<Vec<Exact>> {
    workspace.producer(producer_args).ok();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(workspace);
    let (source, sink) = (contents(workspace, false), contents(workspace, true));
    assert_eq!(source.len(), sink.len());
    for (ours, theirs) in source.iter().zip(&sink) {
        assert_eq!(ours, theirs);
    }
    source
}

/// Ships a table with these values in a column of this type, which must hold them as they are.
#[track_caller]
fn arrives_unchanged(sentence: &str, column: &str, values: &[Exact]) {
    let workspace = Workspace::new(sentence).of("t");
    every_value_in(&workspace, &[column], "", values);
    let arrived = arrives(&workspace, &[]);
    assert!(arrived.iter().map(|row| &row[1]).eq(values), "the source holds others");
}

#[test]
fn integers_arrive_up_to_the_ends_of_64_bits() {
    arrives_unchanged("integers in an INTEGER column", "v INTEGER", &integers());
    arrives_unchanged("integers in a column without a type", "v", &integers());
    let workspace = Workspace::new("integers as the key").of("t");
    workspace.sql(&workspace.source(), "CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let keys = [i64::MIN, -(1 << 53) - 1, -1, 0, 1, 1 << 53, (1 << 53) + 1, i64::MAX].map(Integer);
    let connection = workspace.connection(&workspace.source());
    keys.iter()
        .for_each(|key| insert(&connection, std::slice::from_ref(key)));
    let arrived = arrives(&workspace, &["--batch-rows", "3"]);
    assert_eq!(arrived.concat(), keys);
}

#[test]
fn reals_arrive_to_the_bit() {
    arrives_unchanged("reals in a column without a type", "v", &reals());
    let kept: Vec<_> = reals()
        .into_iter()
        .filter(|real| *real != Real((-0.0_f64).to_bits()))
        .collect();
    arrives_unchanged(
        "reals in a REAL column, which makes 0.0 of -0.0 by itself",
        "v REAL",
        &kept,
    );
}

#[test]
fn text_arrives_whatever_its_bytes_are() {
    arrives_unchanged("text in a TEXT column", "v TEXT", &texts());
}

#[test]
fn blobs_arrive_from_no_byte_to_a_mebibyte() {
    let mut random = Random::new();
    let blobs = [0, 1, 2, 3, 64 << 10, 1 << 20].map(|len| Blob(random.bytes(len)));
    arrives_unchanged("blobs of 0 to 1 MiB", "v BLOB", &blobs);
}

#[test]
fn null_arrives_in_every_column() {
    let workspace = Workspace::new("null in columns of every type").of("t");
    every_value_in(&workspace, &COLUMNS, "", &[Null]);
    assert_eq!(arrives(&workspace, &[])[0][1..], vec![Null; COLUMNS.len()]);
}

#[test]
fn any_class_arrives_in_a_column_of_any_type() {
    let workspace = Workspace::new("each value in columns of every type").of("t");
    every_value_in(&workspace, &COLUMNS, "", &every_value());
    let arrived = arrives(&workspace, &[]);
    for (column, named) in COLUMNS.iter().enumerate() {
        let holds = |class: fn(&Exact) -> bool| arrived.iter().any(|row| class(&row[column + 1]));
        let untyped = holds(|v| matches!(v, Text(_))) && holds(|v| matches!(v, Blob(_))) && holds(|v| *v == Null);
        assert!(untyped, "{named} does not hold several classes");
    }
}

#[test]
fn any_class_arrives_in_a_strict_any_column() {
    let workspace = Workspace::new("each value in an ANY column of a STRICT table").of("t");
    every_value_in(&workspace, &["v ANY"], " STRICT", &every_value());
    let arrived = arrives(&workspace, &[]);
    assert!(arrived.iter().map(|row| row[1].clone()).eq(every_value()));
}

#[test]
fn any_value_but_null_arrives_as_a_key() {
    for columns in ["(k PRIMARY KEY, v)", "(k ANY PRIMARY KEY, v INT) STRICT, WITHOUT ROWID"] {
        let workspace = Workspace::new("a value of any class as the key").of("t");
        workspace.sql(&workspace.source(), &format!("CREATE TABLE t{columns}"));
        let connection = workspace.connection(&workspace.source());
        for key in every_value().iter().filter(|key| **key != Null) {
            // 1 and 1.0 are one key: the last of them stays.
            let sql = "INSERT OR REPLACE INTO t VALUES (?, 1)";
            connection.execute(sql, [key]).expect("it is a row");
        }
        let rows = arrives(&workspace, &["--batch-rows", "7"]).len();
        assert!(rows > 60, "{rows} rows");
        workspace.sql(&workspace.source(), "UPDATE t SET v = 2 WHERE typeof(k) <> 'integer'");
        arrives(&workspace, &["--batch-rows", "7"]);
        workspace.sql(&workspace.source(), "DELETE FROM t WHERE typeof(k) <> 'real'");
        assert!(arrives(&workspace, &["--batch-rows", "7"]).len() > 5);
        workspace.sql(&workspace.source(), "DELETE FROM t");
        assert!(arrives(&workspace, &[]).is_empty());
    }
}

/// Declares other types for columns of `t` whose values are there already, which leaves those as
/// they were stored.
fn declare(workspace: &Workspace, columns: &[&str], options: &str) {
    let list = columns.join(", ");
    let sql = format!("CREATE TABLE t(id INTEGER PRIMARY KEY, {list}){options}").replace('\'', "''");
    workspace.sql(
        &workspace.source(),
        &format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{sql}' WHERE name = 't';
             PRAGMA writable_schema = RESET"
        ),
    );
}

#[test]
fn stored_values_arrive_though_the_declared_type_would_convert_them() {
    let strict = ["a INTEGER", "b INT", "c REAL", "d TEXT", "e BLOB", "f ANY"];
    for (columns, options) in [(&COLUMNS[..], ""), (&strict, " STRICT")] {
        let workspace = Workspace::new("stored values that the column's type would convert").of("t");
        let names: Vec<_> = columns.iter().map(|column| &column[..1]).collect();
        every_value_in(&workspace, &names, "", &every_value());
        declare(&workspace, columns, options);
        let arrived = arrives(&workspace, &[]);
        assert!(
            arrived.iter().map(|row| row[1].clone()).eq(every_value()),
            "column a is not as it was"
        );
    }
}

#[test]
fn a_sink_column_gives_up_its_type_when_it_would_convert_a_value_and_says_so() {
    let workspace = Workspace::new("an INTEGER column of the sink that is to hold the text 12").of("t");
    every_value_in(&workspace, &["v"], "", &[Integer(1), Text(b"12".to_vec())]);
    declare(&workspace, &["v INTEGER"], "");
    workspace.producer(&[]).ok();
    workspace
        .consumer(&["--until-caught-up"])
        .ok()
        .says("column v keeps values from now on that its type INTEGER would convert");
    assert_equal(&workspace);
    assert_eq!(
        contents(&workspace, true),
        [[Integer(0), Integer(1)], [Integer(1), Text(b"12".to_vec())]]
    );
}

#[test]
fn a_sink_table_that_the_user_made_with_other_types_converts_nothing() {
    for columns in ["v TEXT, w INTEGER", "w REAL, v NUMERIC", "v INTEGER, w BLOB"] {
        let workspace = Workspace::new("an untyped source and a sink table with types").of("t");
        every_value_in(&workspace, &["v", "w TEXT"], "", &every_value());
        let made =
            format!("CREATE TABLE t(id INTEGER PRIMARY KEY, {columns}); INSERT INTO t VALUES (0, 1, 2), (-5, 1, 2)");
        workspace.sql(&workspace.sink(), &made);
        workspace.producer(&[]).ok();
        let refused = workspace.consumer(&["--until-caught-up"]).code(1);
        refused.says("the sink has a table t already").says("--adopt t");
        workspace.consumer(&["--until-caught-up", "--adopt", "t"]).ok();
        let arrived = arrives(&workspace, &[]);
        assert!(arrived.iter().map(|row| row[1].clone()).eq(every_value()));
    }
}

/// Random rows, then random changes of them.
#[track_caller]
fn random_rows_arrive(columns: &[&str], declared_afterwards: Option<&str>, producer_args: &[&str]) {
    let mut random = Random::new();
    let workspace = Workspace::new("random values in columns of every type").of("t");
    let names: Vec<_> = columns
        .iter()
        .map(|column| column.split(' ').next().expect("a name"))
        .collect();
    let made = if declared_afterwards.is_some() { &names } else { columns };
    every_value_in(&workspace, made, "", &[]);
    let connection = workspace.connection(&workspace.source());
    connection.execute_batch("BEGIN").expect("a transaction begins");
    for id in 0..400 {
        let values: Vec<_> = columns.iter().map(|_| random_value(&mut random)).collect();
        insert(&connection, &[&[Integer(id)], &values[..]].concat());
    }
    connection.execute_batch("COMMIT").expect("it can be committed");
    if let Some(options) = declared_afterwards {
        declare(&workspace, columns, options);
    }
    assert_eq!(arrives(&workspace, producer_args).len(), 400);
    let connection = workspace.connection(&workspace.source()); // one that knows the new types
    for _ in 0..100 {
        let sql = format!("UPDATE t SET {} = ?1 WHERE id = ?2", random.pick(&names));
        let values = [random_value(&mut random), Integer(random.below(400) as i64)];
        connection
            .execute(&sql, params_from_iter(&values))
            .expect("a row can be changed");
        let gone = [Integer(random.below(400) as i64)];
        connection
            .execute("DELETE FROM t WHERE id = ?1", gone)
            .expect("a row can be deleted");
    }
    let rows = arrives(&workspace, producer_args).len();
    assert!((300..400).contains(&rows), "{rows} rows are left");
}

#[test]
fn random_rows_arrive_whatever_the_columns_declare() {
    random_rows_arrive(&COLUMNS, None, &["--batch-rows", "50"]);
}

#[test]
fn random_rows_arrive_though_their_columns_were_declared_after_them() {
    random_rows_arrive(&COLUMNS, Some(""), &["--batch-rows", "50"]);
}

/// How the first batch in the log of a topic is compressed, by the bits that the broker stored: 0
/// none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. Before Kafka 0.10 the log has messages of magic 0 and a byte of
/// attributes; today it has batches of magic 2, with two.
fn codec(workspace: &Workspace) -> u8 {
    let log = format!("broker-1/{}-0/00000000000000000000.log", workspace.topic());
    let bytes = std::fs::read(workspace.cluster().folder().join(log)).expect("the broker keeps the log");
    let (magic, attributes) = if workspace.cluster().is_before_1() {
        (0, 17)
    } else {
        (2, 22)
    };
    assert_eq!(bytes[16], magic, "the attributes stand elsewhere");
    bytes[attributes] & 7
}

/// In each codec that the client knows.
#[track_caller]
pub(crate) fn every_value_arrives_compressed(workspace: impl Fn(&str) -> Workspace) {
    let workspace = || workspace("each value in a column without a type, compressed").of("t");
    for (number, compression) in workspace().codecs().iter().enumerate() {
        let workspace = workspace();
        let values = [every_value(), vec![Blob(vec![1; 1 << 20])]].concat();
        every_value_in(&workspace, &COLUMNS[4..5], "", &values);
        let arrived = arrives(&workspace, &["--compression", compression]);
        assert!(arrived.iter().map(|row| row[1].clone()).eq(values));
        assert_eq!(usize::from(codec(&workspace)), number, "{compression}");
    }
}

#[test]
fn every_value_arrives_compressed_too() {
    every_value_arrives_compressed(Workspace::new);
}

#[test]
fn random_rows_arrive_compressed_too() {
    for compression in &Workspace::new("the codecs of this run's client").codecs()[1..] {
        random_rows_arrive(&COLUMNS, None, &["--compression", compression, "--batch-rows", "50"]);
    }
}
