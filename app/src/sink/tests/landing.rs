//! Transactions, positions and dead letters.

use super::*;

fn users() -> TableSchema {
    schema("users", &[("id", "INTEGER", 1), ("name", "TEXT", 0)])
}

#[test]
fn a_position_comes_back_as_it_was_moved() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    assert_eq!(sink.positions("topic").unwrap(), []);
    let last_applied = Some(LastApplied {
        source: "ab12".into(),
        epoch: 1_700_000_000_000_000,
        seq: 7,
        partitions: Some(5),
    });
    let mut first = SinkPosition {
        next_offset: 5,
        partial: true,
        last_applied,
        ..position(1)
    };
    let plain = SinkPosition {
        next_offset: 9,
        healing: true,
        ..position(0)
    };
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut first, &Arc::new(users()), Some(77)).unwrap();
    landing.move_position(&first, None).unwrap();
    landing.move_position(&plain, None).unwrap();
    landing.commit().unwrap();
    assert_eq!(first.pass, 77);
    assert_eq!(sink.positions("topic").unwrap(), [plain, first.clone()]);
    assert_eq!(folder.sink().positions("topic").unwrap()[1], first);
    assert_eq!(sink.positions("another").unwrap(), []);
}

#[test]
fn equal_schemas_of_several_partitions_are_one_in_memory() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    for partition in 0..2 {
        let mut at = position(partition);
        landing.schema(&mut at, &Arc::new(users()), None).unwrap();
        landing.move_position(&at, None).unwrap();
    }
    landing.commit().unwrap();
    let read = folder.sink();
    let positions = read.positions("topic").unwrap();
    let schema = |i: usize| positions[i].schema.as_ref().unwrap();
    assert!(Arc::ptr_eq(schema(0), schema(1)));
}

#[test]
fn partial_is_taken_over_on_the_first_contact_with_a_source_only() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let last_applied = |source: &str| {
        Some(LastApplied {
            source: source.into(),
            epoch: 1,
            seq: 1,
            partitions: None,
        })
    };
    let mut moved = |from: Option<i64>, source: &str, partial: bool| {
        let to = SinkPosition {
            next_offset: from.unwrap_or(0) + 1,
            last_applied: last_applied(source),
            partial,
            ..position(0)
        };
        let mut landing = sink.begin().unwrap();
        landing.move_position(&to, from).unwrap();
        landing.commit().unwrap();
        sink.positions("topic").unwrap()[0].partial
    };
    assert!(!moved(None, "a", false));
    assert!(!moved(Some(1), "a", true));
    assert!(moved(Some(2), "b", true));
    assert!(moved(Some(3), "b", false));
}

#[test]
fn of_two_consumers_in_one_sink_the_second_is_stopped_with_nothing_stored() {
    let folder = Folder::new();
    let (mut one, mut two) = (folder.sink(), folder.sink());
    let land = |sink: &mut Sink, id: i64, from: Option<i64>| {
        let mut at = SinkPosition {
            next_offset: from.unwrap_or(0) + 1,
            ..position(2)
        };
        let mut landing = sink.begin().unwrap();
        landing.schema(&mut at, &Arc::new(users()), None).unwrap();
        landing.upsert(&at, None, &[int(id), text("x")]).unwrap();
        landing
            .dead_letter(&TopicPartition::new("topic", 2), 0, (b"", b""), "none")
            .unwrap();
        landing.move_position(&at, from).map_err(|e| e.to_string())?;
        landing.commit().map_err(|e| e.to_string())
    };
    land(&mut one, 1, None).unwrap();
    let error = land(&mut two, 2, None).unwrap_err();
    assert!(
        error.contains(
            "another consumer lands in this sink: topic \"topic\" partition 2 should be new here and is at offset 1"
        ),
        "{error}"
    );
    assert!(error.contains("need the same --group"), "{error}");
    land(&mut two, 3, Some(1)).unwrap();
    let error = land(&mut one, 4, Some(1)).unwrap_err();
    assert!(error.contains("should be at offset 1 and is at offset 2"), "{error}");
    assert_eq!(
        query(&folder.user(), "SELECT id FROM users ORDER BY id"),
        [[int(1)], [int(3)]]
    );
    assert_eq!(one.dead_letters().unwrap(), 2);
}

#[test]
fn what_is_not_committed_is_not_there_and_is_not_remembered() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &Arc::new(users()), None).unwrap();
    landing.upsert(&at, None, &[int(1), text("x")]).unwrap();
    landing
        .dead_letter(&TopicPartition::new("topic", 0), 3, (b"k", b"v"), "no JSON")
        .unwrap();
    landing.move_position(&at, None).unwrap();
    drop(landing);
    let ours = "SELECT name FROM sqlite_master WHERE name = 'users'";
    assert!(query(&folder.user(), ours).is_empty());
    assert_eq!(
        (sink.dead_letters().unwrap(), sink.positions("topic").unwrap()),
        (0, vec![])
    );
    land(&mut sink, &users(), &[vec![int(2), text("y")]]);
    assert_eq!(query(&folder.user(), "SELECT id FROM users"), [[int(2)]]);
}

