//! Reading what the crate is not to see: logs that hold sets of format 0, or may.

use std::slice;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::PartitionData;

use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::FetchedPartition;
use crate::broker::transport::crate_kafka::client::Client;
use crate::broker::transport::crate_kafka::fetch::{PartitionFetch, too_large};
use crate::broker::transport::crate_kafka::own_fetch::Version;
use crate::broker::transport::crate_kafka::window::CAP;
use crate::broker::transport::native::answer::{Answered, ByPartition, read};
use crate::broker::transport::native::record_batch::decode::Decoder;
use crate::broker::transport::native::record_batch::records::RecordSets;
use crate::broker::transport::records::Records;
use crate::broker::transport::requests::{FetchRequest, IsolationLevel, PartitionAnswer};

type Outcome = Result<FetchedPartition, KafkaError>;

/// The head of a set that is larger comes in any case.
const LEAST_WINDOW: i32 = 16 << 10;

/// What answers have brought.
#[derive(Default)]
struct Size {
    on_the_wire: usize,
    unpacked: usize,
}

/// What came of a partition.
enum Found {
    Outcome(Outcome),
    Short(Short),
}

/// Why nothing came that can be read, though the log goes on.
enum Short {
    /// Not a byte. When that stays so, there are no records up to the end: compaction took the last
    /// ones out.
    Nothing { end: i64 },
    /// The first set is cut. It says that it takes so many bytes.
    Cut { whole: i32 },
}

impl Client {
    /// Fetches and reads without the crate. Partitions whose first set takes another request are left
    /// out where others took all the room.
    pub(super) fn read_ourselves(
        &mut self,
        host: &str,
        request: &FetchRequest,
    ) -> Result<Vec<PartitionAnswer>, KafkaError> {
        let window = self.round.on_the_wire(request.partition_bytes).max(LEAST_WINDOW);
        let asks = request.positions.iter().cloned();
        let asks: Vec<PartitionFetch> = asks.map(|position| PartitionFetch { position, window }).collect();
        let mut answer = self.fetch_ourselves(host, Version::V0, &asks, request.max_wait)?;
        self.decoder.begin_answer();
        let (mut found, mut size) = (Vec::with_capacity(asks.len()), Size::default());
        for ask in asks {
            let data = take(&mut answer, host, &ask)?;
            size.on_the_wire += data.records.as_ref().map_or(0, Bytes::len);
            found.push((judge(&mut self.decoder, &ask, data), ask));
        }
        size.unpacked = self.decoder.unpacked();
        let (mut answers, total) = (Vec::with_capacity(found.len()), request.total_bytes as usize);
        for (place, (found, mut ask)) in found.into_iter().enumerate() {
            let outcome = match found {
                Found::Outcome(outcome) => outcome,
                Found::Short(_) if place > 0 && size.on_the_wire + size.unpacked > total => continue,
                Found::Short(short) => self.read_alone(host, &mut ask, short, &mut size)?,
            };
            let position = ask.position;
            answers.push(PartitionAnswer { position, outcome });
        }
        self.round.note_answer(size.on_the_wire, size.unpacked);
        Ok(answers)
    }

    /// Asks again for one partition, and for more where its first set takes more.
    fn read_alone(
        &mut self,
        host: &str,
        ask: &mut PartitionFetch,
        mut short: Short,
        size: &mut Size,
    ) -> Result<Outcome, KafkaError> {
        loop {
            let was_empty = match short {
                Short::Nothing { .. } => true,
                Short::Cut { .. } if ask.window >= CAP => return Ok(Err(too_large(ask))),
                Short::Cut { whole } => {
                    ask.window = whole.max(ask.window.saturating_mul(2)).min(CAP);
                    false
                }
            };
            let mut answer = self.fetch_ourselves(host, Version::V0, slice::from_ref(ask), Duration::ZERO)?;
            let data = take(&mut answer, host, ask)?;
            size.on_the_wire += data.records.as_ref().map_or(0, Bytes::len);
            self.decoder.begin_answer();
            let found = judge(&mut self.decoder, ask, data);
            size.unpacked += self.decoder.unpacked();
            short = match found {
                Found::Outcome(outcome) => return Ok(outcome),
                Found::Short(Short::Nothing { end }) if was_empty => {
                    return Ok(Ok(fetched(ask, RecordSets::hole(end), end)));
                }
                Found::Short(short) => short,
            };
        }
    }
}

fn take(answer: &mut ByPartition, host: &str, ask: &PartitionFetch) -> Result<PartitionData, KafkaError> {
    let at = &ask.position.at;
    let data = answer.remove(&(at.topic.to_string(), at.partition));
    data.ok_or_else(|| KafkaError::passing(format!("{at}: {host} leaves it out of its answer")))
}

fn judge(decoder: &mut Decoder, ask: &PartitionFetch, data: PartitionData) -> Found {
    let whole = data.records.as_deref().map_or(0, whole_first);
    // Old sets know no transactions.
    Found::Outcome(
        match read(decoder, &ask.position, IsolationLevel::ReadUncommitted, data) {
            Answered::Records { sets, end } => Ok(fetched(ask, sets, end)),
            Answered::Nothing { end } => return Found::Short(Short::Nothing { end }),
            Answered::Incomplete => return Found::Short(Short::Cut { whole }),
            Answered::UnknownHighWatermark => Err(KafkaError::unknown_high_watermark(&ask.position.at)),
            Answered::CutBack(error) | Answered::Failed(error) => Err(error),
        },
    )
}

fn fetched(ask: &PartitionFetch, sets: RecordSets, end: i64) -> FetchedPartition {
    FetchedPartition::new(ask.position.clone(), sets.next_offset, end, Records::Native(sets))
}

/// How many bytes the first set takes, by what it says of itself.
fn whole_first(records: &[u8]) -> i32 {
    const HEAD: usize = 12;
    match records.first_chunk::<HEAD>() {
        Some([.., a, b, c, d]) => i32::from_be_bytes([*a, *b, *c, *d]).saturating_add(HEAD as i32),
        None => 0,
    }
}
