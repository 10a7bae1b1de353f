//! Partitions that wait for one another.

use super::*;

/// A position whose last record is of this run of source `s`.
fn landed(partition: i32, run: u64) -> SinkPosition {
    let last_applied = LastApplied {
        source: "s".into(),
        epoch: run,
        seq: 1,
        partitions: None,
    };
    SinkPosition {
        next_offset: 10,
        last_applied: Some(last_applied),
        ..position(partition)
    }
}

/// Writes positions that are new to the sink.
fn note(sink: &mut Sink, positions: &[SinkPosition]) {
    let mut landing = sink.begin().unwrap();
    for position in positions {
        landing.move_position(position, None).unwrap();
    }
    landing.commit().unwrap();
}

#[test]
fn what_a_position_has_reached_lasts_until_it_moves_on() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let mut at = landed(0, 6);
    note(&mut sink, std::slice::from_ref(&at));
    let reached = |sink: &Sink| sink.positions("topic").unwrap()[0].reached;
    assert_eq!(reached(&sink), None);
    // It stands already where the record is.
    let mut landing = sink.begin().unwrap();
    landing.wait_at(&at, 7).unwrap();
    landing.commit().unwrap();
    assert_eq!(reached(&folder.sink()), Some(7));
    // It moves there, and on.
    for run in [Some(8), None] {
        let before = at.next_offset;
        (at.next_offset, at.reached) = (before + 1, run);
        let mut landing = sink.begin().unwrap();
        landing.move_position(&at, Some(before)).unwrap();
        landing.commit().unwrap();
        assert_eq!(sink.positions("topic").unwrap(), [at.clone()]);
    }
    // The offset may stay, too.
    let mut landing = sink.begin().unwrap();
    landing.wait_at(&at, 9).unwrap();
    landing.move_position(&at, Some(at.next_offset)).unwrap();
    landing.commit().unwrap();
    assert_eq!(reached(&sink), None);
}

#[test]
fn a_position_that_another_consumer_has_moved_waits_nowhere() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let at = landed(0, 6);
    let error = sink.begin().unwrap().wait_at(&at, 7).unwrap_err().to_string();
    assert!(
        error.contains("another consumer lands in this sink") && error.contains("is new here"),
        "{error}"
    );
    note(&mut sink, std::slice::from_ref(&at));
    let behind = SinkPosition { next_offset: 9, ..at };
    let error = sink.begin().unwrap().wait_at(&behind, 7).unwrap_err().to_string();
    assert!(error.contains("should be at offset 9 and is at offset 10"), "{error}");
    assert_eq!(sink.positions("topic").unwrap()[0].reached, None);
}

#[test]
fn the_partitions_that_are_behind_are_named() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    let waits = |partition, run| SinkPosition {
        reached: Some(run),
        ..landed(partition, 5)
    };
    let elsewhere = SinkPosition {
        at: TopicPartition::new("another", 6),
        ..landed(6, 9)
    };
    let nothing = SinkPosition {
        reached: Some(8),
        ..position(5)
    };
    let all = [
        landed(0, 6),
        landed(1, 7),
        waits(2, 7),
        waits(3, 6),
        position(4),
        nothing,
        elsewhere,
    ];
    note(&mut sink, &all);
    let mut theirs = landed(7, 9);
    theirs.last_applied.as_mut().unwrap().source = "other".into();
    note(&mut sink, &[theirs]);
    let partitions: Vec<i32> = (0..9).collect();
    for own in [landed(0, 6), landed(8, 6)] {
        let mut expected = vec![0, 3, 4, 6, 7, 8];
        expected.retain(|p| *p != own.at.partition);
        assert_eq!(sink.partitions_behind(&own, "s", 7, &partitions).unwrap(), expected);
        let landing = sink.begin().unwrap();
        assert_eq!(landing.partitions_behind(&own, "s", 7, &partitions).unwrap(), expected);
    }
    assert_eq!(
        sink.partitions_behind(&landed(1, 6), "s", 7, &[1, 2, 5]).unwrap(),
        [0; 0]
    );
}

#[test]
fn a_transaction_sees_what_it_has_noted_itself_and_leaves_nothing_when_it_fails() {
    let folder = Folder::new();
    let mut sink = folder.sink();
    note(&mut sink, &[landed(0, 6), landed(1, 6)]);
    let behind = |sink: &Sink| sink.partitions_behind(&landed(0, 6), "s", 7, &[0, 1]).unwrap();
    let mut landing = sink.begin().unwrap();
    landing.wait_at(&landed(1, 6), 7).unwrap();
    assert_eq!(
        landing.partitions_behind(&landed(0, 6), "s", 7, &[0, 1]).unwrap(),
        [0; 0]
    );
    drop(landing);
    assert_eq!(behind(&sink), [1]);
    // Another process lands the other partition.
    let mut other = folder.sink();
    let mut landing = other.begin().unwrap();
    landing.wait_at(&landed(1, 6), 7).unwrap();
    landing.commit().unwrap();
    assert_eq!(behind(&sink), [0; 0]);
}