#[test]
fn a_dead_letter_keeps_the_raw_key_and_value_and_the_reason() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut landing = sink.begin().unwrap();
    landing
        .dead_letter(&TopicPartition::new("topic", 3), 42, (b"\xff\0", b""), "no JSON")
        .unwrap();
    landing.commit().unwrap();
    assert_eq!(sink.dead_letters().unwrap(), 1);
    let dead_letter = query(
        &folder.user(),
        "SELECT topic, partition, \"offset\", key, value, reason FROM _rowferry_dead_letters",
    );
    assert_eq!(
        dead_letter,
        [[
            text("topic"),
            int(3),
            int(42),
            blob(b"\xff\0"),
            blob(b""),
            text("no JSON")
        ]]
    );
    let dated = "SELECT at GLOB '20[0-9][0-9]-[01][0-9]-[0-3][0-9]T*Z' FROM _rowferry_dead_letters";
    assert_eq!(query(&folder.user(), dated), [[int(1)]]);
}

#[test]
fn a_deletion_hits_the_very_same_key_only() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut folded = schema("t", &[("k", "TEXT", 1), ("v", "", 0)]);
    folded.columns[0].collation = "NOCASE".into();
    folded.columns[0].pk_collation = "NOCASE".into();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &Arc::new(folded), None).unwrap();
    landing.upsert(&at, None, &[text("k1"), int(1)]).unwrap();
    landing.upsert(&at, None, &[text("K1"), int(2)]).unwrap();
    landing.delete(&at, &[text("k1")]).unwrap();
    landing.commit().unwrap();
    assert_eq!(query(&folder.user(), "SELECT * FROM t"), [[text("K1"), int(2)]]);
    let mut landing = sink.begin().unwrap();
    landing.delete(&at, &[blob(b"K1")]).unwrap();
    landing.delete(&at, &[text("K1")]).unwrap();
    landing.commit().unwrap();
    assert!(query(&folder.user(), "SELECT * FROM t").is_empty());
}

#[test]
fn a_deletion_tells_zero_from_minus_zero_and_one_from_one_point_zero() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing
        .schema(&mut at, &Arc::new(schema("t", &[("k", "", 1), ("v", "", 0)])), None)
        .unwrap();
    for (kept, other) in [
        (real(-0.0), real(0.0)),
        (real(1.0), int(1)),
        (text("2"), int(2)),
        (blob(b"x"), text("x")),
    ] {
        landing.upsert(&at, None, &[kept.borrow(), int(0)]).unwrap();
        landing.delete(&at, std::slice::from_ref(&other)).unwrap();
        assert_eq!(query(landing.conn, "SELECT k FROM t"), [[kept.borrow()]]);
        landing.delete(&at, std::slice::from_ref(&kept)).unwrap();
        assert!(query(landing.conn, "SELECT k FROM t").is_empty(), "{kept:?}");
    }
}

#[test]
fn rows_that_are_none_of_the_table_are_unfit_with_a_reason() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing
        .schema(&mut at, &Arc::new(schema("t", &[("k", "TEXT", 1), ("v", "", 0)])), None)
        .unwrap();
    let unfit = |reason: &str| Landed::Unfit(reason.into());
    let short = landing.upsert(&at, None, &[text("a")]).unwrap();
    assert_eq!(short, unfit("the row has 1 values, the table t has 2 columns"));
    let null = landing.upsert(&at, None, &[Value::Null, int(1)]).unwrap();
    assert_eq!(null, unfit("null in k, a column of the primary key of t"));
    let long = landing.delete(&at, &[text("a"), int(1)]).unwrap();
    assert_eq!(long, unfit("the key has 2 members, the primary key of t has 1"));
    assert!(query(landing.conn, "SELECT * FROM t").is_empty());
}

#[test]
fn a_table_that_someone_changed_or_dropped_is_an_error_with_a_way_out() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &Arc::new(users()), None).unwrap();
    landing.upsert(&at, None, &[int(1), text("same")]).unwrap();
    landing.commit().unwrap();
    folder
        .user()
        .execute_batch("CREATE UNIQUE INDEX one ON users (name)")
        .unwrap();
    let error = sink
        .begin()
        .unwrap()
        .upsert(&at, None, &[int(2), text("same")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("UNIQUE constraint failed: users.name") && error.contains("take away the index"),
        "{error}"
    );
    folder.user().execute_batch("DROP TABLE users").unwrap();
    let error = sink
        .begin()
        .unwrap()
        .upsert(&at, None, &[int(2), text("same")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no such table: users") && error.contains("--backfill"),
        "{error}"
    );
}
