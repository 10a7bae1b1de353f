//! Whatever dies, hangs or fails in mid-flight: once everything runs again both sides are equal,
//! and each record was applied once and in order.

pub(crate) mod answers;
pub(crate) mod audit;
mod brokers;
pub(crate) mod kills;
mod rivals;
mod stops;

use std::time::Duration;

pub(crate) use self::audit::Audit;
use crate::support::*;

/// How long something that is due may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How each side says that a broker gives trouble, and that the trouble is over.
pub(crate) const TROUBLE: &str = "trying again";
pub(crate) const OVER: &str = "Kafka answers again";

/// A table `t` with rows that have landed, an audit of the sink, and a writer that keeps changing
/// the source.
pub(crate) struct Scene<'w> {
    workspace: &'w Workspace,
    audit: Audit,
    pub writer: Writer,
}

impl<'w> Scene<'w> {
    pub(crate) fn start(workspace: &'w Workspace, random: &mut Random) -> Self {
        workspace.cluster().create_topic(workspace.topic(), 3, &[]);
        workspace.sql(
            &workspace.source(),
            "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, version INTEGER, v TEXT);
             WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) INSERT INTO t SELECT n, 0, 'v' || n FROM c",
        );
        ship_and_land(workspace);
        Self {
            audit: Audit::install(workspace),
            writer: start_writer(workspace, random),
            workspace,
        }
    }

    /// Ends the writer, lets both sides come to rest, and compares what the log says with what the
    /// sink did.
    #[track_caller]
    pub(crate) fn end(self, ferry: Ferry) -> audit::Tally {
        self.writer.stop();
        ferry.end();
        self.audit.check(self.workspace)
    }
}

/// Keeps changing rows in small transactions; each change of a row gives it a version above all
/// before.
pub(crate) fn start_writer(workspace: &Workspace, random: &mut Random) -> Writer {
    Writer::start(&workspace.source(), random.next(), |user, random, version| {
        std::thread::sleep(Duration::from_micros(random.below(3000))); // its pace
        let (id, text) = (random.below(600), random.next());
        user.execute_batch(&match random.below(8) {
            0 => format!("DELETE FROM t WHERE id = {id}"),
            1 => format!("UPDATE t SET version = {version} WHERE id BETWEEN {id} AND {id} + 30"),
            2 => format!(
                "UPDATE OR REPLACE t SET id = {}, version = {version} WHERE id = {id}",
                random.below(600)
            ),
            3..6 => format!("UPDATE t SET version = {version}, v = 'text {text}' WHERE id = {id}"),
            _ => format!("INSERT OR REPLACE INTO t VALUES ({id}, {version}, 'text {text}')"),
        })
    })
}

/// Whether the source has changes that the sink has not.
pub(crate) fn is_behind(workspace: &Workspace) -> bool {
    let newest = |database| workspace.number(database, "SELECT max(version) FROM t");
    newest(&workspace.sink()) < newest(&workspace.source())
}

/// Waits until the sink has made another change.
#[track_caller]
pub(crate) fn wait_until_it_lands(workspace: &Workspace) {
    let before = Audit::changes(workspace);
    assert!(
        wait_until(LIMIT, || Audit::changes(workspace) > before),
        "nothing lands"
    );
}
