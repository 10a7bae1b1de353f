//! Sources that are others.

use super::shop::*;
use crate::support::*;

#[test]
fn another_source_in_the_same_topic_is_refused_and_then_followed() {
    let w = shop("two sources are never mixed", 60);
    ship_and_land(&w);
    let other = w.path("other.db");
    w.sql(&other, &format!("{ITEMS} {}", more_items(1000, 30)));
    let other = text(&other);
    w.producer(&["--source", other]).ok();
    stops_anywhere(&w, "this record comes from another source database");
    assert_equal(&w);
    w.consumer(&["--until-caught-up", "--heal"]).ok();
    w.verify(&["--source", other]).ok().says("30 rows, equal");
    // What the old source ships now is foreign in its turn.
    change_all(&w);
    w.producer(&[]).ok();
    stops_anywhere(&w, "this record comes from another source database");
    w.verify(&["--source", other]).ok().says("30 rows, equal");
    heals(&w, w.topic());
}

#[test]
fn a_source_that_has_shipped_elsewhere_before_is_refused_in_every_partition() {
    let w = shop("what comes from another source is waited for by nobody", 60);
    ship_and_land(&w);
    let other = w.path("other.db");
    w.sql(&other, &format!("{ITEMS} {}", more_items(1000, 60)));
    let other = text(&other);
    w.producer(&["--source", other, "--topic", &format!("{}-first", w.topic())])
        .ok();
    w.producer(&["--source", other]).ok();
    stops_anywhere(&w, "this record comes from another source database");
    assert_equal(&w);
    w.producer(&["--source", other, "--backfill"]).ok();
    w.consumer(&["--until-caught-up", "--heal"]).ok();
    w.verify(&["--source", other]).ok().says("60 rows, equal");
}
