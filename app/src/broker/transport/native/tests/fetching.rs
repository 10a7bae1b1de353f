use kafka_protocol::messages::fetch_response::EpochEndOffset;

use super::answers::{batch, fetched, metadata, offsets as listed, partition, refused, throttled};
use super::server::{Asked, Broker, KAFKA_4, Reply};
use super::{at, client, request};
use crate::broker::error::KafkaError;
use crate::broker::error_codes::RetryClass;
use crate::broker::fetched_partition::FetchedPartition;
use crate::broker::transport::native::client::Client;
use crate::broker::transport::requests::{FetchRequest, IsolationLevel, PartitionAnswer};

fn fetch(client: &mut Client, broker: &Broker, positions: &[(i32, i64)]) -> Vec<PartitionAnswer> {
    client.fetch(&broker.address, &request(positions)).unwrap()
}

/// What comes of partition 0, asked from an offset on, when its broker says this.
fn one(offset: i64, reply: impl FnMut(u16, &Asked) -> Reply + Send + 'static) -> Option<PartitionAnswer> {
    let broker = Broker::start(KAFKA_4, reply);
    fetch(&mut client(&broker), &broker, &[(0, offset)]).pop()
}

fn offsets(found: &FetchedPartition) -> Vec<i64> {
    found.records().map(|record| record.offset).collect()
}

#[test]
fn the_newest_version_that_both_know_is_asked() {
    for (spoken, version) in [((4, 17), 12), ((0, 11), 11), ((0, 4), 4)] {
        let mut all = KAFKA_4;
        all[2] = spoken;
        let broker = Broker::start(all, |_, _| fetched(vec![partition(0, 1, batch(0, 0, &[Some("v")]))]));
        let answers = fetch(&mut client(&broker), &broker, &[(0, 0)]);
        assert_eq!(offsets(answers[0].outcome.as_ref().unwrap()), [0]);
        assert_eq!(broker.asked().last().unwrap().0, version);
    }
    let mut too_old = KAFKA_4;
    too_old[2] = (0, 3);
    let broker = Broker::start(too_old, |_, _| Reply::Close);
    let error = client(&broker).fetch(&broker.address, &request(&[(0, 0)])).unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert!(broker.asked().is_empty(), "nothing that it does not list is sent");
}

#[test]
fn records_come_from_the_position_on_and_the_end_is_the_last_stable_offset() {
    let found = one(6, |_, _| {
        let mut records = batch(5, 0, &[Some("a"), None, Some("")]);
        records.extend(batch(9, 0, &[Some("b")]));
        fetched(vec![partition(0, 20, records).with_last_stable_offset(15)])
    });
    let found = found.unwrap().outcome.unwrap();
    assert_eq!(offsets(&found), [6, 7, 9]);
    assert_eq!((found.next_offset(), found.end()), (10, 15));
}

#[test]
fn each_partition_has_its_own_error_and_the_others_are_answered() {
    let broker = Broker::start(KAFKA_4, |_, _| {
        fetched(vec![
            refused(0, 6),
            refused(1, 1),
            partition(2, 1, batch(0, 0, &[Some("v")])),
            partition(3, 7, Vec::new()),
        ])
    });
    let answers = fetch(&mut client(&broker), &broker, &[(0, 0), (1, 9), (2, 0), (3, 7)]);
    let error = |place: usize| answers[place].outcome.as_ref().unwrap_err();
    assert_eq!(error(0).class(), RetryClass::Retry);
    assert!(error(0).to_string().contains("NotLeader"), "{}", error(0));
    assert_eq!(error(1).class(), RetryClass::OutOfRange);
    assert_eq!(offsets(answers[2].outcome.as_ref().unwrap()), [0]);
    let at_its_end = answers[3].outcome.as_ref().unwrap();
    assert!(at_its_end.stands_still() && at_its_end.end() == 7);
}

#[test]
fn a_leader_that_does_not_know_its_high_watermark_has_not_answered() {
    for data in [
        partition(0, 3, Vec::new()),
        partition(0, -1, Vec::new()),
        refused(0, 78),
    ] {
        let error = one(5, move |_, _| fetched(vec![data.clone()]))
            .unwrap()
            .outcome
            .unwrap_err();
        assert!(
            error.is_unknown_high_watermark() && error.class() == RetryClass::Retry,
            "{error}"
        );
    }
}

#[test]
fn a_partition_that_is_left_out_is_a_failure_and_a_throttled_answer_is_none() {
    let error = one(5, |_, _| fetched(vec![partition(1, 9, Vec::new())])).unwrap();
    let error = error.outcome.unwrap_err();
    assert!(error.to_string().contains("left it out"), "{error}");
    assert_eq!(error.class(), RetryClass::Retry);
    assert!(one(5, |_, _| throttled(30)).is_none());
}

