//! Which record of a source it is.

use std::fmt;

use super::bounds;

/// The id of a record, written `<source>.<epoch>.<seq>`: the `seq`-th that the source sent to its
/// partition in the run with this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordId<'a> {
    /// The id of the source database.
    pub source: &'a str,
    /// The epoch of the run that sent it.
    pub epoch: u64,
    /// Its number within the run and the partition, from 1 on.
    pub seq: u64,
}

impl<'a> RecordId<'a> {
    /// Reads an id as we write it.
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

/// The last record of ours that the sink took from a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastApplied {
    /// The id of the source database.
    pub source: String,
    /// The epoch of its run.
    pub epoch: u64,
    /// Its number.
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
