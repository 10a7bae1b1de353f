//! Reading a topic's log from one offset to another: whoever looks back into a log does it through
//! here. Landing goes on for ever and has a loop of its own (`land::prefetch`).
//!
//! A log can end before a range does: it lost its end, or was made anew. A leader that says so may
//! only be new, and still learn how far its log goes. So it is believed when a leader has said so
//! for as long as the caller's patience. A broker that is slow to answer says nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::model::TopicPartition;

use super::{Cluster, FetchPosition, Fetched, Message};

/// The longest that one fetch waits.
const FETCH_WAIT: Duration = Duration::from_millis(500);

/// Offsets of a partition, the last one not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    pub(crate) partition: i32,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What stands at an offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogEntry<'a> {
    Record(Message<'a>),
    /// No record at this offset, nor at those before the next that is told: compaction took it, or
    /// it never was one.
    Hole(i64),
    /// The same, because the log begins behind this offset by now.
    Expired(i64),
    /// The log ends here, before the range does. Nothing more is told of this partition.
    EndOfLog(i64),
}

/// Gives what stands in the ranges to `each`, of each partition in order, until all is read or
/// `each` has seen enough (false). `goes_on` is called again and again meanwhile.
pub(crate) fn read(
    cluster: &Cluster,
    topic: &Arc<str>,
    ranges: Vec<OffsetRange>,
    patience: Duration,
    goes_on: &dyn Fn(),
    each: &mut dyn FnMut(i32, LogEntry<'_>) -> Result<bool>,
) -> Result<()> {
    let mut fetcher = cluster.log_fetcher();
    read_by(
        &mut |positions| {
            goes_on();
            fetcher.fetch(positions, FETCH_WAIT)
        },
        topic,
        ranges,
        patience,
        each,
    )
}

/// A range of which not all is read.
struct Unread {
    range: OffsetRange,
    /// When the leader first said that its log ends here.
    ended: Option<Instant>,
}

fn read_by(
    fetch: &mut dyn FnMut(&[FetchPosition]) -> Result<Fetched>,
    topic: &Arc<str>,
    ranges: Vec<OffsetRange>,
    patience: Duration,
    each: &mut dyn FnMut(i32, LogEntry<'_>) -> Result<bool>,
) -> Result<()> {
    let unread = ranges.into_iter().map(|range| Unread { range, ended: None });
    let mut unread: Vec<Unread> = unread.filter(|unread| !unread.range.is_read()).collect();
    while !unread.is_empty() {
        let positions: Vec<_> = unread.iter().map(|unread| unread.range.position(topic)).collect();
        let fetched = fetch(&positions)?;
        for answer in &fetched.partitions {
            let is_of = |unread: &&mut Unread| unread.range.partition == answer.at().partition;
            let Some(Unread { range, ended }) = unread.iter_mut().find(is_of) else {
                continue;
            };
            let from = range.from;
            for message in answer.records().filter(|message| message.offset >= from) {
                if message.offset >= range.to {
                    break;
                }
                let goes_on = range.pass_to(message.offset, LogEntry::Hole, each)?;
                if !(goes_on && each(range.partition, LogEntry::Record(message))?) {
                    return Ok(());
                }
                range.from = message.offset + 1;
            }
            if !range.pass_to(answer.next_offset(), LogEntry::Hole, each)? {
                return Ok(());
            }
            if answer.stands_still() {
                ended.get_or_insert_with(Instant::now);
            } else {
                *ended = None;
            }
        }
        for out in &fetched.out_of_range {
            let is_of = |unread: &&mut Unread| unread.range.partition == out.at.partition;
            let Some(Unread { range, .. }) = unread.iter_mut().find(is_of) else {
                continue;
            };
            let goes_on = if out.earliest > range.from {
                range.pass_to(out.earliest, LogEntry::Expired, each)?
            } else {
                range.end(each)?
            };
            if !goes_on {
                return Ok(());
            }
        }
        for Unread { range, ended } in &mut unread {
            let is_believed = ended.is_some_and(|ended| ended.elapsed() >= patience);
            if is_believed && !range.is_read() && !range.end(each)? {
                return Ok(());
            }
        }
        unread.retain(|unread| !unread.range.is_read());
    }
    Ok(())
}

impl OffsetRange {
    fn is_read(&self) -> bool {
        self.from >= self.to
    }

    fn position(&self, topic: &Arc<str>) -> FetchPosition {
        FetchPosition {
            at: TopicPartition::new(topic.clone(), self.partition),
            offset: self.from,
        }
    }

    /// Passes over the offsets before `offset`; false when `each` has seen enough.
    fn pass_to(
        &mut self,
        offset: i64,
        found: fn(i64) -> LogEntry<'static>,
        each: &mut dyn FnMut(i32, LogEntry<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let (first, to) = (self.from, offset.min(self.to));
        if first >= to {
            return Ok(true);
        }
        self.from = to;
        each(self.partition, found(first))
    }

    /// Tells that the log ends before the range, and reads no more of it.
    fn end(&mut self, each: &mut dyn FnMut(i32, LogEntry<'_>) -> Result<bool>) -> Result<bool> {
        let at = self.from;
        self.from = self.to;
        each(self.partition, LogEntry::EndOfLog(at))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::broker::{FetchedPartition, OutOfRange};

    const PATIENCE: Duration = Duration::from_millis(30);

    fn range(partition: i32, from: i64, to: i64) -> OffsetRange {
        OffsetRange { partition, from, to }
    }

    /// What a leader answers when it is asked for `asked`: records at these offsets, and nothing
    /// behind them up to `next`.
    fn answer(partition: i32, asked: i64, next: i64, offsets: &[i64]) -> Fetched {
        let records: Vec<_> = offsets.iter().map(|&offset| (offset, "k", "v")).collect();
        Fetched {
            partitions: vec![FetchedPartition::made(
                TopicPartition::new("t", partition),
                asked,
                next,
                99,
                &records,
            )],
            ..Fetched::default()
        }
    }

    fn out_of_range(partition: i32, earliest: i64, latest: i64) -> Fetched {
        let at = TopicPartition::new("t", partition);
        Fetched {
            out_of_range: vec![OutOfRange { at, earliest, latest }],
            ..Fetched::default()
        }
    }

    /// Reads ranges from answers, of which the last comes again and again, and tells what was found
    /// and how often was asked.
    fn read(ranges: Vec<OffsetRange>, answers: Vec<Fetched>, enough: usize) -> (Vec<String>, usize) {
        let mut answers = VecDeque::from(answers);
        let (mut found, mut asked) = (Vec::new(), 0);
        let mut fetch = |positions: &[FetchPosition]| {
            assert!(!positions.is_empty());
            asked += 1;
            std::thread::sleep(PATIENCE / 10);
            Ok(answers.pop_front().unwrap_or_default())
        };
        read_by(&mut fetch, &"t".into(), ranges, PATIENCE, &mut |partition, part| {
            found.push(match part {
                LogEntry::Record(message) => format!("{partition}: {}", message.offset),
                LogEntry::Hole(offset) => format!("{partition}: hole at {offset}"),
                LogEntry::Expired(offset) => format!("{partition}: expired at {offset}"),
                LogEntry::EndOfLog(offset) => format!("{partition}: ends at {offset}"),
            });
            Ok(found.len() < enough)
        })
        .unwrap();
        (found, asked)
    }

    #[test]
    fn a_range_is_read_in_order_and_no_further() {
        let answers = vec![answer(0, 3, 0, &[3, 4]), answer(0, 5, 0, &[5, 6, 7])];
        assert_eq!(
            read(vec![range(0, 3, 7)], answers, 9).0,
            ["0: 3", "0: 4", "0: 5", "0: 6"]
        );
        assert_eq!(read(vec![range(0, 3, 3)], vec![], 9), (vec![], 0));
    }

    #[test]
    fn holes_are_told_at_the_beginning_inside_and_at_the_end() {
        let answers = vec![answer(0, 0, 0, &[2, 5]), answer(0, 6, 9, &[])];
        let found = read(vec![range(0, 0, 8)], answers, 9).0;
        assert_eq!(found, ["0: hole at 0", "0: 2", "0: hole at 3", "0: 5", "0: hole at 6"]);
        // The next record stands behind the range.
        assert_eq!(
            read(vec![range(0, 4, 5)], vec![answer(0, 4, 0, &[7])], 9).0,
            ["0: hole at 4"]
        );
    }

    #[test]
    fn enough_is_enough() {
        let (found, asked) = read(vec![range(0, 0, 9)], vec![answer(0, 0, 0, &[0, 1, 2])], 2);
        assert_eq!((found.len(), asked), (2, 1));
    }

    #[test]
    fn what_expired_is_told_and_the_rest_is_read() {
        let answers = vec![out_of_range(0, 5, 9), answer(0, 5, 0, &[5, 6])];
        assert_eq!(
            read(vec![range(0, 2, 7)], answers, 9).0,
            ["0: expired at 2", "0: 5", "0: 6"]
        );
    }

    #[test]
    fn a_log_that_is_shorter_ends_one_range_and_not_the_others() {
        let answers = vec![out_of_range(0, 0, 4), answer(1, 0, 0, &[0, 1])];
        let ranges = vec![range(0, 7, 9), range(1, 0, 2)];
        assert_eq!(read(ranges, answers, 9).0, ["0: ends at 7", "1: 0", "1: 1"]);
    }

    #[test]
    fn an_end_is_believed_when_it_has_been_told_for_long_enough() {
        let mut answers = vec![answer(0, 0, 0, &[0])];
        answers.extend((0..20).map(|_| answer(0, 1, 1, &[])));
        let (found, asked) = read(vec![range(0, 0, 3)], answers, 9);
        assert_eq!(found, ["0: 0", "0: ends at 1"]);
        assert!(asked > 2, "the first time it may be a leader that is new");
        // A leader that learns, and one that is slow to answer.
        let answers = vec![answer(0, 0, 0, &[]), answer(0, 0, 0, &[]), answer(0, 0, 0, &[0])];
        assert_eq!(read(vec![range(0, 0, 1)], answers, 9).0, ["0: 0"]);
        let mut answers: Vec<Fetched> = (0..30).map(|_| Fetched::default()).collect();
        answers.push(answer(0, 0, 0, &[0]));
        assert_eq!(read(vec![range(0, 0, 1)], answers, 9), (vec!["0: 0".to_owned()], 31));
    }
}
