//! Why all rows are to be sent, where the log is the reason.

use std::fmt;

/// Why the rows that a part of a log spoke of cannot be told, so that all rows are to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FullPassReason {
    Expired {
        partition: i32,
        from: i64,
        to: i64,
    },
    Hole {
        partition: i32,
        offset: i64,
    },
    Missing {
        partition: i32,
        offset: i64,
    },
    /// A full pass that the file does not remember: it removes rows without a word of their own.
    Pass {
        pass: u64,
    },
    /// The table had another shape.
    Shape,
    Denied,
    LostEnd,
    NewLog,
}

impl FullPassReason {
    pub(crate) fn expired(partition: i32, from: i64, to: i64) -> FullPassReason {
        FullPassReason::Expired { partition, from, to }
    }
}

impl fmt::Display for FullPassReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FullPassReason::Expired { partition, from, to } => write!(
                f,
                "offsets {from} to {} of partition {partition} expired, and what they held is not known",
                to - 1
            ),
            FullPassReason::Hole { partition, offset } => {
                write!(
                    f,
                    "partition {partition} holds no record at offset {offset}, and what it held is not known"
                )
            }
            FullPassReason::Missing { partition, offset } => {
                write!(
                    f,
                    "records of this source are missing before offset {offset} of partition {partition}"
                )
            }
            FullPassReason::Pass { pass } => {
                write!(f, "the log holds a full pass ({pass}) that this file does not remember")
            }
            FullPassReason::Shape => {
                f.write_str("the log holds rows of the table in another shape, which this file does not remember")
            }
            FullPassReason::Denied => {
                f.write_str("the log cannot be read back: the broker does not allow this client to read the topic")
            }
            FullPassReason::LostEnd => f.write_str("the log has lost records that were acknowledged"),
            FullPassReason::NewLog => f.write_str("the topic was made anew, and holds nothing of what was sent before"),
        }
    }
}
