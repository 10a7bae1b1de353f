//! Where a partition is read, and what it answered: records as they lie in the answer that brought
//! them. Nothing is copied.

use std::ops::Range;

use crate::broker::message::Message;
use crate::broker::transport::records::Records;
use crate::model::TopicPartition;

/// Where to read on in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FetchPosition {
    pub at: TopicPartition,
    pub offset: i64,
}

/// What a partition answered: its records from the offset that was asked for, and how far the log
/// goes.
#[derive(Debug)]
pub struct FetchedPartition {
    position: FetchPosition,
    next_offset: i64,
    end: i64,
    records: Records,
}

impl FetchedPartition {
    /// All that the log holds from the position to `next_offset`. What is missing there is no
    /// record.
    pub(super) fn new(position: FetchPosition, next_offset: i64, end: i64, records: Records) -> Self {
        Self {
            position,
            next_offset,
            end,
            records,
        }
    }

    /// What a partition answered by the word of a test: records by offset, key and value, then
    /// nothing up to `next`.
    #[cfg(test)]
    pub(crate) fn made(at: TopicPartition, asked: i64, next: i64, end: i64, records: &[(i64, &str, &str)]) -> Self {
        let next_offset = records.last().map_or(next, |(offset, ..)| offset + 1);
        let owned =
            |(offset, key, value): &(i64, &str, &str)| (*offset, key.as_bytes().to_vec(), value.as_bytes().to_vec());
        let records = Records::Fake(records.iter().map(owned).collect());
        let position = FetchPosition { at, offset: asked };
        Self::new(position, next_offset, end, records)
    }

    pub fn at(&self) -> &TopicPartition {
        &self.position.at
    }

    /// How far the log goes for this reader: the last stable offset for those of committed records,
    /// where the client knows of transactions, and otherwise the high watermark.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The offset to ask for next.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Whether the partition is read on where it was read before.
    pub fn stands_still(&self) -> bool {
        self.next_offset == self.position.offset
    }

    /// The records, in order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        let records = self.records.view();
        (0..records.len()).map(move |place| records.get(place))
    }

    /// Some of the records, by their places.
    pub fn records_at(&self, places: Range<usize>) -> impl Iterator<Item = Message<'_>> {
        let records = self.records.view();
        places.map(move |place| records.get(place))
    }

    /// The last record below an offset that has a value which is not empty: those of one key that
    /// have none are all alike.
    pub fn last_below(&self, offset: i64) -> Option<Message<'_>> {
        let records = self.records.view();
        let below = (0..records.len()).rev().map(|place| records.get(place));
        below
            .skip_while(|message| message.offset >= offset)
            .find(|message| !message.value.is_empty())
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.view().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_with_a_value_is_found_below_an_offset() {
        let position = FetchPosition {
            at: TopicPartition::new("t", 0),
            offset: 3,
        };
        let values: [(i64, &[u8]); 4] = [(3, b"a"), (5, b""), (7, b""), (9, b"b")];
        let record = |(offset, value): (i64, &[u8])| (offset, b"k".to_vec(), value.to_vec());
        let records = Records::Fake(values.map(record).to_vec());
        let fetched = FetchedPartition::new(position, 10, 12, records);
        let last = |offset| fetched.last_below(offset).map(|message| message.offset);
        assert_eq!([3, 4, 9, 10].map(last), [None, Some(3), Some(3), Some(9)]);
        let offsets = |places| {
            fetched
                .records_at(places)
                .map(|message| message.offset)
                .collect::<Vec<_>>()
        };
        assert_eq!(offsets(1..3), [5, 7]);
        assert_eq!(fetched.records().len(), 4);
        assert!(!fetched.stands_still() && !fetched.is_empty());
    }
}
