//! The consumer's side: no row goes back to an older version, and full passes end.

use super::*;

#[test]
fn a_full_pass_that_was_sent_before_partitions_were_added_ends_without_them() {
    let w = three_partitions(Workspace::new("the end of a pass is due where it was sent"));
    ship_and_land(&w);
    w.sql(&w.sink(), "INSERT INTO t VALUES (1000, 0)"); // what the pass has to remove
    w.producer(&["--backfill"]).ok();
    w.cluster().add_partitions(w.topic(), 5);
    w.consumer(&["--until-caught-up"])
        .ok()
        .says("all of the table has landed; 1 rows that the source has no more are removed");
    assert_equal(&w);
}
