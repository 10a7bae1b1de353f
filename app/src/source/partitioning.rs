//! Over how many partitions a topic's rows were spread, and at which run keys last moved between
//! them because that number had changed.

use rusqlite::{Connection, OptionalExtension, params};

use super::run::Run;
use crate::sqlite::error::SqlResult;

/// How a run spreads a topic's rows over its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitioning {
    pub partitions: i32,
    /// The epoch of the run at which keys last moved between partitions; none when they never did.
    pub repartitioned_at: Option<u64>,
}

/// How a run spreads its rows over a topic that has so many partitions.
pub(super) fn of_run(conn: &Connection, topic: &str, partitions: i32, run: &Run) -> SqlResult<Partitioning> {
    let repartitioned_at = match remembered(conn, topic)? {
        Some(last) if last.partitions == partitions => last.repartitioned_at,
        Some(_) => Some(run.epoch),
        // The source has sent nothing before.
        None if run.is_first => None,
        // Earlier versions noted no count, but records of every partition.
        None if noted_partitions(conn, topic)?.into_iter().eq(0..partitions) => None,
        // What is not known may have been sent by another count.
        None => Some(run.epoch),
    };
    Ok(Partitioning {
        partitions,
        repartitioned_at,
    })
}

/// Remembers how a run spreads its rows, once every partition has acknowledged its beginning.
pub(super) fn note(conn: &Connection, topic: &str, partitioning: Partitioning) -> SqlResult<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO _rowferry_layout(topic, partitions, moved) VALUES (?1, ?2, ?3)")?
        .execute(params![
            topic,
            partitioning.partitions,
            partitioning.repartitioned_at.map(|epoch| epoch as i64)
        ])?;
    // Where the topic was made anew with fewer partitions, nothing holds the records of the others
    // any more.
    conn.prepare_cached("DELETE FROM _rowferry_acked WHERE topic = ?1 AND partition >= ?2")?
        .execute(params![topic, partitioning.partitions])?;
    Ok(())
}

fn remembered(conn: &Connection, topic: &str) -> SqlResult<Option<Partitioning>> {
    let mut statement = conn.prepare_cached("SELECT partitions, moved FROM _rowferry_layout WHERE topic = ?1")?;
    let partitioning = statement.query_row([topic], |row| {
        Ok(Partitioning {
            partitions: row.get(0)?,
            repartitioned_at: row.get::<_, Option<i64>>(1)?.map(|epoch| epoch as u64),
        })
    });
    Ok(partitioning.optional()?)
}

fn noted_partitions(conn: &Connection, topic: &str) -> SqlResult<Vec<i32>> {
    let mut statement =
        conn.prepare_cached("SELECT partition FROM _rowferry_acked WHERE topic = ?1 ORDER BY partition")?;
    let partitions = statement.query_map([topic], |row| row.get(0))?;
    Ok(partitions.collect::<rusqlite::Result<_>>()?)
}
