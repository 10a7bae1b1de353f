//! The log is read back, and the log is the fence.
//!
//! The file that a run finds may not be the one that the last run left: a crash before a note, a backup put back, a copy, a rewind. What was
//! said stands in the log. So a run
//!
//! 1. reads, in each partition, what stands behind the offset that this file noted as acknowledged, and takes an epoch above all of its own
//!    source's there; that epoch is stored in the file (`SourceState::begin_run`);
//! 2. sends its first record to each partition: the fence. Behind it every sink skips older epochs;
//! 3. reads the rest up to the fence;
//! 4. puts the keys of its own source's records, all that 1 and 3 found, into the outbox as changed, and notes the fence as the new place, in
//!    one transaction (`SourceState::settle`). From there on it ships as ever.
//!
//! **Why the sink becomes equal.** All that a sink takes from a partition stands either at or before the noted place, or between it and the
//! fence, or behind the fence. What stands at or before it was read from states of the file that this one descends from: a note is made in a
//! transaction that checks just that (`source::fork`), and later changes are in the outbox. What stands between is sent again as it is now.
//! Behind the fence only this run counts, until a newer one has a fence of its own and does the same.
//!
//! **Why it holds wherever it is cut.** Before 2 nothing was said: the next run finds the same tail. Between 2 and 4, and with fences in some
//! partitions only, the place still is the old one: the next run finds the same records, the fences among them, and takes a higher epoch. 4 is
//! one transaction. After 4 the place is the fence, and the outbox holds what the tail held.
//!
//! **Why it holds beside others.** A paused process of the same file: what it read was in the outbox when this run began, or is in the
//! tail; what it sends behind the fence is skipped, and it stops at its next look at the file. A copy that begins at the same time: of two fences
//! in a partition the later one's run finds the other's in 3, and when that has no smaller epoch it begins again with a higher one. A copy that
//! lives: see `copies`.
//!
//! **When the tail cannot be known** (offsets that are not there any more, numbers that are missing, a pass of it that did not end, another
//! shape of the table, no right to read) the run is a full pass. So it is when the log holds nothing of what the file noted, because it was made
//! anew. Where it does hold that and only lost its end, a person is to look at the cluster first.

use std::sync::Arc;

use crate::broker::Cluster;
use crate::broker::log_range::OffsetRange;
use crate::error::{Error, Kind, Result};
use crate::source::{Acked, Noted, SourceState};
use crate::stop::Stop;
use crate::wire::sign::SignKey;

use super::history::{History, Why};
use super::log_reader::{Part, read};

/// Keys that are handed to the file's temporary table at one time.
const KEYS: usize = 10_000;

/// Records of the first look from the end of a log backwards; each further look is `MORE` times as long.
const LOOK_BACK: i64 = 4096;
const MORE: i64 = 8;

/// What a run finds in one topic behind what its file noted.
pub struct Readback<'a> {
    cluster: &'a Cluster,
    key: Option<&'a SignKey>,
    noted: &'a Noted,
    topic: Arc<str>,
    /// Where each partition began and ended.
    earliest: Vec<i64>,
    ends: Vec<i64>,
    pub history: History,
    is_at_end: bool,
    stop: &'a Stop,
}

/// When a log that does not hold what was noted is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// All rows are sent anyway.
    Never,
    WhereTheEndIsLost,
    /// Where the topic was made anew, too.
    Always,
}

/// A partition whose log does not hold what was noted of it.
struct Gone {
    acked: Acked,
    end: i64,
}

impl<'a> Readback<'a> {
    /// Step 1 for a source that notes what was acknowledged. What stops a run is no hindrance to one that sends all rows anyway.
    pub fn start(
        cluster: &'a Cluster,
        key: Option<&'a SignKey>,
        state: &SourceState,
        noted: &'a Noted,
        (topic, partitions): (&str, i32),
        stops: Stops,
        stop: &'a Stop,
    ) -> Result<Self> {
        let acked = state.acked(topic)?;
        let mut readback = Self {
            history: History::new(&noted.source, partitions, state.last_pass(topic)?),
            cluster,
            key,
            noted,
            topic: topic.into(),
            earliest: vec![0; partitions as usize],
            ends: vec![0; partitions as usize],
            is_at_end: false,
            stop,
        };
        match readback.read_tail(state, acked, stops) {
            Err(error) if error.kind() == Kind::Denied => readback.history.is_full(Why::Denied),
            done => done?,
        }
        Ok(readback)
    }

