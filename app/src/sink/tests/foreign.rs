//! Records without a schema.

use super::*;
use crate::sink::foreign::NamedValue;

fn member<'a>(name: &'a str, value: Value<'a>) -> NamedValue<'a> {
    (Cow::Borrowed(name), value)
}

fn id(i: i64) -> Vec<NamedValue<'static>> {
    vec![member("id", int(i))]
}

fn topic() -> Arc<str> {
    "my-topic".into()
}

fn unfit(reason: &str) -> Landed {
    Landed::Unfit(reason.into())
}

#[test]
fn others_records_land_untyped_and_grow_the_table() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    let mut put = |key: &[NamedValue], members: &[NamedValue]| {
        assert_eq!(landing.foreign_upsert(&topic(), key, members).unwrap(), Landed::Applied);
    };
    put(&id(1), &[member("id", int(1)), member("a", text("12"))]);
    put(&id(2), &[member("b", real(5.0)), member("a", int(7))]);
    put(&id(1), &[member("B", text("x"))]);
    put(&[member("ID", int(3))], &[]);
    landing.commit().unwrap();
    let user = folder.user();
    let n = Value::Null;
    let expected = [
        [int(1), n.clone(), text("x")],
        [int(2), int(7), real(5.0)],
        [int(3), n.clone(), n],
    ];
    assert_eq!(query(&user, "SELECT id, a, b FROM \"my-topic\" ORDER BY id"), expected);
    let mut landing = sink.begin().unwrap();
    assert_eq!(landing.foreign_delete(&topic(), &id(1)).unwrap(), Landed::Applied);
    assert_eq!(landing.foreign_delete(&topic(), &id(99)).unwrap(), Landed::Applied);
    assert_eq!(
        landing.foreign_delete(&"nothing yet".into(), &id(1)).unwrap(),
        Landed::Applied
    );
    landing.commit().unwrap();
    assert_eq!(
        query(&user, "SELECT id FROM \"my-topic\" ORDER BY id"),
        [[int(2)], [int(3)]]
    );
}

#[test]
fn records_without_a_key_are_added_at_the_end() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    for _ in 0..2 {
        let mut landing = sink.begin().unwrap();
        landing.foreign_upsert(&topic(), &[], &[member("a", int(1))]).unwrap();
        landing
            .foreign_upsert(&topic(), &[], &[member("rowid", text("x")), member("a", int(2))])
            .unwrap();
        landing.commit().unwrap();
    }
    let n = Value::Null;
    let pair = [[int(1), n], [int(2), text("x")]];
    assert_eq!(
        query(&folder.user(), "SELECT a, \"rowid\" FROM \"my-topic\" ORDER BY _rowid_"),
        [pair.clone(), pair].concat()
    );
}

#[test]
fn records_of_another_shape_are_unfit_and_leave_nothing_behind() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    let many: Vec<_> = (0..3000).map(|i| format!("c{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| member(name, int(0))).collect();
    let too_many = landing.foreign_upsert(&topic(), &[], &many).unwrap();
    assert_eq!(too_many, unfit("3000 columns, and SQLite allows 2000"));
    let null = landing
        .foreign_upsert(&topic(), &[member("id", Value::Null)], &[])
        .unwrap();
    assert_eq!(null, unfit("null in the key"));
    assert!(query(landing.conn, "SELECT name FROM sqlite_master WHERE name = 'my-topic'").is_empty());
    landing
        .foreign_upsert(&topic(), &id(1), &[member("a", int(1))])
        .unwrap();
    let before = sql_of(landing.conn, "my-topic");
    let mut put = |key: &[NamedValue], members: &[NamedValue]| landing.foreign_upsert(&topic(), key, members).unwrap();
    assert_eq!(put(&id(1), &many), unfit("3000 columns, and SQLite allows 2000"));
    assert_eq!(
        put(&[], &[member("new", int(1))]),
        unfit("the record's key is (), that of table my-topic is (id)")
    );
    let other = [member("other", int(1))];
    assert_eq!(
        put(&other, &[member("new", int(1))]),
        unfit("the record's key is (other), that of table my-topic is (id)")
    );
    let twice = [member("a", int(1)), member("A", int(2))];
    assert_eq!(put(&id(1), &twice), unfit("the member a comes twice"));
    assert_eq!(
        put(&id(1), &[member("new3", int(1)), member("id", int(2))]),
        unfit("the member id is another in the key than in the value")
    );
    assert_eq!(
        put(&id(1), &[member("z\0", int(2))]),
        unfit("a zero byte in the column name \"z\\0\"")
    );
    let null = [member("id", Value::Null)];
    assert_eq!(
        put(&null, &[member("new2", int(1))]),
        unfit("null in the key of table my-topic")
    );
    assert_eq!(
        landing.foreign_delete(&topic(), &[]).unwrap(),
        unfit("a deletion without a key")
    );
    assert_eq!(sql_of(landing.conn, "my-topic"), before);
    assert_eq!(query(landing.conn, "SELECT * FROM \"my-topic\""), [[int(1), int(1)]]);
}

#[test]
fn the_first_schema_types_a_guessed_table_and_keeps_its_rows() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    let topic: Arc<str> = "topic".into();
    for i in 1..=2 {
        landing
            .foreign_upsert(
                &topic,
                &id(i),
                &[member("id", int(i)), member("n", int(7)), member("t", text("12"))],
            )
            .unwrap();
    }
    landing.commit().unwrap();
    let typed = schema(
        "users",
        &[("id", "INTEGER", 1), ("n", "INTEGER", 0), ("t", "INTEGER", 0)],
    );
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &Arc::new(typed), None).unwrap();
    landing.upsert(&at, None, &[int(1), int(8), int(9)]).unwrap();
    // Another partition has not seen the schema yet.
    let behind = [member("id", int(3)), member("n", int(1)), member("t", text("x"))];
    assert_eq!(
        landing.foreign_upsert(&topic, &id(3), &behind).unwrap(),
        Landed::Applied
    );
    let strange = landing
        .foreign_upsert(&topic, &id(4), &[member("more", int(1))])
        .unwrap();
    assert_eq!(strange, unfit("the member more is no column of table users"));
    landing.commit().unwrap();
    let rows = [
        [int(1), int(8), int(9)],
        [int(2), int(7), text("12")],
        [int(3), int(1), text("x")],
    ];
    assert_eq!(query(&folder.user(), "SELECT * FROM users ORDER BY id"), rows);
    assert_eq!(
        sql_of(&folder.user(), "users"),
        r#"CREATE TABLE "users" ("id" INTEGER, "n" INTEGER, "t", PRIMARY KEY ("id"))"#
    );
    assert!(query(&folder.user(), "SELECT 1 FROM sqlite_master WHERE name = 'topic'").is_empty());
}

