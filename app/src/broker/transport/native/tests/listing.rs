use super::answers::{metadata, offsets};
use super::server::{Asked, Broker, KAFKA_4, Reply};
use super::{at, client};
use crate::broker::error::KafkaError;
use crate::broker::transport::requests::{Offsets, OffsetsRequest};

/// Offsets of a topic of two partitions, both in epoch 3.
fn list(broker: &Broker, partitions: usize, which: Offsets) -> Result<Vec<i64>, KafkaError> {
    client(broker).offsets(&OffsetsRequest {
        topic: "t".into(),
        partitions,
        which,
    })
}

fn latest(broker: &Broker, partitions: usize) -> Result<Vec<i64>, KafkaError> {
    list(broker, partitions, Offsets::Latest { known: Vec::new() })
}

fn broker(mut reply: impl FnMut() -> Reply + Send + 'static) -> Broker {
    Broker::start(KAFKA_4, move |port, asked| match asked {
        Asked::Metadata(_) => metadata(port, &[3, 3]),
        _ => reply(),
    })
}

#[test]
fn each_partition_tells_its_offset() {
    let broker = broker(|| offsets(&[(1, 8, 0), (0, 5, 0)]));
    assert_eq!(latest(&broker, 2).unwrap(), [5, 8]);
    let asked = broker.asked();
    let [(12, Asked::Metadata(metadata)), (8, Asked::ListOffsets(list))] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert!(!metadata.allow_auto_topic_creation, "a question makes no topic");
    let partition = &list.topics[0].partitions[0];
    assert_eq!((partition.timestamp, partition.current_leader_epoch), (-1, 3));
    assert_eq!(list.isolation_level, 0, "the next record's offset, whatever is open");
}

#[test]
fn the_last_stable_offset_is_that_of_readers_of_committed_records() {
    let broker = broker(|| offsets(&[(0, 5, 0), (1, 8, 0)]));
    assert_eq!(list(&broker, 2, Offsets::LastStable).unwrap(), [5, 8]);
    let asked = broker.asked();
    let Some((_, Asked::ListOffsets(list))) = asked.last() else {
        panic!("{asked:?}")
    };
    assert_eq!((list.topics[0].partitions[0].timestamp, list.isolation_level), (-1, 1));
}

#[test]
fn an_answer_covers_all_partitions_or_is_an_error_that_may_pass() {
    let unknown = latest(&broker(|| offsets(&[(0, 5, 0), (1, -1, 78)])), 2).unwrap_err();
    assert!(unknown.is_unknown_high_watermark() && unknown.to_string().contains("partition 1"));
    for (reply, partitions, text) in [
        (offsets(&[(0, 5, 0)]), 2, "partition 1 does not tell"),
        (offsets(&[(0, 5, 0), (1, -1, 0)]), 2, "partition 1 does not tell"),
        (
            offsets(&[(0, 5, 0), (1, -1, 6)]),
            2,
            "partition 1: the broker answers NotLeader",
        ),
        (offsets(&[(0, 5, 0), (1, 8, 0)]), 3, "2 of 3 partitions are there"),
    ] {
        let mut reply = Some(reply);
        let error = latest(&broker(move || reply.take().unwrap()), partitions).unwrap_err();
        assert!(!error.is_fatal() && error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_partition_without_a_leader_has_none_and_a_topic_that_is_not_there_neither() {
    let broker = Broker::start(KAFKA_4, |port, _| metadata(port, &[3, -1]));
    let leaders = client(&broker).leaders(&[at(0), at(1), at(2)]).unwrap();
    assert_eq!(leaders, [Some(broker.address.clone()), None, None]);
    let error = latest(&broker, 2).unwrap_err();
    assert!(error.to_string().contains("partition 1 does not tell"), "{error}");
}
