//! Whose records a topic carries, and of which table.

use super::*;
use crate::sink::{Binding, Conflict};

fn of(source: &str, table: Option<&str>) -> Binding {
    Binding::Source {
        source: source.into(),
        table: table.map(Into::into),
    }
}

fn other(carried: &str) -> Option<Conflict> {
    Some(Conflict::Other {
        carried: carried.into(),
    })
}

fn taken(carried: &str) -> Option<Conflict> {
    Some(Conflict::NameTaken {
        carried: carried.into(),
    })
}

fn id_only(table: &str) -> Arc<TableSchema> {
    Arc::new(schema(table, &[("id", "INTEGER", 1)]))
}

#[test]
fn a_topic_is_bound_to_one_table_of_a_source_which_that_one_alone_renames() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let (topic, mut at) = (position(0).at.topic, position(0));
    let mut landing = sink.begin().unwrap();
    assert_eq!(landing.binding(&topic).unwrap(), None);
    assert_eq!(landing.conflict(&topic, "s", Some("a"), "t").unwrap(), None);
    landing.schema(&mut at, &id_only("t"), Some(1)).unwrap();
    landing.bind(&topic, of("s", None)).unwrap();
    assert_eq!(
        landing.conflict(&topic, "s", Some("a"), "T").unwrap(),
        None,
        "nothing was told so far"
    );
    assert_eq!(
        landing.conflict(&topic, "s", Some("a"), "u").unwrap(),
        other("t"),
        "nor is it known which table this is"
    );
    landing.bind(&topic, of("s", Some("a"))).unwrap();
    landing.move_position(&at, None).unwrap();
    landing.commit().unwrap();
    folder
        .user()
        .execute_batch("CREATE TABLE Theirs (a); CREATE VIEW a_view AS SELECT 1; CREATE INDEX an_index ON Theirs (a)")
        .unwrap();

    let mut sink = folder.sink();
    land_elsewhere(&mut sink);
    let mut landing = sink.begin().unwrap();
    assert_eq!(landing.binding(&topic).unwrap(), Some(&of("s", Some("a"))));
    for (source, id, table, conflict) in [
        ("s", Some("a"), "t", None),
        ("s", Some("a"), "T", None),
        ("s", None, "t", None),
        ("s", Some("b"), "t", other("t")),
        ("s", Some("b"), "u", other("t")),
        ("s", None, "u", other("t")),
        ("s", Some("a"), "u", None),
        ("s", Some("a"), "theirs", taken("t")),
        ("s", Some("a"), "A_VIEW", taken("t")),
        ("s", Some("a"), "an_index", taken("t")),
        ("s", Some("a"), "Elsewhere", taken("t")),
        ("another", Some("b"), "t", None),
        ("another", Some("a"), "u", other("t")),
        ("another", None, "theirs", other("t")),
    ] {
        let found = landing.conflict(&topic, source, id, table).unwrap();
        assert_eq!(found, conflict, "{source} {id:?} {table}");
    }
    // A table that has another name is the same one.
    landing.schema(&mut at, &id_only("u"), Some(2)).unwrap();
    assert_eq!(landing.conflict(&topic, "s", Some("b"), "u").unwrap(), other("u"));
    landing.bind(&topic, of("another", Some("b"))).unwrap();
    assert_eq!(landing.conflict(&topic, "another", Some("a"), "u").unwrap(), other("u"));
}

/// Lands a table of another topic, which someone drops.
fn land_elsewhere(sink: &mut Sink) {
    let mut at = SinkPosition {
        at: TopicPartition::new("another topic", 0),
        ..position(0)
    };
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &id_only("elsewhere"), Some(1)).unwrap();
    landing.conn.execute_batch("DROP TABLE elsewhere").unwrap();
    landing.commit().unwrap();
}

