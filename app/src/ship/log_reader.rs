//! Reading a part of a topic back, record by record, each with who has to have signed it.

use std::sync::Arc;

use crate::broker::log_range::{self, LogEntry, OffsetRange};
use crate::broker::{Cluster, Message};
use crate::error::{Error, Kind, Result};
use crate::model::RecordId;
use crate::stop::Stop;
use crate::wire::decode;
use crate::wire::fingerprint::fingerprint;
use crate::wire::sign::{SignKey, Signer};

/// What stands at an offset.
#[derive(Clone, Copy)]
pub(crate) enum LogPart<'a> {
    Record(LogRecord<'a>),
    /// No record at this offset, nor at those before the next part: expired, compacted, or never
    /// records.
    Hole {
        partition: i32,
        offset: i64,
    },
}

#[derive(Clone, Copy)]
pub(crate) struct LogRecord<'a> {
    pub(crate) partition: i32,
    pub(crate) message: Message<'a>,
    /// Who has to have signed it to be believed, if anybody.
    pub(crate) signer: Option<&'a Signer>,
}

impl LogPart<'_> {
    pub(crate) fn partition(&self) -> i32 {
        match self {
            LogPart::Record(record) => record.partition,
            LogPart::Hole { partition, .. } => *partition,
        }
    }
}

impl<'a> LogRecord<'a> {
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(self.message.key, self.message.value)
    }

    /// Its id, if one of this source's runs sent it, as far as that can be told.
    pub(crate) fn id_of(&self, source: &str) -> Option<RecordId<'a>> {
        let Message { key, value, .. } = self.message;
        let id = decode::record_id(value).filter(|id| id.source == source)?;
        let is_genuine = self.signer.is_none_or(|signer| signer.has_signed(key, value));
        is_genuine.then_some(id)
    }

    /// Epoch and number, if one of this source's runs sent it.
    pub(crate) fn number_of(&self, source: &str) -> Option<(u64, u64)> {
        self.id_of(source).map(|id| (id.epoch, id.seq))
    }
}

/// Gives what stands in the ranges to `each`, of each partition in order, until all is read or
/// `each` has seen enough (false).
pub(crate) fn read(
    cluster: &Cluster,
    key: Option<&SignKey>,
    topic: &Arc<str>,
    ranges: Vec<OffsetRange>,
    stop: &Stop,
    each: &mut dyn FnMut(LogPart<'_>) -> Result<bool>,
) -> Result<()> {
    let signer_of = |range: &OffsetRange| Some((range.partition, key?.signer(topic, range.partition)));
    let signers: Vec<_> = ranges.iter().filter_map(signer_of).collect();
    let (cluster, patience) = (cluster.until(stop), cluster.patience());
    log_range::read(&cluster, topic, ranges, patience, &|| {}, &mut |partition, found| {
        let signer = signers.iter().find(|(of, _)| *of == partition);
        each(match found {
            LogEntry::Record(message) => LogPart::Record(LogRecord {
                partition,
                message,
                signer: signer.map(|(_, signer)| signer),
            }),
            LogEntry::Hole(offset) | LogEntry::Expired(offset) => LogPart::Hole { partition, offset },
            LogEntry::EndOfLog(_) => return Err(changed(topic, partition)),
        })
    })
}

fn changed(topic: &str, partition: i32) -> Error {
    Error::new(
        Kind::Forked,
        format!("topic \"{topic}\" partition {partition}: the log lost its end while it was read"),
    )
}