    /// Step 1 for a source that notes nothing, and sends all of it each time: looks from each log's end backwards for its newest run. Before
    /// the first record of a run there is no epoch above its own.
    pub fn start_unnoted(
        cluster: &'a Cluster,
        key: Option<&'a SignKey>,
        noted: &'a Noted,
        (topic, partitions): (&str, i32),
        stop: &'a Stop,
    ) -> Result<Self> {
        let mut readback = Self {
            cluster,
            key,
            noted,
            history: History::new(&noted.source, partitions, 0),
            topic: topic.into(),
            earliest: first_of(cluster.earliest(topic)?, partitions as usize, topic)?,
            ends: first_of(cluster.latest(topic)?, partitions as usize, topic)?,
            is_at_end: false,
            stop,
        };
        for partition in 0..partitions {
            match readback.find_newest_run(partition) {
                Err(error) if error.kind() == Kind::Denied => break,
                done => done?,
            }
        }
        Ok(readback)
    }

    fn find_newest_run(&mut self, partition: i32) -> Result<()> {
        let at = partition as usize;
        let (mut to, mut length) = (self.ends[at], LOOK_BACK);
        while to > self.earliest[at] && !self.history.has_begun(partition) {
            let from = self.earliest[at].max(to - length);
            let history = &mut self.history;
            read(
                self.cluster,
                self.key,
                &self.topic,
                vec![OffsetRange { partition, from, to }],
                self.stop,
                &mut |part| {
                    history.take(&part);
                    history.take_keys();
                    Ok(true)
                },
            )?;
            (to, length) = (from, length * MORE);
        }
        Ok(())
    }

    /// Step 3: the rest up to the fences. An error when another run of this source has begun meanwhile that is not older.
    pub fn finish(&mut self, state: &SourceState, epoch: u64, fences: &[Acked]) -> Result<()> {
        if self.history.why() == Some(&Why::Denied) {
            return Ok(());
        }
        let ranges = fences.iter().map(|fence| OffsetRange {
            partition: fence.partition,
            from: self.ends[fence.partition as usize],
            to: fence.offset,
        });
        let mut rival = false;
        self.read_ranges(state, ranges.collect(), &mut |part, _| {
            if let Part::Record(record) = part {
                let fence = fences.iter().find(|fence| fence.partition == record.partition);
                // The fence itself may have been sent twice.
                let is_fence = fence.is_some_and(|fence| fence.stood == Some(record.fingerprint()));
                rival |= !is_fence
                    && record
                        .number_of(&self.noted.source)
                        .is_some_and(|(found, _)| found >= epoch);
                return !is_fence;
            }
            true
        })?;
        match rival {
            true => Err(Error::new(
                Kind::Forked,
                format!(
                    "topic \"{}\": another run of this source began at the same time",
                    self.topic
                ),
            )),
            false => Ok(()),
        }
    }

