//! Where to read on: the sink's positions beside what the broker still has.

use crate::model::{TopicId, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::log_range::{self, LogEntry, OffsetRange};
use crate::broker::{Assignment, Cluster, Message};
use crate::error::{Error, Result};
use crate::sequence::{Gap, Verdict, decide};
use crate::sink::{Sink, SinkPosition};
use crate::stop::Stop;
use crate::wire::decode;
use crate::wire::sign::SignKey;

use super::catch_up::CatchUpTarget;
use super::log_identity::{self, Log};
use super::options::{From, LandOptions, Sharing};
use super::partition_applier::PartitionApplier;
use super::recent_records;
use super::topics::{LandedTopic, LandedTopics};

/// Time between two looks for a topic that does not exist yet.
const LOOK_FOR_TOPIC: Duration = Duration::from_secs(1);

/// How long a log may end before the record that comes next, which should be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the consumer is to have landed when it is caught up. Waits for topics that do not exist
/// yet.
pub(crate) fn targets(
    options: &LandOptions,
    cluster: &Cluster,
    sink: &Sink,
    stop: &Stop,
) -> Result<Vec<CatchUpTarget>> {
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
        let ends = cluster.last_stable(name)?;
        Ok(CatchUpTarget { topic, ends })
    };
    options.topics.iter().map(target).collect()
}

/// Where the work begins.
pub(crate) struct Start {
    /// Those of the assignment.
    pub(crate) appliers: Vec<PartitionApplier>,
    pub(crate) topics: LandedTopics,
}

/// `goes_on` is called with each answer of the brokers: a member whose brokers are slow does not
/// stand still, however many answers it takes.
pub(crate) fn start(
    options: &LandOptions,
    cluster: &Cluster,
    sink: &Sink,
    assignment: &Assignment,
    goes_on: &dyn Fn(),
) -> Result<Start> {
    let mut start = Start {
        appliers: Vec::new(),
        topics: LandedTopics::new(),
    };
    for name in &options.topics {
        let topic: Arc<str> = name.as_str().into();
        let known = sink.positions(name)?;
        let count = partitions(options, cluster, &topic, landed(&known), &assignment.over)?;
        goes_on();
        if let Some(gone) = known.iter().find(|p| p.next_offset > 0 && p.at.partition >= count) {
            return Err(Error::loss(format!(
                "topic \"{topic}\" has {count} partitions, but this sink has landed records of partition {}: the topic was made anew",
                gone.at.partition
            ))
            .way_out("land the new topic in another --sink"));
        }
        let partitions = match &options.sharing {
            Sharing::Group { .. } => (0..count).collect(),
            Sharing::Pinned(pinned) => pinned.clone(),
        };
        start.topics.insert(topic.clone(), LandedTopic { partitions, count });
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
        let log = log_identity::settle(options, cluster, &topic, &known, &mut start.appliers, goes_on)?;
        if options.heal {
            pass_over_gaps(
                options.sign_key.as_ref(),
                cluster,
                &topic,
                &log,
                &mut start.appliers,
                goes_on,
            )?;
        }
        let of_topic = start
            .appliers
            .iter_mut()
            .filter(|applier| applier.position.at.topic == topic);
        let mut recent: Vec<_> = of_topic
            .map(|applier| (applier.position.clone(), &mut applier.recent))
            .collect();
        recent_records::recall(cluster, &topic, &mut recent, &log.earliest, goes_on)?;
        for partition in ours.into_iter().filter(is_new) {
            let at = partition as usize;
            let (Some(&first), Some(&end)) = (log.earliest.get(at), log.ends.get(at)) else {
                continue; // assigned by a member that knows of newer partitions than the broker that was asked here
            };
            // A partition that came later than the others holds nothing from before the first
            // contact.
            let all = options.from == From::Earliest || !known.is_empty();
            start.appliers.push(new_applier(
                &topic,
                partition,
                if all { first } else { end },
                log.topic_id,
            ));
        }
    }
    Ok(start)
}

/// How many partitions a topic has at least, by what has landed of it.
fn landed(positions: &[SinkPosition]) -> i32 {
    let landed = positions.iter().filter(|p| p.next_offset > 0);
    landed.map(|p| p.at.partition + 1).max().unwrap_or(0)
}

/// The topic's partitions, once it is there; `known` of them have landed. What ends the run is
/// believed only of a cluster that says so steadily: a young broker does not know its topics.
fn partitions(options: &LandOptions, cluster: &Cluster, topic: &Arc<str>, known: i32, stop: &Stop) -> Result<i32> {
    let mut said = false;
    loop {
        let waits = known == 0 && !options.until_caught_up;
        let found = if waits {
            cluster.partitions_now(topic)?
        } else {
            cluster.partitions(topic, false, known)?
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

fn new_applier(topic: &Arc<str>, partition: i32, offset: i64, topic_id: Option<TopicId>) -> PartitionApplier {
    let at = TopicPartition::new(topic.clone(), partition);
    let position = SinkPosition {
        topic_id,
        ..SinkPosition::new(at, offset)
    };
    PartitionApplier::new(position, false)
}

/// Sets appliers of a topic back that stand before a gap, or are healing: the full pass that heals
/// it can have begun before their positions, where a new log took the old one's place.
fn pass_over_gaps(
    key: Option<&SignKey>,
    cluster: &Cluster,
    topic: &Arc<str>,
    log: &Log,
    appliers: &mut [PartitionApplier],
    goes_on: &dyn Fn(),
) -> Result<()> {
    for applier in appliers
        .iter_mut()
        .filter(|applier| applier.position.at.topic == *topic)
    {
        let at = applier.position.at.partition as usize;
        let (Some(&first), Some(&end)) = (log.earliest.get(at), log.ends.get(at)) else {
            continue;
        };
        if applier.position.healing || gap_ahead(key, cluster, &applier.position, end, goes_on)? {
            applier.set_back(first, applier.position.topic_id);
        }
    }
    Ok(())
}

/// Whether the next record tells of a gap in the numbers of the source that has landed.
fn gap_ahead(
    key: Option<&SignKey>,
    cluster: &Cluster,
    position: &SinkPosition,
    end: i64,
    goes_on: &dyn Fn(),
) -> Result<bool> {
    if position.last_applied.is_none() || position.next_offset >= end {
        return Ok(false);
    }
    let range = OffsetRange {
        partition: position.at.partition,
        from: position.next_offset,
        to: end,
    };
    let mut is_gap = false;
    log_range::read(
        cluster,
        &position.at.topic,
        vec![range],
        PATIENCE,
        goes_on,
        &mut |_, found| {
            match found {
                LogEntry::Record(next) => is_gap = tells_of_gap(key, position, &next),
                LogEntry::Hole(_) => return Ok(true),
                LogEntry::Expired(_) | LogEntry::EndOfLog(_) => {}
            }
            Ok(false)
        },
    )?;
    Ok(is_gap)
}

/// Whether a record, the next one behind a position, is numbered so that others are missing before
/// it.
fn tells_of_gap(key: Option<&SignKey>, position: &SinkPosition, next: &Message<'_>) -> bool {
    let signer = key.map(|key| key.signer(&position.at.topic, position.at.partition));
    if signer.is_some_and(|signer| !signer.has_signed(next.key, next.value)) {
        return false;
    }
    let Ok(record) = decode::record(next.value, None, Vec::new()) else {
        return false;
    };
    let verdict = record
        .id()
        .map(|id| decide(position.last_applied.as_ref(), &id, record.header()));
    matches!(verdict, Some(Verdict::Gap(gap)) if !matches!(gap, Gap::OtherSource { .. }))
}
