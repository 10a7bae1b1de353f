//! What lies at an offset where the `kafka` crate is told nothing: a record larger than the window, or a batch without records,
//! such as the mark that ends a transaction. Asked in a newer version of the protocol, which brokers of 0.11 and later know.

use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::fetcher::Position;
use super::hosts::CONNECT;
use super::plain::Plain;

const VERSION: i16 = 4;
const ANSWER: Duration = Duration::from_secs(5);

/// Enough for many batches without records; a broker sends the first batch whole, however large.
const BYTES: i32 = 64 << 10;

/// The offset behind the batches without records that begin at a position; none when there are records, or the broker does not tell.
pub fn passed(host: &str, client_id: &str, position: &Position) -> Option<i64> {
    let partition = FetchPartition::default()
        .with_partition(position.partition)
        .with_fetch_offset(position.offset)
        .with_partition_max_bytes(BYTES);
    let topic = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(position.topic.to_string())))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_min_bytes(1)
        .with_max_bytes(BYTES)
        .with_topics(vec![topic]);
    let mut broker = Plain::open(host, client_id, CONNECT).ok()?;
    let answer: FetchResponse = broker.ask(ApiKey::Fetch, VERSION, &request, ANSWER).ok()?;
    let partition = answer.responses.first()?.partitions.first()?;
    let records = partition.records.as_ref().filter(|_| partition.error_code == 0)?;
    behind_empty(records, position.offset)
}

/// Reads the heads of batches until one has records.
fn behind_empty(mut batches: &[u8], from: i64) -> Option<i64> {
    const MAGIC: usize = 16;
    const LENGTH: usize = 8;
    const ATTRIBUTES: usize = 21;
    const LAST_OFFSET_DELTA: usize = 23;
    const COUNT: usize = 57;
    const CONTROL: i32 = 0x20;
    let mut behind = None;
    while batches.get(MAGIC) == Some(&2) && batches.len() >= COUNT + 4 {
        let int = |at: usize| i32::from_be_bytes([batches[at], batches[at + 1], batches[at + 2], batches[at + 3]]);
        let base = i64::from(int(0)) << 32 | i64::from(int(4) as u32);
        let attributes = int(ATTRIBUTES - 2);
        if attributes & CONTROL == 0 && int(COUNT) > 0 {
            break;
        }
        behind = Some(base + i64::from(int(LAST_OFFSET_DELTA)) + 1);
        let whole = usize::try_from(int(LENGTH)).ok()? + LENGTH + 4;
        batches = batches.get(whole..).unwrap_or_default();
    }
    behind.filter(|&behind| behind > from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, last: i32, control: bool, count: i32) -> Vec<u8> {
        let mut batch = base.to_be_bytes().to_vec();
        batch.extend(70_i32.to_be_bytes()); // length of what follows
        batch.extend(0_i32.to_be_bytes()); // leader epoch
        batch.push(2);
        batch.extend([9; 4]); // checksum
        batch.extend(if control { 0x30_i16 } else { 0x13 }.to_be_bytes());
        batch.extend(last.to_be_bytes());
        batch.extend([0; 30]); // timestamps, producer
        batch.extend(count.to_be_bytes());
        batch.resize(12 + 70, 0);
        batch
    }

    #[test]
    fn batches_without_records_are_passed_and_others_are_not() {
        let mark = batch(17, 0, true, 1);
        let emptied = batch(18, 4, false, 0);
        let records = batch(23, 9, false, 10);
        assert_eq!(behind_empty(&mark, 17), Some(18));
        assert_eq!(behind_empty(&[mark.clone(), emptied.clone()].concat(), 17), Some(23));
        assert_eq!(behind_empty(&[mark, emptied, records.clone()].concat(), 17), Some(23));
        assert_eq!(behind_empty(&records, 23), None);
        assert_eq!(behind_empty(&records[..40], 23), None);
        assert_eq!(behind_empty(&[], 23), None);
    }
}
