//! Step 1 for a source that notes nothing, and sends all of it each time.

use crate::broker::Cluster;
use crate::broker::log_range::OffsetRange;
use crate::error::{Kind, Result};
use crate::ship::history::History;
use crate::ship::log_reader::read;
use crate::source::Noted;
use crate::stop::Stop;
use crate::wire::sign::SignKey;

use super::{Readback, first_of};

/// Records of the first look from the end of a log backwards; each further look is `MORE` times as
/// long.
const LOOK_BACK: i64 = 4096;
const MORE: i64 = 8;

impl<'a> Readback<'a> {
    /// Looks from each log's end backwards for its newest run. Before
    /// the first record of a run there is no epoch above its own.
    pub(crate) fn start_unnoted(
        cluster: &'a Cluster,
        key: Option<&'a SignKey>,
        noted: &'a Noted,
        (topic, partitions): (&str, i32),
        stop: &'a Stop,
    ) -> Result<Self> {
        let mut readback = Self {
            cluster,
            key,
            noted,
            history: History::new(&noted.source, partitions, 0),
            topic: topic.into(),
            topic_id: cluster.topic_id(topic, &[])?,
            earliest: first_of(cluster.earliest(topic)?, partitions as usize, topic)?,
            ends: first_of(cluster.latest(topic)?, partitions as usize, topic)?,
            is_at_end: false,
            stop,
        };
        for partition in 0..partitions {
            match readback.find_newest_run(partition) {
                Err(error) if error.kind() == Kind::Denied => break,
                done => done?,
            }
        }
        Ok(readback)
    }

    fn find_newest_run(&mut self, partition: i32) -> Result<()> {
        let at = partition as usize;
        let (mut to, mut length) = (self.ends[at], LOOK_BACK);
        while to > self.earliest[at] && !self.history.has_begun(partition) {
            let from = self.earliest[at].max(to - length);
            let history = &mut self.history;
            read(
                self.cluster,
                self.key,
                &self.topic,
                vec![OffsetRange { partition, from, to }],
                self.stop,
                &mut |part| {
                    history.take(&part);
                    history.take_keys();
                    Ok(true)
                },
            )?;
            (to, length) = (from, length * MORE);
        }
        Ok(())
    }
}
