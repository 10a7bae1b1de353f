//! The tables that the sink makes, takes over and reshapes.

use super::*;

fn made(schema: &TableSchema) -> String {
    let folder = Folder::new();
    land(&mut folder.sink(), schema, &[]);
    sql_of(&folder.user(), &schema.table)
}

#[test]
fn a_table_has_the_types_collations_and_key_of_its_source() {
    let mut two = schema(
        "t",
        &[
            ("n", "VARCHAR(20)", 2),
            ("k", "DECIMAL(10, 2)", 1),
            ("v", "DOUBLE PRECISION", 0),
        ],
    );
    two.columns[0].collation = "nocase".into();
    two.columns[0].pk_collation = "RTRIM".into();
    two.columns[2].collation = "their own".into();
    assert_eq!(
        made(&TableSchema {
            without_rowid: true,
            ..two
        }),
        r#"CREATE TABLE "t" ("n" VARCHAR(20) COLLATE NOCASE, "k" DECIMAL(10, 2), "v" DOUBLE PRECISION, PRIMARY KEY ("k" COLLATE BINARY, "n" COLLATE RTRIM)) WITHOUT ROWID"#
    );
    let integer = schema("t", &[("id", "INTEGER", 1), ("v", "", 0)]);
    assert_eq!(
        made(&integer),
        r#"CREATE TABLE "t" ("id" INTEGER, "v", PRIMARY KEY ("id"))"#
    );
    assert_eq!(
        made(&TableSchema {
            rowid_alias: false,
            ..integer
        }),
        r#"CREATE TABLE "t" ("id" INT, "v", PRIMARY KEY ("id" COLLATE BINARY))"#
    );
    let strict = TableSchema {
        strict: true,
        ..schema("t", &[("a", "ANY", 1), ("b", "BLOB", 0)])
    };
    assert_eq!(
        made(&strict),
        r#"CREATE TABLE "t" ("a" ANY, "b" BLOB, PRIMARY KEY ("a" COLLATE BINARY)) STRICT"#
    );
}

#[test]
fn a_declared_type_that_is_more_than_a_type_becomes_its_affinity() {
    let types = [
        ("TEXT NOT NULL", "TEXT"),
        ("INTEGER PRIMARY KEY", "INTEGER"),
        ("INT UNIQUE", "INTEGER"),
        ("REAL DEFAULT 5", "REAL"),
        ("TEXT CHECK (0)", "TEXT"),
        ("INT REFERENCES t", "INTEGER"),
        ("x); DROP TABLE t; --", "NUMERIC"),
        ("TEXT, evil", "TEXT"),
        ("BLOB GENERATED ALWAYS", "BLOB"),
        ("VARCHAR(1,2,3)", "TEXT"),
        ("DECIMAL(a)", "NUMERIC"),
        ("DECIMAL()", "NUMERIC"),
        ("1INT", "INTEGER"),
        ("\"TEXT\"", "TEXT"),
        ("TEXT(5) NULL", "TEXT"),
        ("TEXT\0", "TEXT"),
        ("(5)", "NUMERIC"),
        (" ", "NUMERIC"),
        ("DÉCIMAL", "NUMERIC"),
    ];
    for (declared, safe) in types {
        let sql = made(&schema("t", &[("k", "TEXT", 1), ("v", declared, 0)]));
        assert_eq!(
            sql,
            format!(r#"CREATE TABLE "t" ("k" TEXT, "v" {safe}, PRIMARY KEY ("k" COLLATE BINARY))"#),
            "{declared}"
        );
    }
}

#[test]
fn names_and_counts_that_sqlite_cannot_take_are_refused() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let many: Vec<_> = (0..2001).map(|i| format!("c{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "", 1)).collect();
    for (schema, expected) in [
        (schema("sqlite_x", &[("a", "", 1)]), "the name sqlite_x is reserved"),
        (schema("_rowferry_positions", &[("a", "", 1)]), "reserved"),
        (schema("a\0b", &[("a", "", 1)]), "zero byte"),
        (schema("t", &[("a\0", "", 1)]), "zero byte in the column name \"a\\0\""),
        (schema("t", &[]), "no columns"),
        (
            schema("t", &[("a", "", 1), ("A", "", 0)]),
            "two columns with the name a",
        ),
        (
            schema("t", &[("oid", "", 0), ("RowId", "", 0), ("_rowid_", "", 0)]),
            "hide the rowid",
        ),
        (schema("t", &many), "2001 columns, and SQLite allows 2000"),
    ] {
        let mut landing = sink.begin().unwrap();
        let outcome = landing.schema(&mut position(0), &Arc::new(schema), None).unwrap();
        assert!(
            matches!(&outcome, Landed::Unfit(reason) if reason.contains(expected)),
            "{outcome:?}: {expected}"
        );
    }
}

#[test]
fn a_schema_that_sqlite_refuses_is_unfit_and_leaves_the_transaction_as_it_was() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let good = Arc::new(schema("t", &[("id", "INTEGER", 1), ("v", "", 0)]));
    let names: Vec<String> = (0..600).map(|i| format!("k{i}")).collect();
    let wide: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_str(), "", i + 1))
        .collect();
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &good, None).unwrap();
    landing.upsert(&at, None, &[int(1), int(2)]).unwrap();
    // No statement can compare so many columns.
    let outcome = landing.schema(&mut at, &Arc::new(schema("t", &wide)), Some(7)).unwrap();
    assert!(
        matches!(&outcome, Landed::Unfit(reason) if reason.contains("too large")),
        "{outcome:?}"
    );
    assert_eq!((at.pass, at.schema.as_ref()), (0, Some(&good)));
    assert_eq!(landing.upsert(&at, None, &[int(3), int(4)]).unwrap(), Landed::Applied);
    landing.commit().unwrap();
    let rows = query(&folder.user(), "SELECT * FROM t");
    assert_eq!(rows, [[int(1), int(2)], [int(3), int(4)]]);
}

