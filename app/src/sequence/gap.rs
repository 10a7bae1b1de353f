//! What can be missing before a record, in words for the user.

use std::fmt;

/// Why the records before this one cannot all have landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gap {
    /// Records of this epoch are missing from the log.
    Missing { after: u64, found: u64 },
    /// A new epoch does not start with its first record.
    NoStart { epoch: u64, found: u64 },
    /// A number came twice, with other contents: the sink may have taken the one that the source
    /// did not send.
    Changed { seq: u64 },
    /// The newest run has only begun, and an older one, whose records are skipped, goes on behind
    /// it.
    Silent { newest: u64, goes_on: u64 },
    /// A tombstone stands alone: the deletion before it is missing.
    NoDeletion,
    /// The source remembers that the broker acknowledged more than ever landed here.
    LostEnd { acked: (u64, u64), landed: (u64, u64) },
    /// The topic has another number of partitions, and this sink lands only some of them: rows have
    /// moved to other sinks.
    Moved { partitions: i32 },
    /// The records come from another database than those before.
    OtherSource { landed: String, found: String },
}

impl Gap {
    /// Holes that compaction makes too, so that a user can allow them.
    pub(crate) fn is_hole(&self) -> bool {
        matches!(
            self,
            Gap::Missing { .. } | Gap::NoStart { .. } | Gap::NoDeletion | Gap::LostEnd { .. }
        )
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Missing { after, found } => {
                let count = found - after - 1;
                write!(
                    f,
                    "{count} records are missing before this one (number {found} follows {after})"
                )
            }
            Gap::NoStart { epoch, found } => {
                let count = found - 1;
                write!(f, "the first {count} records of run {epoch} are missing")
            }
            Gap::Changed { seq } => write!(
                f,
                "another record with number {seq} of this run was taken before: one of the two is not of this source, or two copies of it wrote them"
            ),
            Gap::Silent { newest, goes_on } => write!(
                f,
                "this record of run {goes_on} was skipped, because run {newest} is newer; but all that is there of run {newest} is its beginning"
            ),
            Gap::NoDeletion => f.write_str("records are missing before this tombstone, its deletion among them"),
            Gap::LostEnd { acked, landed } => write!(
                f,
                "records that the broker had acknowledged are gone: up to {}.{} were sent, up to {}.{} landed{}",
                acked.0,
                acked.1,
                landed.0,
                landed.1,
                if acked.0 == landed.0 {
                    format!(" ({} records are missing)", acked.1 - landed.1)
                } else {
                    String::new()
                }
            ),
            Gap::Moved { partitions } => write!(
                f,
                "the topic has {partitions} partitions from here on, so that rows have moved between them, and this sink lands only some"
            ),
            Gap::OtherSource { landed, found } => write!(
                f,
                "this record comes from another source database ({found}) than those before it ({landed})"
            ),
        }
    }
}
