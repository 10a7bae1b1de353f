//! Opening the sink, and waiting for others.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_missing_file_and_its_folder_are_made_in_wal_mode() {
    let folder = Folder::new();
    let path = folder.0.join("a/b/sink.db");
    drop(Sink::open(&path, Stop::default()).unwrap());
    assert_eq!(
        query(&Connection::open(&path).unwrap(), "PRAGMA journal_mode"),
        [[text("wal")]]
    );
}

#[test]
fn the_journal_mode_of_a_file_that_was_there_stays() {
    let folder = Folder::new();
    folder.user().execute_batch("CREATE TABLE theirs (a)").unwrap();
    land(
        &mut folder.sink(),
        &schema("t", &[("id", "INTEGER", 1)]),
        &[vec![int(1)]],
    );
    assert_eq!(query(&folder.user(), "PRAGMA journal_mode"), [[text("delete")]]);
    assert_eq!(query(&folder.user(), "SELECT * FROM t"), [[int(1)]]);
}

#[test]
fn what_cannot_be_a_sink_is_named() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    fs::write(
        &file,
        "this is a text, and a rather long one, which no database begins with".repeat(20),
    )
    .unwrap();
    let error = open_error(&file);
    assert!(
        error.contains("file: this is no SQLite database") && error.contains("--sink"),
        "{error}"
    );
    let error = open_error(&folder.0);
    assert!(error.contains("is a folder, not a database"), "{error}");
    let error = open_error(&file.join("sink.db"));
    assert!(
        error.contains("cannot make the folder") && error.contains("--sink"),
        "{error}"
    );
}

#[test]
fn a_sink_of_a_newer_program_and_a_source_are_refused() {
    let folder = Folder::new();
    drop(folder.sink());
    folder
        .user()
        .execute_batch("UPDATE _rowferry_sink SET format = 6")
        .unwrap();
    let error = open_error(&folder.sink_path());
    assert!(
        error.contains("written by a newer Rowferry (format 6, this one knows up to 5)"),
        "{error}"
    );
    let source = folder.0.join("source.db");
    Connection::open(&source)
        .unwrap()
        .execute_batch("CREATE TABLE _rowferry_dead_letters (a)")
        .unwrap();
    let error = open_error(&source);
    assert!(error.contains("is the source of a ferry already"), "{error}");
}

/// The sink's own tables in format 1, as the program made them then, and a position in them.
const FORMAT_1: &str = r#"
    CREATE TABLE _rowferry_sink (format INTEGER NOT NULL);
    CREATE TABLE _rowferry_positions (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        source TEXT, epoch INTEGER, seq INTEGER, prev INTEGER, healing INTEGER NOT NULL, partial INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)) WITHOUT ROWID;
    CREATE TABLE _rowferry_passes (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, schema TEXT NOT NULL, pass INTEGER NOT NULL, ended INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)) WITHOUT ROWID;
    CREATE TABLE _rowferry_tables (
        topic TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, schema TEXT, shape TEXT NOT NULL,
        pass INTEGER NOT NULL, unseen INTEGER) WITHOUT ROWID;
    CREATE TABLE _rowferry_dead_letters (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
        key BLOB NOT NULL, value BLOB NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL);
    INSERT INTO _rowferry_sink VALUES (1);
    INSERT INTO _rowferry_positions VALUES ('topic', 0, 12, 'ab', 7, 11, 6, 1, 1);
"#;

#[test]
fn a_sink_of_format_1_is_brought_up_to_date_by_whoever_comes_first() {
    for _ in 0..10 {
        let folder = Folder::new();
        folder.user().execute_batch(FORMAT_1).unwrap();
        thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| drop(folder.sink()))));
        });
        assert_eq!(query(&folder.user(), "SELECT format FROM _rowferry_sink"), [[int(5)]]);
        let mut sink = folder.sink();
        let last_applied = LastApplied {
            source: "ab".into(),
            epoch: 7,
            seq: 11,
            partitions: None,
        };
        let kept = SinkPosition {
            next_offset: 12,
            last_applied: Some(last_applied),
            healing: true,
            partial: true,
            ..position(0)
        };
        assert_eq!(sink.positions("topic").unwrap(), std::slice::from_ref(&kept));
        let moved = SinkPosition {
            next_offset: 13,
            reached: Some(9),
            last: Some(LastTaken {
                offset: 12,
                fingerprint: u64::MAX - 7,
            }),
            topic_id: TopicId::of([7; 16]),
            ..kept
        };
        let mut landing = sink.begin().unwrap();
        landing.move_position(&moved, Some(12)).unwrap();
        landing.commit().unwrap();
        assert_eq!(folder.sink().positions("topic").unwrap(), [moved]);
    }
}

