//! Where to read on: the sink's positions beside what the broker still has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::broker::{self, Chunk, Cluster};
use crate::error::{Error, Result};
use crate::sequence::{Gap, Verdict, judge, run_at};
use crate::sink::{Position, Sink};
use crate::stop::Stop;
use crate::wire::decode;

use super::berths::Berth;
use super::lane::Lane;
use super::{From, Options, Sharing};

/// Time between two looks for a topic that does not exist yet.
const LOOK_FOR_TOPIC: Duration = Duration::from_secs(1);

/// The longest wait for the record that comes next, which is there.
const PEEK: Duration = Duration::from_secs(5);

/// A topic to land, and where each of its partitions ended when the consumer began.
pub struct Goal {
    pub topic: Arc<str>,
    pub ends: Vec<i64>,
}

/// What the consumer is to have landed when it is caught up. Waits for topics that do not exist yet.
pub fn goals(options: &Options, cluster: &Cluster, sink: &Sink, stop: &Stop) -> Result<Vec<Goal>> {
    let goal = |name: &String| {
        let topic: Arc<str> = name.as_str().into();
        let partitions = partitions(options, cluster, &topic, landed(&sink.positions(name)?), stop)?;
        if let Sharing::Pinned(pinned) = &options.sharing
            && let Some(beyond) = pinned.iter().find(|&&p| p >= partitions)
        {
            return Err(Error::usage(format!(
                "--partitions names {beyond}, but topic \"{topic}\" has {partitions} partitions"
            ))
            .way_out(format!("use numbers from 0 to {}", partitions - 1)));
        }
        let ends = cluster.latest(name)?;
        Ok(Goal { topic, ends })
    };
    options.topics.iter().map(goal).collect()
}

/// Where the work begins.
pub struct Start {
    /// Those of the berth.
    pub lanes: Vec<Lane>,
    /// The partitions of each topic whose rows this sink holds, whoever lands them.
    pub partitions: HashMap<Arc<str>, Vec<i32>>,
}

pub fn start(options: &Options, cluster: &Cluster, sink: &Sink, berth: &Berth) -> Result<Start> {
    let mut start = Start {
        lanes: Vec::new(),
        partitions: HashMap::new(),
    };
    for name in &options.topics {
        let topic: Arc<str> = name.as_str().into();
        let known = sink.positions(name)?;
        let count = partitions(options, cluster, &topic, landed(&known), &berth.over)?;
        if let Some(gone) = known.iter().find(|p| p.next_offset > 0 && p.partition >= count) {
            return Err(Error::loss(format!(
                "topic \"{topic}\" has {count} partitions, but this sink has landed records of partition {}: the topic was made anew",
                gone.partition
            ))
            .way_out("land the new topic in another --sink"));
        }
        let all = match &options.sharing {
            Sharing::Group { .. } => (0..count).collect(),
            Sharing::Pinned(pinned) => pinned.clone(),
        };
        start.partitions.insert(topic.clone(), all);
        let ours = berth.partitions.iter().filter(|(of, _)| *of == topic);
        let ours: Vec<i32> = ours.map(|&(_, partition)| partition).collect();
        if ours.is_empty() {
            continue;
        }
        let now = run_at(SystemTime::now());
        let at = |p: &Position| (p.partition, p.next_offset);
        let landed: Vec<_> = known.iter().filter(|p| ours.contains(&p.partition)).map(at).collect();
        let (earliest, latest) = (cluster.earliest(name)?, cluster.latest_after(name, &landed)?);
        for partition in ours {
            let at = partition as usize;
            let (Some(&first), Some(&end)) = (earliest.get(at), latest.get(at)) else {
                continue; // dealt out by a member that knows of newer partitions than the broker that was asked here
            };
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
                None => {
                    // A partition that came later than the others holds nothing from before the first contact.
                    let all = options.from == From::Earliest || !known.is_empty();
                    let offset = if all { first } else { end };
                    new_lane(&topic, partition, offset, (offset >= end).then_some(now))
                }
            };
            start.lanes.push(lane);
        }
    }
    Ok(start)
}

/// How many partitions a topic has at least, by what has landed of it.
fn landed(positions: &[Position]) -> i32 {
    let landed = positions.iter().filter(|p| p.next_offset > 0);
    landed.map(|p| p.partition + 1).max().unwrap_or(0)
}

/// The topic's partitions, once it is there; `known` of them have landed. What ends the run is believed only of a cluster that says so
/// steadily: a young broker does not know its topics.
fn partitions(options: &Options, cluster: &Cluster, topic: &Arc<str>, known: i32, stop: &Stop) -> Result<i32> {
    let mut said = false;
    loop {
        let waits = known == 0 && !options.until_caught_up;
        let found = match waits {
            true => cluster.partitions_now(topic)?,
            false => cluster.partitions(topic, false, known)?,
        };
        if let Some(partitions) = found {
            return Ok(partitions);
        }
        if known > 0 {
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

fn new_lane(topic: &Arc<str>, partition: i32, offset: i64, reached: Option<u64>) -> Lane {
    let position = Position {
        topic: topic.clone(),
        partition,
        next_offset: offset,
        origin: None,
        reached,
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
