//! A topic carries one table of its source.

use super::*;

const TWO: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); TEN INSERT INTO t SELECT i, 't' FROM ten;
    CREATE TABLE u(id INTEGER PRIMARY KEY, w); TEN INSERT INTO u SELECT i + 5, 'u' FROM ten";

fn two_tables(sentence: &str) -> Workspace {
    let workspace = Workspace::new(sentence).of("t");
    workspace.sql(&workspace.source(), &TWO.replace("TEN ", &format!("{TEN} ")));
    workspace
}

#[test]
fn a_second_table_in_a_topic_is_refused_by_the_producer() {
    let workspace = two_tables("two runs ship two tables to one topic");
    arrives(&workspace, "t", 10);
    workspace
        .producer(&["--table", "u", "--topic", workspace.topic()])
        .code(1)
        .says("carries table \"t\" of this source already")
        .says("way out: ");
    workspace.sql(&workspace.source(), "UPDATE t SET v = 'changed'");
    arrives(&workspace, "t", 10);
}

#[test]
fn a_second_table_in_a_topic_stops_the_consumer_and_is_passed_over() {
    let workspace = two_tables("two tables of a source that is only read, in one topic");
    let ship = |table: &str| {
        drop(
            workspace
                .producer(&["--capture", "none", "--table", table, "--topic", workspace.topic()])
                .ok(),
        );
    };
    ship("t");
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(&workspace);
    ship("u");
    for _ in 0..2 {
        workspace
            .consumer(&["--until-caught-up"])
            .code(3)
            .says("offset ")
            .says("this record is of table \"u\", and the topic carries table \"t\" of the same source")
            .says("way out: ");
        assert_equal(&workspace);
    }
    workspace.sql(
        &workspace.source(),
        "UPDATE t SET v = 'changed'; DELETE FROM t WHERE id = 1",
    );
    ship("t");
    workspace.consumer(&["--until-caught-up"]).code(3);
    workspace.consumer(&["--until-caught-up", "--heal"]).ok();
    assert_equal(&workspace);
    assert_eq!(workspace.number(&workspace.sink(), "SELECT count(*) FROM t"), 9);
}
