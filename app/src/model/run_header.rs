//! How a run begins in a partition.

/// What the first record of an epoch in a partition says of the run, and of the runs before it.
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
