//! What is remembered of the number of partitions, and which run moved keys between
//! them.

use super::super::checkpoint::Step;
use super::super::partitioning::Partitioning;
use super::*;

/// A source whose one table has been shipped to `topic` by no run yet.
struct Source {
    path: PathBuf,
    user: Connection,
    state: SourceState,
    run: Run,
    _folder: Folder,
}

impl Source {
    fn new() -> Source {
        let folder = Folder::new();
        let path = folder.file("source.db");
        let user = Connection::open(&path).unwrap();
        user.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY)").unwrap();
        let (state, run, ..) = start(&path, "t", "topic", false).unwrap();
        Source {
            path,
            user,
            state,
            run,
            _folder: folder,
        }
    }

    /// Begins another run; how it spreads its rows over so many partitions.
    fn next_run(&mut self, partitions: i32) -> Partitioning {
        (self.state, self.run, ..) = start(&self.path, "t", "topic", false).unwrap();
        self.state.partitioning("topic", partitions).unwrap()
    }

    /// Notes a batch with records of these partitions.
    fn note(&mut self, topic: &str, partitions: impl Iterator<Item = i32>) {
        self.try_note(topic, partitions).unwrap();
    }

    fn try_note(&mut self, topic: &str, partitions: impl Iterator<Item = i32>) -> Result<()> {
        let checkpoint = Checkpoint {
            table: "t".into(),
            topic: topic.into(),
            pass: 0,
            step: Step::Outbox(0),
            last_change: None,
        };
        let acked = partitions.map(|partition| Acked {
            partition,
            epoch: self.run.epoch,
            seq: 1,
            offset: 0,
            stood: None,
        });
        self.state.note(&[(checkpoint, acked.collect())])
    }

    fn same(partitions: i32) -> Partitioning {
        let repartitioned_at = None;
        Partitioning {
            partitions,
            repartitioned_at,
        }
    }

    /// How a run spreads its rows that has moved keys itself.
    fn moves(&self, partitions: i32) -> Partitioning {
        let repartitioned_at = Some(self.run.epoch);
        Partitioning {
            partitions,
            repartitioned_at,
        }
    }
}

#[test]
fn keys_move_when_the_number_of_partitions_is_another_one() {
    let mut source = Source::new();
    assert_eq!(source.state.partitioning("topic", 3).unwrap(), Source::same(3));
    source.note("topic", 0..3);
    assert_eq!(source.next_run(3), Source::same(3));
    let grown = source.next_run(5);
    assert_eq!(grown, source.moves(5));
    source.note("topic", 0..5);
    assert_eq!(source.next_run(5), grown, "later runs tell of it too");
    source.note("topic", 0..5);
    assert_eq!(source.next_run(5), grown);
    let again = source.next_run(7);
    assert_eq!(again, source.moves(7));
}

#[test]
fn a_run_of_which_nothing_is_noted_leaves_it_to_the_next_one() {
    let mut source = Source::new();
    source.state.partitioning("topic", 3).unwrap();
    // The first run may have sent something before it was cut off.
    assert_eq!(source.next_run(3), source.moves(3));
    source.note("topic", 0..3);
    let first = source.moves(3);
    for partitions in [5, 7, 5] {
        let found = source.next_run(partitions);
        assert_eq!(found, source.moves(partitions));
        // A batch of changes that come to nothing has no records: the run has not begun in any
        // partition.
        source.note("topic", 0..0);
        // Another topic of the same run.
        source.state.partitioning("other", 1).unwrap();
        source.note("other", 0..1);
    }
    assert_eq!(source.next_run(3), first, "only noted runs count");
    let other = source.state.partitioning("other", 1).unwrap();
    assert!(
        other.repartitioned_at.is_some_and(|run| run < source.run.epoch),
        "{other:?}"
    );
}

#[test]
fn a_note_that_fails_remembers_nothing() {
    let mut source = Source::new();
    source.state.partitioning("topic", 3).unwrap();
    source.note("topic", 0..3);
    source.next_run(5);
    start(&source.path, "t", "topic", false).unwrap(); // another producer takes over
    assert!(source.try_note("topic", 0..5).is_err());
    assert_eq!(source.next_run(5), source.moves(5));
    assert_eq!(source.next_run(3), Source::same(3));
}

#[test]
fn a_source_of_an_earlier_version_tells_by_its_acknowledged_partitions() {
    for (acked, partitions, moves) in [
        (&[0, 1, 2][..], 3, false),
        (&[0, 1, 2], 5, true),
        (&[0, 1, 2, 3, 4], 3, true),
        (&[0, 2], 3, true),
        (&[1, 2], 3, true),
        (&[], 1, true),
    ] {
        let mut source = Source::new();
        source.note("topic", acked.iter().copied());
        source.user.execute_batch("DROP TABLE _rowferry_layout").unwrap();
        let found = source.next_run(partitions);
        let expected = if moves {
            source.moves(partitions)
        } else {
            Source::same(partitions)
        };
        assert_eq!(found, expected, "{acked:?}");
    }
}

#[test]
fn what_partitions_acknowledged_that_are_gone_is_forgotten() {
    let mut source = Source::new();
    source.state.partitioning("topic", 5).unwrap();
    source.note("topic", 0..5);
    source.note("other", 0..5);
    source.next_run(2);
    let acked = |state: &mut SourceState, topic: &str| state.track("t", topic, false).unwrap().acked.len();
    assert_eq!(acked(&mut source.state, "topic"), 5);
    source.note("topic", 0..2);
    assert_eq!(acked(&mut source.state, "topic"), 2);
    assert_eq!(acked(&mut source.state, "other"), 5);
}

#[test]
fn a_source_that_is_only_read_knows_of_no_other_count() {
    let source = Source::new();
    for _ in 0..2 {
        let (mut state, run, ..) = start_with(&source.path, "t", "topic", false, Capture::None).unwrap();
        let found = state.partitioning("topic", 3).unwrap();
        assert_eq!((found.partitions, found.repartitioned_at), (3, Some(run.epoch)));
    }
}
