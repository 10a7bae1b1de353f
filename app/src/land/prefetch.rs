//! Fetching rounds and reading their rows beside the landing, each in a thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::Duration;

use crate::broker::{FetchPosition, Fetched, FetchedPartition, Fetcher, OutOfRange};
use crate::error::Result;
use crate::wire::rows::{DecodedRows, Reader};

use super::merge_by_key::{Span, order};

/// The longest a fetch waits for news; a stop is noticed sooner.
pub(crate) const LONGEST_FETCH: Duration = Duration::from_millis(500);

/// So many values of a round are read ahead: memory stays flat however small they are.
const ROOM: usize = 1 << 18;

/// What was fetched at one time, its rows, and the order in which they land.
pub(crate) struct Round {
    pub(crate) parts: Vec<(FetchedPartition, DecodedRows)>,
    pub(crate) order: Vec<Span>,
    pub(crate) out_of_range: Vec<OutOfRange>,
    /// Topics whose logs are to be looked at before this round is believed.
    pub(crate) came_back: Vec<Arc<str>>,
}

/// A partition on this side: where to fetch next, and what reads its records.
pub(crate) struct FetchStart {
    pub(crate) position: FetchPosition,
    pub(crate) reader: Reader,
}

/// Fetches and reads from where the partitions are, until nobody takes the rounds or one has
/// failed.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut fetcher: Fetcher,
    from: Vec<FetchStart>,
) -> Receiver<Result<Round>> {
    start_by(scope, move |positions| fetcher.fetch(positions, LONGEST_FETCH), from)
}

fn start_by<'scope>(
    scope: &'scope Scope<'scope, '_>,
    ask: impl FnMut(&[FetchPosition]) -> Result<Fetched> + Send + 'scope,
    from: Vec<FetchStart>,
) -> Receiver<Result<Round>> {
    let (positions, readers) = from.into_iter().map(|from| (from.position.clone(), from)).unzip();
    // Hand to hand: a round that waits takes memory, and spares no time.
    let (fetched, unread) = sync_channel(0);
    let (rounds, queue) = sync_channel(0);
    scope.spawn(move || fetch(ask, positions, &fetched));
    scope.spawn(move || read(&unread, readers, &rounds));
    queue
}

/// Fetches round after round and hands them on.
fn fetch(
    mut ask: impl FnMut(&[FetchPosition]) -> Result<Fetched>,
    mut positions: Vec<FetchPosition>,
    rounds: &SyncSender<Result<Fetched>>,
) {
    loop {
        let round = ask(&positions);
        for fetched in round.iter().flat_map(|fetched| &fetched.partitions) {
            if let Some(position) = positions.iter_mut().find(|position| is_of(fetched, position)) {
                position.offset = fetched.next_offset();
            }
        }
        let failed = round.is_err();
        if rounds.send(round).is_err() || failed {
            return;
        }
    }
}

/// Reads the rows of round after round and hands them on.
fn read(unread: &Receiver<Result<Fetched>>, mut from: Vec<FetchStart>, rounds: &SyncSender<Result<Round>>) {
    for fetched in unread {
        let round = fetched.map(|fetched| {
            let Fetched {
                partitions,
                out_of_range,
                came_back,
            } = fetched;
            let mut room = ROOM;
            let mut rows =
                |fetched: &FetchedPartition| match from.iter_mut().find(|from| is_of(fetched, &from.position)) {
                    Some(from) => from
                        .reader
                        .read(fetched.records().map(|message| (message.key, message.value)), &mut room),
                    None => DecodedRows::default(),
                };
            let parts = partitions.into_iter().map(|fetched| (rows(&fetched), fetched));
            let parts: Vec<_> = parts.map(|(rows, fetched)| (fetched, rows)).collect();
            Round {
                order: order(&parts),
                parts,
                out_of_range,
                came_back,
            }
        });
        if rounds.send(round).is_err() {
            return;
        }
    }
}

fn is_of(fetched: &FetchedPartition, position: &FetchPosition) -> bool {
    position.at == *fetched.at()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::error::Error;
    use crate::model::{Schemas, TopicPartition};

    const SCHEMA: &str = r#"{"_schema":{"table":"t","columns":[{"name":"id","type":"INTEGER","pk":1}],"rowid_alias":true},"_ferry":"me.5.1"}"#;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn from(partition: i32, offset: i64) -> FetchStart {
        FetchStart {
            position: FetchPosition {
                at: at(partition),
                offset,
            },
            reader: Reader::new(None, Schemas::default()),
        }
    }

    fn answer(partition: i32, asked: i64, records: &[(i64, &str, &str)]) -> FetchedPartition {
        FetchedPartition::made(at(partition), asked, asked, 99, records)
    }

    #[test]
    fn each_round_is_asked_for_where_the_one_before_it_ended_and_its_rows_are_read() {
        let asked: Mutex<Vec<Vec<i64>>> = Mutex::default();
        let ask = |positions: &[FetchPosition]| {
            let offsets: Vec<i64> = positions.iter().map(|position| position.offset).collect();
            asked.lock().unwrap().push(offsets.clone());
            Ok(Fetched {
                partitions: match offsets[..] {
                    [3, 0] => vec![answer(
                        0,
                        3,
                        &[(3, "", SCHEMA), (5, "{\"id\":7}", "{\"id\":7,\"_ferry\":\"me.5.2\"}")],
                    )],
                    // What the reader learned in one round holds in the next.
                    [6, 0] => vec![
                        answer(0, 6, &[(6, "{\"id\":9}", "{\"id\":9,\"_ferry\":\"me.5.3\"}")]),
                        answer(1, 0, &[(0, "", "{}")]),
                    ],
                    _ => Vec::new(),
                },
                ..Fetched::default()
            })
        };
        thread::scope(|scope| {
            let rounds = start_by(scope, ask, vec![from(0, 3), from(1, 0)]);
            let first = rounds.recv().unwrap().unwrap();
            assert_eq!((first.parts.len(), first.parts[0].1.key(1)), (1, Some(7)));
            let second = rounds.recv().unwrap().unwrap();
            assert_eq!((second.parts.len(), second.parts[0].1.key(0)), (2, Some(9)));
            assert_eq!(second.order.iter().map(|span| span.records.len()).sum::<usize>(), 2);
            assert!(rounds.recv().unwrap().unwrap().parts.is_empty());
        });
        assert_eq!(asked.into_inner().unwrap()[..3], [[3, 0], [6, 0], [7, 1]]);
    }

    #[test]
    fn an_error_is_handed_on_and_ends_it() {
        let mut answers = vec![Err(Error::failed("gone")), Ok(Fetched::default())];
        thread::scope(|scope| {
            let rounds = start_by(scope, |_| answers.pop().expect("asked again"), vec![from(0, 0)]);
            assert!(rounds.recv().unwrap().is_ok());
            let Err(error) = rounds.recv().unwrap() else {
                panic!("no error")
            };
            assert_eq!(error.what(), "gone");
            assert!(rounds.recv().is_err());
        });
    }

    #[test]
    fn nobody_fetches_for_one_who_has_gone() {
        thread::scope(|scope| {
            let rounds = start_by(scope, |_| Ok(Fetched::default()), vec![from(0, 0)]);
            rounds.recv().unwrap().unwrap();
        });
    }
}
