//! Full passes: what a pass did not touch is removed, and nothing else.

use super::*;

/// A sink with three partitions whose positions are kept across transactions and restarts.
struct Ferry {
    folder: Folder,
    sink: Sink,
    schema: Arc<TableSchema>,
    expected: [Option<i64>; 3],
    at: Vec<SinkPosition>,
}

/// One record of a partition.
enum Step {
    Begin(u64),
    Put(i64, i64),
    Delete(i64),
    End(u64),
}
use Step::*;

impl Ferry {
    fn new() -> Self {
        let folder = Folder::new();
        let sink = folder.sink();
        let schema = Arc::new(schema("t", &[("id", "INTEGER", 1), ("v", "", 0)]));
        Self {
            folder,
            sink,
            schema,
            expected: [None; 3],
            at: (0..3).map(position).collect(),
        }
    }

    /// Lands records, each in its partition, in one transaction; gives what the last end mark
    /// removed.
    fn land(&mut self, steps: &[(usize, Step)]) -> Option<u64> {
        let mut swept = None;
        let mut landing = self.sink.begin().unwrap();
        for (partition, step) in steps {
            let at = &mut self.at[*partition];
            match step {
                Begin(pass) => {
                    let begun = landing.schema(at, &self.schema, Some(*pass)).unwrap();
                    assert_eq!(begun, Landed::Applied);
                }
                Put(id, v) => assert_eq!(landing.upsert(at, None, &[int(*id), int(*v)]).unwrap(), Landed::Applied),
                Delete(id) => assert_eq!(landing.delete(at, &[int(*id)]).unwrap(), Landed::Applied),
                End(pass) => swept = landing.pass_end(at, *pass, &[0, 1, 2]).unwrap(),
            }
            at.next_offset += 1;
        }
        for (at, expected) in self.at.iter().zip(&mut self.expected) {
            landing.move_position(at, *expected).unwrap();
            *expected = Some(at.next_offset);
        }
        landing.commit().unwrap();
        swept
    }

    fn restart(&mut self) {
        self.sink = self.folder.sink();
        let kept = self.sink.positions("topic").unwrap();
        assert_eq!(kept, self.at, "positions and passes outlive a restart");
        self.at = kept;
    }

    fn rows(&self) -> Vec<(i64, i64)> {
        let read = |row: Vec<Value<'static>>| match row[..] {
            [Value::Integer(id), Value::Integer(v)] => (id, v),
            _ => panic!("{row:?}"),
        };
        query(&self.folder.user(), "SELECT * FROM t ORDER BY id")
            .into_iter()
            .map(read)
            .collect()
    }

    fn unvisited(&self) -> Option<Vec<i64>> {
        let user = self.folder.user();
        let there = query(&user, "SELECT 1 FROM sqlite_master WHERE name = '_rowferry_unseen_t'");
        let counted = query(&user, "SELECT unseen FROM _rowferry_tables");
        if there.is_empty() {
            assert_eq!(counted, [[Value::Null]]);
            return None;
        }
        let mut keys = user.prepare("SELECT k1 FROM _rowferry_unseen_t").unwrap();
        let keys: Vec<i64> = keys.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(counted, [[int(keys.len() as i64)]], "the count is that of the keys");
        Some(keys)
    }

    fn all(step: fn(u64) -> Step, pass: u64) -> [(usize, Step); 3] {
        [(0, step(pass)), (1, step(pass)), (2, step(pass))]
    }

    /// A first load of six rows: key k in partition k % 3.
    fn loaded() -> Self {
        let mut ferry = Self::new();
        ferry.land(&Self::all(Begin, 10));
        ferry.land(&[1, 2, 3, 4, 5, 6].map(|id| (id as usize % 3, Put(id, 0))));
        assert_eq!(ferry.land(&Self::all(End, 10)), Some(0));
        ferry
    }
}

#[test]
fn a_first_load_writes_no_key_twice() {
    let mut ferry = Ferry::new();
    ferry.land(&Ferry::all(Begin, 10));
    ferry.land(&[(0, Put(3, 1)), (1, Put(1, 1))]);
    assert_eq!(ferry.unvisited(), Some(vec![]));
    assert_eq!(ferry.land(&[(0, End(10)), (1, End(10))]), None);
    assert_eq!(ferry.land(&[(2, End(10))]), Some(0));
    assert_eq!(ferry.unvisited(), None);
    assert_eq!(ferry.rows(), [(1, 1), (3, 1)]);
}

#[test]
fn rows_that_a_pass_did_not_touch_are_removed_at_its_last_end_mark() {
    let mut ferry = Ferry::loaded();
    ferry.land(&Ferry::all(Begin, 11));
    assert_eq!(ferry.unvisited(), Some(vec![1, 2, 3, 4, 5, 6]));
    ferry.land(&[
        (1, Put(1, 9)),
        (2, Put(2, 9)),
        (0, Put(3, 9)),
        (0, Delete(6)),
        (1, Put(7, 9)),
    ]);
    assert_eq!(ferry.unvisited(), Some(vec![4, 5]));
    ferry.restart();
    assert_eq!(ferry.land(&[(0, End(11)), (2, End(11))]), None);
    ferry.restart();
    assert_eq!(ferry.land(&[(1, End(11))]), Some(2));
    assert_eq!(ferry.rows(), [(1, 9), (2, 9), (3, 9), (7, 9)]);
    assert_eq!(ferry.unvisited(), None);
}

