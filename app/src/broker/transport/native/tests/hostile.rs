use std::time::Instant;

use super::answers::{batch, fetched, partition};
use super::server::{Broker, KAFKA_4, Reply, frame};
use super::{LIMIT, client, request};
use crate::broker::error::KafkaError;

/// What comes of a Fetch when these bytes answer it.
fn error(bytes: impl Fn(i32) -> Vec<u8> + Send + Clone + 'static) -> KafkaError {
    let broker = Broker::start(KAFKA_4, move |_, _| Reply::Raw(Box::new(bytes.clone())));
    let began = Instant::now();
    let answer = client(&broker).fetch(&broker.address, &request(&[(0, 0)]));
    assert!(began.elapsed() < LIMIT * 4, "{:?}", began.elapsed());
    answer.unwrap_err()
}

fn valid(id: i32) -> Vec<u8> {
    let Reply::Fetch(answer) = fetched(vec![partition(0, 1, batch(0, 0, &[Some("v")]))]) else {
        unreachable!()
    };
    frame(id, 12, &answer)
}

#[test]
fn a_size_that_no_answer_has_and_an_id_that_was_not_sent_are_no_kafka() {
    let no_kafka = "does not speak Kafka's protocol";
    for size in [-1_i32, 0, 3] {
        let error = error(move |id| [size.to_be_bytes(), id.to_be_bytes()].concat());
        assert!(error.to_string().contains(no_kafka), "{size}: {error}");
    }
    // A server of another kind, and one that says no more or closes.
    for text in [&b"HTTP/1.1 400 Bad Request"[..], b"SSH-", b"220 ok"] {
        let error = error(move |_| text.to_vec());
        assert!(error.to_string().contains(no_kafka), "{text:?}: {error}");
    }
    let other = error(|id| valid(id + 1));
    assert!(other.to_string().contains("does not speak Kafka's protocol"), "{other}");
}

#[test]
fn an_answer_that_is_larger_than_any_that_is_read_says_so() {
    for (size, text) in [(i32::MAX, "has 2048 MiB"), (200 << 20, "has 200 MiB")] {
        let error = error(move |id| [size.to_be_bytes(), id.to_be_bytes()].concat());
        let text = format!("its answer {text}, and this client reads up to 133");
        assert!(error.to_string().contains(&text), "{error}");
    }
}

#[test]
fn an_answer_that_never_ends_or_is_cut_is_an_error_in_time() {
    let endless = error(|id| [&(100_i32 << 20).to_be_bytes()[..], &id.to_be_bytes(), &[0; 1000]].concat());
    assert!(endless.to_string().contains("does not answer"), "{endless}");
    let whole = valid(0).len();
    for cut in [0, 3, 4, 7, 8, 20, whole - 1] {
        let error = error(move |id| valid(id)[..cut].to_vec());
        assert!(!error.is_fatal(), "{cut}: {error}");
    }
}

#[test]
fn numbers_in_an_answer_cost_nothing_that_is_not_there() {
    let whole = valid(0).len();
    for place in 8..whole {
        let broker = Broker::start(KAFKA_4, move |_, _| {
            Reply::Raw(Box::new(move |id| {
                let mut answer = valid(id);
                let lie = [0xff, 0xff, 0xff, 0xff, 0x7f];
                answer[place..].iter_mut().zip(lie).for_each(|(byte, lie)| *byte = lie);
                answer
            }))
        });
        // Whatever comes of it: this process is still there.
        let _ = client(&broker).fetch(&broker.address, &request(&[(0, 0)]));
    }
}
