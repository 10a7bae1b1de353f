//! What both clients meet at the requests that are theirs.

use super::*;
use crate::support::hostile::Lie::{Claim, Close, Endless, Half, Last, Layout, Number, Silence, Size, Trickle};

/// Which client meets a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Kafka,
    Native,
}

/// The lies that both clients meet at each of their own requests. The crate `kafka` compares no
/// numbers of answers, and takes what comes for an answer: it is for the checks above it to see
/// that nothing wrong lands.
const LIES_FOR_BOTH: [Lie; 10] = [
    Silence,
    Close,
    Half,
    Size(-1),
    Size(0),
    Size(i32::MAX),
    Number,
    Trickle,
    Last,
    Layout,
];

/// Bytes without an end, of an answer that is said to be as large as there can be, or as the native
/// client reads at most. The crate `kafka` reads what is said: a broker that sends two gigabytes is
/// the limit of it.
const LIES_FOR_NATIVE: [Lie; 2] = [Endless(i32::MAX), Endless(60 << 20)];

#[test]
fn both_clients_end_in_time_and_in_little_memory_whatever_a_broker_does() {
    const ASKED_BY_CONSUMER: [Kind; 3] = [Kind::Metadata, Kind::ListOffsets, Kind::Fetch];
    const ASKED_BY_PRODUCER: [Kind; 2] = [Kind::ListOffsets, Kind::Produce];
    type Start = fn(&Workspace, &Hostile) -> Process;
    let mut cases: Vec<(Client, Kind, Lie, Start)> = Vec::new();
    for client in [Client::Kafka, Client::Native] {
        let of_native: &[Lie] = if client == Client::Native {
            &LIES_FOR_NATIVE
        } else {
            &[]
        };
        for lie in LIES_FOR_BOTH.iter().chain(of_native) {
            let add = |kind: Kind, start: Start| (client, kind, *lie, start);
            cases.extend(ASKED_BY_CONSUMER.map(|kind| add(kind, |ws, hostile| consumer(ws, hostile, false))));
            cases.extend(ASKED_BY_PRODUCER.map(|kind| add(kind, producer)));
        }
    }
    // What the native client asks beside them: each count and length of its answers, and its versions.
    let natives = [
        (Kind::Metadata, 8),
        (Kind::ApiVersions, 1),
        (Kind::ListOffsets, 3),
        (Kind::Fetch, 5),
    ];
    for (kind, claims) in natives {
        for (at, claimed) in (0..claims).flat_map(|at| [i32::MAX, i32::MIN, -1].map(|claimed| (at, claimed))) {
            cases.push((Client::Native, kind, Claim(at, claimed), |ws, hostile| {
                consumer(ws, hostile, false)
            }));
        }
    }
    for (at, claimed) in (0..3).flat_map(|at| [i32::MAX, i32::MIN, -1].map(|claimed| (at, claimed))) {
        cases.push((Client::Native, Kind::Produce, Claim(at, claimed), producer));
    }
    all(&cases, |(client, kind, lie, start)| {
        let what = format!("{client:?}, {kind:?}, {lie:?}");
        let ws = Workspace::new("a broker that does what none does is no harm to either client");
        let hostile = with_rows();
        if *client == Client::Native {
            hostile.be_of_today();
        }
        hostile.lie(*kind, *lie);
        ends(start(&ws, &hostile), LIMIT, &what);
        assert!(hostile.struck() > 0, "{what}: the broker was never asked");
        if ws.sink().exists() {
            let landed = ws.rows(&ws.sink(), "SELECT name FROM sqlite_schema WHERE name = 't'");
            if !landed.is_empty() {
                let wrong = "SELECT count(*) FROM t WHERE id NOT BETWEEN 0 AND 2 OR name <> 'n'";
                assert_eq!(ws.number(&ws.sink(), wrong), 0, "{what}: what is no row has landed");
            }
        }
    });
}

#[test]
fn a_broker_of_today_that_tells_the_truth_is_read_and_written_by_the_native_client() {
    let ws = Workspace::new("the hostile broker is one, but for its lies");
    let hostile = with_rows();
    hostile.be_of_today();
    ends(consumer(&ws, &hostile, false), LIMIT, "the truth").ok();
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t"), 3);
    let ws = Workspace::new("the hostile broker takes records");
    let hostile = Hostile::new(TOPIC);
    hostile.be_of_today();
    ends(producer(&ws, &hostile), LIMIT, "the truth").ok();
}
