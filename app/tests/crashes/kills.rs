//! SIGKILL of both sides, at any moment.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use super::audit::Audit;
use super::{LIMIT, Scene, is_behind, wait_until_it_lands};
use crate::support::*;

#[test]
fn sixty_kills_at_random_moments_lose_double_and_reorder_nothing() {
    let workspace = Workspace::new("SIGKILL at any moment does no harm").of("t");
    kills_do_no_harm(&workspace, 60, 12);
}

/// So many rounds of kills, of which so many of each side must have struck rows in flight.
#[track_caller]
pub(crate) fn kills_do_no_harm(workspace: &Workspace, rounds: usize, due: usize) {
    let mut random = Random::new();
    let scene = Scene::start(workspace, &mut random);
    let mut ferry = Ferry::start(workspace, &["--batch-rows", "20"], &["--print"]);
    let mut printed = Printed::default();
    let (mut before, mut struck) = (Audit::changes(workspace), 0);
    for round in 0..rounds {
        thread::sleep(Duration::from_millis(40 + random.below(400))); // the random moment
        let (producer, consumer) = [(true, false), (false, true), (true, true)][random.below(3) as usize];
        if consumer {
            wait_until_it_lands(workspace); // one that was killed before may have to be waited for by its group
            thread::sleep(Duration::from_millis(random.below(60)));
        }
        if producer {
            ferry.producer.signal(libc::SIGKILL);
        }
        if consumer {
            ferry.consumer.signal(libc::SIGKILL);
            let (after, behind) = (Audit::changes(workspace), is_behind(workspace));
            struck += usize::from(after > before && behind);
            before = after;
        }
        if round % 2 == 1 {
            thread::sleep(Duration::from_millis(random.below(200))); // every other time they rest for a while
        }
        if producer {
            ferry.next_producer().killed();
        }
        if consumer {
            printed.take(ferry.next_consumer().killed().stdout());
        }
    }
    let tally = scene.end(ferry);
    assert!(
        struck >= due,
        "only {struck} consumers were killed while they landed rows"
    );
    assert!(
        tally.cut_runs >= due,
        "too few producers were killed while rows were on their way: {tally:?}"
    );
    printed.check();
}

/// What `--print` has told, over all runs of the consumer.
#[derive(Default)]
struct Printed {
    offsets: HashMap<i64, Vec<i64>>,
}

impl Printed {
    /// Takes whole lines; the last one may be cut.
    fn take(&mut self, stdout: &str) {
        for line in stdout.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            let [partition, offset] = ["partition", "offset"].map(|name| line[name].as_i64().expect("a number"));
            self.offsets.entry(partition).or_default().push(offset);
        }
    }

    /// Fails when a record was printed twice or after a later one.
    fn check(self) {
        assert_eq!(self.offsets.len(), 3, "not all partitions were printed");
        for (partition, offsets) in self.offsets {
            let rising = offsets.windows(2).find(|pair| pair[0] >= pair[1]);
            assert_eq!(
                rising, None,
                "partition {partition}: an offset was printed twice or too late"
            );
        }
    }
}

#[test]
fn a_full_pass_that_is_killed_again_and_again_arrives_whole() {
    let workspace = Workspace::new("SIGKILL during a full pass does no harm").of("t");
    let source = workspace.source();
    workspace.sql(
        &source,
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
         WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400000) INSERT INTO t SELECT n, hex(randomblob(40)) FROM c",
    );
    let args = ["--batch-rows", "100"];
    let cursor = || {
        let cursor = "SELECT hex(cursor) FROM _rowferry_tracked WHERE pending AND cursor IS NOT NULL";
        let tracked = "SELECT 1 FROM sqlite_schema WHERE name = '_rowferry_tracked'";
        if workspace.rows(&source, tracked).is_empty() {
            Vec::new()
        } else {
            workspace.rows(&source, cursor).concat()
        }
    };
    for round in 1..=5 {
        let before = cursor();
        let consumer = workspace.start_consumer(&[]);
        let producer = workspace.start_producer(&args);
        let moved = wait_until(LIMIT, || !cursor().is_empty() && cursor() != before);
        assert!(moved, "the pass was never seen in its middle\n{}", producer.output());
        producer.kill9();
        assert!(!cursor().is_empty(), "the pass was over when the producer was killed");
        consumer.kill9();
        // Rows on both sides of the place where the pass stands.
        workspace.sql(
            &source,
            &format!(
                "DELETE FROM t WHERE id % 1000 = {round}; UPDATE t SET v = 'changed' WHERE id % 1000 = 10 + {round};
                 INSERT INTO t VALUES (-{round}, 'low'), (1000000 + {round}, 'high')"
            ),
        );
    }
    workspace.producer(&[]).ok();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(&workspace);
}
