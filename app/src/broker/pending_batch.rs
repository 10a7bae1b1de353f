//! A batch on its way: what is acknowledged of it, and what is to be sent next.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::error::KafkaError;
use crate::broker::error_codes::RetryClass;
use crate::broker::produce_batch::ProduceBatch;
use crate::broker::sent::{OffsetJump, Placeholder, Sent};
use crate::broker::transport::requests::{ProduceSlice, SliceAnswer};
use crate::error::{Error, Result};
use crate::model::TopicPartition;

/// A broker makes one batch of what a request brings for a partition, and takes batches of about 1
/// MB.
const PARTITION_BYTES: usize = 900_000;

/// A broker closes the connection on a larger request than this (socket.request.max.bytes), instead
/// of refusing it.
const TAKEN_BYTES: usize = 100 << 20;

/// Where each partition's next record is expected: behind the last one that was sent to it.
pub(super) type ExpectedOffsets = HashMap<TopicPartition, i64>;

#[derive(Debug)]
pub(super) struct PendingBatch {
    batch: Arc<ProduceBatch>,
    /// The first record that is not acknowledged.
    next: usize,
    next_as: NextAs,
    /// How many records a request may carry; less than all while a record that is too large is
    /// looked for.
    most: usize,
    last_offset: i64,
    jumps: Vec<OffsetJump>,
    /// What went out in the place of the record that was acknowledged last, where it was replaced.
    last_placeholder: Option<Arc<ProduceBatch>>,
}

/// How the record `next` goes out.
#[derive(Debug)]
enum NextAs {
    /// As it is, with those behind it.
    Itself,
    /// Not yet: it is too large, and what takes its place is not known.
    Refused,
    Placeholder(Arc<ProduceBatch>),
}

impl PendingBatch {
    pub(super) fn new(batch: ProduceBatch) -> Self {
        let mut pending = Self {
            most: batch.len(),
            batch: Arc::new(batch),
            next: 0,
            next_as: NextAs::Itself,
            last_offset: -1,
            jumps: Vec::new(),
            last_placeholder: None,
        };
        pending.refuse_oversized();
        pending
    }

    pub(super) fn at(&self) -> &TopicPartition {
        &self.batch.at
    }

    pub(super) fn is_done(&self) -> bool {
        self.next == self.batch.len()
    }

    /// The record that is too large, and has no placeholder yet.
    pub(super) fn refused(&self) -> Option<(Arc<ProduceBatch>, usize)> {
        matches!(self.next_as, NextAs::Refused).then(|| (self.batch.clone(), self.next))
    }

    /// Sends this in the place of the refused record.
    pub(super) fn replace(&mut self, (key, value): Placeholder) {
        let mut placeholder = ProduceBatch::new(self.batch.at.clone());
        placeholder.push(&key, value.as_deref());
        self.next_as = NextAs::Placeholder(Arc::new(placeholder));
    }

    /// The records to send next; none when all is acknowledged, or before a refused one has its
    /// placeholder.
    pub(super) fn slice(&self) -> Option<ProduceSlice> {
        if self.is_done() {
            return None;
        }
        match &self.next_as {
            NextAs::Refused => None,
            NextAs::Placeholder(placeholder) => Some(ProduceSlice {
                batch: placeholder.clone(),
                from: 0,
                to: 1,
            }),
            NextAs::Itself => Some(ProduceSlice {
                batch: self.batch.clone(),
                from: self.next,
                to: self.batch.cut(self.next, self.most, PARTITION_BYTES),
            }),
        }
    }

    /// Takes the leader's answer to a slice of so many records. Returns a failure for which to try
    /// again.
    pub(super) fn answered(
        &mut self,
        records: usize,
        answer: SliceAnswer,
        expected: &mut ExpectedOffsets,
    ) -> Result<Option<KafkaError>> {
        let error = match answer {
            Ok(offset) => {
                self.acknowledged(records, offset, expected);
                return Ok(None);
            }
            Err(error) => error,
        };
        if error.class() != RetryClass::TooLarge {
            return Ok(Some(error.at(&self.at().to_string())));
        }
        if records > 1 {
            self.most = records / 2;
        } else if matches!(self.next_as, NextAs::Placeholder(_)) {
            return Err(Error::failed(format!(
                "{}: the broker refuses even a small record as too large",
                self.at()
            ))
            .way_out("raise the topic's max.message.bytes with kafka-configs.sh"));
        } else {
            self.next_as = NextAs::Refused;
        }
        Ok(None)
    }