#[test]
fn what_a_partition_had_come_to_by_a_clock_is_forgotten() {
    let folder = Folder::new();
    folder.user().execute_batch(FORMAT_1).unwrap();
    drop(folder.sink());
    folder
        .user()
        .execute_batch(
            "UPDATE _rowferry_positions SET reached = 7; UPDATE _rowferry_sink SET format = 2;
             ALTER TABLE _rowferry_positions DROP COLUMN last_offset; ALTER TABLE _rowferry_positions DROP COLUMN last_fingerprint;
             ALTER TABLE _rowferry_positions DROP COLUMN topic_id; ALTER TABLE _rowferry_positions ADD COLUMN prev INTEGER;
             DROP TABLE _rowferry_topics",
        )
        .unwrap();
    assert_eq!(folder.sink().positions("topic").unwrap()[0].reached, None);
}

#[test]
fn a_sink_of_format_3_knows_whose_records_its_topics_carry() {
    let folder = Folder::new();
    drop(folder.sink());
    let shape = r#"{"table":"x","columns":[{"name":"a"}]}"#;
    let mut format_3 = "UPDATE _rowferry_sink SET format = 3; DROP TABLE _rowferry_topics;
        ALTER TABLE _rowferry_positions DROP COLUMN topic_id;
         ALTER TABLE _rowferry_tables ADD COLUMN source TEXT; ALTER TABLE _rowferry_tables ADD COLUMN id TEXT;"
        .to_owned();
    let table = |topic: &str, schema: &str, bound: &str| {
        format!("INSERT INTO _rowferry_tables VALUES ('{topic}', '{topic}', {schema}, '{shape}', 0, NULL, {bound});")
    };
    let at = |topic: &str, partition: i32, source: &str, epoch: i64| {
        format!(
            "INSERT INTO _rowferry_positions (topic, partition, next_offset, source, epoch, seq, healing, partial)
             VALUES ('{topic}', {partition}, 5, {source}, {epoch}, 1, 0, 0);"
        )
    };
    let schema = format!("'{shape}'");
    format_3 += &table("told", &schema, "'s', 'a'");
    format_3 += &at("told", 0, "'s'", 1);
    format_3 += &table("untold", &schema, "NULL, NULL");
    format_3 += &at("untold", 0, "'old'", 7);
    format_3 += &at("untold", 1, "'new'", 9);
    format_3 += &at("untold", 2, "NULL", 0);
    format_3 += &table("no schema yet", "NULL", "NULL, NULL");
    format_3 += &at("no schema yet", 0, "'s'", 1);
    format_3 += &table("others", "NULL", "NULL, NULL");
    format_3 += &at("others", 0, "NULL", 0);
    format_3 += &at("nothing", 0, "NULL", 0);
    folder.user().execute_batch(&format_3).unwrap();
    drop(folder.sink());
    let expected = [
        ["no schema yet", "s", "-"],
        ["others", "-", "-"],
        ["told", "s", "a"],
        ["untold", "new", "-"],
    ];
    assert_eq!(
        query(
            &folder.user(),
            "SELECT topic, ifnull(source, '-'), ifnull(id, '-') FROM _rowferry_topics ORDER BY 1"
        ),
        expected.map(|row| row.map(text))
    );
    let columns = "SELECT name FROM pragma_table_info('_rowferry_tables') WHERE name IN ('source', 'id')";
    assert!(query(&folder.user(), columns).is_empty());
}

