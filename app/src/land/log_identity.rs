//! Whether a topic's log is still the one in which the sink's positions stand. A log that was made
//! anew counts its records from 0 as the old one did, and can be exactly as long: so a position is
//! a number and what stood there, and the topic's id, where the brokers tell it: another id is
//! another log, whatever stands in it. A position whose id is not known takes the one that is told,
//! and keeps it while none is told: it changes with the log only. The id is asked for before the
//! log, so that a log made anew in between is found at the next look, and never taken for the old
//! one.
//!
//! It is looked at before anything of the log is believed: at the start, and before a round is
//! applied that came after trouble or a silence. The rounds before that one have been applied, so
//! an applier stands where the round begins; and the log is asked after the round came. Where the
//! same record still stands below the applier's position, the round is of the same log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::log_range::{self, LogEntry, OffsetRange};
use crate::broker::{Cluster, Message};
use crate::error::{Error, Result};
use crate::model::{TopicId, topic_id};
use crate::sink::SinkPosition;
use crate::wire::decode::{self, Record};
use crate::wire::fingerprint::fingerprint;
use crate::wire::sign::SignKey;

use super::options::LandOptions;
use super::partition_applier::PartitionApplier;

/// How long a log may end before a record that should be there, until it is asked again how far it
/// goes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a log shows below a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// The record that was taken.
    Same,
    /// Another one, or the log does not go so far.
    Other,
    /// Nothing that tells: no record is known, or it has expired, or compaction took it.
    Nothing,
}

/// A topic's log, as it was just now.
pub(crate) struct Log {
    pub(crate) earliest: Vec<i64>,
    pub(crate) ends: Vec<i64>,
    /// The topic's, where it is told.
    pub(crate) topic_id: Option<TopicId>,
    /// Of each partition that was looked at.
    below: HashMap<i32, Below>,
    /// Whether appliers were set back to where it begins.
    pub(crate) set_back: bool,
}

/// Sees to it that the appliers of a topic stand in its log; `known` is all that the sink holds of
/// the topic. An applier that does not is a loss.
///
/// Yet where the log was made anew and holds a full pass of the same source that is newer than all
/// that landed here, nothing is lost: the pass brings every row, and tells which are gone. Then the
/// log is read from its beginning up to the pass, as `--heal` does it.
///
/// A pass spans all partitions, and so does a topic that is made anew: where one partition shows
/// it, those that show nothing are set back too. All of that has to be noted in one transaction, or
/// what is left would look whole to the next run.
pub(crate) fn settle(
    options: &LandOptions,
    cluster: &Cluster,
    topic: &Arc<str>,
    known: &[SinkPosition],
    appliers: &mut [PartitionApplier],
    goes_on: &dyn Fn(),
) -> Result<Log> {
    let is_ours = |applier: &&mut PartitionApplier| applier.position.at.topic == *topic && applier.noted.is_some();
    let mut appliers: Vec<&mut PartitionApplier> = appliers.iter_mut().filter(is_ours).collect();
    let own: Vec<SinkPosition> = appliers.iter().map(|applier| applier.position.clone()).collect();
    let mut log = Log::survey(cluster, topic, &own, goes_on)?;
    if own.iter().all(|position| log.proves(position)) {
        log.identify(&mut appliers);
        return Ok(log);
    }
    let is_other = |position: &&SinkPosition| own.iter().all(|own| own.at.partition != position.at.partition);
    let others: Vec<SinkPosition> = known.iter().filter(is_other).cloned().collect();
    log.below.extend(Log::survey(cluster, topic, &others, goes_on)?.below);
    let made_anew = log.below.values().any(|below| *below == Below::Other);

    let losses = own.iter().filter_map(|position| log.loss(position));
    let elsewhere = others.iter().filter(|p| log.below[&p.at.partition] == Below::Other);
    let mut losses = losses.chain(elsewhere.filter_map(|position| log.loss(position)));
    let Some(loss) = losses.next() else {
        log.identify(&mut appliers);
        return Ok(log);
    };
    if options.heal {
        [loss].into_iter().chain(losses).for_each(|loss| log::warn!("{loss}"));
    } else {
        drop(losses);
        let all: Vec<&SinkPosition> = own.iter().chain(&others).collect();
        match made_anew
            .then(|| find_pass(options.sign_key.as_ref(), cluster, topic, &all, &log, goes_on))
            .transpose()?
            .flatten()
        {
            Some(found) => log::warn!("{}; {found}: the new log is read from its beginning", loss.what()),
            None => return Err(loss),
        }
    }
    for applier in &mut appliers {
        let position = &applier.position;
        if !log.proves(position) && (made_anew || log.loss(position).is_some()) {
            applier.set_back(log.earliest[position.at.partition as usize], log.topic_id);
            applier.position.partial = true;
            log.set_back = true;
        }
    }
    log.identify(&mut appliers);
    Ok(log)
}

