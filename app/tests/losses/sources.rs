//! Sources that were put back, copied, or are others.

use super::shop::*;
use crate::support::*;

#[test]
fn a_source_put_back_from_a_backup_is_found() {
    let w = shop("a source that has forgotten a run is named", 100);
    ship_and_land(&w);
    let backup = back_up(&w, "backup.db");
    w.sql(
        &w.source(),
        &format!("{} DELETE FROM items WHERE id % 10 = 1", more_items(101, 50)),
    );
    ship_and_land(&w);
    put_back(&w, &backup);
    change_all(&w);
    w.producer(&[]).ok();
    stops_anywhere(&w, "put back from a backup, or copied");
    heals(&w, w.topic());
}

#[test]
fn a_source_put_back_from_a_backup_is_found_though_nothing_changes_in_it_any_more() {
    let w = shop("a source that has forgotten a run says so by itself", 100);
    ship_and_land(&w);
    let backup = back_up(&w, "backup.db");
    w.sql(&w.source(), &more_items(101, 50));
    ship_and_land(&w);
    put_back(&w, &backup);
    w.producer(&[]).ok().says("0 rows shipped");
    stops_anywhere(&w, "put back from a backup, or copied");
    heals(&w, w.topic());
}

#[test]
fn a_source_put_back_from_before_its_first_run_is_found() {
    let w = shop("a source that was never shipped is another one", 100);
    let backup = back_up(&w, "backup.db");
    ship_and_land(&w);
    put_back(&w, &backup);
    w.producer(&[]).ok();
    stops_anywhere(&w, "this record comes from another source database");
    heals(&w, w.topic());
}

#[test]
fn a_source_copied_to_a_second_place_and_shipped_from_both_is_found() {
    let w = shop("of two copies of a source, the second is named", 100);
    ship_and_land(&w);
    let copy = back_up(&w, "copy.db");
    w.sql(&w.source(), "UPDATE items SET name = 'here'");
    w.sql(&copy, "UPDATE items SET name = 'there'");
    w.producer(&[]).ok();
    w.producer(&["--source", text(&copy)]).ok();
    stops_anywhere(&w, "put back from a backup, or copied");
    assert_eq!(
        w.number(&w.sink(), "SELECT count(*) FROM items WHERE name = 'there'"),
        0
    );
    heals(&w, w.topic());
    // The copy that was given up is found again when it goes on.
    w.sql(&copy, "UPDATE items SET name = 'there again'");
    w.producer(&["--source", text(&copy)]).ok();
    stops_anywhere(&w, "put back from a backup, or copied");
    heals(&w, w.topic());
}

#[test]
fn a_copy_that_is_shipped_while_its_original_waits_for_changes_is_found() {
    let w = shop("of two copies that follow side by side, the second is named", 100);
    ship_and_land(&w);
    let copy = back_up(&w, "copy.db");
    let runs = |last: i64| w.number(&w.source(), "SELECT epoch FROM _rowferry_run") > last;
    let last = w.number(&copy, "SELECT epoch FROM _rowferry_run");
    let mut original = w.start_producer(&["--follow"]);
    assert!(wait_until(SOON, || runs(last)), "the run of the original has not begun");
    // The copy begins a later run, and ships first.
    w.sql(&copy, "UPDATE items SET name = 'there'");
    w.producer(&["--source", text(&copy)]).ok();
    w.sql(&w.source(), "UPDATE items SET name = 'here'");
    wait_until_shipped(&w);
    original.signal(libc::SIGINT);
    original.wait(SOON).ok();
    let found = format!(
        "knows nothing of run {}",
        w.number(&w.source(), "SELECT epoch FROM _rowferry_run")
    );
    stops_anywhere(&w, &found);
    heals(&w, w.topic());
}

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
