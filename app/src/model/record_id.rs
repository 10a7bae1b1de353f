//! Which record of a source it is, and how a run begins in a partition.

use std::fmt;

use super::bounds;

/// Where a record stands: `<source>.<epoch>.<seq>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordId<'a> {
    pub source: &'a str,
    pub epoch: u64,
    pub seq: u64,
}

impl<'a> RecordId<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (rest, seq) = text.rsplit_once('.')?;
        let (source, epoch) = rest.rsplit_once('.')?;
        Some(Self {
            source,
            epoch: bounds::epoch(epoch)?,
            seq: bounds::seq(seq)?,
        })
    }
}

impl fmt::Display for RecordId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.source, self.epoch, self.seq)
    }
}

/// How a run continues the runs before it, in the first record of its epoch in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunHeader {
    /// The last (epoch, seq) of this partition that the source noted as acknowledged.
    pub acked: Option<(u64, u64)>,
    /// Whether this run sends the whole table.
    pub full: bool,
    /// How many partitions the run spreads its rows over.
    pub partitions: Option<i32>,
    /// The epoch at which keys last moved between partitions, because their number had changed.
    pub repartitioned_at: Option<u64>,
}

/// The last record of ours that the sink took from a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastApplied {
    pub source: String,
    pub epoch: u64,
    pub seq: u64,
    /// How many partitions its run spreads rows over, as far as it told.
    pub partitions: Option<i32>,
}

impl From<RecordId<'_>> for LastApplied {
    fn from(id: RecordId<'_>) -> Self {
        Self {
            source: id.source.to_owned(),
            epoch: id.epoch,
            seq: id.seq,
            partitions: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_id_is_read_back() {
        let id = RecordId::parse("ab.cd.17.3").unwrap();
        assert_eq!((id.source, id.epoch, id.seq), ("ab.cd", 17, 3));
        assert_eq!(id.to_string(), "ab.cd.17.3");
        for bad in [
            "",
            "1.2",
            "a.b.c",
            "a.1.-2",
            "a.1.",
            "a.1.0",
            "a.0.1",
            "a.1.+2",
            "a.1.9223372036854775808",
        ] {
            assert_eq!(RecordId::parse(bad), None, "{bad}");
        }
        // From the year 2500 on.
        assert!(
            RecordId::parse("a.16725225599999999.1").is_some() && RecordId::parse("a.16725225600000000.1").is_none()
        );
    }
}