#[test]
fn the_upgraded_tables_are_those_of_a_new_sink() {
    let (old, new) = (Folder::new(), Folder::new());
    old.user().execute_batch(FORMAT_1).unwrap();
    drop((old.sink(), new.sink()));
    let columns = "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_schema m, pragma_table_info(m.name) c ORDER BY 1, 2";
    assert_eq!(query(&old.user(), columns), query(&new.user(), columns));
}

#[test]
fn a_sink_has_an_id_that_stays_and_is_no_others() {
    let (folder, other) = (Folder::new(), Folder::new());
    let id = folder.sink().id().to_owned();
    assert!(
        id.len() == 12 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')),
        "{id}"
    );
    assert_eq!(folder.sink().id(), id);
    assert_ne!(other.sink().id(), id);
}

#[test]
fn a_file_from_before_there_were_ids_gets_one_even_if_several_open_it_at_once() {
    for _ in 0..10 {
        let folder = Folder::new();
        land(
            &mut folder.sink(),
            &schema("t", &[("id", "INTEGER", 1)]),
            &[vec![int(1)]],
        );
        folder
            .user()
            .execute_batch("ALTER TABLE _rowferry_sink DROP COLUMN id; UPDATE _rowferry_sink SET format = 1; DROP TABLE _rowferry_members;
             ALTER TABLE _rowferry_positions DROP COLUMN reached; ALTER TABLE _rowferry_positions DROP COLUMN partitions;
             ALTER TABLE _rowferry_positions DROP COLUMN last_offset; ALTER TABLE _rowferry_positions DROP COLUMN last_fingerprint;
             ALTER TABLE _rowferry_positions DROP COLUMN topic_id; ALTER TABLE _rowferry_positions ADD COLUMN prev INTEGER;
             DROP TABLE _rowferry_topics")
            .unwrap();
        let ids: Vec<String> = thread::scope(|scope| {
            let openers: Vec<_> = (0..6).map(|_| scope.spawn(|| folder.sink().id().to_owned())).collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        assert_eq!(ids[0].len(), 12);
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(
            query(&folder.user(), "SELECT s.id, t.id FROM _rowferry_sink AS s, t"),
            [[text(&ids[0]), int(1)]]
        );
    }
}

#[test]
fn the_lock_of_another_process_is_waited_for() {
    for wal in [true, false] {
        let folder = Folder::new();
        if !wal {
            folder.user().execute_batch("CREATE TABLE theirs (a)").unwrap();
        }
        let mut sink = folder.sink();
        let user = folder.user();
        user.execute_batch("BEGIN IMMEDIATE").unwrap();
        let holder = thread::spawn(move || {
            thread::sleep(Duration::from_millis(1500));
            user.execute_batch("COMMIT").unwrap();
        });
        let started = Instant::now();
        land(&mut sink, &schema("t", &[("id", "INTEGER", 1)]), &[vec![int(1)]]);
        assert!(
            started.elapsed() >= Duration::from_millis(1400),
            "it did not wait: {:?}",
            started.elapsed()
        );
        holder.join().unwrap();
        assert_eq!(query(&folder.user(), "SELECT * FROM t"), [[int(1)]]);
    }
}

#[test]
fn a_commit_waits_for_a_reader_that_is_in_its_way() {
    let folder = Folder::new();
    folder.user().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let mut sink = folder.sink();
    let user = folder.user();
    user.execute_batch("BEGIN; SELECT * FROM sqlite_master").unwrap();
    assert!(!user.is_autocommit());
    let holder = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        user.execute_batch("COMMIT").unwrap();
    });
    let started = Instant::now();
    land(&mut sink, &schema("t", &[("id", "INTEGER", 1)]), &[vec![int(1)]]);
    assert!(
        started.elapsed() >= Duration::from_millis(250),
        "it did not wait: {:?}",
        started.elapsed()
    );
    holder.join().unwrap();
}

#[test]
fn a_wish_to_stop_ends_the_wait_for_a_lock() {
    let folder = Folder::new();
    drop(folder.sink());
    let stop = Stop::default();
    let mut sink = Sink::open(&folder.sink_path(), stop.clone()).unwrap();
    let user = folder.user();
    user.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        stop.request();
    });
    let started = Instant::now();
    let error = sink.begin().err().expect("the lock is held");
    assert_eq!(error.kind(), crate::error::Kind::Stopped);
    assert!(started.elapsed() < Duration::from_secs(1));
    asker.join().unwrap();
}

