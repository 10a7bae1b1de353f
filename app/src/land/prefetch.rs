//! What goes on beside the landing: rounds are fetched and their rows are read, each in a thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::Duration;

use crate::broker::{FetchPosition, Fetched, FetchedPartition, Fetcher, OutOfRange};
use crate::error::Result;
use crate::wire::rows::{Reader, Rows};

use super::merge_by_key::{Span, order};

/// The longest a fetch waits for news; a stop is noticed sooner.
pub const LONGEST_FETCH: Duration = Duration::from_millis(500);

/// So many values of a round are read ahead: memory stays flat however small they are.
const ROOM: usize = 1 << 18;

/// What was fetched at one time, its rows, and the order in which they land.
pub struct Round {
    pub parts: Vec<(FetchedPartition, Rows)>,
    pub order: Vec<Span>,
    pub out_of_range: Vec<OutOfRange>,
    /// Topics whose logs are to be looked at before this round is believed.
    pub came_back: Vec<Arc<str>>,
}

/// A partition on this side: where to fetch next, and what reads its records.
pub struct FetchStart {
    pub position: FetchPosition,
    pub reader: Reader,
}

/// Fetches and reads from where the partitions are, until nobody takes the rounds or one has failed.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    fetcher: Fetcher,
    from: Vec<FetchStart>,
) -> Receiver<Result<Round>> {
    let (positions, readers) = from.into_iter().map(|from| (from.position.clone(), from)).unzip();
    // Hand to hand: a round that waits takes memory, and spares no time.
    let (fetched, unread) = sync_channel(0);
    let (rounds, queue) = sync_channel(0);
    scope.spawn(move || fetch(fetcher, positions, &fetched));
    scope.spawn(move || read(&unread, readers, &rounds));
    queue
}

/// Fetches round after round and hands them on.
fn fetch(mut fetcher: Fetcher, mut positions: Vec<FetchPosition>, rounds: &SyncSender<Result<Fetched>>) {
    loop {
        let round = fetcher.fetch(&positions, LONGEST_FETCH);
        for chunk in round.iter().flat_map(|fetched| &fetched.partitions) {
            if let Some(position) = positions.iter_mut().find(|position| is_of(chunk, position)) {
                position.offset = chunk.next_offset();
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
            let mut rows = |chunk: &FetchedPartition| match from.iter_mut().find(|from| is_of(chunk, &from.position)) {
                Some(from) => from
                    .reader
                    .read(chunk.records().map(|message| (message.key, message.value)), &mut room),
                None => Rows::default(),
            };
            let parts = partitions.into_iter().map(|chunk| (rows(&chunk), chunk));
            let parts: Vec<_> = parts.map(|(rows, chunk)| (chunk, rows)).collect();
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

fn is_of(chunk: &FetchedPartition, position: &FetchPosition) -> bool {
    position.at == *chunk.at()
}
