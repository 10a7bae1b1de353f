//! The last record of each partition that its broker acknowledged.

use rusqlite::{Connection, params};

use crate::model::TopicId;
use crate::sqlite::error::SqlResult;

/// The last record of a partition that its broker acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    pub partition: i32,
    pub epoch: u64,
    pub seq: u64,
    pub offset: i64,
    /// The fingerprint of the record at that offset; earlier versions noted none.
    pub stood: Option<u64>,
}

/// Notes what was acknowledged in partitions of a topic.
pub(super) fn note(conn: &Connection, topic: &str, acked: &[Acked]) -> SqlResult<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO _rowferry_acked(topic, partition, epoch, seq, offset, stood) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET epoch = ?3, seq = ?4, offset = ?5, stood = ?6",
    )?;
    for last in acked {
        let (epoch, seq, stood) = (last.epoch as i64, last.seq as i64, last.stood.map(|stood| stood as i64));
        statement.execute(params![topic, last.partition, epoch, seq, last.offset, stood])?;
    }
    Ok(())
}

/// Notes the id of the topic in which all of its noted records stand; one that is not told any more
/// is forgotten.
pub(super) fn note_topic_id(conn: &Connection, topic: &str, id: Option<TopicId>) -> SqlResult<()> {
    let id = id.map(|id| id.to_string());
    conn.execute(
        "UPDATE _rowferry_acked SET topic_id = ?2 WHERE topic = ?1",
        params![topic, id],
    )?;
    Ok(())
}

/// The id of the topic in which the noted records stand, where it is known.
pub(super) fn topic_id(conn: &Connection, topic: &str) -> SqlResult<Option<TopicId>> {
    let sql = "SELECT max(topic_id) FROM _rowferry_acked WHERE topic = ?1";
    let id: Option<String> = conn.query_row(sql, [topic], |row| row.get(0))?;
    Ok(id.and_then(|id| TopicId::parse(&id)))
}

/// What is noted of a topic, by partition.
pub(super) fn noted(conn: &Connection, topic: &str) -> SqlResult<Vec<Acked>> {
    let mut statement = conn.prepare(
        "SELECT partition, epoch, seq, offset, stood FROM _rowferry_acked WHERE topic = ?1 ORDER BY partition",
    )?;
    let acked = statement.query_map([topic], |row| {
        Ok(Acked {
            partition: row.get(0)?,
            epoch: row.get::<_, i64>(1)? as u64,
            seq: row.get::<_, i64>(2)? as u64,
            offset: row.get(3)?,
            stood: row.get::<_, Option<i64>>(4)?.map(|stood| stood as u64),
        })
    })?;
    Ok(acked.collect::<rusqlite::Result<_>>()?)
}
