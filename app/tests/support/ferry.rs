//! A producer that follows and a consumer that stays, and a program that changes the source beside
//! them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{Process, Random, Run, Workspace, assert_equal, wait_until};

/// How long the sink may take to follow.
const LIMIT: Duration = Duration::from_secs(60);

/// Both sides of one workspace, running.
pub(crate) struct Ferry<'w> {
    pub producer: Process,
    pub consumer: Process,
    workspace: &'w Workspace,
    args: [Vec<&'w str>; 2],
}

impl<'w> Ferry<'w> {
    /// Starts both, with these arguments beside the workspace's.
    pub(crate) fn start(workspace: &'w Workspace, producer: &[&'w str], consumer: &[&'w str]) -> Self {
        let args = [[&["--follow"], producer].concat(), consumer.to_vec()];
        Self {
            producer: workspace.start_producer(&args[0]),
            consumer: workspace.start_consumer(&args[1]),
            workspace,
            args,
        }
    }

    /// Starts another producer in the place of this one, which goes on.
    pub(crate) fn next_producer(&mut self) -> Process {
        std::mem::replace(&mut self.producer, self.workspace.start_producer(&self.args[0]))
    }

    /// Starts another consumer in the place of this one, which goes on.
    pub(crate) fn next_consumer(&mut self) -> Process {
        std::mem::replace(&mut self.consumer, self.workspace.start_consumer(&self.args[1]))
    }

    /// Stops the producer in its tracks, at a moment when it holds no lock; `libc::SIGCONT` lets it
    /// go on.
    pub(crate) fn pause_producer(&mut self) {
        let user = Connection::open(self.workspace.source()).expect("the source can be opened");
        user.busy_timeout(Duration::from_millis(200))
            .expect("a timeout can be set");
        let paused = wait_until(LIMIT, || {
            self.producer.signal(libc::SIGSTOP);
            let free = user.execute_batch("BEGIN EXCLUSIVE; ROLLBACK").is_ok();
            if !free {
                self.producer.signal(libc::SIGCONT);
            }
            free
        });
        assert!(
            paused,
            "the producer never lets the lock go\n{}",
            self.producer.output()
        );
    }

    /// Runs statements on the source, which must change the table, and waits until the sink has
    /// followed.
    #[track_caller]
    pub(crate) fn follows(&mut self, table: &str, statements: &str) {
        let (source, all) = (self.workspace.source(), format!("SELECT * FROM {table}"));
        let before = self.workspace.rows(&source, &all);
        self.workspace.sql(&source, statements);
        assert_ne!(
            before,
            self.workspace.rows(&source, &all),
            "this changes nothing: {statements}"
        );
        self.wait_until_equal(statements);
    }

    /// Waits until verify finds both sides equal, while both go on running.
    #[track_caller]
    pub(crate) fn wait_until_equal(&mut self, after: &str) {
        let mut last = String::new();
        let equal = wait_until(LIMIT, || {
            let run = self.workspace.verify(&[]);
            last = run.to_string();
            run.status.success() || !self.producer.is_running() || !self.consumer.is_running()
        });
        assert!(
            equal && self.producer.is_running() && self.consumer.is_running(),
            "the sink does not follow within {LIMIT:?} after {after}\n{last}\nproducer:\n{}\nconsumer:\n{}",
            self.producer.output(),
            self.consumer.output()
        );
    }

    /// Once both sides are equal, stops both; a last run of each must find nothing left to do.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Run, Run) {
        // Rows travel as they are now, so both sides can be equal before the last change is
        // shipped.
        let shipped = wait_until(LIMIT, || unshipped(self.workspace) == 0);
        assert!(
            shipped,
            "{} changes stay unshipped\n{}",
            unshipped(self.workspace),
            self.producer.output()
        );
        self.wait_until_equal("all that was done");
        self.producer.signal(libc::SIGTERM);
        self.consumer.signal(libc::SIGTERM);
        let ended = (self.producer.wait(LIMIT).ok(), self.consumer.wait(LIMIT).ok());
        for last in [
            self.workspace.producer(&[]).ok(),
            self.workspace.consumer(&["--until-caught-up"]).ok(),
        ] {
            assert!(last.stdout().starts_with("0 rows "), "something was left to do\n{last}");
        }
        assert_equal(self.workspace);
        ended
    }
}

/// How many changes of its one table the source has not noted as shipped.
fn unshipped(workspace: &Workspace) -> i64 {
    let source = workspace.source();
    let table = match workspace
        .rows(&source, "SELECT name FROM _rowferry_tracked")
        .concat()
        .pop()
    {
        Some(Value::Text(table)) => table,
        other => panic!("no table is shipped, but {other:?}"),
    };
    let last = format!("(SELECT max(seq) FROM \"_rowferry_outbox_{table}\")");
    workspace.number(
        &source,
        &format!("SELECT pending + {last} - shipped FROM _rowferry_tracked"),
    )
}

/// Another program's thread, which changes a database until it is stopped.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Calls `change` again and again, with the number of the call from 1 on.
    pub(crate) fn start(
        database: &Path,
        seed: u64,
        mut change: impl FnMut(&Connection, &mut Random, u64) -> rusqlite::Result<()> + Send + 'static,
    ) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connection = Connection::open(database).expect("the source can be opened");
        connection
            .busy_timeout(Duration::from_secs(60))
            .expect("a timeout can be set");
        let (stopped, count) = (stop.clone(), done.clone());
        let thread = thread::spawn(move || {
            let mut random = Random::seeded(seed);
            while !stopped.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed) + 1;
                change(&connection, &mut random, number).unwrap_or_else(|e| panic!("change {number}: {e}"));
                count.store(number, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            done,
            thread: Some(thread),
        }
    }

    /// How often it has changed something so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until it has changed something so many times more; fails when it has failed.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, more: u64) {
        let wanted = self.done() + more;
        let went_on = wait_until(LIMIT, || self.done() >= wanted);
        assert!(
            went_on,
            "the writer has done {} changes, {wanted} were due",
            self.done()
        );
    }

    /// Ends it; fails when one of its changes failed.
    pub(crate) fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("the writer does not fail");
        self.done()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