#[test]
fn a_wish_to_stop_ends_a_long_statement_too() {
    let folder = Folder::new();
    let stop = Stop::default();
    let mut sink = Sink::open(&folder.sink_path(), stop.clone()).unwrap();
    let shape = Arc::new(schema("t", &[("id", "INTEGER", 1), ("v", "INTEGER", 0)]));
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &shape, Some(1)).unwrap();
    landing.upsert(&at, None, &[int(1), int(1)]).unwrap();
    landing.schema(&mut at, &shape, Some(2)).unwrap();
    stop.request();
    for error in [
        landing.upsert(&at, None, &[int(2), text("12")]).unwrap_err(),
        landing.pass_end(&mut at, 2, &[0]).unwrap_err(),
        landing.schema(&mut at, &shape, Some(3)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), crate::error::Kind::Stopped, "{error}");
    }
}

#[test]
fn several_consumers_can_make_the_same_file_at_once() {
    for _ in 0..20 {
        let folder = Folder::new();
        thread::scope(|scope| {
            let openers: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| folder.sink().dead_letters().unwrap()))
                .collect();
            assert!(openers.into_iter().all(|opener| opener.join().unwrap() == 0));
        });
    }
}

#[test]
fn a_sink_in_another_encoding_is_refused() {
    let folder = Folder::new();
    folder
        .user()
        .execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE theirs (a)")
        .unwrap();
    let error = open_error(&folder.sink_path());
    assert!(
        error.contains("keeps its text as UTF-16le") && error.contains("--sink"),
        "{error}"
    );
}

#[test]
fn a_sink_can_go_to_another_thread() {
    fn goes<T: Send>() {}
    goes::<Sink>();
    goes::<SinkPosition>();
}

#[test]
fn nothing_lands_in_a_file_that_is_no_longer_where_it_was_opened() {
    type Change = fn(&Folder);
    let removed: Change = |folder| fs::remove_file(folder.sink_path()).unwrap();
    let moved: Change = |folder| fs::rename(folder.sink_path(), folder.0.join("elsewhere.db")).unwrap();
    let replaced: Change = |folder| {
        fs::copy(folder.sink_path(), folder.0.join("copy.db")).unwrap();
        fs::rename(folder.0.join("copy.db"), folder.sink_path()).unwrap();
    };
    for change in [removed, moved, replaced] {
        let folder = Folder::new();
        let mut sink = folder.sink();
        let mut landing = sink.begin().unwrap();
        landing.move_position(&position(0), None).unwrap();
        change(&folder);
        let error = landing.commit().unwrap_err().to_string();
        assert!(
            error.contains("sink.db: the sink's file was moved, removed or replaced") && error.contains("way out"),
            "{error}"
        );
        sink.check_file().unwrap_err();
        assert_eq!(sink.positions("topic").unwrap(), [], "it has landed all the same");
    }
}

#[test]
fn a_file_is_the_same_by_whatever_path_it_is_reached_and_a_copy_is_not() {
    let folder = Folder::new();
    let sink = folder.sink();
    let (link, copy) = (folder.0.join("link.db"), folder.0.join("copy.db"));
    std::os::unix::fs::symlink(folder.sink_path(), &link).unwrap();
    let linked = Sink::open(&link, Stop::default()).unwrap();
    folder
        .user()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    let copied = Sink::open(&copy, Stop::default()).unwrap();
    assert_eq!((linked.id(), linked.file()), (sink.id(), sink.file()));
    assert_eq!(copied.id(), sink.id());
    assert_ne!(copied.file(), sink.file());
    // A link that leads elsewhere is another file.
    linked.check_file().unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&copy, &link).unwrap();
    linked.check_file().unwrap_err();
    sink.check_file().unwrap();
}