#[test]
fn a_new_pass_adds_drops_and_retypes_columns() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    land(
        &mut sink,
        &schema("t", &[("id", "INTEGER", 1), ("a", "TEXT", 0), ("gone", "", 0)]),
        &[vec![int(1), text("12"), int(9)]],
    );
    folder
        .user()
        .execute_batch("CREATE INDEX by_a ON t (a); CREATE INDEX by_gone ON t (gone); CREATE VIEW v AS SELECT a FROM t")
        .unwrap();
    let next = schema("t", &[("id", "INTEGER", 1), ("new", "REAL", 0), ("A", "INTEGER", 0)]);
    let mut at = sink.positions("topic").unwrap().pop().unwrap_or(position(0));
    let mut landing = sink.begin().unwrap();
    landing.schema(&mut at, &Arc::new(next), Some(5)).unwrap();
    landing.commit().unwrap();
    let user = folder.user();
    assert_eq!(query(&user, "SELECT * FROM t"), [[int(1), Value::Null, text("12")]]);
    assert_eq!(
        sql_of(&user, "t"),
        r#"CREATE TABLE "t" ("id" INTEGER, "new" REAL, "A", PRIMARY KEY ("id"))"#
    );
    assert_eq!(
        query(
            &user,
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 't'"
        ),
        [[text("by_a")]]
    );
    assert_eq!(query(&user, "SELECT * FROM v"), [[text("12")]]);
}

#[test]
fn a_changed_key_starts_empty_and_a_changed_collation_keeps_the_rows() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let first = schema("t", &[("k", "TEXT", 1), ("v", "", 0)]);
    land(
        &mut sink,
        &first,
        &[
            vec![text("a"), int(1)],
            vec![text("A"), int(2)],
            vec![text("b"), int(3)],
        ],
    );
    let mut folded = first.clone();
    folded.columns[0].pk_collation = "NOCASE".into();
    let mut at = position(0);
    let mut reshaped = |to: &TableSchema, pass| {
        let mut landing = sink.begin().unwrap();
        landing.schema(&mut at, &Arc::new(to.clone()), Some(pass)).unwrap();
        landing.commit().unwrap();
        query(&folder.user(), "SELECT count(*) FROM t")
    };
    assert_eq!(reshaped(&folded, 1), [[int(2)]]);
    assert_eq!(reshaped(&schema("t", &[("k", "TEXT", 0), ("v", "", 1)]), 2), [[int(0)]]);
}

