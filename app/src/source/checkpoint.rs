//! How far a batch goes.

use std::sync::Arc;

use super::fork::LastChange;

/// How far a batch goes; what `SourceState::note` remembers once the batch is acknowledged.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub(super) table: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) pass: u64,
    pub(super) step: Step,
    /// The last change in the outbox when the batch was read; none where changes are not captured.
    pub(super) last_change: Option<LastChange>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The full pass has come up to this packed key.
    Scanned(Vec<u8>),
    /// The full pass is complete.
    Complete,
    /// The outbox is shipped up to this number.
    Outbox(i64),
}

impl Checkpoint {
    /// The table that the batch belongs to.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether this checkpoint alone says all that both say, when `before` came first.
    pub fn covers(&self, before: &Checkpoint) -> bool {
        let further = matches!(
            (&before.step, &self.step),
            (Step::Scanned(_), Step::Scanned(_)) | (Step::Outbox(_), Step::Outbox(_))
        );
        further && (&self.table, &self.topic, self.pass) == (&before.table, &before.topic, before.pass)
    }
}
