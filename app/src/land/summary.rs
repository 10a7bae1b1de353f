//! What became of the records, for the user.

use std::iter::Sum;

/// What a consumer did, and what its user should know.
#[derive(Debug, Default)]
pub struct LandSummary {
    /// What became of the records.
    pub counts: Counts,
    /// "topic \"users\" partition 0" where rows from before the first contact are missing.
    pub partial: Vec<String>,
    /// The same where a gap waits for a full pass.
    pub healing: Vec<String>,
    /// The same where a run that was replaced goes on, with that run and the newer one.
    pub late: Vec<(String, (u64, u64))>,
}

/// What became of the records, for the summary.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Records applied.
    pub landed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sent twice, by a run that was replaced, or older than the table's new shape.
    pub skipped: u64,
    /// Put into the dead letters.
    pub dead_letters: u64,
    /// Rows that the producer had to keep back.
    pub kept_back: u64,
    /// Holes that `--allow-gaps` let pass.
    pub gaps: u64,
    /// Passed over by `--heal`.
    pub passed_over: u64,
}

impl<'a> Sum<&'a Counts> for Counts {
    fn sum<I: Iterator<Item = &'a Counts>>(counts: I) -> Counts {
        counts.fold(Counts::default(), |sum, one| Counts {
            landed: sum.landed + one.landed,
            bytes: sum.bytes + one.bytes,
            skipped: sum.skipped + one.skipped,
            dead_letters: sum.dead_letters + one.dead_letters,
            kept_back: sum.kept_back + one.kept_back,
            gaps: sum.gaps + one.gaps,
            passed_over: sum.passed_over + one.passed_over,
        })
    }
}
