//! The records that were read of a partition, and how the reading ended.

use std::ops::Range;

use bytes::Bytes;

use super::defect::BadBatch;
use super::reader::Span;

/// A record, as it lies in the memory of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// Why nothing more was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All that came is read.
    Complete,
    /// The last batch is not whole.
    Cut,
    /// The answer has unpacked to as much as one may. What is left belongs to an answer of its own:
    /// ask for the next offset.
    LimitReached,
    /// A batch cannot be read. All before it is.
    Bad(BadBatch),
}

/// What a Fetch answer holds for a partition.
#[derive(Debug)]
pub(crate) struct RecordSets {
    /// Batches that have records here.
    pub batches: Vec<Batch>,
    entries: Vec<Entry>,
    /// The offset to ask for next: behind the last batch that was read, whatever compaction left of
    /// it.
    pub next_offset: i64,
    pub end: End,
}

/// A batch of format 2, or messages of formats 0 and 1 that came unbatched or as one compressed
/// set.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The leader's epoch when it was written; -1 in formats 0 and 1.
    pub leader_epoch: i32,
    /// -1 is nobody, who writes neither idempotently nor in transactions.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests look at who wrote what"))]
    pub producer_id: i64,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests look at who wrote what"))]
    pub transactional: bool,
    /// What its records lend from: the answer, or what was unpacked.
    pub(super) data: Bytes,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: i64,
    pub(super) key: Span,
    pub(super) value: Span,
    /// Its place in `batches`.
    pub(super) batch: u32,
}

impl RecordSets {
    /// Nothing yet, of a partition that was asked from an offset on.
    pub(super) fn new(asked: i64) -> Self {
        Self {
            batches: Vec::new(),
            entries: Vec::new(),
            next_offset: asked,
            end: End::Complete,
        }
    }

    /// A part of a log that holds no records up to `next_offset`.
    pub(crate) fn hole(next_offset: i64) -> Self {
        Self::new(next_offset)
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A record by its place.
    pub(crate) fn get(&self, index: usize) -> Record<'_> {
        self.record(&self.entries[index])
    }

    /// All records, in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> + DoubleEndedIterator {
        self.iter_range(0..self.len())
    }

    /// Some of the records, by their places.
    pub(crate) fn iter_range(
        &self,
        places: Range<usize>,
    ) -> impl ExactSizeIterator<Item = Record<'_>> + DoubleEndedIterator {
        self.entries[places].iter().map(|entry| self.record(entry))
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        let data = &self.batches[entry.batch as usize].data;
        Record {
            offset: entry.offset,
            key: entry.key.of(data),
            value: entry.value.of(data),
        }
    }

    /// Adds a batch with the records that `read` finds in it; one of which nothing is to be kept is
    /// left out, and so is one that cannot be read.
    pub(super) fn add<E>(
        &mut self,
        batch: Batch,
        read: impl FnOnce(&[u8], u32, &mut Vec<Entry>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (before, index) = (self.entries.len(), self.batches.len() as u32);
        let outcome = read(&batch.data, index, &mut self.entries);
        if outcome.is_err() {
            self.entries.truncate(before);
        }
        if self.entries.len() > before {
            self.batches.push(batch);
        }
        outcome
    }

    /// Adds a record to a batch that is there.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}
