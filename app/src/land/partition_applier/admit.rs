//! Whether a record of ours is to be applied now: gaps in the numbers, and the ways past them.

use std::time::Duration;

use crate::broker::Message;
use crate::error::{Error, Result};
use crate::land::options::LandOptions;
use crate::model::{LastApplied, RecordId, RunHeader};
use crate::sequence::{Gap, Verdict, decide};
use crate::wire::decode::{self, Record};

use super::context::ApplyContext;
use super::{Activity, PartitionApplier};

impl PartitionApplier {
    /// The run that goes on though a newer one has replaced it, and the newer one, where nothing of
    /// that follows: its records are skipped.
    pub(crate) fn goes_on(&self) -> Option<(u64, u64)> {
        let late = self.recent.late.filter(|_| !self.position.healing)?;
        Some((late.epoch, self.position.last_applied.as_ref()?.epoch))
    }

    /// An error when the log has ended for so long with records of a run that was replaced, while
    /// the newer one has said no more here than that it begins: behind it there may be no run at
    /// all.
    pub(crate) fn check_late(&self, quiet: Duration) -> Result<()> {
        let (Some(late), Some((goes_on, newest))) = (&self.recent.late, self.goes_on()) else {
            return Ok(());
        };
        let is_silent = self
            .position
            .last_applied
            .as_ref()
            .is_some_and(|last_applied| last_applied.seq == 1);
        if is_silent && late.since.elapsed() >= quiet {
            return Err(self.gap_error(late.offset, &Gap::Silent { newest, goes_on }));
        }
        Ok(())
    }

    /// Whether a record of ours is to be applied now, by its number and by the state of healing.
    pub(super) fn admit(
        &mut self,
        message: Message<'_>,
        id: &RecordId<'_>,
        record: &Record<'_>,
        context: &mut ApplyContext<'_, '_>,
    ) -> Result<bool> {
        let offset = message.offset;
        let begin = match record {
            Record::Schema { begin, .. } => *begin,
            _ => None,
        };
        if self.activity() == Activity::Skipping {
            // Where the log is read again from its start, passes from before the gap stand in it
            // too.
            let known = self
                .position
                .last_applied
                .as_ref()
                .is_some_and(|last_applied| last_applied.source == id.source);
            if begin.is_none_or(|pass| known && pass <= self.position.pass) {
                self.counts.passed_over += 1;
                return Ok(false);
            }
            log::info!("{}: a full pass begins here and heals the gap", self.place(offset));
            self.position.healing = false;
            return Ok(true);
        }
        let gap = match decide(self.position.last_applied.as_ref(), id, record.header()) {
            Verdict::Apply => match self.moved_away(record, &context.topic.partitions) {
                None => return Ok(true),
                Some(gap) => gap,
            },
            Verdict::Resend if self.recent.took_another(id.seq, &message) => Gap::Changed { seq: id.seq },
            Verdict::Resend => {
                self.recent.late = None;
                self.counts.skipped += 1;
                return Ok(false);
            }
            Verdict::Zombie => {
                self.recent.skipped(id, offset);
                self.counts.skipped += 1;
                return Ok(false);
            }
            Verdict::Stray => {
                let reason = "the number of a run's first record, which would tell the schema";
                self.dead_letter(context, message, reason)?;
                return Ok(false);
            }
            Verdict::FirstContact { partial } => match self.source(context)? {
                Some(bound) if bound != id.source => Gap::OtherSource {
                    landed: bound.to_owned(),
                    found: id.source.to_owned(),
                },
                _ => {
                    self.position.partial = partial && begin.is_none();
                    return Ok(true);
                }
            },
            Verdict::Healed(gap) => {
                log::warn!("{}: {gap}; the full pass that begins here heals it", self.place(offset));
                return Ok(true);
            }
            Verdict::Gap(gap) => gap,
        };
        if self.passes_gap(offset, &gap, context.options)? {
            return Ok(true);
        }
        self.admit(message, id, record, context)
    }

    /// Rows that landed here go on in partitions that this sink does not land, unless the
    /// whole table follows.
    fn moved_away(&self, record: &Record<'_>, landed: &[i32]) -> Option<Gap> {
        let header = record.header()?;
        let crosses = self.position.last_applied.as_ref()?.epoch < header.repartitioned_at?;
        let partitions = header.partitions?;
        let lands_all = (0..partitions).all(|p| landed.contains(&p));
        (crosses && !header.full && !lands_all).then_some(Gap::Moved { partitions })
    }

    /// Whether a gap is allowed; if not, all up to the next full pass is passed over, or it is an
    /// error.
    pub(super) fn passes_gap(&mut self, offset: i64, gap: &Gap, options: &LandOptions) -> Result<bool> {
        if options.allow_gaps && gap.is_hole() {
            self.counts.gaps += 1;
            return Ok(true);
        }
        if !options.heal {
            return Err(self.gap_error(offset, gap));
        }
        log::warn!("{}: {gap}; passing over to the next full pass", self.place(offset));
        self.position.healing = true;
        Ok(false)
    }

    fn gap_error(&self, offset: i64, gap: &Gap) -> Error {
        let way_out = match gap {
            Gap::OtherSource { .. } => {
                "a sink follows one source: give this source a topic and a --sink of its own; or, when the old source is \
                 gone for good, run `producer --backfill` on the new one and then `consumer --heal` to follow it"
            }
            Gap::Silent { .. } => {
                "start the producer again, which reads the log back, overtakes every run in it and sends its rows again; then the consumer"
            }
            _ => {
                "run `producer --backfill`, then `consumer --heal`: every row is sent again, and what is gone is removed"
            }
        };
        Error::loss(format!("{}: {gap}", self.place(offset))).way_out(way_out)
    }

    /// A row that was written by a schema which was refused is none of the table as it is, and yet
    /// the next one of its run.
    pub(super) fn pass_refused(&mut self, message: &Message<'_>) {
        if self.schema_refused
            && self.activity() == Activity::Applying
            && let Some(id) = decode::record_id(message.value)
            && decide(self.position.last_applied.as_ref(), &id, None) == Verdict::Apply
        {
            self.advance(&id, None);
            self.recent.took(id.seq, message);
        }
    }

    pub(super) fn advance(&mut self, id: &RecordId<'_>, header: Option<&RunHeader>) {
        match &mut self.position.last_applied {
            Some(last_applied) if last_applied.source == id.source && last_applied.epoch == id.epoch => {
                last_applied.seq = id.seq;
            }
            last_applied => {
                self.recent.forget();
                *last_applied = Some(LastApplied {
                    partitions: header.and_then(|header| header.partitions),
                    ..LastApplied::from(*id)
                });
            }
        }
    }
}
