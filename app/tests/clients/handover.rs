//! Where the choice of the client is left open, our own takes over when the crate meets what it
//! cannot do.

use crate::support::*;

/// On the brokers of the default stack, which both clients can speak to.
fn open_choice(sentence: &str) -> Workspace {
    let workspace = Workspace::new(sentence).by("auto");
    workspace.cluster().create_topic(workspace.topic(), 2, &[]);
    workspace
}

#[test]
fn what_is_shipped_in_lz4_and_in_zstd_lands_whichever_client_begins() {
    for codec in ["lz4", "zstd"] {
        let workspace = open_choice("a consumer reads what a producer of the same options wrote").of("t");
        workspace.sql(
            &workspace.source(),
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
             WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000) INSERT INTO t SELECT n, 'v' || n FROM c",
        );
        workspace
            .producer(&["--compression", codec])
            .ok()
            .says(&format!("client: native (--compression {codec})"));
        workspace
            .consumer(&["--until-caught-up"])
            .ok()
            .says("client: kafka (it can do what is asked here)")
            .says("client: native from here on (");
        assert_equal(&workspace);
    }
}

#[test]
fn others_records_are_read_by_the_client_that_knows_of_transactions() {
    let workspace = open_choice("records of others are judged by the client that can");
    let record = Record::new(r#"{"id":1}"#, r#"{"v":"one"}"#);
    write_records(workspace.cluster(), workspace.topic(), 0, [&record]);
    workspace
        .consumer(&["--until-caught-up"])
        .ok()
        .says("client: native from here on (others write to a topic)");
    let landed = format!(
        "SELECT count(*) FROM \"{}\" WHERE id = 1 AND v = 'one'",
        workspace.topic()
    );
    assert_eq!(workspace.number(&workspace.sink(), &landed), 1);
}
