//! What cannot be shipped is refused with its name, the reason and a way out.

use super::*;

/// The producer refuses the table with these words, and nothing is made for it.
#[track_caller]
fn is_refused(statements: &str, table: &str, words: &[&str]) {
    let workspace = Workspace::new("a table that cannot be shipped").of(table);
    workspace.sql(&workspace.source(), statements);
    let run = workspace.producer(&[]).code(1).says("error: ").says("way out: ");
    words.iter().fold(run, |run, words| run.says(words));
    let triggers = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' OR name GLOB '_rowferry_outbox_*'";
    assert_eq!(workspace.number(&workspace.source(), triggers), 0);
}

#[test]
fn a_view_or_a_virtual_table_is_refused() {
    let view = "CREATE TABLE a(x); CREATE VIEW v AS SELECT x FROM a";
    is_refused(view, "v", &["\"v\" is a view, not a table", "--table"]);
    let virtual_table = "CREATE VIRTUAL TABLE v USING fts5(x)";
    is_refused(virtual_table, "v", &["\"v\" is a virtual table", "--table"]);
    is_refused(virtual_table, "v_data", &["\"v_data\" is a shadow table", "--table"]);
}

#[test]
fn an_internal_table_is_refused() {
    let statements = "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE _rowferry_mine(x)";
    for table in ["sqlite_schema", "sqlite_sequence", "SQLITE_MASTER", "_rowferry_mine"] {
        is_refused(statements, table, &["is internal and cannot be shipped", "--table"]);
    }
}

#[test]
fn a_table_that_is_not_there_is_told_with_those_that_are() {
    is_refused(
        "CREATE TABLE b(x); CREATE TABLE a(x)",
        "c",
        &["there is no table \"c\"", "--table takes one of: a, b"],
    );
}

#[test]
fn a_column_with_a_name_of_the_wire_format_is_refused() {
    for column in ["_ferry", "_sig", "__deleted", "_schema", "_pass", "_run", "_kept"] {
        let statements = format!("CREATE TABLE t(id INTEGER PRIMARY KEY, {column})");
        is_refused(
            &statements,
            "t",
            &[&format!("the column name \"{column}\" is reserved"), "RENAME COLUMN"],
        );
    }
}

#[test]
fn a_table_whose_rowid_is_hidden_is_refused() {
    is_refused(
        "CREATE TABLE t(rowid, _rowid_, oid)",
        "t",
        &["its rows cannot be told apart", "rename one of the three"],
    );
}