#[test]
fn a_table_that_rows_made_before_their_schema_takes_the_name_in_it() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let topic = position(0).at.topic;
    let mut landing = sink.begin().unwrap();
    landing.foreign_upsert(&topic, &[("id".into(), int(1))], &[]).unwrap();
    landing.bind(&topic, of("s", None)).unwrap();
    assert_eq!(landing.conflict(&topic, "s", Some("a"), "users").unwrap(), None);
    assert_eq!(
        landing.conflict(&topic, "another", Some("a"), "users").unwrap(),
        other("topic")
    );
}

#[test]
fn whoever_binds_a_topic_second_sees_the_first_and_what_is_rolled_back_binds_nothing() {
    let folder = Folder::new();
    let topic = position(0).at.topic;
    let (mut one, mut two) = (folder.sink(), folder.sink());
    assert_eq!(two.begin().unwrap().binding(&topic).unwrap(), None);
    let mut landing = one.begin().unwrap();
    landing.bind(&topic, of("s", None)).unwrap();
    drop(landing);
    let mut landing = one.begin().unwrap();
    assert_eq!(landing.binding(&topic).unwrap(), None);
    landing.bind(&topic, Binding::Others).unwrap();
    landing.commit().unwrap();
    assert_eq!(two.begin().unwrap().binding(&topic).unwrap(), Some(&Binding::Others));
    assert_eq!(
        folder.sink().begin().unwrap().binding(&topic).unwrap(),
        Some(&Binding::Others)
    );
}

#[test]
fn a_table_of_the_users_is_taken_over_only_when_it_is_adopted() {
    let folder = Folder::new();
    drop(folder.sink());
    folder
        .user()
        .execute_batch("CREATE TABLE T (id INTEGER PRIMARY KEY CHECK (id > 0)); CREATE TABLE topic (id PRIMARY KEY)")
        .unwrap();
    let before = (sql_of(&folder.user(), "T"), sql_of(&folder.user(), "topic"));
    for adopted in [vec![], vec!["x".to_owned()]] {
        let mut sink = folder.sink().adopting(&adopted);
        let mut landing = sink.begin().unwrap();
        let error = landing.schema(&mut position(0), &id_only("t"), None).unwrap_err();
        let error = error.to_string();
        for part in [
            "has a table T already",
            "topic \"topic\"",
            "--adopt T",
            "rename",
            "--sink",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let key = [("id".into(), int(1))];
        let error = landing.foreign_upsert(&"topic".into(), &key, &[]).unwrap_err();
        assert!(error.to_string().contains("--adopt topic"), "{error}");
        // A record that is no row does not come so far.
        let no_row = landing.foreign_upsert(&"topic".into(), &key, &[("ID".into(), int(2))]);
        assert!(matches!(no_row, Ok(Landed::Unfit(_))));
        landing.commit().unwrap();
        assert_eq!((sql_of(&folder.user(), "T"), sql_of(&folder.user(), "topic")), before);
    }
    let mut sink = folder.sink().adopting(&["t".to_owned()]);
    land(&mut sink, &id_only("t"), &[vec![int(-1)]]);
    assert_eq!(query(&folder.user(), "SELECT * FROM t"), [[int(-1)]]);
}

#[test]
fn tables_of_the_users_are_seen_whatever_they_are_called() {
    let folder = Folder::new();
    drop(folder.sink());
    let shadows = "CREATE TABLE pragma_table_list (schema, name, type, wr); CREATE TABLE pragma_table_xinfo (name, pk, hidden, cid)";
    folder.user().execute_batch(shadows).unwrap();
    folder
        .user()
        .execute_batch("CREATE TABLE \"a 'b\" (id INTEGER PRIMARY KEY); INSERT INTO \"a 'b\" VALUES (5)")
        .unwrap();
    let mut sink = folder.sink();
    let error = sink.begin().unwrap().schema(&mut position(0), &id_only("a 'b"), None);
    assert!(error.unwrap_err().to_string().contains("has a table a 'b already"));
    let mut sink = folder.sink().adopting(&["a 'b".to_owned()]);
    land(&mut sink, &id_only("a 'b"), &[vec![int(1)]]);
    assert_eq!(
        query(&folder.user(), "SELECT id FROM \"a 'b\" ORDER BY id"),
        [[int(1)], [int(5)]]
    );
}
