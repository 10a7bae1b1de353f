//! Whether a topic's log is still the one in which the sink's positions stand. A log that was made anew counts its records from 0 as the
//! old one did, and can be exactly as long: so a position is a number and what stood there.
//!
//! It is looked at before anything of the log is believed: at the start, and before a round is applied that came after trouble or a
//! silence. The rounds before that one have been applied, so an applier stands where the round begins; and the log is asked after the round
//! came. Where the same record still stands below the applier's position, the round is of the same log.

use crate::model::TopicPartition;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::broker::{self, Cluster, FetchedPartition, Message};
use crate::error::{Error, Result};
use crate::sink::SinkPosition;
use crate::wire::decode::{self, Record};
use crate::wire::fingerprint::fingerprint;
use crate::wire::sign::SignKey;

use super::Options;
use super::partition_applier::PartitionApplier;
use super::prefetch::LONGEST_FETCH;

/// How long a record that should be there may take, before the log is asked again how far it goes.
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
pub struct Log {
    pub earliest: Vec<i64>,
    pub ends: Vec<i64>,
    /// Of each partition that was looked at.
    below: HashMap<i32, Below>,
    /// Whether appliers were set back to where it begins.
    pub set_back: bool,
}

/// Sees to it that the appliers of a topic stand in its log; `known` is all that the sink holds of the topic. An applier that does not is a loss.
///
/// Yet where the log was made anew and holds a full pass of the same source that is newer than all that landed here, nothing is lost: the
/// pass brings every row, and tells which are gone. Then the log is read from its beginning up to the pass, as `--heal` does it.
///
/// A pass spans all partitions, and so does a topic that is made anew: where one partition shows it, those that show nothing are set
/// back too. All of that has to be noted in one transaction, or what is left would look whole to the next run.
pub fn settle(
    options: &Options,
    cluster: &Cluster,
    topic: &str,
    known: &[SinkPosition],
    appliers: &mut [PartitionApplier],
    alive: &dyn Fn(),
) -> Result<Log> {
    let is_ours = |applier: &&mut PartitionApplier| &*applier.position.at.topic == topic && applier.noted.is_some();
    let mut appliers: Vec<&mut PartitionApplier> = appliers.iter_mut().filter(is_ours).collect();
    let own: Vec<SinkPosition> = appliers.iter().map(|applier| applier.position.clone()).collect();
    let mut log = Log::survey(cluster, topic, &own)?;
    if own.iter().all(|position| log.bears_out(position)) {
        return Ok(log);
    }
    let is_other = |position: &&SinkPosition| own.iter().all(|own| own.at.partition != position.at.partition);
    let others: Vec<SinkPosition> = known.iter().filter(is_other).cloned().collect();
    log.below.extend(Log::survey(cluster, topic, &others)?.below);
    let made_anew = log.below.values().any(|below| *below == Below::Other);

    let losses = own.iter().filter_map(|position| log.loss(position));
    let elsewhere = others.iter().filter(|p| log.below[&p.at.partition] == Below::Other);
    let mut losses = losses.chain(elsewhere.filter_map(|position| log.loss(position)));
    let Some(loss) = losses.next() else {
        return Ok(log);
    };
    if options.heal {
        [loss].into_iter().chain(losses).for_each(|loss| log::warn!("{loss}"));
    } else {
        drop(losses);
        let all: Vec<&SinkPosition> = own.iter().chain(&others).collect();
        match made_anew
            .then(|| find_pass(options.sign_key.as_ref(), cluster, topic, &all, &log, alive))
            .transpose()?
            .flatten()
        {
            Some(found) => log::warn!("{}; {found}: the new log is read from its beginning", loss.what()),
            None => return Err(loss),
        }
    }
    for applier in &mut appliers {
        let position = &applier.position;
        if !log.bears_out(position) && (made_anew || log.loss(position).is_some()) {
            applier.set_back(log.earliest[position.at.partition as usize]);
            applier.position.partial = true;
            log.set_back = true;
        }
    }
    Ok(log)
}

