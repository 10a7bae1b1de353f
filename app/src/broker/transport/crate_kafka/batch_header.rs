//! What lies at an offset where nothing comes: a record larger than the window; a batch without
//! records, such as the mark that ends a transaction; or a compressed batch that compaction took
//! the records at and behind the offset out of, and that the `kafka` crate returns empty and alone.

/// Where a batch or a message says its format.
const MAGIC: usize = 16;

/// What a broker's log shows at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BatchFound {
    /// No records up to this offset.
    Nothing { behind: i64 },
    /// A batch with records, and the offset behind it.
    Batch { base: i64, behind: i64 },
}

/// The format of the first batch, or message; none where its head did not come.
pub(super) fn format(batches: &[u8]) -> Option<u8> {
    batches.get(MAGIC).copied()
}

/// Reads the heads of batches until one has records.
pub(crate) fn find(mut batches: &[u8], from: i64) -> Option<BatchFound> {
    const LENGTH: usize = 8;
    const ATTRIBUTES: usize = 21;
    const LAST_OFFSET_DELTA: usize = 23;
    const COUNT: usize = 57;
    const CONTROL: i32 = 0x20;
    let mut found = None;
    // What it says of itself is a broker's word: it is neither added to unchecked nor followed
    // backwards.
    while format(batches) == Some(2) && batches.len() >= COUNT + 4 {
        let int = |at: usize| i32::from_be_bytes([batches[at], batches[at + 1], batches[at + 2], batches[at + 3]]);
        let base = i64::from(int(0)) << 32 | i64::from(int(4) as u32);
        let last = u32::try_from(int(LAST_OFFSET_DELTA)).ok()?;
        let behind = base.checked_add(i64::from(last) + 1).filter(|_| base >= 0)?;
        let control = int(ATTRIBUTES - 2) & CONTROL != 0;
        if !control && int(COUNT) > 0 {
            return found.or(Some(BatchFound::Batch { base, behind }));
        }
        if behind > from {
            found = Some(BatchFound::Nothing { behind });
        }
        let whole = usize::try_from(int(LENGTH)).ok()? + LENGTH + 4;
        batches = batches.get(whole..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, last: i32, control: bool, count: i32) -> Vec<u8> {
        let mut batch = base.to_be_bytes().to_vec();
        batch.extend(70_i32.to_be_bytes()); // length of what follows
        batch.extend(0_i32.to_be_bytes()); // leader epoch
        batch.push(2);
        batch.extend([9; 4]); // checksum
        batch.extend(if control { 0x30_i16 } else { 0x13 }.to_be_bytes());
        batch.extend(last.to_be_bytes());
        batch.extend([0; 30]); // timestamps, producer
        batch.extend(count.to_be_bytes());
        batch.resize(12 + 70, 0);
        batch
    }

    #[test]
    fn batches_without_records_are_told_from_others() {
        let mark = batch(17, 0, true, 1);
        let emptied = batch(18, 4, false, 0);
        let records = batch(23, 9, false, 10);
        let nothing = |behind| Some(BatchFound::Nothing { behind });
        assert_eq!(find(&mark, 17), nothing(18));
        assert_eq!(find(&[mark.clone(), emptied.clone()].concat(), 17), nothing(23));
        assert_eq!(find(&[mark, emptied, records.clone()].concat(), 17), nothing(23));
        assert_eq!(find(&records, 25), Some(BatchFound::Batch { base: 23, behind: 33 }));
        assert_eq!(find(&records[..40], 23), None);
        assert_eq!(find(&[], 23), None);
        for (base, last) in [(i64::MAX, 0), (i64::MAX - 4, 9), (-1, 3), (23, -1), (23, i32::MIN)] {
            assert_eq!(find(&batch(base, last, true, 1), 23), None, "{base} {last}");
        }
        let mut lengths = batch(23, 0, true, 1);
        for lie in [i32::MAX, -1, i32::MIN] {
            lengths[8..12].copy_from_slice(&lie.to_be_bytes());
            let _ = find(&lengths, 23);
        }
    }
}
