//! Histories that fork: a source that was put back, rewound, copied or replaced, and a run that is
//! cut while it reads the log back.

mod beginnings;
mod copies;
mod logs;
mod replaced;
mod restored;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::losses::shop::*;
use crate::support::*;

/// What the producer says when it sends rows again that the log holds.
const AGAIN: &str = "rows are sent again as they are now";

/// A copy of the source as SQLite's backup API takes it, whoever writes meanwhile.
fn take_backup(w: &Workspace, name: &str) -> PathBuf {
    let copy = w.path(name);
    copy_over(&w.source(), &copy);
    copy
}

/// Puts the content of one database in the place of another's, under whoever has that open, as
/// `.restore` does.
fn copy_over(from: &Path, to: &Path) {
    let from = Connection::open(from).expect("it can be opened");
    let mut to = Connection::open(to).expect("it can be opened");
    to.busy_timeout(Duration::from_secs(60)).expect("a timeout can be set");
    let backup = Backup::new(&from, &mut to).expect("a backup begins");
    let pause = Duration::from_millis(5);
    backup
        .run_to_completion(1_000_000, pause, None)
        .expect("the backup is taken");
}

/// Some of everything: new rows, changed ones, deletions, and a key that moves.
fn change_some(w: &Workspace, round: u32) {
    let from = 10_000 + round * 1000;
    w.sql(
        &w.source(),
        &format!(
            "{} UPDATE items SET name = name || '.{round}', price = price + {round} WHERE id % 5 = {round} % 5;
             DELETE FROM items WHERE id % 11 = {round} % 11;
             UPDATE items SET id = -id - {round} * 100000 WHERE id = (SELECT max(id) FROM items WHERE id < 10000 AND id > 0)",
            more_items(from, 99)
        ),
    );
}

/// Both sides run once, without a way out, and are equal.
#[track_caller]
fn becomes_equal(w: &Workspace) -> Run {
    let run = w.producer(&[]).ok();
    w.consumer(&["--until-caught-up"]).ok();
    assert_equal(w);
    run
}