    fn acknowledged(&mut self, records: usize, offset: i64, expected: &mut ExpectedOffsets) {
        if let Some(before) = expected.insert(self.at().clone(), offset + records as i64)
            && before != offset
        {
            let jump = OffsetJump {
                expected: before,
                found: offset,
            };
            self.jumps.push(jump);
        }
        self.last_offset = offset + records as i64 - 1;
        self.next += records;
        self.last_placeholder = match std::mem::replace(&mut self.next_as, NextAs::Itself) {
            NextAs::Placeholder(placeholder) => Some(placeholder),
            NextAs::Itself | NextAs::Refused => None,
        };
        // Back to full requests by and by: oversized records seldom come alone.
        self.most = self.most.saturating_mul(2);
        self.refuse_oversized();
    }

    /// What is larger than any request can be is not even tried.
    fn refuse_oversized(&mut self) {
        if !self.is_done() && self.batch.wire_size(self.next) > TAKEN_BYTES {
            self.next_as = NextAs::Refused;
        }
    }

    pub(super) fn into_sent(self) -> Sent {
        Sent {
            batch: self.batch,
            last_offset: self.last_offset,
            jumps: self.jumps,
            last_placeholder: self.last_placeholder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: usize) -> ProduceBatch {
        let mut batch = ProduceBatch::new(TopicPartition::new("t", 0));
        for _ in 0..records {
            batch.push(b"k", Some(&[0; 10]));
        }
        batch
    }

    #[test]
    fn records_that_do_not_follow_the_ones_before_are_told() {
        let mut expected = ExpectedOffsets::new();
        let mut pending = PendingBatch::new(batch(9));
        for (found, records) in [(7, 2), (9, 3), (15, 1), (4, 3)] {
            assert!(pending.answered(records, Ok(found), &mut expected).unwrap().is_none());
        }
        assert!(pending.is_done());
        let mut next = PendingBatch::new(batch(1));
        next.answered(1, Ok(7), &mut expected).unwrap();
        let jumps = [(12, 15), (16, 4)].map(|(expected, found)| OffsetJump { expected, found });
        let sent = pending.into_sent();
        assert_eq!((sent.jumps, sent.last_offset), (jumps.to_vec(), 6));
        assert_eq!(next.into_sent().jumps, []);
    }

    #[test]
    fn a_refused_slice_is_halved_until_the_one_record_is_found_and_replaced() {
        let mut expected = ExpectedOffsets::new();
        let mut pending = PendingBatch::new(batch(10));
        let (guilty, mut log, mut asked) = (6, Vec::new(), Vec::new());
        while !pending.is_done() {
            if let Some((_, record)) = pending.refused() {
                assert!(
                    pending.slice().is_none(),
                    "nothing behind it goes out before its placeholder"
                );
                asked.push(record);
                pending.replace((b"key".to_vec(), None));
            }
            let slice = pending.slice().unwrap();
            let is_whole = slice.batch.len() == 10;
            let is_refused = is_whole && (slice.from..slice.to).contains(&guilty);
            let answer = if is_refused {
                Err(KafkaError::code(10))
            } else {
                Ok(log.len() as i64)
            };
            if !is_refused {
                log.extend((slice.from..slice.to).map(|record| is_whole.then_some(record)));
            }
            let failure = pending.answered(slice.to - slice.from, answer, &mut expected).unwrap();
            assert!(failure.is_none());
        }
        let all_but_the_guilty = (0..10).map(|record| (record != guilty).then_some(record));
        assert_eq!(log, all_but_the_guilty.collect::<Vec<_>>());
        assert_eq!(asked, [guilty]);
        assert_eq!(pending.into_sent().last_offset, 9);
    }

    #[test]
    fn a_refused_placeholder_is_an_error_and_other_codes_are_tried_again() {
        let mut expected = ExpectedOffsets::new();
        let mut pending = PendingBatch::new(batch(1));
        let mut answer =
            |pending: &mut PendingBatch, code| pending.answered(1, Err(KafkaError::code(code)), &mut expected);
        assert!(answer(&mut pending, 6).unwrap().is_some());
        assert!(answer(&mut pending, 10).unwrap().is_none());
        pending.replace((b"key".to_vec(), None));
        assert!(answer(&mut pending, 6).unwrap().is_some());
        let error = answer(&mut pending, 10).unwrap_err();
        assert!(error.to_string().contains("max.message.bytes"), "{error}");
    }
}
