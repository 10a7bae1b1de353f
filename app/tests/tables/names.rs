//! Names of tables and columns may be anything that SQLite takes for a name.

use super::*;

#[test]
fn columns_may_have_any_name() {
    let names = [
        "group",
        "select",
        "a b",
        " ",
        "a\"b'c`d[e]",
        "größe",
        "GRÖßE",
        "日本",
        "🦀",
        "rowid",
        "_rowid_",
        "new",
        "old",
        "excluded",
        "$blob",
        "k1",
        "seq",
        "--",
        ";drop table t",
        "%s{}?1",
        "\\n\n",
        "deleted",
        "_FERRY",
    ];
    let quoted: Vec<_> = names.iter().map(|name| quote(name)).collect();
    for key in [
        "",
        ", PRIMARY KEY(\"select\", \"a\"\"b'c`d[e]\")",
        ", PRIMARY KEY(\"rowid\")",
    ] {
        let columns = quoted.join(", ") + key;
        let workspace = travels(
            "columns with spaces, quotes, keywords and other letters",
            &[
                (
                    &format!("CREATE TABLE t({columns}); TEN INSERT INTO t SELECT i{} FROM ten", ", i".repeat(22)),
                    10,
                ),
                (
                    "UPDATE t SET \"größe\" = 'x', \"excluded\" = 'y' WHERE \"group\" < 4; UPDATE t SET \"rowid\" = 50 WHERE \"new\" = 5;
                     UPDATE t SET \"select\" = 60 WHERE \"old\" = 6; DELETE FROM t WHERE \"a b\" = 9",
                    9,
                ),
            ],
        );
        assert_same_shape(&workspace, "t");
    }
}

#[test]
fn tables_may_have_any_name() {
    for table in [
        "select",
        "a b",
        "a\"b'c[d]`",
        "größe 日本 🦀",
        "new",
        "OLD",
        "excluded",
        "rowid",
        "x;--",
    ] {
        let (name, workspace) = (quote(table), Workspace::new("a table with an odd name").of(table));
        let statements = format!(
            "CREATE TABLE {name}(k TEXT COLLATE NOCASE PRIMARY KEY, v UNIQUE); {TEN} INSERT INTO {name} SELECT 'k' || i, i FROM ten"
        );
        workspace.sql(&workspace.source(), &statements);
        arrives(&workspace, table, 10);
        let statements = format!(
            "UPDATE {name} SET v = -v WHERE v < 4; INSERT OR REPLACE INTO {name} VALUES ('K5', 6); DELETE FROM {name} WHERE v = 7"
        );
        workspace.sql(&workspace.source(), &statements);
        arrives(&workspace, table, 8);
        assert_same_shape(&workspace, table);
    }
}

#[test]
fn a_table_is_found_in_other_letters_and_keeps_its_own() {
    let workspace = Workspace::new("--table USERS for a table Users").of("USERS");
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE Users(id INTEGER PRIMARY KEY); INSERT INTO Users VALUES (1)",
    );
    arrives(&workspace, "users", 1);
    assert_same_shape(&workspace, "Users");
}

#[test]
fn a_table_whose_name_is_no_topic_is_told_so() {
    let workspace = Workspace::new("the topic would be called like the table");
    workspace.sql(&workspace.source(), "CREATE TABLE \"a b\"(v)");
    let prefix = format!("{}-", workspace.topic());
    let run = workspace
        .producer(&["--table", "a b", "--topic-prefix", &prefix])
        .code(2);
    run.says(&format!("no topic can be named '{prefix}a b'"))
        .says("--topic NAME");
}