impl Log {
    /// Looks at what stands below positions of a topic.
    fn survey(cluster: &Cluster, topic: &Arc<str>, positions: &[SinkPosition], goes_on: &dyn Fn()) -> Result<Self> {
        loop {
            let known: Vec<_> = positions.iter().filter_map(|position| position.topic_id).collect();
            let topic_id = cluster.topic_id(topic, &known)?;
            goes_on();
            // How far another log goes is no matter of these positions.
            let of_it = positions.iter().filter(|p| !topic_id::is_another(p.topic_id, topic_id));
            let at: Vec<_> = of_it.map(|p| (p.at.partition, p.next_offset)).collect();
            let earliest = cluster.earliest(topic)?;
            goes_on();
            let ends = cluster.latest_after(topic, &at)?;
            goes_on();
            let mut log = Self {
                earliest,
                ends,
                topic_id,
                below: HashMap::new(),
                set_back: false,
            };
            let mut asked = Vec::new();
            for position in positions {
                let known = position.last.filter(|last| last.offset < position.next_offset);
                let below = match (log.bounds(position), known) {
                    _ if log.is_another(position) => Below::Other,
                    (Some((_, end)), _) if position.next_offset > end => Below::Other,
                    (Some((first, _)), Some(last)) if last.offset >= first => {
                        let range = OffsetRange {
                            partition: position.at.partition,
                            from: last.offset,
                            to: last.offset + 1,
                        };
                        asked.push((range, last.fingerprint));
                        continue;
                    }
                    _ => Below::Nothing,
                };
                log.below.insert(position.at.partition, below);
            }
            if log.compare(cluster, topic, &asked, goes_on)? {
                return Ok(log);
            }
        }
    }

    /// Reads records and compares them with what they should be; false when the log has changed
    /// meanwhile.
    fn compare(
        &mut self,
        cluster: &Cluster,
        topic: &Arc<str>,
        asked: &[(OffsetRange, u64)],
        goes_on: &dyn Fn(),
    ) -> Result<bool> {
        let mut is_same_log = true;
        let ranges = asked.iter().map(|(range, _)| *range).collect();
        log_range::read(cluster, topic, ranges, PATIENCE, goes_on, &mut |partition, found| {
            let taken = asked.iter().find(|(range, _)| range.partition == partition);
            let below = match found {
                LogEntry::Record(record) => {
                    let stands = fingerprint(record.key, record.value);
                    if taken.is_some_and(|(_, taken)| stands == *taken) {
                        Below::Same
                    } else {
                        Below::Other
                    }
                }
                LogEntry::Hole(_) => Below::Nothing,
                LogEntry::Expired(_) | LogEntry::EndOfLog(_) => {
                    is_same_log = false;
                    return Ok(false);
                }
            };
            self.below.insert(partition, below);
            Ok(true)
        })?;
        Ok(is_same_log)
    }

    /// Whether a position that has taken anything stands in another topic of this name.
    fn is_another(&self, position: &SinkPosition) -> bool {
        position.next_offset > 0 && topic_id::is_another(position.topic_id, self.topic_id)
    }

    /// Whether a position is known to stand in this topic.
    fn is_this(&self, position: &SinkPosition) -> bool {
        position.topic_id.is_some() && position.topic_id == self.topic_id
    }

    /// All positions stand in this log now.
    fn identify(&self, appliers: &mut [&mut PartitionApplier]) {
        for applier in appliers {
            applier.position.topic_id = self.topic_id.or(applier.position.topic_id);
        }
    }

    /// The first offset and the end of a position's partition.
    fn bounds(&self, position: &SinkPosition) -> Option<(i64, i64)> {
        let at = position.at.partition as usize;
        Some((*self.earliest.get(at)?, *self.ends.get(at)?))
    }

