use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::answers::metadata;
use super::server::{Broker, KAFKA_4, Reply, Spoken};
use super::{LIMIT, at, client_of, config};
use crate::broker::config::{ClientConfig, Compression};
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;
use crate::broker::transport::native::client::Client;
use crate::broker::transport::native::memory::PartitionMemory;

const KAFKA_3: Spoken = [(0, 11), (0, 9), (0, 13), (0, 7)];

/// Asks for a leader, with a client of its own.
fn ask(config: &Arc<ClientConfig>) -> Result<Vec<Option<String>>, KafkaError> {
    client_of(config).leaders(&[at(0)])
}

#[test]
fn a_broker_tells_its_versions_once_and_not_on_every_connection() {
    let broker = Broker::start(KAFKA_4, |port, _| metadata(port, &[3]));
    let config = config(&broker, Compression::None);
    for _ in 0..3 {
        assert_eq!(ask(&config).unwrap(), [Some(broker.address.clone())]);
    }
    assert_eq!((broker.versions_told(), broker.asked().len()), (1, 3));
}

#[test]
fn a_broker_that_was_replaced_by_another_version_is_noticed() {
    let broker = Broker::start(KAFKA_3, |port, _| metadata(port, &[3]));
    let config = config(&broker, Compression::None);
    let mut before = client_of(&config);
    before.leaders(&[at(0)]).unwrap();
    // An old version that the new broker speaks too is as good as ever; one that it does not ends
    // the connection, and the next one asks.
    broker.speak(KAFKA_4);
    ask(&config).unwrap();
    broker.speak([(12, 13), (0, 13), (4, 17), (1, 10)]);
    let error = ask(&config).unwrap_err();
    assert!(error.is_broken() && !error.is_fatal(), "{error}");
    ask(&config).unwrap();
    let versions = broker.asked().into_iter().map(|(version, _)| version);
    assert_eq!(versions.collect::<Vec<_>>(), [11, 11, 12]);
    assert_eq!(broker.versions_told(), 2);
}

#[test]
fn whatever_goes_wrong_with_a_broker_makes_its_versions_forgotten() {
    let replies = |place: usize, port| match place {
        1 => Reply::Close,
        3 => Reply::Raw(Box::new(|id| [8_i32, id + 1, 0].map(i32::to_be_bytes).concat())),
        5 => Reply::Raw(Box::new(|_| Vec::new())),
        _ => metadata(port, &[3]),
    };
    let mut place = 0;
    let broker = Broker::start(KAFKA_4, move |port, _| {
        place += 1;
        replies(place - 1, port)
    });
    let config = config(&broker, Compression::None);
    let went_well: Vec<bool> = (0..7).map(|_| ask(&config).is_ok()).collect();
    assert_eq!(went_well, [true, false, true, false, true, false, true]);
    assert_eq!(broker.versions_told(), 4);
    assert!(config.native_versions.of(&broker.address).is_some());
}

#[test]
fn the_time_in_which_a_broker_reads_nothing_is_none_that_it_takes_for_an_answer() {
    // As brokers do it: the answer tells, and the next request is read when the time is over.
    let throttle = LIMIT * 2;
    let mut muted = false;
    let broker = Broker::start(KAFKA_4, move |port, _| {
        if std::mem::replace(&mut muted, true) {
            thread::sleep(throttle);
        }
        throttled(port, throttle)
    });
    let mut client = client_of(&config(&broker, Compression::None));
    for _ in 0..3 {
        client.leaders(&[at(0)]).unwrap();
    }
}

#[test]
fn a_broker_that_claims_to_read_nothing_for_weeks_is_believed_for_a_minute() {
    let weeks = Duration::from_millis(i32::MAX as u64);
    let broker = Broker::start(KAFKA_4, move |port, _| throttled(port, weeks));
    let deadline = Deadline::within(LIMIT);
    let config = config(&broker, Compression::None);
    let mut client = Client::connect(config, deadline.clone(), PartitionMemory::default());
    for _ in 0..2 {
        client.leaders(&[at(0)]).unwrap();
    }
    let left = deadline.left();
    assert!(left > LIMIT && left < Duration::from_secs(61), "{left:?}");
}

/// The leaders, and a time in which the broker reads nothing.
fn throttled(port: u16, time: Duration) -> Reply {
    let Reply::Metadata(answer) = metadata(port, &[3]) else {
        unreachable!()
    };
    Reply::Metadata(answer.with_throttle_time_ms(time.as_millis() as i32))
}
