//! Encoded records of one partition, in order, in one stretch of memory.

use crate::model::TopicPartition;

/// What a record takes on the wire beside its key and value: offset, size, checksum, two marks and
/// two lengths.
pub(super) const FRAME: usize = 26;

/// Where a record ends, and whether it has a value.
#[derive(Debug, Clone, Copy)]
struct Ends {
    key: usize,
    value: usize,
    null: bool,
}

/// The records for one partition. Write a key into `arena`, close it, write a value, close it; or
/// `push` both.
#[derive(Debug)]
pub struct ProduceBatch {
    pub at: TopicPartition,
    arena: Vec<u8>,
    ends: Vec<Ends>,
    key_end: Option<usize>,
}

impl ProduceBatch {
    /// A batch without records.
    pub fn new(at: TopicPartition) -> Self {
        Self {
            at,
            arena: Vec::new(),
            ends: Vec::new(),
            key_end: None,
        }
    }

    /// Takes the records out and leaves room for as many again: batches are alike.
    pub fn take(&mut self) -> Self {
        let empty = Self {
            arena: Vec::with_capacity(self.arena.len()),
            ends: Vec::with_capacity(self.ends.len()),
            ..Self::new(self.at.clone())
        };
        std::mem::replace(self, empty)
    }

    /// Adds a record.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.arena.extend_from_slice(key);
        self.close_key();
        match value {
            Some(value) => {
                self.arena.extend_from_slice(value);
                self.close_value();
            }
            None => self.no_value(),
        }
    }

    /// Where the encoder appends the key, and after `close_key` the value, of the next record.
    pub fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Ends the key of the record being written.
    pub fn close_key(&mut self) {
        debug_assert!(self.key_end.is_none(), "a key is closed twice");
        self.key_end = Some(self.arena.len());
    }

    /// Ends the value, and with it the record.
    pub fn close_value(&mut self) {
        self.close(false);
    }

    /// Ends the record, which has a null for its value.
    pub fn no_value(&mut self) {
        self.close(true);
    }

    fn close(&mut self, null: bool) {
        let value = self.arena.len();
        let key = self.key_end.take().expect("a record's key is closed before its value");
        self.ends.push(Ends { key, value, null });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.ends.last().map_or(0, |ends| ends.value)
    }

    /// Key and value of a record.
    pub fn get(&self, index: usize) -> (&[u8], Option<&[u8]>) {
        let Ends { key, value, null } = self.ends[index];
        let value = (!null).then(|| &self.arena[key..value]);
        (&self.arena[self.start(index)..key], value)
    }

    /// Bytes that a record takes on the wire, uncompressed.
    pub(super) fn wire_size(&self, index: usize) -> usize {
        self.ends[index].value - self.start(index) + FRAME
    }

    /// The end of the records from `from` on that go into one request: at most `records` and
    /// `bytes`, but one in any case.
    pub(super) fn cut(&self, from: usize, records: usize, bytes: usize) -> usize {
        let most = self.len().min(from.saturating_add(records));
        let mut end = from + 1;
        let mut taken = self.wire_size(from);
        while end < most {
            taken += self.wire_size(end);
            if taken > bytes {
                break;
            }
            end += 1;
        }
        end
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before].value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sizes: &[usize]) -> ProduceBatch {
        let mut batch = ProduceBatch::new(TopicPartition::new("t", 0));
        for &size in sizes {
            batch.push(b"k", Some(&vec![b'v'; size]));
        }
        batch
    }

    #[test]
    fn records_come_back_as_they_went_in_and_null_is_not_empty() {
        let mut batch = ProduceBatch::new(TopicPartition::new("t", 3));
        batch.push(b"one", Some(b"value"));
        batch.push(b"two", None);
        batch.push(b"three", Some(b""));
        batch.arena().extend_from_slice(b"four");
        batch.close_key();
        batch.arena().extend_from_slice(b"written in place");
        batch.close_value();
        assert_eq!(batch.len(), 4);
        assert_eq!(batch.get(0), (&b"one"[..], Some(&b"value"[..])));
        assert_eq!(batch.get(1), (&b"two"[..], None));
        assert_eq!(batch.get(2), (&b"three"[..], Some(&b""[..])));
        assert_eq!(batch.get(3), (&b"four"[..], Some(&b"written in place"[..])));
        assert_eq!(batch.bytes(), "onevaluetwothreefourwritten in place".len());
        let taken = batch.take();
        assert_eq!((taken.len(), taken.at.partition), (4, 3));
        assert_eq!(taken.get(0), (&b"one"[..], Some(&b"value"[..])));
        assert!(batch.is_empty());
        assert_eq!((batch.bytes(), batch.at.partition), (0, 3));
    }

    #[test]
    fn a_cut_stays_below_its_bytes_and_records() {
        let batch = batch(&[100, 100, 100, 100]);
        let one = 100 + 1 + FRAME;
        assert_eq!(batch.cut(0, 10, 4 * one), 4);
        assert_eq!(batch.cut(0, 10, 4 * one - 1), 3);
        assert_eq!(batch.cut(1, 10, 2 * one), 3);
        assert_eq!(batch.cut(0, 2, 4 * one), 2);
    }

    #[test]
    fn an_oversized_record_goes_alone() {
        let batch = batch(&[10, 5000, 10]);
        assert_eq!(batch.cut(0, 10, 1000), 1);
        assert_eq!(batch.cut(1, 10, 1000), 2);
        assert_eq!(batch.cut(2, 10, 1000), 3);
    }
}
