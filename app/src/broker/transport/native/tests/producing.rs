use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::StrBytes;

use super::answers::produced;
use super::server::{Asked, Broker, KAFKA_4, Reply, Spoken};
use super::{at, client, client_with};
use crate::broker::config::Compression;
use crate::broker::error::KafkaError;
use crate::broker::produce_batch::ProduceBatch;
use crate::broker::transport::native::client::Client;
use crate::broker::transport::requests::{ProduceSlice, SliceAnswer};

fn produce(client: &mut Client, broker: &Broker, partitions: &[i32]) -> Result<Vec<SliceAnswer>, KafkaError> {
    let slices: Vec<ProduceSlice> = partitions
        .iter()
        .map(|&partition| {
            let mut batch = ProduceBatch::new(at(partition));
            batch.push(b"k", Some(b"v"));
            let batch = Arc::new(batch);
            ProduceSlice { batch, from: 0, to: 1 }
        })
        .collect();
    client.produce(&broker.address, &slices, Duration::from_secs(1))
}

#[test]
fn each_slice_gets_its_offset_or_its_code_in_the_order_asked() {
    let broker = Broker::start(KAFKA_4, |_, _| {
        produced(&[(2, 70, 0), (0, 50, 0), (1, -1, 20), (3, -1, 0), (4, -1, 10)])
    });
    let answers = produce(&mut client(&broker), &broker, &[0, 1, 2, 3, 4]).unwrap();
    let [first, written, second, untold, large] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!((first.as_ref().unwrap(), second.as_ref().unwrap()), (&50, &70));
    // They are written, but by too few: only the same again is safe.
    let written = written.as_ref().unwrap_err();
    assert!(written.explains() && !written.is_fatal(), "{written}");
    assert!(untold.as_ref().unwrap_err().to_string().contains("tells no offset"));
    assert!(large.as_ref().unwrap_err().to_string().contains("MessageTooLarge"));
    assert_eq!(broker.asked()[0].0, 12);
}

#[test]
fn a_record_that_the_broker_will_never_take_is_told_in_its_words() {
    let said = "Compacted topic cannot accept message without key\u{7}";
    let broker = Broker::start(KAFKA_4, move |_, _| {
        let Reply::Produce(mut answer) = produced(&[(0, -1, 87)]) else {
            unreachable!()
        };
        answer.responses[0].partition_responses[0].error_message = Some(StrBytes::from_static_str(said));
        Reply::Produce(answer)
    });
    let answers = produce(&mut client(&broker), &broker, &[0]).unwrap();
    let error = answers[0].as_ref().unwrap_err();
    let text =
        "\"Compacted topic cannot accept message without key\\u{7}\": the broker answers InvalidRecord (code 87)";
    assert!(error.is_fatal() && error.to_string().starts_with(text), "{error}");
}

#[test]
fn an_answer_that_leaves_out_a_partition_or_does_not_come_is_an_error() {
    let broker = Broker::start(KAFKA_4, |_, _| produced(&[(0, 5, 0)]));
    let error = produce(&mut client(&broker), &broker, &[0, 1]).unwrap_err();
    assert!(error.to_string().contains("leaves out a partition"), "{error}");
    let broker = Broker::start(KAFKA_4, |_, _| Reply::Close);
    let error = produce(&mut client(&broker), &broker, &[0]).unwrap_err();
    assert!(error.is_broken() && !error.is_fatal(), "{error}");
}

#[test]
fn zstd_is_sent_to_nobody_who_does_not_know_it() {
    const KAFKA_2_0: Spoken = [(0, 6), (0, 6), (0, 8), (0, 3)];
    let broker = Broker::start(KAFKA_2_0, |_, _| produced(&[(0, 5, 0)]));
    let error = produce(&mut client_with(&broker, Compression::Zstd), &broker, &[0]).unwrap_err();
    assert!(
        error.is_fatal() && error.to_string().contains("too old for zstd"),
        "{error}"
    );
    assert!(broker.asked().is_empty());
    assert!(produce(&mut client_with(&broker, Compression::Lz4), &broker, &[0]).is_ok());
    let [(6, Asked::Produce(request))] = &broker.asked()[..] else {
        panic!("{:?}", broker.asked())
    };
    assert_eq!(request.acks, -1);
}
