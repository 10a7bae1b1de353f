//! What has been sent.

use std::sync::Arc;

use crate::broker::produce_batch::ProduceBatch;

/// The small record that takes the place of one that the broker refused as too large: key and
/// value.
pub(crate) type Placeholder = (Vec<u8>, Option<Vec<u8>>);

/// A batch whose records have all been acknowledged.
#[derive(Debug)]
pub struct Sent {
    pub batch: Arc<ProduceBatch>,
    /// The offset of the last record.
    pub last_offset: i64,
    /// Where records did not follow the ones that were sent before them.
    pub jumps: Vec<OffsetJump>,
    /// What was sent in the place of the last record, where that was replaced.
    pub(super) last_placeholder: Option<Arc<ProduceBatch>>,
}

/// Records that a partition took elsewhere than behind those that were sent to it before. Between
/// the two there is what others wrote, or what was sent twice; where the offset is smaller than
/// expected, the log is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetJump {
    pub expected: i64,
    pub found: i64,
}

impl Sent {
    /// Key and value of the last record as it was sent, or of the one right before it where the
    /// last has no value.
    pub fn last_with_value(&self) -> Option<(&[u8], &[u8])> {
        let last = self.batch.len() - 1;
        let (key, value) = match &self.last_placeholder {
            Some(placeholder) => placeholder.get(0),
            None => self.batch.get(last),
        };
        if let Some(value) = value {
            return Some((key, value));
        }
        let stands_alone = self.jumps.iter().any(|jump| jump.found == self.last_offset);
        let (key, value) = self.batch.get(last.checked_sub(1).filter(|_| !stands_alone)?);
        Some((key, value?))
    }
}
