//! Landing a round in one transaction: rows, dead letters and positions, or nothing of it.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::sink::Sink;

use super::merge_by_key::Span;
use super::options::LandOptions;
use super::partition_applier::{Applied, ApplyContext, PartitionApplier};
use super::prefetch::Round;
use super::summary::Counts;
use super::topics::LandedTopics;

/// What a round that landed brought.
#[derive(Default)]
pub(crate) struct LandedRound {
    /// The places of the appliers that moved.
    pub(crate) moved: Vec<usize>,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// What is to be printed of it.
    pub(crate) prints: Vec<u8>,
    /// Records are missing: what came before them has landed, and that is all.
    pub(crate) loss: Option<Error>,
}

/// Lands a round. After an error nothing of it is in the sink.
pub(crate) fn land(
    sink: &mut Sink,
    options: &LandOptions,
    topics: &LandedTopics,
    appliers: &mut [PartitionApplier],
    round: &Round,
) -> Result<LandedRound> {
    for (fetched, _) in &round.parts {
        if let Some(applier) = appliers.iter_mut().find(|applier| applier.position.at == *fetched.at()) {
            applier.at_end = fetched.is_empty() && fetched.next_offset() >= fetched.end();
        }
    }
    if round.parts.iter().all(|(fetched, _)| fetched.stands_still()) {
        return Ok(LandedRound::default());
    }
    let before: Vec<Counts> = appliers.iter().map(|applier| applier.counts.clone()).collect();
    let landed = land_in_transaction(sink, options, topics, appliers, round);
    match landed {
        Ok(landed) => {
            let after: Counts = appliers.iter().map(|applier| &applier.counts).sum();
            let before: Counts = before.iter().sum();
            Ok(LandedRound {
                records: after.landed - before.landed,
                bytes: after.bytes - before.bytes,
                ..landed
            })
        }
        Err(error) => {
            for (applier, before) in appliers.iter_mut().zip(before) {
                applier.counts = before;
            }
            Err(error)
        }
    }
}

fn land_in_transaction(
    sink: &mut Sink,
    options: &LandOptions,
    topics: &LandedTopics,
    appliers: &mut [PartitionApplier],
    round: &Round,
) -> Result<LandedRound> {
    let mut places = Vec::new();
    let mut topics_of_parts = Vec::new();
    for (fetched, _) in &round.parts {
        let place = appliers.iter().position(|applier| applier.position.at == *fetched.at());
        places.push(place.ok_or_else(|| Error::failed("the broker answered for a partition that was not asked for"))?);
        topics_of_parts.push(&topics[&fetched.at().topic]);
    }
    let mut landing = sink.begin()?;
    let mut applied = Applied::default();
    let mut loss = None;
    for Span { part, records } in &round.order {
        let (fetched, rows) = &round.parts[*part];
        let mut context = ApplyContext {
            landing: &mut landing,
            options,
            topic: topics_of_parts[*part],
        };
        let applier = &mut appliers[places[*part]];
        match applier.apply(&mut context, fetched, rows, records.clone(), &mut applied) {
            Ok(()) => {}
            // What came before a gap is whole, and lands. Anything else that fails takes the round
            // with it.
            Err(error) if error.kind() == Kind::Loss => {
                loss = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    for topic in &applied.full_passes {
        no_rows_are_missing(topic, appliers);
    }
    for (&place, (fetched, _)) in places.iter().zip(&round.parts) {
        appliers[place].remember_last(fetched);
    }
    let mut moved = places;
    moved.sort_unstable();
    moved.dedup();
    for &place in &moved {
        appliers[place].note(&mut landing)?;
    }
    landing.commit()?;
    for &place in &moved {
        appliers[place].is_noted();
    }
    Ok(LandedRound {
        moved,
        prints: applied.prints,
        loss,
        ..LandedRound::default()
    })
}

/// After a full pass no rows are missing in any partition of its topic.
fn no_rows_are_missing(topic: &Arc<str>, appliers: &mut [PartitionApplier]) {
    for applier in appliers
        .iter_mut()
        .filter(|applier| applier.position.at.topic == *topic)
    {
        applier.position.partial = false;
    }
}