    /// Whether the log ends where the file's note does.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    fn read_tail(&mut self, state: &SourceState, mut acked: Vec<Acked>, stops: Stops) -> Result<()> {
        acked.retain(|acked| (acked.partition as usize) < self.ends.len());
        let known: Vec<_> = acked.iter().map(|acked| (acked.partition, acked.offset + 1)).collect();
        // A topic may grow meanwhile: this run knows the partitions that were counted before.
        let partitions = self.ends.len();
        self.earliest = first_of(self.cluster.earliest(&self.topic)?, partitions, &self.topic)?;
        self.ends = first_of(self.cluster.latest_after(&self.topic, &known)?, partitions, &self.topic)?;
        if self.noted.is_new {
            return Ok(()); // nothing was sent before under this name
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
        // The noted record is read too, where it is there: a position is a number and what stood there.
        let mut checks: Vec<Option<Check>> = (0..partitions).map(|_| None).collect();
        for partition in 0..partitions as i32 {
            let at = partition as usize;
            let (first, end) = (self.earliest[at], self.ends[at]);
            let mut from = first;
            match acked.iter().find(|acked| acked.partition == partition) {
                None if first > 0 => self.history.is_full(Why::expired(partition, 0, first)),
                None => {}
                Some(acked) if end <= acked.offset => {
                    gone.push(Gone { acked: *acked, end });
                    continue;
                }
                Some(acked) if first > acked.offset + 1 => {
                    self.history.is_full(Why::expired(partition, acked.offset + 1, first));
                }
                Some(acked) => {
                    from = from.max(acked.offset - 1);
                    checks[at] = (first <= acked.offset).then_some(Check {
                        acked: *acked,
                        before: None,
                    });
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
            let Some(check) = &mut checks[at] else {
                return true;
            };
            let acked = check.acked;
            match check.look(part, source) {
                Stood::Unknown => return false,
                Stood::Same => is_whole = true,
                Stood::Other => others.push(Gone { acked, end: ends[at] }),
                Stood::Gone => history.is_full(Why::Hole {
                    partition: acked.partition,
                    offset: acked.offset,
                }),
            }
            checks[at] = None;
            // One that stands behind the noted record is the first of those that are read back.
            matches!(part, Part::Record(record) if record.message.offset > acked.offset)
        })?;
        gone.extend(others);
        match gone.is_empty() {
            true => Ok(()),
            false => self.log_is_another(state, &gone, is_whole, stops),
        }
    }

    /// The log does not hold what was noted. Where it holds older records of this source it has lost its end. Else it was made anew, and
    /// there is nothing left in it to lose.
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
                    if let Part::Record(record) = &part {
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
            let what = match *end <= acked.offset {
                true => format!("but the log ends at {end}"),
                false => "but another record stands there".to_owned(),
            };
            let why = match is_old {
                true => "its end was lost",
                false => "the topic was made anew",
            };
            return Err(Error::loss(format!(
                "topic \"{}\" partition {}: the broker acknowledged records up to offset {}, {what}: {why}",
                self.topic, acked.partition, acked.offset
            ))
            .way_out(
                "run `producer --backfill` to send all rows again (and `consumer --heal`, where a sink had landed the old ones)",
            ));
        }
        // Whatever it holds, this run's epoch and pass must be above it.
        let ranges = gone.iter().map(begin).collect();
        self.read_ranges(state, ranges, &mut |_, _| true)?;
        self.history.is_full(if is_old { Why::LostEnd } else { Why::NewLog });
        Ok(())
    }

