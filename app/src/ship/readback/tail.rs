//! Step 1 for a source that notes what was acknowledged: what stands behind the noted places, and
//! whether the log still holds these.

use crate::broker::log_range::OffsetRange;
use crate::error::{Error, Result};
use crate::ship::full_pass_reason::FullPassReason;
use crate::ship::log_reader::{LogPart, read};
use crate::source::{Acked, SourceState};

use super::noted_record::{NotedRecord, Stood};
use super::{Readback, Stops, first_of};

const WAY_OUT: &str =
    "run `producer --backfill` to send all rows again (and `consumer --heal`, where a sink had landed the old ones)";

/// A partition whose log does not hold what was noted of it.
struct Gone {
    acked: Acked,
    end: i64,
}

impl Readback<'_> {
    /// Reads what stands behind the noted places, unless they are of another topic of this name.
    pub(super) fn read_tail(
        &mut self,
        state: &SourceState,
        mut acked: Vec<Acked>,
        is_another: bool,
        stops: Stops,
    ) -> Result<()> {
        acked.retain(|acked| (acked.partition as usize) < self.ends.len());
        let known = acked.iter().filter(|_| !is_another);
        let known: Vec<_> = known.map(|acked| (acked.partition, acked.offset + 1)).collect();
        // A topic may grow meanwhile: this run knows the partitions that were counted before.
        let partitions = self.ends.len();
        self.earliest = first_of(self.cluster.earliest(&self.topic)?, partitions, &self.topic)?;
        self.ends = first_of(self.cluster.latest_after(&self.topic, &known)?, partitions, &self.topic)?;
        if self.noted.is_new {
            return Ok(()); // nothing was sent before under this name
        }
        if is_another {
            return self.topic_is_another(state, stops);
        }
        let next = |partition: usize| {
            known
                .iter()
                .find(|(p, _)| *p as usize == partition)
                .map_or(0, |(_, next)| *next)
        };
        self.is_at_end = self
            .ends
            .iter()
            .enumerate()
            .all(|(partition, end)| *end == next(partition));
        let (mut ranges, mut gone) = (Vec::new(), Vec::new());
        // The noted record is read too, where it is there: a position is a number and what stood
        // there.
        let mut noted_records: Vec<Option<NotedRecord>> = (0..partitions).map(|_| None).collect();
        for partition in 0..partitions as i32 {
            let at = partition as usize;
            let (first, end) = (self.earliest[at], self.ends[at]);
            let mut from = first;
            match acked.iter().find(|acked| acked.partition == partition) {
                None if first > 0 => self
                    .history
                    .needs_full_pass(FullPassReason::expired(partition, 0, first)),
                None => {}
                Some(acked) if end <= acked.offset => {
                    gone.push(Gone { acked: *acked, end });
                    continue;
                }
                Some(acked) if first > acked.offset + 1 => {
                    self.history
                        .needs_full_pass(FullPassReason::expired(partition, acked.offset + 1, first));
                }
                Some(acked) => {
                    from = from.max(acked.offset - 1);
                    noted_records[at] = (first <= acked.offset).then(|| NotedRecord::new(*acked));
                    self.history.goes_on(acked);
                }
            }
            ranges.push(OffsetRange {
                partition,
                from,
                to: end,
            });
        }
        let (source, ends) = (&self.noted.source, self.ends.clone());
        let mut others = Vec::new();
        let mut is_whole = false;
        self.read_ranges(state, ranges, &mut |part, history| {
            let at = part.partition() as usize;
            let Some(noted) = &mut noted_records[at] else {
                return true;
            };
            let acked = noted.acked;
            match noted.look(part, source) {
                Stood::Unknown => return false,
                Stood::Same => is_whole = true,
                Stood::Other => others.push(Gone { acked, end: ends[at] }),
                Stood::Gone => history.needs_full_pass(FullPassReason::Hole {
                    partition: acked.partition,
                    offset: acked.offset,
                }),
            }
            noted_records[at] = None;
            // One that stands behind the noted record is the first of those that are read back.
            matches!(part, LogPart::Record(record) if record.message.offset > acked.offset)
        })?;
        gone.extend(others);
        if gone.is_empty() {
            return Ok(());
        }
        self.log_is_another(state, &gone, is_whole, stops)
    }

    /// The topic has another id than the one in which the noted records stand: what its log holds may
    /// look like them, and was not sent by this source to this topic.
    fn topic_is_another(&mut self, state: &SourceState, stops: Stops) -> Result<()> {
        if stops == Stops::Always {
            return Err(Error::loss(format!(
                "topic \"{}\" has another id than the one to which this source has sent: the topic was made anew",
                self.topic
            ))
            .way_out(WAY_OUT));
        }
        let all = self.earliest.iter().zip(&self.ends).enumerate();
        let all = all.map(|(partition, (&from, &to))| OffsetRange {
            partition: partition as i32,
            from,
            to,
        });
        self.take_new_log(state, all.collect(), FullPassReason::NewLog)
    }

    /// Whatever a log holds that is not the noted one, this run's epoch and pass must be above it.
    fn take_new_log(&mut self, state: &SourceState, ranges: Vec<OffsetRange>, why: FullPassReason) -> Result<()> {
        self.read_ranges(state, ranges, &mut |_, _| true)?;
        self.history.needs_full_pass(why);
        Ok(())
    }

    /// The log does not hold what was noted. Where it holds older records of this source it has
    /// lost its end. Else it was made anew, and there is nothing left in it to lose.
    fn log_is_another(&mut self, state: &SourceState, gone: &[Gone], mut is_old: bool, stops: Stops) -> Result<()> {
        let begin = |gone: &Gone| OffsetRange {
            partition: gone.acked.partition,
            from: self.earliest[gone.acked.partition as usize],
            to: gone.end,
        };
        for gone in gone {
            let mut first = None;
            read(
                self.cluster,
                self.key,
                &self.topic,
                vec![begin(gone)],
                self.stop,
                &mut |part| {
                    if let LogPart::Record(record) = &part {
                        first = record.number_of(&self.noted.source);
                    }
                    Ok(first.is_none())
                },
            )?;
            // A run that lived when the topic was made anew went on in it with its next number.
            is_old |= first.is_some_and(|number| number <= (gone.acked.epoch, gone.acked.seq));
        }
        if stops == Stops::Always || is_old && stops == Stops::WhereTheEndIsLost {
            let Gone { acked, end } = &gone[0];
            let what = if *end <= acked.offset {
                format!("but the log ends at {end}")
            } else {
                "but another record stands there".to_owned()
            };
            let why = if is_old {
                "its end was lost"
            } else {
                "the topic was made anew"
            };
            return Err(Error::loss(format!(
                "topic \"{}\" partition {}: the broker acknowledged records up to offset {}, {what}: {why}",
                self.topic, acked.partition, acked.offset
            ))
            .way_out(WAY_OUT));
        }
        let why = if is_old {
            FullPassReason::LostEnd
        } else {
            FullPassReason::NewLog
        };
        self.take_new_log(state, gone.iter().map(begin).collect(), why)
    }
}