#[test]
fn a_guessed_table_whose_key_is_the_rowid_becomes_one_without_a_key() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let topic: Arc<str> = "topic".into();
    let mut landing = sink.begin().unwrap();
    for key in [int(5), text("odd"), int(9)] {
        landing
            .foreign_upsert(&topic, &[member("rowid", key)], &[member("a", int(1))])
            .unwrap();
    }
    let mut at = position(0);
    landing
        .schema(&mut at, &Arc::new(schema("topic", &[("a", "", 0)])), None)
        .unwrap();
    landing
        .foreign_upsert(&topic, &[member("rowid", int(9))], &[member("a", int(2))])
        .unwrap();
    let odd = landing
        .foreign_upsert(&topic, &[member("rowid", text("x"))], &[])
        .unwrap();
    assert_eq!(odd, unfit("a rowid of table topic that is no integer"));
    landing.foreign_delete(&topic, &[member("rowid", int(5))]).unwrap();
    landing.commit().unwrap();
    assert_eq!(query(&folder.user(), "SELECT rowid, a FROM topic"), [[int(9), int(2)]]);
}

#[test]
fn rows_without_a_schema_count_as_untouched_by_a_running_pass() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let topic: Arc<str> = "topic".into();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing
        .schema(&mut at, &Arc::new(schema("t", &[("id", "INTEGER", 1)])), Some(1))
        .unwrap();
    landing.upsert(&at, None, &[int(1)]).unwrap();
    landing.foreign_upsert(&topic, &id(2), &[]).unwrap();
    assert_eq!(landing.pass_end(&mut at, 1, &[0]).unwrap(), Some(1));
    landing.commit().unwrap();
    assert_eq!(query(&folder.user(), "SELECT id FROM t"), [[int(1)]]);
}

#[test]
fn a_table_that_was_there_and_is_adopted_takes_others_records_when_it_fits() {
    let folder = Folder::new();
    drop(folder.sink());
    let made =
        "CREATE TABLE \"my-topic\" (id INTEGER PRIMARY KEY, a TEXT NOT NULL); INSERT INTO \"my-topic\" VALUES (1, 'x')";
    folder.user().execute_batch(made).unwrap();
    let mut sink = folder.sink().adopting(&["My-Topic".to_owned()]);
    let mut landing = sink.begin().unwrap();
    landing
        .foreign_upsert(&topic(), &id(2), &[member("b", int(5))])
        .unwrap();
    landing.commit().unwrap();
    let n = Value::Null;
    assert_eq!(
        query(&folder.user(), "SELECT id, a, b FROM \"my-topic\""),
        [[int(1), text("x"), n.clone()], [int(2), n, int(5)]]
    );
}

#[test]
fn a_topic_whose_name_no_table_can_have_is_an_error() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    let error = landing
        .foreign_upsert(&"sqlite_x".into(), &id(1), &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("topic sqlite_x cannot become a table"), "{error}");
}

#[test]
fn a_record_of_more_members_than_a_table_has_columns_is_not_looked_into() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    let members: Vec<NamedValue<'_>> = (0..90_000).map(|i| (format!("c{i}").into(), int(i))).collect();
    let topic: Arc<str> = "topic".into();
    for (key, members) in [
        (&members[..1], &members[..]),
        (&members[..], &members[..1]),
        (&members[..], &members[..]),
    ] {
        let outcome = landing.foreign_upsert(&topic, key, members).unwrap();
        assert_eq!(outcome, Landed::Unfit("90000 columns, and SQLite allows 2000".into()));
    }
    landing.foreign_upsert(&topic, &members[..1], &members[..2]).unwrap();
    let outcome = landing.foreign_delete(&topic, &members).unwrap();
    assert_eq!(outcome, Landed::Unfit("90000 columns, and SQLite allows 2000".into()));
    // A key of so many columns that no statement can compare them.
    let outcome = landing
        .foreign_upsert(&"wide".into(), &members[..600], &members[..2])
        .unwrap();
    assert!(
        matches!(&outcome, Landed::Unfit(reason) if reason.contains("too large")),
        "{outcome:?}"
    );
    landing.commit().unwrap();
}
