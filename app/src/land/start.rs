//! Where to read on: the sink's positions beside what the broker still has.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{self, Chunk, Cluster};
use crate::error::{Error, Result};
use crate::sequence::{Gap, Verdict, judge};
use crate::sink::{Position, Sink};
use crate::stop::Stop;
use crate::wire::decode;

use super::lane::Lane;
use super::{From, Options};

/// Time between two looks for a topic that does not exist yet.
const LOOK_FOR_TOPIC: Duration = Duration::from_secs(1);

/// The longest wait for the record that comes next, which is there.
const PEEK: Duration = Duration::from_secs(5);

/// The lanes, and for each the offset where it is caught up.
pub struct Start {
    pub lanes: Vec<Lane>,
    pub targets: Vec<i64>,
}

pub fn lanes(options: &Options, cluster: &Cluster, sink: &Sink, stop: &Stop) -> Result<Start> {
    let mut start = Start {
        lanes: Vec::new(),
        targets: Vec::new(),
    };
    for name in &options.topics {
        let topic: Arc<str> = name.as_str().into();
        let known = sink.positions(name)?;
        let landed = || known.iter().filter(|p| p.next_offset > 0);
        let partitions = partitions(options, cluster, &topic, landed().next().is_some(), stop)?;
        if let Some(gone) = landed().find(|p| p.partition >= partitions) {
            return Err(Error::loss(format!(
                "topic \"{topic}\" has {partitions} partitions, but this sink has landed records of partition {}: the topic was made anew",
                gone.partition
            ))
            .way_out("land the new topic in another --sink"));
        }
        let (earliest, latest) = (cluster.earliest(name)?, cluster.latest(name)?);
        for partition in 0..partitions {
            let (first, end) = (earliest[partition as usize], latest[partition as usize]);
            let lane = match known.iter().find(|p| p.partition == partition) {
                Some(position) => {
                    let mut lane = known_lane(position.clone(), first, end, options.heal)?;
                    if options.heal && (lane.position.healing || gap_ahead(cluster, &lane.position, end)?) {
                        // The full pass that heals it can have begun before this position, where a new log took the old one's place.
                        lane.position.healing = true;
                        lane.position.next_offset = first;
                    }
                    lane
                }
                None => new_lane(
                    &topic,
                    partition,
                    if options.from == From::Earliest { first } else { end },
                ),
            };
            start.lanes.push(lane);
            start.targets.push(end);
        }
    }
    Ok(start)
}

/// The topic's partitions, once it is there.
fn partitions(options: &Options, cluster: &Cluster, topic: &Arc<str>, known: bool, stop: &Stop) -> Result<i32> {
    let mut said = false;
    loop {
        if let Some(partitions) = cluster.partitions(topic, false)? {
            return Ok(partitions);
        }
        if known {
            return Err(Error::loss(format!(
                "topic \"{topic}\" is gone from the broker, but this sink has landed records of it"
            ))
            .way_out("run `producer --backfill`, which makes it anew, then `consumer --heal`"));
        }
        if options.until_caught_up {
            return Err(Error::failed(format!("topic \"{topic}\" does not exist")).way_out(
                "run the producer first, which makes it, or `sh server_up.sh --topic NAME`; without --until-caught-up the consumer waits for it",
            ));
        }
        if !said {
            log::info!("topic \"{topic}\" does not exist yet: waiting for it");
            said = true;
        }
        stop.sleep(LOOK_FOR_TOPIC)?;
    }
}

fn new_lane(topic: &Arc<str>, partition: i32, offset: i64) -> Lane {
    let position = Position {
        topic: topic.clone(),
        partition,
        next_offset: offset,
        origin: None,
        reached: None,
        healing: false,
        partial: offset > 0,
        schema: None,
        pass: 0,
    };
    Lane::new(position, false)
}

fn known_lane(position: Position, first: i64, end: i64, heal: bool) -> Result<Lane> {
    let lost = lost(&position, first, end);
    let mut lane = Lane::new(position, true);
    match lost {
        Some(error) if !heal => return Err(error),
        Some(error) => {
            log::warn!("{error}");
            // Records with numbers say by themselves where all is whole again; others' records only go on.
            lane.position.healing = lane.position.origin.is_some();
            lane.position.partial = true;
            lane.position.next_offset = first;
        }
        None => {}
    }
    Ok(lane)
}

/// What is gone between the sink's position and what the broker has.
pub fn lost(position: &Position, first: i64, end: i64) -> Option<Error> {
    let next = position.next_offset;
    let place = format!("topic \"{}\" partition {}", position.topic, position.partition);
    let what = if next < first {
        let last = first - 1;
        let count = first - next;
        format!("{place}: offsets {next} to {last} ({count} records) expired before they were read")
    } else if next > end {
        format!(
            "{place}: this sink has read up to offset {next}, but the log ends at {end}: the topic was made anew, or its end was lost"
        )
    } else {
        return None;
    };
    let way_out = match position.origin {
        Some(_) => {
            "run `producer --backfill`, then `consumer --heal`: every row is sent again, and what is gone is removed"
        }
        None => "`consumer --heal` goes on with what is there",
    };
    Some(Error::loss(what).way_out(way_out))
}

/// Whether the next record tells of a gap in the numbers of the source that has landed.
fn gap_ahead(cluster: &Cluster, position: &Position, end: i64) -> Result<bool> {
    if position.origin.is_none() || position.next_offset >= end {
        return Ok(false);
    }
    let at = broker::Position {
        topic: position.topic.clone(),
        partition: position.partition,
        offset: position.next_offset,
    };
    let fetched = cluster.fetcher().fetch(&[at], PEEK)?;
    let Some(next) = fetched.chunks.iter().flat_map(Chunk::records).next() else {
        return Ok(false);
    };
    let Ok(record) = decode::record(next.value, None, Vec::new()) else {
        return Ok(false);
    };
    let verdict = record
        .stamp()
        .map(|stamp| judge(position.origin.as_ref(), &stamp, record.link()));
    Ok(matches!(verdict, Some(Verdict::Gap(gap)) if !matches!(gap, Gap::OtherSource { .. })))
}
