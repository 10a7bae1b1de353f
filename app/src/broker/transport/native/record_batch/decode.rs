//! Reads what a Fetch answer (versions 4 to 12) holds for a partition: batches of format 2,
//! messages of formats 0 and 1, in any mixture, the last one often cut.

use std::mem;
use std::ops::Range;

use bytes::Bytes;

use super::batch::{self, Header};
use super::codec::Codec;
use super::decompress::{Decompressor, LIMIT};
use super::defect::{BadBatch, Defect};
use super::encode::{FRAME, HEADER, MAGIC};
use super::legacy::{Message, SMALLEST_MESSAGE};
use super::reader::Reader;
use super::records::{Batch, End, Entry, RecordSets};
use super::transactions::Isolation;

/// Reads answers, one after another.
pub(crate) struct Decoder {
    decompressor: Decompressor,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            decompressor: Decompressor::new(),
        }
    }

    /// Begins with another answer, all of whose partitions may unpack to `LIMIT` bytes.
    pub(crate) fn begin_answer(&mut self) {
        self.begin_answer_within(LIMIT);
    }

    /// What the partitions of this answer have unpacked to so far.
    pub(crate) fn unpacked(&self) -> usize {
        self.decompressor.spent()
    }

    pub(in crate::broker::transport::native) fn begin_answer_within(&mut self, limit: usize) {
        self.decompressor.begin(limit);
    }

    /// Reads the records of a partition from the offset on that was asked for. They lend from
    /// `answer` where they are not compressed.
    pub(crate) fn decode(&mut self, answer: &Bytes, asked: i64, isolation: Isolation) -> RecordSets {
        let mut walk = Walk {
            // Places in it are numbers of 32 bits, as lengths are in the protocol.
            answer: answer.slice(..answer.len().min(i32::MAX as usize)),
            asked,
            isolation,
            decompressor: &mut self.decompressor,
            log_end: 0,
            unbatched: false,
            sets: RecordSets::new(asked),
        };
        walk.sets.end = walk.run();
        walk.sets
    }
}

/// The beginning of what is a batch or a message.
struct Frame {
    offset: i64,
    place: Range<usize>,
    magic: u8,
}

/// A walk through a partition's part of an answer.
struct Walk<'a> {
    answer: Bytes,
    asked: i64,
    isolation: Isolation,
    decompressor: &'a mut Decompressor,
    /// No batch may begin before this offset.
    log_end: i64,
    /// The last batch is messages without compression, and another one joins it.
    unbatched: bool,
    sets: RecordSets,
}

