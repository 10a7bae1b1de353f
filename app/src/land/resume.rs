//! Where to read on: the sink's positions beside what the broker still has.

use crate::model::TopicPartition;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{self, Assignment, Cluster, FetchedPartition};
use crate::error::{Error, Result};
use crate::sequence::{Gap, Verdict, judge};
use crate::sink::{Sink, SinkPosition};
use crate::stop::Stop;
use crate::wire::decode;
use crate::wire::sign::SignKey;

use super::log_identity::{self, Log};
use super::partition_applier::PartitionApplier;
use super::{From, Options, Sharing, recent_records};

/// Time between two looks for a topic that does not exist yet.
const LOOK_FOR_TOPIC: Duration = Duration::from_secs(1);

/// The longest wait for the record that comes next, which is there.
const PEEK: Duration = Duration::from_secs(5);

/// A topic to land, and where each of its partitions ended when the consumer began.
pub struct CatchUpTarget {
    pub topic: Arc<str>,
    pub ends: Vec<i64>,
}

/// What the consumer is to have landed when it is caught up. Waits for topics that do not exist yet.
pub fn targets(options: &Options, cluster: &Cluster, sink: &Sink, stop: &Stop) -> Result<Vec<CatchUpTarget>> {
    let target = |name: &String| {
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
        Ok(CatchUpTarget { topic, ends })
    };
    options.topics.iter().map(target).collect()
}

/// Where the work begins.
pub struct Start {
    /// Those of the assignment.
    pub appliers: Vec<PartitionApplier>,
    /// The partitions of each topic whose rows this sink holds, whoever lands them.
    pub partitions: HashMap<Arc<str>, Vec<i32>>,
    /// How many partitions each topic has.
    pub counts: HashMap<Arc<str>, i32>,
}

pub fn start(
    options: &Options,
    cluster: &Cluster,
    sink: &Sink,
    assignment: &Assignment,
    alive: &dyn Fn(),
) -> Result<Start> {
    let mut start = Start {
        appliers: Vec::new(),
        partitions: HashMap::new(),
        counts: HashMap::new(),
    };
    for name in &options.topics {
        let topic: Arc<str> = name.as_str().into();
        let known = sink.positions(name)?;
        let count = partitions(options, cluster, &topic, landed(&known), &assignment.over)?;
        if let Some(gone) = known.iter().find(|p| p.next_offset > 0 && p.at.partition >= count) {
            return Err(Error::loss(format!(
                "topic \"{topic}\" has {count} partitions, but this sink has landed records of partition {}: the topic was made anew",
                gone.at.partition
            ))
            .way_out("land the new topic in another --sink"));
        }
        let all = match &options.sharing {
            Sharing::Group { .. } => (0..count).collect(),
            Sharing::Pinned(pinned) => pinned.clone(),
        };
        start.partitions.insert(topic.clone(), all);
        start.counts.insert(topic.clone(), count);
        let ours = assignment.partitions.iter().filter(|at| at.topic == topic);
        let ours: Vec<i32> = ours.map(|at| at.partition).collect();
        if ours.is_empty() {
            continue;
        }
        let is_new = |partition: &i32| known.iter().all(|p| p.at.partition != *partition);
        let landed = known.iter().filter(|p| ours.contains(&p.at.partition));
        start
            .appliers
            .extend(landed.map(|p| PartitionApplier::new(p.clone(), true)));
        let log = log_identity::settle(options, cluster, name, &known, &mut start.appliers, alive)?;
        if options.heal {
            pass_over_gaps(options.sign_key.as_ref(), cluster, &topic, &log, &mut start.appliers)?;
        }
        let of_topic = start
            .appliers
            .iter_mut()
            .filter(|applier| applier.position.at.topic == topic);
        recent_records::recall(cluster, &mut of_topic.collect::<Vec<_>>(), &log.earliest)?;
        for partition in ours.into_iter().filter(is_new) {
            let at = partition as usize;
            let (Some(&first), Some(&end)) = (log.earliest.get(at), log.ends.get(at)) else {
                continue; // dealt out by a member that knows of newer partitions than the broker that was asked here
            };
            // A partition that came later than the others holds nothing from before the first contact.
            let all = options.from == From::Earliest || !known.is_empty();
            start
                .appliers
                .push(new_lane(&topic, partition, if all { first } else { end }));
        }
    }
    Ok(start)
}

/// How many partitions a topic has at least, by what has landed of it.
fn landed(positions: &[SinkPosition]) -> i32 {
    let landed = positions.iter().filter(|p| p.next_offset > 0);
    landed.map(|p| p.at.partition + 1).max().unwrap_or(0)
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

fn new_lane(topic: &Arc<str>, partition: i32, offset: i64) -> PartitionApplier {
    let position = SinkPosition {
        at: TopicPartition {
            topic: topic.clone(),
            partition,
        },
        next_offset: offset,
        origin: None,
        reached: None,
        last: None,
        healing: false,
        partial: offset > 0,
        schema: None,
        pass: 0,
    };
    PartitionApplier::new(position, false)
}

/// Sets appliers of a topic back that stand before a gap, or are healing: the full pass that heals it can have begun before their positions,
/// where a new log took the old one's place.
fn pass_over_gaps(
    key: Option<&SignKey>,
    cluster: &Cluster,
    topic: &Arc<str>,
    log: &Log,
    appliers: &mut [PartitionApplier],
) -> Result<()> {
    for applier in appliers
        .iter_mut()
        .filter(|applier| applier.position.at.topic == *topic)
    {
        let at = applier.position.at.partition as usize;
        let (Some(&first), Some(&end)) = (log.earliest.get(at), log.ends.get(at)) else {
            continue;
        };
        if applier.position.healing || gap_ahead(key, cluster, &applier.position, end)? {
            applier.set_back(first);
        }
    }
    Ok(())
}

/// Whether the next record tells of a gap in the numbers of the source that has landed.
fn gap_ahead(key: Option<&SignKey>, cluster: &Cluster, position: &SinkPosition, end: i64) -> Result<bool> {
    if position.origin.is_none() || position.next_offset >= end {
        return Ok(false);
    }
    let at = broker::FetchPosition {
        at: TopicPartition {
            topic: position.at.topic.clone(),
            partition: position.at.partition,
        },
        offset: position.next_offset,
    };
    let fetched = cluster.fetcher().fetch(&[at], PEEK)?;
    let Some(next) = fetched.chunks.iter().flat_map(FetchedPartition::records).next() else {
        return Ok(false);
    };
    let signer = key.map(|key| key.signer(&position.at.topic, position.at.partition));
    if signer.is_some_and(|signer| !signer.has_signed(next.key, next.value)) {
        return Ok(false);
    }
    let Ok(record) = decode::record(next.value, None, Vec::new()) else {
        return Ok(false);
    };
    let verdict = record
        .id()
        .map(|stamp| judge(position.origin.as_ref(), &stamp, record.header()));
    Ok(matches!(verdict, Some(Verdict::Gap(gap)) if !matches!(gap, Gap::OtherSource { .. })))
}
