//! Which positions a log proves, and what is lost where it does not.

use crate::model::TopicPartition;
use crate::sink::LastTaken;

use super::*;

/// A position in partition 0 whose last record stands right below it.
fn position(next_offset: i64) -> SinkPosition {
    SinkPosition {
        last: Some(LastTaken {
            offset: next_offset - 1,
            fingerprint: 7,
        }),
        partial: false,
        ..SinkPosition::new(TopicPartition::new("t", 0), next_offset)
    }
}

fn log(first: i64, end: i64, below: Below) -> Log {
    Log {
        earliest: vec![first],
        ends: vec![end],
        topic_id: None,
        below: HashMap::from([(0, below), (1, below)]),
        set_back: false,
    }
}

fn what(log: &Log, position: &SinkPosition) -> Option<String> {
    log.loss(position).map(|loss| loss.to_string())
}

#[test]
fn only_the_record_below_it_proves_a_position() {
    assert!(log(0, 9, Below::Same).proves(&position(9)));
    for below in [Below::Other, Below::Nothing] {
        assert!(!log(0, 9, below).proves(&position(9)), "{below:?}");
        // Where nothing has been taken there is nothing to compare, and nothing to lose.
        assert!(log(0, 9, below).proves(&position(0)), "{below:?}");
    }
    assert!(!log(3, 9, Below::Nothing).proves(&position(0)), "it expired");
    let unknown = SinkPosition {
        at: TopicPartition::new("t", 1),
        ..position(9)
    };
    assert!(log(0, 9, Below::Nothing).proves(&unknown));
}

#[test]
fn what_is_lost_is_named_and_what_cannot_be_compared_is_no_loss() {
    assert_eq!(what(&log(0, 9, Below::Same), &position(9)), None);
    assert_eq!(what(&log(0, 9, Below::Nothing), &position(9)), None);
    let expired = what(&log(5, 9, Below::Nothing), &position(3)).unwrap();
    assert!(
        expired.contains("offsets 3 to 4 (2 records) expired before they were read"),
        "{expired}"
    );
    let short = what(&log(0, 4, Below::Other), &position(9)).unwrap();
    assert!(
        short.contains("has read up to offset 9, but the log ends at 4"),
        "{short}"
    );
    let other = what(&log(0, 9, Below::Other), &position(9)).unwrap();
    assert!(
        other.contains("topic \"t\" partition 0: another record stands at offset 8") && other.contains("--heal"),
        "{other}"
    );
}

#[test]
fn another_id_is_another_log_and_the_same_one_proves_what_cannot_be_compared() {
    let [old, new] = [1, 2].map(|byte| TopicId::of([byte; 16]));
    let of = |topic_id| SinkPosition {
        topic_id,
        ..position(9)
    };
    let told = |below, topic_id| Log {
        topic_id,
        ..log(0, 9, below)
    };
    for (topic_id, is_proved) in [(old, false), (new, true), (None, false)] {
        let log = told(Below::Nothing, new);
        assert_eq!(log.proves(&of(topic_id)), is_proved, "{topic_id:?}");
        assert_eq!(what(&log, &of(topic_id)).is_some(), topic_id == old, "{topic_id:?}");
    }
    // Where no id is told the record below decides alone.
    assert!(told(Below::Same, None).proves(&of(old)) && what(&told(Below::Nothing, None), &of(old)).is_none());
    let loss = what(&told(Below::Other, new), &of(old)).unwrap();
    assert!(
        loss.contains(
            "offset 8 of a topic with the id AQEBAQEBAQEBAQEBAQEBAQ, and this one has the id AgICAgICAgICAgICAgICAg"
        ),
        "{loss}"
    );
    // Nothing has been taken there.
    assert!(told(Below::Other, new).proves(&SinkPosition {
        topic_id: old,
        ..position(0)
    }));
}