impl Log {
    /// Looks at what stands below positions of a topic.
    fn survey(cluster: &Cluster, topic: &str, positions: &[SinkPosition]) -> Result<Self> {
        loop {
            let at: Vec<_> = positions.iter().map(|p| (p.at.partition, p.next_offset)).collect();
            let mut log = Self {
                earliest: cluster.earliest(topic)?,
                ends: cluster.latest_after(topic, &at)?,
                below: HashMap::new(),
                set_back: false,
            };
            let mut asked = Vec::new();
            for position in positions {
                let known = position.last.filter(|last| last.offset < position.next_offset);
                let below = match (log.bounds(position), known) {
                    (Some((_, end)), _) if position.next_offset > end => Below::Other,
                    (Some((first, _)), Some(last)) if last.offset >= first => {
                        let at = broker::FetchPosition {
                            at: position.at.clone(),
                            offset: last.offset,
                        };
                        asked.push((at, last.fingerprint));
                        continue;
                    }
                    _ => Below::Nothing,
                };
                log.below.insert(position.at.partition, below);
            }
            if log.look(cluster, asked)? {
                return Ok(log);
            }
        }
    }

    /// Fetches records and compares them with what they should be; false when the log has changed meanwhile.
    fn look(&mut self, cluster: &Cluster, mut asked: Vec<(broker::FetchPosition, u64)>) -> Result<bool> {
        let mut fetcher = cluster.fetcher();
        // The first answer without the record. Where no answer has come, the broker is slow.
        let mut missed: Option<Instant> = None;
        while !asked.is_empty() {
            let places: Vec<_> = asked.iter().map(|(at, _)| at.clone()).collect();
            let fetched = fetcher.fetch(&places, LONGEST_FETCH)?;
            let is_missing = missed.is_some_and(|since| since.elapsed() > PATIENCE);
            if !fetched.out_of_range.is_empty() || is_missing {
                return Ok(false);
            }
            for chunk in &fetched.chunks {
                let Some(place) = asked.iter().position(|(position, _)| position.at == *chunk.at()) else {
                    continue;
                };
                let (at, fingerprint_then) = &asked[place];
                let below = match chunk.records().next() {
                    Some(found) if found.offset == at.offset => {
                        match fingerprint(found.key, found.value) == *fingerprint_then {
                            true => Below::Same,
                            false => Below::Other,
                        }
                    }
                    None if chunk.stands_still() => {
                        missed.get_or_insert_with(Instant::now);
                        continue;
                    }
                    _ => Below::Nothing,
                };
                self.below.insert(at.at.partition, below);
                asked.remove(place);
            }
        }
        Ok(true)
    }

    /// The first offset and the end of a position's partition.
    fn bounds(&self, position: &SinkPosition) -> Option<(i64, i64)> {
        let at = position.at.partition as usize;
        Some((*self.earliest.get(at)?, *self.ends.get(at)?))
    }

    /// Whether a position is proved to stand in this log.
    fn bears_out(&self, position: &SinkPosition) -> bool {
        let Some((first, _)) = self.bounds(position) else {
            return true; // a partition that the broker does not know yet, or no more
        };
        let below = self.below[&position.at.partition];
        position.next_offset >= first && (position.next_offset == 0 || below == Below::Same)
    }

    /// What is gone between a position and what the log holds.
    fn loss(&self, position: &SinkPosition) -> Option<Error> {
        let (first, end) = self.bounds(position)?;
        let next = position.next_offset;
        let place = format!("topic \"{}\" partition {}", position.at.topic, position.at.partition);
        let what = match (position.last, self.below[&position.at.partition]) {
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
        let way_out = match position.origin {
            Some(_) => {
                "run `producer --backfill`, then `consumer --heal`: every row is sent again, and what is gone is removed"
            }
            None => "`consumer --heal` goes on with what is there",
        };
        Some(Error::loss(what).way_out(way_out))
    }
}

/// Looks through a log for a full pass of the source of these positions that is newer than all passes that landed: where it begins.
fn find_pass(
    key: Option<&SignKey>,
    cluster: &Cluster,
    topic: &str,
    positions: &[&SinkPosition],
    log: &Log,
    alive: &dyn Fn(),
) -> Result<Option<String>> {
    let Some(origin) = positions.iter().find_map(|position| position.origin.as_ref()) else {
        return Ok(None);
    };
    let landed = positions.iter().map(|position| position.pass).max().unwrap_or(0);
    let is_it = |partition: i32, record: &Message<'_>| {
        // Most records are rows, which are not looked into.
        let value = record.value;
        let is_genuine = || key.is_none_or(|sign_key| sign_key.signer(topic, partition).has_signed(record.key, value));
        let read = (decode::is_schema(value) && is_genuine()).then(|| decode::record(value, None, Vec::new()));
        match read {
            Some(Ok(Record::Schema {
                id, begin: Some(pass), ..
            })) => id.source == origin.source && pass > landed,
            _ => false,
        }
    };
    let bounds = log.earliest.iter().zip(&log.ends).enumerate();
    let mut at: Vec<broker::FetchPosition> = bounds
        .filter(|(_, (first, end))| first < end)
        .map(|(partition, (&offset, _))| broker::FetchPosition {
            at: TopicPartition::new(topic, partition as i32),
            offset,
        })
        .collect();
    let mut fetcher = cluster.fetcher();
    while !at.is_empty() {
        alive();
        let fetched = fetcher.fetch(&at, LONGEST_FETCH)?;
        if !fetched.out_of_range.is_empty() {
            return Ok(None); // it has changed again
        }
        for chunk in &fetched.chunks {
            if let Some(begin) = chunk.records().find(|record| is_it(chunk.at().partition, record)) {
                let place = format!("partition {} offset {}", chunk.at().partition, begin.offset);
                return Ok(Some(format!("a full pass of its source begins at {place}")));
            }
            go_on(&mut at, chunk, log);
        }
    }
    Ok(None)
}