#[test]
fn a_log_that_was_cut_back_is_told_and_the_position_is_asked_again_as_it_is() {
    let mut answers = vec![
        fetched(vec![partition(0, 8, batch(5, 3, &[Some("a"), Some("b")]))]),
        fetched(vec![partition(0, 8, Vec::new()).with_diverging_epoch(
            EpochEndOffset::default().with_epoch(2).with_end_offset(6),
        )]),
        fetched(vec![partition(0, 8, batch(7, 4, &[Some("c")]))]),
    ]
    .into_iter();
    let broker = Broker::start(KAFKA_4, move |port, asked| match asked {
        Asked::Metadata(_) => metadata(port, &[4]),
        _ => answers.next().unwrap(),
    });
    let mut client = client(&broker);
    let leaders = client.leaders(&[at(0)]).unwrap();
    assert_eq!(leaders, [Some(broker.address.clone())]);
    assert!(fetch(&mut client, &broker, &[(0, 5)])[0].outcome.is_ok());
    let cut = fetch(&mut client, &broker, &[(0, 7)])
        .pop()
        .unwrap()
        .outcome
        .unwrap_err();
    assert!(
        cut.to_string().contains("cut back to offset 6, before offset 7"),
        "{cut}"
    );
    assert_eq!(cut.class(), RetryClass::Retry);
    assert!(fetch(&mut client, &broker, &[(0, 7)])[0].outcome.is_ok());
    let epochs = broker.fetches().into_iter().map(|request| {
        let asked = &request.topics[0].partitions[0];
        (asked.current_leader_epoch, asked.last_fetched_epoch)
    });
    assert!(epochs.eq([(4, -1), (4, 3), (4, -1)]));
}

#[test]
fn what_lies_before_an_unreadable_batch_is_answered_first() {
    let reply = |_: u16, asked: &Asked| {
        let Asked::Fetch(request) = asked else { unreachable!() };
        let mut bad = batch(7, 0, &[Some("x")]);
        *bad.last_mut().unwrap() ^= 1;
        let records = match request.topics[0].partitions[0].fetch_offset {
            5 => [batch(5, 0, &[Some("a"), Some("b")]), bad].concat(),
            _ => bad,
        };
        fetched(vec![partition(0, 9, records)])
    };
    let found = one(5, reply).unwrap().outcome.unwrap();
    assert_eq!((offsets(&found), found.next_offset()), (vec![5, 6], 7));
    let error = one(7, reply).unwrap().outcome.unwrap_err();
    assert!(error.is_unreadable() && !error.is_fatal(), "a copy may be well");
    let text = "t\" partition 0: the batch at offset 7 cannot be read: its checksum is wrong";
    assert!(error.to_string().contains(text), "{error}");
}

/// What comes of offset 5 where the log goes on to 9, but not a byte came; what comes of it alone;
/// and from which offset on records are not in remote storage alone.
fn nothing_comes(alone: Vec<u8>, local: i64) -> (Result<FetchedPartition, KafkaError>, Broker) {
    let broker = Broker::start(KAFKA_4, move |_, asked| match asked {
        Asked::Fetch(request) if request.isolation_level == 0 => fetched(vec![partition(0, 20, alone.clone())]),
        Asked::Fetch(_) => fetched(vec![
            partition(0, 20, Vec::new()).with_last_stable_offset(9),
            partition(1, 9, Vec::new()),
        ]),
        Asked::ListOffsets(_) => listed(&[(0, local, 0)]),
        asked => panic!("{asked:?}"),
    });
    let mut answers = fetch(&mut client(&broker), &broker, &[(0, 5), (1, 5)]);
    assert_eq!(
        answers.len(),
        1,
        "the second one is asked first another time: {answers:?}"
    );
    (answers.remove(0).outcome, broker)
}

#[test]
fn a_hole_up_to_the_end_is_proved_by_what_follows_it() {
    let (found, broker) = nothing_comes(batch(9, 0, &[Some("of an open transaction")]), 0);
    let found = found.unwrap();
    assert_eq!((found.len(), found.next_offset(), found.end()), (0, 9, 9));
    assert_eq!(broker.fetches()[1].topics[0].partitions.len(), 1);
    let (found, _) = nothing_comes(batch(7, 0, &[Some("v")]), 0);
    let error = found.unwrap_err();
    assert!(
        error.to_string().contains("no whole batch comes at offset 5"),
        "{error}"
    );
    assert_eq!(error.class(), RetryClass::Retry);
}

#[test]
fn what_does_not_come_out_of_remote_storage_is_no_hole() {
    let (found, _) = nothing_comes(Vec::new(), 5);
    assert_eq!(found.unwrap().next_offset(), 9, "compaction has taken all of it");
    let (found, _) = nothing_comes(Vec::new(), 6);
    let error = found.unwrap_err();
    assert_eq!(error.class(), RetryClass::Retry, "{error}");
}

#[test]
fn one_who_looks_at_the_log_sees_open_and_aborted_transactions() {
    let broker = Broker::start(KAFKA_4, |_, asked| {
        let Asked::Fetch(request) = asked else { unreachable!() };
        assert_eq!(request.isolation_level, 0);
        fetched(vec![
            partition(0, 7, batch(5, 0, &[Some("a")])).with_last_stable_offset(5),
        ])
    });
    let request = FetchRequest {
        isolation: IsolationLevel::ReadUncommitted,
        ..request(&[(0, 5)])
    };
    let answers = client(&broker).fetch(&broker.address, &request).unwrap();
    let found = answers[0].outcome.as_ref().unwrap();
    assert_eq!((offsets(found), found.end()), (vec![5], 7));
}

#[test]
fn the_beginning_of_a_batch_is_no_hole() {
    let cut = || {
        let batch = batch(5, 0, &[Some("a")]);
        batch[..batch.len() - 1].to_vec()
    };
    let broker = Broker::start(KAFKA_4, move |_, _| {
        fetched(vec![partition(0, 5, Vec::new()), partition(1, 6, cut())])
    });
    let mut client = client(&broker);
    let answers = fetch(&mut client, &broker, &[(0, 5), (1, 5)]);
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answers = fetch(&mut client, &broker, &[(1, 5), (0, 5)]);
    let error = answers[0].outcome.as_ref().unwrap_err();
    assert!(
        error.to_string().contains("no whole batch comes at offset 5"),
        "{error}"
    );
}
