//! The positions in the sink's own tables: how far each partition has landed.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::model::{LastApplied, Schemas, TopicId, TopicPartition};
use crate::sequence::RunProgress;

use super::catalog;
use super::error::cannot;
use super::position::{LastTaken, SinkPosition};

/// Every position of a topic, by partition.
pub(super) fn all(conn: &Connection, schemas: &Schemas, topic: &str) -> Result<Vec<SinkPosition>> {
    let failed = |e| cannot(e, "read the positions of the sink");
    let topic: Arc<str> = topic.into();
    let position = |r: &Row<'_>| {
        let source: Option<String> = r.get(2)?;
        let last_applied = match source {
            Some(source) => Some(LastApplied {
                source,
                epoch: r.get::<_, i64>(3)? as u64,
                seq: r.get::<_, i64>(4)? as u64,
                partitions: r.get(10)?,
            }),
            None => None,
        };
        let position = SinkPosition {
            at: TopicPartition::new(topic.clone(), r.get(0)?),
            next_offset: r.get(1)?,
            last_applied,
            reached: r.get::<_, Option<i64>>(9)?.map(|epoch| epoch as u64),
            last: match (r.get(11)?, r.get::<_, Option<i64>>(12)?) {
                (Some(offset), Some(fingerprint)) => Some(LastTaken {
                    offset,
                    fingerprint: fingerprint as u64,
                }),
                _ => None,
            },
            topic_id: r.get::<_, Option<String>>(13)?.and_then(|id| TopicId::parse(&id)),
            healing: r.get(5)?,
            partial: r.get(6)?,
            schema: None,
            pass: r.get::<_, Option<i64>>(8)?.unwrap_or(0) as u64,
        };
        Ok((position, r.get(7)?))
    };
    let mut statement = conn
        .prepare_cached(
            "SELECT partition, next_offset, source, epoch, seq, healing, partial, schema, pass, reached, partitions,
                    last_offset, last_fingerprint, topic_id
             FROM _rowferry_positions LEFT JOIN _rowferry_passes USING (topic, partition) WHERE topic = ?1 ORDER BY partition",
        )
        .map_err(failed)?;
    let found: Vec<(SinkPosition, Option<String>)> = statement
        .query_map([&*topic], position)
        .and_then(Iterator::collect)
        .map_err(failed)?;
    found
        .into_iter()
        .map(|(position, schema)| {
            Ok(SinkPosition {
                schema: catalog::schema(schemas, schema)?,
                ..position
            })
        })
        .collect()
}

/// Moves a position from where it was read to where it is now; false when it was not there.
pub(super) fn advance(conn: &Connection, position: &SinkPosition, expected: Option<i64>) -> rusqlite::Result<bool> {
    let SinkPosition {
        at,
        next_offset,
        last_applied,
        reached,
        last,
        topic_id,
        healing,
        partial,
        ..
    } = position;
    let source = last_applied.as_ref().map(|o| &o.source);
    let epoch = last_applied.as_ref().map(|o| o.epoch as i64);
    let seq = last_applied.as_ref().map(|o| o.seq as i64);
    let partitions = last_applied.as_ref().and_then(|o| o.partitions);
    let reached = reached.map(|epoch| epoch as i64);
    let (last_offset, last_fingerprint) = (last.map(|last| last.offset), last.map(|last| last.fingerprint as i64));
    let topic_id = topic_id.map(|id| id.to_string());
    // Only the first contact makes a row. `partial` belongs to the first contact with a source;
    // after that only a full pass changes it.
    let moved = conn
        .prepare_cached(
            "INSERT INTO _rowferry_positions
             (topic, partition, next_offset, source, epoch, seq, healing, partial, reached, partitions,
              last_offset, last_fingerprint, topic_id)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?14
             WHERE ?13 IS NULL OR EXISTS (SELECT 1 FROM _rowferry_positions WHERE topic = ?1 AND partition = ?2)
             ON CONFLICT DO UPDATE SET next_offset = ?3, partial = iif(source IS ?4, partial, ?8),
             source = ?4, epoch = ?5, seq = ?6, healing = ?7, reached = ?9, partitions = ?10,
             last_offset = ?11, last_fingerprint = ?12, topic_id = ?14
             WHERE next_offset = ?13",
        )?
        .execute(params![
            &*at.topic,
            at.partition,
            next_offset,
            source,
            epoch,
            seq,
            healing,
            partial,
            reached,
            partitions,
            last_offset,
            last_fingerprint,
            expected,
            topic_id
        ])?;
    Ok(moved == 1)
}

/// Notes what a position has reached that does not move; false when it was not there.
pub(super) fn wait_at(conn: &Connection, position: &SinkPosition, epoch: u64) -> rusqlite::Result<bool> {
    let noted = conn
        .prepare_cached(
            "UPDATE _rowferry_positions SET reached = ?4 WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3",
        )?
        .execute(params![
            &*position.at.topic,
            position.at.partition,
            position.next_offset,
            epoch as i64
        ])?;
    Ok(noted == 1)
}

/// Those of `partitions`, but for the position's own, that have not come to the run
/// `repartitioned_at` of a source.
pub(super) fn behind(
    conn: &Connection,
    position: &SinkPosition,
    source: &str,
    repartitioned_at: u64,
    partitions: &[i32],
) -> Result<Vec<i32>> {
    let progress = |r: &Row<'_>| {
        let landed = match r.get(1)? {
            Some(source) => Some((source, r.get::<_, i64>(2)? as u64)),
            None => None,
        };
        let reached = r.get::<_, Option<i64>>(3)?.map(|epoch| epoch as u64);
        Ok((r.get(0)?, RunProgress { landed, reached }))
    };
    let read = || -> rusqlite::Result<HashMap<i32, RunProgress>> {
        conn.prepare_cached("SELECT partition, source, epoch, reached FROM _rowferry_positions WHERE topic = ?1")?
            .query_map([&*position.at.topic], progress)?
            .collect()
    };
    let known = read().map_err(|e| cannot(e, "read the positions of the sink"))?;
    let has_come = |p: &i32| {
        known
            .get(p)
            .is_some_and(|progress| progress.has_come_to(source, repartitioned_at))
    };
    let others = partitions.iter().copied().filter(|p| *p != position.at.partition);
    Ok(others.filter(|p| !has_come(p)).collect())
}

/// The offset that the sink holds for a partition.
pub(super) fn next_offset(conn: &Connection, at: &TopicPartition) -> rusqlite::Result<Option<i64>> {
    conn.query_row(
        "SELECT next_offset FROM _rowferry_positions WHERE topic = ?1 AND partition = ?2",
        params![&*at.topic, at.partition],
        |r| r.get(0),
    )
    .optional()
}

/// Rows from before the first contact are no longer missing.
pub(super) fn whole(conn: &Connection, topic: &str) -> rusqlite::Result<()> {
    conn.execute("UPDATE _rowferry_positions SET partial = 0 WHERE topic = ?1", [topic])?;
    Ok(())
}