#[test]
fn partitions_may_be_in_a_pass_at_different_times() {
    let mut ferry = Ferry::loaded();
    ferry.land(&[(0, Begin(11)), (0, Put(3, 1))]);
    // Partition 1 is still before the pass: what it brings now may be gone when the pass gets
    // there.
    ferry.land(&[(1, Put(7, 1)), (1, Put(1, 1)), (1, Delete(4))]);
    assert_eq!(ferry.unvisited(), Some(vec![1, 2, 5, 6, 7]));
    ferry.restart();
    ferry.land(&[
        (0, End(11)),
        (0, Put(9, 1)),
        (1, Begin(11)),
        (1, Put(1, 2)),
        (1, End(11)),
    ]);
    assert_eq!(ferry.unvisited(), Some(vec![2, 5, 6, 7]));
    assert_eq!(
        ferry.land(&[(2, Put(8, 1)), (2, Begin(11)), (2, Put(2, 2)), (2, End(11))]),
        Some(4)
    );
    assert_eq!(ferry.rows(), [(1, 2), (2, 2), (3, 1), (9, 1)]);
}

#[test]
fn a_row_touched_and_then_brought_by_an_older_pass_counts_as_untouched() {
    let mut ferry = Ferry::loaded();
    ferry.land(&[
        (0, Begin(11)),
        (1, Put(1, 5)),
        (1, Begin(11)),
        (1, Put(1, 6)),
        (2, Put(2, 5)),
    ]);
    assert_eq!(ferry.unvisited(), Some(vec![2, 3, 4, 5, 6]));
}

#[test]
fn a_newer_pass_overtakes_an_unfinished_one() {
    let mut ferry = Ferry::loaded();
    ferry.land(&Ferry::all(Begin, 11));
    ferry.land(&[(1, Put(1, 1)), (0, Put(3, 1)), (0, Begin(12))]);
    assert_eq!(ferry.unvisited(), Some(vec![1, 2, 3, 4, 5, 6]));
    // The rest of the older pass proves nothing for the newer one.
    assert_eq!(ferry.land(&[(1, End(11)), (2, End(11)), (1, Put(4, 1))]), None);
    ferry.land(&[
        (1, Begin(12)),
        (1, Put(4, 2)),
        (2, Begin(12)),
        (2, Put(2, 2)),
        (2, Put(5, 2)),
        (0, Put(6, 2)),
    ]);
    assert_eq!(ferry.land(&Ferry::all(End, 12)), Some(2));
    assert_eq!(ferry.rows(), [(2, 2), (4, 2), (5, 2), (6, 2)]);
}

#[test]
fn a_pass_that_was_sent_before_partitions_were_added_is_whole_without_them() {
    let mut ferry = Ferry::loaded();
    for at in &mut ferry.at[..2] {
        at.last_applied = Some(LastApplied {
            source: "s".into(),
            epoch: 7,
            seq: 1,
            partitions: Some(2),
        });
    }
    ferry.land(&[(0, Begin(11)), (1, Begin(11)), (0, Put(3, 1)), (1, Put(1, 1))]);
    ferry.restart();
    assert_eq!(ferry.land(&[(0, End(11))]), None, "the other has not ended");
    assert_eq!(ferry.land(&[(1, End(11))]), Some(4));
    assert_eq!(ferry.rows(), [(1, 1), (3, 1)]);
    assert_eq!(ferry.unvisited(), None);
}

#[test]
fn a_pass_whose_beginning_was_not_seen_removes_nothing() {
    let mut ferry = Ferry::new();
    ferry.at.iter_mut().for_each(|at| at.partial = true);
    let mut landing = ferry.sink.begin().unwrap();
    for at in &mut ferry.at {
        landing.schema(at, &ferry.schema, None).unwrap();
    }
    landing.commit().unwrap();
    ferry.land(&[(0, Put(3, 1)), (1, Put(1, 1)), (1, Begin(10)), (2, Begin(10))]);
    assert_eq!(ferry.land(&Ferry::all(End, 10)), None);
    assert_eq!(ferry.rows(), [(1, 1), (3, 1)]);
    assert!(ferry.sink.positions("topic").unwrap().iter().all(|at| at.partial));
    // The next whole one does, and nothing is missing after it.
    ferry.land(&Ferry::all(Begin, 11));
    ferry.land(&[(0, Put(3, 2))]);
    assert_eq!(ferry.land(&Ferry::all(End, 11)), Some(1));
    assert!(ferry.sink.positions("topic").unwrap().iter().all(|at| !at.partial));
    assert_eq!(ferry.land(&[(1, Put(4, 2))]), None);
    assert!(
        ferry.sink.positions("topic").unwrap().iter().all(|at| !at.partial),
        "a stale position brings it not back"
    );
}

