//! What is remembered of the number of partitions, and which run moved keys between them.

use super::super::{Partitioning, Step};
use super::*;

/// A source whose one table has been shipped to `topic` by no run yet.
struct Layout {
    path: PathBuf,
    user: Connection,
    ledger: SourceState,
    run: Run,
    _folder: Folder,
}

impl Layout {
    fn new() -> Layout {
        let folder = Folder::new();
        let path = folder.file("source.db");
        let user = Connection::open(&path).unwrap();
        user.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY)").unwrap();
        let (ledger, run, ..) = start(&path, "t", "topic", false).unwrap();
        Layout {
            path,
            user,
            ledger,
            run,
            _folder: folder,
        }
    }

    /// Begins another run; how it spreads its rows over so many partitions.
    fn next_run(&mut self, partitions: i32) -> Partitioning {
        (self.ledger, self.run, ..) = start(&self.path, "t", "topic", false).unwrap();
        self.ledger.spread("topic", partitions).unwrap()
    }

    /// Notes a batch with records of these partitions.
    fn note(&mut self, topic: &str, partitions: impl Iterator<Item = i32>) {
        self.try_note(topic, partitions).unwrap();
    }

    fn try_note(&mut self, topic: &str, partitions: impl Iterator<Item = i32>) -> Result<()> {
        let mark = Checkpoint {
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
        self.ledger.note(&[(mark, acked.collect())])
    }

    fn same(partitions: i32) -> Partitioning {
        let moved = None;
        Partitioning { partitions, moved }
    }

    /// How a run spreads its rows that has moved keys itself.
    fn moves(&self, partitions: i32) -> Partitioning {
        let moved = Some(self.run.epoch);
        Partitioning { partitions, moved }
    }
}

#[test]
fn keys_move_when_the_number_of_partitions_is_another_one() {
    let mut layout = Layout::new();
    assert_eq!(layout.ledger.spread("topic", 3).unwrap(), Layout::same(3));
    layout.note("topic", 0..3);
    assert_eq!(layout.next_run(3), Layout::same(3));
    let grown = layout.next_run(5);
    assert_eq!(grown, layout.moves(5));
    layout.note("topic", 0..5);
    assert_eq!(layout.next_run(5), grown, "later runs tell of it too");
    layout.note("topic", 0..5);
    assert_eq!(layout.next_run(5), grown);
    let again = layout.next_run(7);
    assert_eq!(again, layout.moves(7));
}

#[test]
fn a_run_of_which_nothing_is_noted_leaves_it_to_the_next_one() {
    let mut layout = Layout::new();
    layout.ledger.spread("topic", 3).unwrap();
    // The first run may have sent something before it was cut off.
    assert_eq!(layout.next_run(3), layout.moves(3));
    layout.note("topic", 0..3);
    let first = layout.moves(3);
    for partitions in [5, 7, 5] {
        let spread = layout.next_run(partitions);
        assert_eq!(spread, layout.moves(partitions));
        // A batch of changes that come to nothing has no records: the run has not begun in any partition.
        layout.note("topic", 0..0);
        // Another topic of the same run.
        layout.ledger.spread("other", 1).unwrap();
        layout.note("other", 0..1);
    }
    assert_eq!(layout.next_run(3), first, "only noted runs count");
    let other = layout.ledger.spread("other", 1).unwrap();
    assert!(other.moved.is_some_and(|run| run < layout.run.epoch), "{other:?}");
}

#[test]
fn a_note_that_fails_remembers_nothing() {
    let mut layout = Layout::new();
    layout.ledger.spread("topic", 3).unwrap();
    layout.note("topic", 0..3);
    layout.next_run(5);
    start(&layout.path, "t", "topic", false).unwrap(); // another producer takes over
    assert!(layout.try_note("topic", 0..5).is_err());
    assert_eq!(layout.next_run(5), layout.moves(5));
    assert_eq!(layout.next_run(3), Layout::same(3));
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
        let mut layout = Layout::new();
        layout.note("topic", acked.iter().copied());
        layout.user.execute_batch("DROP TABLE _rowferry_layout").unwrap();
        let spread = layout.next_run(partitions);
        let expected = if moves {
            layout.moves(partitions)
        } else {
            Layout::same(partitions)
        };
        assert_eq!(spread, expected, "{acked:?}");
    }
}

#[test]
fn what_partitions_acknowledged_that_are_gone_is_forgotten() {
    let mut layout = Layout::new();
    layout.ledger.spread("topic", 5).unwrap();
    layout.note("topic", 0..5);
    layout.note("other", 0..5);
    layout.next_run(2);
    let acked = |ledger: &mut SourceState, topic: &str| ledger.track("t", topic, false).unwrap().acked.len();
    assert_eq!(acked(&mut layout.ledger, "topic"), 5);
    layout.note("topic", 0..2);
    assert_eq!(acked(&mut layout.ledger, "topic"), 2);
    assert_eq!(acked(&mut layout.ledger, "other"), 5);
}

#[test]
fn a_source_that_is_only_read_knows_of_no_other_count() {
    let layout = Layout::new();
    for _ in 0..2 {
        let (mut ledger, run, ..) = start_with(&layout.path, "t", "topic", false, Capture::None).unwrap();
        let spread = ledger.spread("topic", 3).unwrap();
        assert_eq!((spread.partitions, spread.moved), (3, Some(run.epoch)));
    }
}