    /// Whether a position is proved to stand in this log.
    fn proves(&self, position: &SinkPosition) -> bool {
        let Some((first, _)) = self.bounds(position) else {
            return true; // a partition that the broker does not know yet, or no more
        };
        let is_proved = match self.below[&position.at.partition] {
            Below::Same => true,
            Below::Other => false,
            Below::Nothing => self.is_this(position),
        };
        position.next_offset >= first && (position.next_offset == 0 || is_proved)
    }

    /// What is gone between a position and what the log holds.
    fn loss(&self, position: &SinkPosition) -> Option<Error> {
        let (first, end) = self.bounds(position)?;
        let next = position.next_offset;
        let place = format!("topic \"{}\" partition {}", position.at.topic, position.at.partition);
        let what = match (position.last, self.below[&position.at.partition]) {
            _ if self.is_another(position) => {
                let [was, is] =
                    [position.topic_id, self.topic_id].map(|id| id.map(|id| id.to_string()).unwrap_or_default());
                format!(
                    "{place}: this sink has read the records up to offset {} of a topic with the id {was}, and this one has the id {is}: the topic was made anew",
                    next - 1
                )
            }
            _ if next < first => format!(
                "{place}: offsets {next} to {} ({} records) expired before they were read",
                first - 1,
                first - next
            ),
            _ if next > end => format!(
                "{place}: this sink has read up to offset {next}, but the log ends at {end}: the topic was made anew, or its end was lost"
            ),
            (Some(last), Below::Other) => format!(
                "{place}: another record stands at offset {}, the last that this sink has read: the topic was made anew, or its end was lost and written again",
                last.offset
            ),
            _ => return None,
        };
        let way_out = match position.last_applied {
            Some(_) => {
                "run `producer --backfill`, then `consumer --heal`: every row is sent again, and what is gone is removed"
            }
            None => "`consumer --heal` goes on with what is there",
        };
        Some(Error::loss(what).way_out(way_out))
    }
}

/// Looks through a log for a full pass of the source of these positions that is newer than all
/// passes that landed: where it begins.
fn find_pass(
    key: Option<&SignKey>,
    cluster: &Cluster,
    topic: &Arc<str>,
    positions: &[&SinkPosition],
    log: &Log,
    goes_on: &dyn Fn(),
) -> Result<Option<String>> {
    let Some(last_applied) = positions.iter().find_map(|position| position.last_applied.as_ref()) else {
        return Ok(None);
    };
    // What has landed from this log already is of the pass that is looked for.
    let of_others = positions.iter().filter(|position| !log.is_this(position));
    let landed = of_others.map(|position| position.pass).max().unwrap_or(0);
    let is_it = |partition: i32, record: &Message<'_>| {
        // Most records are rows, which are not looked into.
        let value = record.value;
        let is_genuine = || key.is_none_or(|sign_key| sign_key.signer(topic, partition).has_signed(record.key, value));
        let read = (decode::is_schema(value) && is_genuine()).then(|| decode::record(value, None, Vec::new()));
        match read {
            Some(Ok(Record::Schema {
                id, begin: Some(pass), ..
            })) => id.source == last_applied.source && pass > landed,
            _ => false,
        }
    };
    let bounds = log.earliest.iter().zip(&log.ends).enumerate();
    let ranges = bounds.map(|(partition, (&from, &to))| OffsetRange {
        partition: partition as i32,
        from,
        to,
    });
    let mut found = None;
    log_range::read(
        cluster,
        topic,
        ranges.collect(),
        PATIENCE,
        goes_on,
        &mut |partition, part| {
            match part {
                LogEntry::Record(record) if is_it(partition, &record) => found = Some((partition, record.offset)),
                LogEntry::Record(_) | LogEntry::Hole(_) | LogEntry::EndOfLog(_) => return Ok(true),
                LogEntry::Expired(_) => {} // it has changed again
            }
            Ok(false)
        },
    )?;
    let place =
        |(partition, offset)| format!("a full pass of its source begins at partition {partition} offset {offset}");
    Ok(found.map(place))
}

#[cfg(test)]
#[path = "log_identity_tests.rs"]
mod tests;