    /// Reads ranges into the history, but for the parts that `wanted` does not want.
    fn read_ranges(
        &mut self,
        state: &SourceState,
        ranges: Vec<OffsetRange>,
        wanted: &mut dyn FnMut(&Part<'_>, &mut History) -> bool,
    ) -> Result<()> {
        let (topic, history) = (&self.topic, &mut self.history);
        read(self.cluster, self.key, topic, ranges, self.stop, &mut |part| {
            if wanted(&part, history) {
                history.take(&part);
            }
            if history.keys.len() >= KEYS {
                state.keep_keys(topic, &history.take_keys())?;
            }
            Ok(true)
        })?;
        match history.keys.is_empty() {
            true => Ok(()),
            false => state.keep_keys(topic, &history.take_keys()),
        }
    }
}

/// A noted record, and what was read of the log around it so far.
struct Check {
    acked: Acked,
    /// The fingerprint of the record before it.
    before: Option<u64>,
}

/// What stands where the noted record stood.
enum Stood {
    /// That is not read yet.
    Unknown,
    Same,
    Other,
    /// No record.
    Gone,
}

impl Check {
    fn look(&mut self, part: &Part<'_>, source: &str) -> Stood {
        let acked = &self.acked;
        let record = match part {
            Part::Record(record) => record,
            Part::Hole { offset, .. } if *offset < acked.offset => return Stood::Unknown,
            Part::Hole { .. } => return Stood::Gone,
        };
        if record.message.offset < acked.offset {
            self.before = Some(record.fingerprint());
            return Stood::Unknown;
        }
        let is_tombstone = record.message.value.is_empty();
        let same = match (acked.stood, self.before) {
            _ if record.message.offset > acked.offset => return Stood::Gone,
            // Earlier versions noted no more than the number.
            (None, _) => is_tombstone || record.number_of(source) == Some((acked.epoch, acked.seq)),
            // A tombstone looks like any other of its key: the deletion before it tells.
            (Some(_), None) if is_tombstone => return Stood::Gone,
            (Some(stood), Some(before)) if is_tombstone => before == stood,
            (Some(stood), _) => record.fingerprint() == stood,
        };
        if same { Stood::Same } else { Stood::Other }
    }
}

/// The numbers of the partitions that were counted. An error where the topic has fewer by now.
fn first_of(mut offsets: Vec<i64>, partitions: usize, topic: &str) -> Result<Vec<i64>> {
    match offsets.len() < partitions {
        true => Err(Error::new(
            Kind::Forked,
            format!("topic \"{topic}\" has fewer partitions than a moment ago"),
        )),
        false => {
            offsets.truncate(partitions);
            Ok(offsets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Message;
    use crate::ship::log_reader::Record;
    use crate::wire::fingerprint::fingerprint;

    const DELETION: &[u8] = br#"{"id":1,"__deleted":true,"_ferry":"me.50.3"}"#;

    fn record(offset: i64, value: &'static [u8]) -> Part<'static> {
        let message = Message {
            offset,
            key: br#"{"id":1}"#,
            value,
        };
        Part::Record(Record {
            partition: 0,
            message,
            signer: None,
        })
    }

    /// What a note of offset 9 makes of these parts.
    fn looked(stood: Option<&[u8]>, parts: &[Part<'_>]) -> Stood {
        let mut check = Check {
            acked: Acked {
                partition: 0,
                epoch: 50,
                seq: 3,
                offset: 9,
                stood: stood.map(|value| fingerprint(br#"{"id":1}"#, value)),
            },
            before: None,
        };
        let mut last = Stood::Unknown;
        for part in parts {
            assert!(matches!(last, Stood::Unknown), "it was decided before");
            last = check.look(part, "me");
        }
        last
    }

    #[test]
    fn a_noted_record_is_known_by_what_it_holds() {
        let row: &[u8] = br#"{"id":1,"_ferry":"me.50.3"}"#;
        let other: &[u8] = br#"{"id":1,"_ferry":"me.60.3"}"#;
        let hole = |offset| Part::Hole { partition: 0, offset };
        assert!(matches!(
            looked(Some(row), &[record(8, other), record(9, row)]),
            Stood::Same
        ));
        assert!(matches!(looked(Some(row), &[record(9, row)]), Stood::Same));
        assert!(matches!(looked(Some(row), &[record(9, other)]), Stood::Other));
        assert!(matches!(looked(Some(row), &[record(8, row), hole(9)]), Stood::Gone));
        assert!(matches!(looked(Some(row), &[hole(8), record(10, row)]), Stood::Gone));
        // What earlier versions noted.
        assert!(matches!(looked(None, &[record(9, row)]), Stood::Same));
        assert!(matches!(looked(None, &[record(9, other)]), Stood::Other));
    }

    #[test]
    fn a_tombstone_is_known_by_the_deletion_before_it() {
        let other: &[u8] = br#"{"id":1,"__deleted":true,"_ferry":"me.60.3"}"#;
        assert!(matches!(
            looked(Some(DELETION), &[record(8, DELETION), record(9, b"")]),
            Stood::Same
        ));
        assert!(matches!(
            looked(Some(DELETION), &[record(8, other), record(9, b"")]),
            Stood::Other
        ));
        assert!(matches!(looked(Some(DELETION), &[record(9, b"")]), Stood::Gone));
    }

    #[test]
    fn a_run_knows_the_partitions_that_were_counted() {
        assert_eq!(first_of(vec![1, 2, 3], 2, "t").unwrap(), [1, 2]);
        assert_eq!(first_of(vec![1], 2, "t").unwrap_err().kind(), Kind::Forked);
    }
}