#[test]
fn a_partition_that_has_not_reached_a_new_shape_is_superseded() {
    let mut ferry = Ferry::loaded();
    let wider = Arc::new(schema("t", &[("id", "INTEGER", 1), ("v", "", 0), ("w", "", 0)]));
    let old = ferry.schema.clone();
    ferry.schema = wider;
    ferry.land(&[(0, Begin(11))]);
    let mut landing = ferry.sink.begin().unwrap();
    let behind = &mut ferry.at[1];
    assert_eq!(
        landing.upsert(behind, None, &[int(1), int(7)]).unwrap(),
        Landed::Superseded
    );
    assert_eq!(landing.delete(behind, &[int(1)]).unwrap(), Landed::Superseded);
    // Nor does its older schema, when a new run names it again, bring the old shape back.
    landing.schema(behind, &old, None).unwrap();
    assert_eq!(
        landing.upsert(behind, None, &[int(1), int(7)]).unwrap(),
        Landed::Superseded
    );
    landing.schema(behind, &ferry.schema, Some(11)).unwrap();
    assert_eq!(
        landing.upsert(behind, None, &[int(1), int(8), int(9)]).unwrap(),
        Landed::Applied
    );
    landing.commit().unwrap();
    let all = query(&ferry.folder.user(), "SELECT * FROM t WHERE id < 3");
    assert_eq!(all, [[int(1), int(8), int(9)], [int(2), int(0), Value::Null]]);
}

#[test]
fn a_pass_that_goes_back_in_time_is_named() {
    let mut ferry = Ferry::loaded();
    let mut landing = ferry.sink.begin().unwrap();
    let outcome = landing.schema(&mut ferry.at[0], &ferry.schema, Some(9)).unwrap();
    assert!(
        matches!(&outcome, Landed::Unfit(reason) if reason.contains("full pass 9 begins after full pass 10")),
        "{outcome:?}"
    );
    assert_eq!(ferry.at[0].pass, 10);
}

#[test]
fn a_pass_sweeps_composite_nocase_and_rowid_keys() {
    let mut folded = schema("t", &[("k", "TEXT", 1), ("n", "", 2), ("v", "", 0)]);
    folded.columns[0].pk_collation = "NOCASE".into();
    let no_key = schema("t", &[("k", "", 0), ("n", "", 0), ("v", "", 0)]);
    for shape in [
        folded.clone(),
        TableSchema {
            without_rowid: true,
            ..folded
        },
        no_key,
    ] {
        let folder = Folder::new();
        let mut sink = folder.sink();
        let mut at = position(0);
        let rowid = |id: i64| shape.keyed_by_rowid().then_some(id);
        let mut landing = sink.begin().unwrap();
        landing.schema(&mut at, &Arc::new(shape.clone()), Some(1)).unwrap();
        for (id, k) in [(1, "a"), (2, "b"), (3, "c")] {
            landing.upsert(&at, rowid(id), &[text(k), real(0.5), int(1)]).unwrap();
        }
        landing.schema(&mut at, &Arc::new(shape.clone()), Some(2)).unwrap();
        landing.upsert(&at, rowid(1), &[text("A"), real(0.5), int(2)]).unwrap();
        landing.upsert(&at, rowid(2), &[text("b"), real(0.5), int(2)]).unwrap();
        assert_eq!(landing.pass_end(&mut at, 2, &[0]).unwrap(), Some(1), "{shape:?}");
        landing.commit().unwrap();
        let rows = query(&folder.user(), "SELECT k, v FROM t ORDER BY k COLLATE NOCASE");
        assert_eq!(rows, [[text("A"), int(2)], [text("b"), int(2)]]);
    }
}

#[test]
fn a_loosened_column_does_not_disturb_the_running_pass() {
    let mut ferry = Ferry::loaded();
    ferry.schema = Arc::new(schema("t", &[("id", "INTEGER", 1), ("v", "INTEGER", 0)]));
    ferry.land(&Ferry::all(Begin, 11));
    let mut landing = ferry.sink.begin().unwrap();
    landing.upsert(&ferry.at[1], None, &[int(1), text("12")]).unwrap();
    landing.commit().unwrap();
    assert_eq!(ferry.unvisited(), Some(vec![2, 3, 4, 5, 6]));
    assert_eq!(ferry.land(&Ferry::all(End, 11)), Some(5));
    assert_eq!(query(&ferry.folder.user(), "SELECT * FROM t"), [[int(1), text("12")]]);
}

#[test]
fn a_table_that_someone_dropped_is_made_anew_by_the_next_pass() {
    let mut ferry = Ferry::loaded();
    ferry.folder.user().execute_batch("DROP TABLE t").unwrap();
    ferry.land(&Ferry::all(Begin, 11));
    ferry.land(&[(1, Put(1, 1))]);
    assert_eq!(ferry.land(&Ferry::all(End, 11)), Some(0));
    assert_eq!(ferry.rows(), [(1, 1)]);
}