/// Moves a position behind a chunk; one that is at the log's end goes.
fn go_on(at: &mut Vec<broker::FetchPosition>, chunk: &FetchedPartition, log: &Log) {
    at.retain_mut(|position| {
        if position.at.partition != chunk.at().partition {
            return true;
        }
        position.offset = position.offset.max(chunk.next_offset());
        position.offset < log.ends[position.at.partition as usize] && !(chunk.is_empty() && chunk.stands_still())
    });
}

#[cfg(test)]
mod tests {
    use crate::sink::LastTaken;

    use super::*;

    /// A position in partition 0 whose last record stands right below it.
    fn position(next_offset: i64) -> SinkPosition {
        SinkPosition {
            at: TopicPartition {
                topic: "t".into(),
                partition: 0,
            },
            next_offset,
            origin: None,
            reached: None,
            last: Some(LastTaken {
                offset: next_offset - 1,
                fingerprint: 7,
            }),
            healing: false,
            partial: false,
            schema: None,
            pass: 0,
        }
    }

    fn log(first: i64, end: i64, below: Below) -> Log {
        Log {
            earliest: vec![first],
            ends: vec![end],
            below: HashMap::from([(0, below), (1, below)]),
            set_back: false,
        }
    }

    fn what(log: &Log, position: &SinkPosition) -> Option<String> {
        log.loss(position).map(|loss| loss.to_string())
    }

    #[test]
    fn only_the_record_below_it_bears_a_position_out() {
        assert!(log(0, 9, Below::Same).bears_out(&position(9)));
        for below in [Below::Other, Below::Nothing] {
            assert!(!log(0, 9, below).bears_out(&position(9)), "{below:?}");
            // Where nothing has been taken there is nothing to compare, and nothing to lose.
            assert!(log(0, 9, below).bears_out(&position(0)), "{below:?}");
        }
        assert!(!log(3, 9, Below::Nothing).bears_out(&position(0)), "it expired");
        let unknown = SinkPosition {
            at: TopicPartition::new("t", 1),
            ..position(9)
        };
        assert!(log(0, 9, Below::Nothing).bears_out(&unknown));
    }

    #[test]
    fn what_is_lost_is_named_and_what_cannot_be_compared_is_no_loss() {
        assert_eq!(what(&log(0, 9, Below::Same), &position(9)), None);
        assert_eq!(what(&log(0, 9, Below::Nothing), &position(9)), None);
        let expired = what(&log(5, 9, Below::Nothing), &position(3)).unwrap();
        assert!(
            expired.contains("offsets 3 to 4 (2 records) expired before they were read"),
            "{expired}"
        );
        let short = what(&log(0, 4, Below::Other), &position(9)).unwrap();
        assert!(
            short.contains("has read up to offset 9, but the log ends at 4"),
            "{short}"
        );
        let other = what(&log(0, 9, Below::Other), &position(9)).unwrap();
        assert!(
            other.contains("topic \"t\" partition 0: another record stands at offset 8") && other.contains("--heal"),
            "{other}"
        );
    }
}