#[test]
fn a_table_without_a_key_keeps_its_rowids_when_it_is_reshaped() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing
        .schema(&mut at, &Arc::new(schema("t", &[("a", "", 0)])), None)
        .unwrap();
    landing.upsert(&at, Some(7), &[int(1)]).unwrap();
    landing
        .schema(
            &mut at,
            &Arc::new(schema("t", &[("rowid", "", 0), ("a", "", 0)])),
            Some(3),
        )
        .unwrap();
    landing.upsert(&at, Some(9), &[int(5), int(6)]).unwrap();
    assert_eq!(
        landing.upsert(&at, None, &[int(5), int(6)]).unwrap(),
        Landed::Unfit("a row without a rowid, which is the key of t".into())
    );
    landing.commit().unwrap();
    let rows = query(&folder.user(), "SELECT _rowid_, * FROM t");
    assert_eq!(rows, [[int(7), Value::Null, int(1)], [int(9), int(5), int(6)]]);
}

#[test]
fn a_renamed_table_moves() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    land(&mut sink, &schema("old", &[("id", "INTEGER", 1)]), &[vec![int(1)]]);
    let mut at = position(0);
    let mut landing = sink.begin().unwrap();
    landing
        .schema(&mut at, &Arc::new(schema("new", &[("id", "INTEGER", 1)])), Some(5))
        .unwrap();
    landing.commit().unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'";
    assert_eq!(query(&folder.user(), tables), [[text("new")]]);
    assert_eq!(query(&folder.user(), "SELECT * FROM new"), [[int(1)]]);
}

#[test]
fn a_table_that_was_there_and_is_adopted_is_taken_over_when_it_fits() {
    let shape = schema("t", &[("id", "INTEGER", 1), ("v", "TEXT", 0)]);
    let landed = |made: &str| {
        let folder = Folder::new();
        drop(folder.sink());
        folder.user().execute_batch(made).unwrap();
        let mut sink = folder.sink().adopting(&["T".to_owned()]);
        let mut landing = sink.begin().unwrap();
        let mut at = position(0);
        landing
            .schema(&mut at, &Arc::new(shape.clone()), None)
            .map_err(|e| e.to_string())?;
        landing.upsert(&at, None, &[int(2), text("two")]).unwrap();
        landing.commit().unwrap();
        Ok::<_, String>(query(&folder.user(), "SELECT * FROM t ORDER BY id"))
    };
    let two = vec![int(2), text("two")];
    assert_eq!(
        landed("CREATE TABLE t (other UNIQUE NOT NULL)").unwrap(),
        std::slice::from_ref(&two)
    );
    let fitting = "CREATE TABLE T (V INTEGER CHECK (V > 0), ID PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (5, 1)";
    assert_eq!(landed(fitting).unwrap(), [vec![int(1), int(5)], two]);
    for unfit in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v, more); INSERT INTO t VALUES (1, 2, 3)",
        "CREATE TABLE t (id INTEGER, v); INSERT INTO t VALUES (1, 2)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 2)",
    ] {
        let error = landed(unfit).unwrap_err();
        assert!(
            error.contains("the sink has a table t already, with rows that do not fit"),
            "{error}"
        );
        assert!(error.contains("--sink"), "{error}");
    }
    let error = landed("CREATE VIEW t AS SELECT 1").unwrap_err();
    assert!(error.contains("t is a view in the sink"), "{error}");
}

#[test]
fn two_topics_cannot_carry_the_same_table() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    land(&mut sink, &schema("users", &[("id", "INTEGER", 1)]), &[]);
    let mut other = SinkPosition {
        at: TopicPartition::new("other", 0),
        ..position(0)
    };
    let mut landing = sink.begin().unwrap();
    let error = landing
        .schema(&mut other, &Arc::new(schema("USERS", &[("id", "INTEGER", 1)])), None)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("topics topic and other both carry a table USERS"),
        "{error}"
    );
}

#[test]
fn a_table_that_is_named_like_a_function_of_sqlites_is_one_of_the_users() {
    let folder = Folder::new();
    drop(folder.sink());
    folder
        .user()
        .execute_batch(
            "CREATE TABLE pragma_table_list(a); CREATE TABLE pragma_table_xinfo(a); CREATE VIEW v AS SELECT 1",
        )
        .unwrap();
    let conn = folder.user();
    assert!(
        crate::sink::reshape::theirs(&conn, "v")
            .unwrap_err()
            .to_string()
            .contains("is a view")
    );
    let found = crate::sink::reshape::theirs(&conn, "Pragma_Table_List")
        .unwrap()
        .unwrap();
    assert_eq!((&*found.table, found.columns.len()), ("pragma_table_list", 1));
}