impl Walk<'_> {
    fn run(&mut self) -> End {
        let mut at = 0;
        while at < self.answer.len() {
            let Some(frame) = self.frame(at) else { return End::Cut };
            let left = self.decompressor.left();
            let read = match frame.place.len() {
                ..SMALLEST_MESSAGE => Err(Defect::Malformed),
                _ if self.answer.len() < frame.place.end => return End::Cut,
                _ if frame.offset < self.log_end => Err(Defect::Offsets),
                _ if frame.magic == MAGIC && self.isolation.ends_before(frame.offset) => return End::Complete,
                _ => self.read(&frame),
            };
            match read {
                Ok(next_offset) => {
                    self.log_end = next_offset;
                    let next_offset = next_offset.min(self.isolation.end());
                    self.sets.next_offset = self.sets.next_offset.max(next_offset);
                }
                Err(defect) => {
                    let was_alone = self.decompressor.give_back(left);
                    if defect == Defect::TooLarge && !was_alone {
                        return End::LimitReached;
                    }
                    let offset = frame.offset;
                    return End::Bad(BadBatch { offset, defect });
                }
            }
            at = frame.place.end;
        }
        End::Complete
    }

    /// The batch or message that begins here; none when too little of it came. Its length is a
    /// claim.
    fn frame(&self, at: usize) -> Option<Frame> {
        let mut fields = Reader::new(&self.answer, at, self.answer.len());
        let offset = fields.i64().ok()?;
        let length = fields.i32().ok()?;
        let _: [u8; 4] = fields.array().ok()?;
        let magic = fields.u8().ok()?;
        let end = at + FRAME + usize::try_from(length).unwrap_or(0);
        Some(Frame {
            offset,
            place: at..end,
            magic,
        })
    }

    /// Reads a whole batch or message; the offset behind it.
    fn read(&mut self, frame: &Frame) -> Result<i64, Defect> {
        let joins = mem::take(&mut self.unbatched);
        match frame.magic {
            0 | 1 => self.message(frame, joins),
            MAGIC => self.batch(frame),
            magic => Err(Defect::Magic(magic)),
        }
    }

    fn batch(&mut self, frame: &Frame) -> Result<i64, Defect> {
        let header = Header::read(&self.answer[frame.place.clone()])?;
        let next_offset = header.next_offset;
        if header.control {
            self.control_batch(&header, frame)?;
            return Ok(next_offset);
        }
        let left_out = header.transactional && self.isolation.leaves_out(header.producer_id, next_offset);
        if left_out || next_offset <= self.asked {
            return Ok(next_offset);
        }
        let (data, place) = self.unpacked(&header, frame)?;
        let batch = Batch {
            leader_epoch: header.leader_epoch,
            producer_id: header.producer_id,
            transactional: header.transactional,
            data,
        };
        let kept = self.kept();
        self.sets.add(batch, |data, batch, entries| {
            header.records(data, place, &kept, batch, entries)
        })?;
        Ok(next_offset)
    }

    /// Takes note of what a control batch says, which holds no records for readers; compaction may
    /// have emptied it.
    fn control_batch(&mut self, header: &Header, frame: &Frame) -> Result<(), Defect> {
        let (data, place) = self.unpacked(header, frame)?;
        let mut entries = Vec::new();
        header.records(&data, place, &(0..i64::MAX), 0, &mut entries)?;
        if let Some(entry) = entries.first() {
            let marker = batch::marker(entry.key.of(&data))?;
            self.isolation
                .pass_marker(header.producer_id, marker, header.next_offset);
        }
        Ok(())
    }

    /// The memory that a batch's records lie in, and their place there.
    fn unpacked(&mut self, header: &Header, frame: &Frame) -> Result<(Bytes, Range<usize>), Defect> {
        let records = frame.place.start + HEADER..frame.place.end;
        match header.codec {
            Ok(Codec::None) => {
                self.spend_on(header, records.len())?;
                Ok((self.answer.clone(), records))
            }
            Ok(codec) => {
                let data = self.decompressor.decompress(codec, &self.answer[records])?;
                self.spend_on(header, data.len())?;
                let place = 0..data.len();
                Ok((data.into(), place))
            }
            Err(number) => Err(Defect::Codec(number)),
        }
    }

    /// Counts what it takes to remember where the batch's records stand: seven bytes can be one.
    fn spend_on(&mut self, header: &Header, bytes: usize) -> Result<(), Defect> {
        let count = header.count_within(bytes)?;
        self.decompressor.spend(count * mem::size_of::<Entry>())
    }

    fn message(&mut self, frame: &Frame, joins: bool) -> Result<i64, Defect> {
        let message = Message::read(&self.answer, frame.place.clone())?;
        let next_offset = message.offset.checked_add(1).ok_or(Defect::Offsets)?;
        if next_offset <= self.asked {
            return Ok(next_offset);
        }
        let batch = Batch {
            leader_epoch: -1,
            producer_id: -1,
            transactional: false,
            data: self.answer.clone(),
        };
        let kept = self.kept();
        let codec = message.codec?;
        if codec == Codec::None {
            if kept.contains(&message.offset) {
                self.unbatched_message(&message, batch, joins)?;
            }
            return Ok(next_offset);
        }
        let data = self.decompressor.decompress(codec, message.packed(&self.answer)?)?;
        let set = message.set(&data)?;
        self.decompressor.spend(set.count * mem::size_of::<Entry>())?;
        let least = self.log_end;
        let batch = Batch {
            data: data.into(),
            ..batch
        };
        self.sets.add(batch, |data, batch, entries| {
            set.records(data, least, &kept, batch, entries)
        })?;
        Ok(next_offset)
    }

    /// Adds a message that is not compressed to those before it.
    fn unbatched_message(&mut self, message: &Message, batch: Batch, joins: bool) -> Result<(), Defect> {
        self.unbatched = true;
        match self.sets.batches.len().checked_sub(1) {
            Some(last) if joins => {
                self.sets.push(message.entry(last as u32));
                Ok(())
            }
            _ => self.sets.add(batch, |_, batch, entries| {
                entries.push(message.entry(batch));
                Ok(())
            }),
        }
    }

    /// The offsets whose records are kept.
    fn kept(&self) -> Range<i64> {
        self.asked..self.isolation.end()
    }
}
