//! Whether a log still holds the record that the source noted as acknowledged: a position is a
//! number and what stood there.

use crate::source::Acked;

use crate::ship::log_reader::LogPart;

/// A noted record, and what was read of the log around it so far.
pub(crate) struct NotedRecord {
    pub(crate) acked: Acked,
    /// The fingerprint of the record before it.
    before: Option<u64>,
}

/// What stands where the noted record stood.
pub(crate) enum Stood {
    /// That is not read yet.
    Unknown,
    Same,
    Other,
    /// No record.
    Gone,
}

impl NotedRecord {
    pub(crate) fn new(acked: Acked) -> Self {
        Self { acked, before: None }
    }

    /// Takes the next part of its partition.
    pub(crate) fn look(&mut self, part: &LogPart<'_>, source: &str) -> Stood {
        let acked = &self.acked;
        let record = match part {
            LogPart::Record(record) => record,
            LogPart::Hole { offset, .. } if *offset < acked.offset => return Stood::Unknown,
            LogPart::Hole { .. } => return Stood::Gone,
        };
        if record.message.offset < acked.offset {
            self.before = Some(record.fingerprint());
            return Stood::Unknown;
        }
        let is_tombstone = record.message.value_is_null;
        let same = match (acked.stood, self.before) {
            _ if record.message.offset > acked.offset => return Stood::Gone,
            // Earlier versions noted no more than the number.
            (None, _) => is_tombstone || record.number_of(source) == Some((acked.epoch, acked.seq)),
            // A tombstone looks like any other of its key: the deletion before it tells.
            (Some(_), None) if is_tombstone => return Stood::Gone,
            (Some(stood), Some(before)) if is_tombstone => before == stood,
            (Some(stood), _) => record.fingerprint() == stood,
        };
        if same { Stood::Same } else { Stood::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Message;
    use crate::ship::log_reader::LogRecord;
    use crate::wire::fingerprint::fingerprint;

    const DELETION: &[u8] = br#"{"id":1,"__deleted":true,"_ferry":"me.50.3"}"#;

    fn record(offset: i64, value: &'static [u8]) -> LogPart<'static> {
        let message = Message {
            offset,
            key: br#"{"id":1}"#,
            value,
            key_is_null: false,
            value_is_null: value.is_empty(),
        };
        LogPart::Record(LogRecord {
            partition: 0,
            message,
            signer: None,
        })
    }

    /// What a note of offset 9 makes of these parts.
    fn looked(stood: Option<&[u8]>, parts: &[LogPart<'_>]) -> Stood {
        let mut noted = NotedRecord::new(Acked {
            partition: 0,
            epoch: 50,
            seq: 3,
            offset: 9,
            stood: stood.map(|value| fingerprint(br#"{"id":1}"#, value)),
        });
        let mut last = Stood::Unknown;
        for part in parts {
            assert!(matches!(last, Stood::Unknown), "it was decided before");
            last = noted.look(part, "me");
        }
        last
    }

    #[test]
    fn a_noted_record_is_known_by_what_it_holds() {
        let row: &[u8] = br#"{"id":1,"_ferry":"me.50.3"}"#;
        let other: &[u8] = br#"{"id":1,"_ferry":"me.60.3"}"#;
        let hole = |offset| LogPart::Hole { partition: 0, offset };
        assert!(matches!(
            looked(Some(row), &[record(8, other), record(9, row)]),
            Stood::Same
        ));
        assert!(matches!(looked(Some(row), &[record(9, row)]), Stood::Same));
        assert!(matches!(looked(Some(row), &[record(9, other)]), Stood::Other));
        assert!(matches!(looked(Some(row), &[record(8, row), hole(9)]), Stood::Gone));
        assert!(matches!(looked(Some(row), &[hole(8), record(10, row)]), Stood::Gone));
        // What earlier versions noted.
        assert!(matches!(looked(None, &[record(9, row)]), Stood::Same));
        assert!(matches!(looked(None, &[record(9, other)]), Stood::Other));
    }

    #[test]
    fn a_tombstone_is_known_by_the_deletion_before_it() {
        let other: &[u8] = br#"{"id":1,"__deleted":true,"_ferry":"me.60.3"}"#;
        assert!(matches!(
            looked(Some(DELETION), &[record(8, DELETION), record(9, b"")]),
            Stood::Same
        ));
        assert!(matches!(
            looked(Some(DELETION), &[record(8, other), record(9, b"")]),
            Stood::Other
        ));
        assert!(matches!(looked(Some(DELETION), &[record(9, b"")]), Stood::Gone));
    }
}
