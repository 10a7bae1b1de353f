//! How large the numbers of a run can be. What is beyond was sent by none of ours: it is refused
//! where it is parsed, so that every sum of such numbers has room in 64 bits, and every one of them
//! in SQLite's 63.

/// Epochs and passes are microseconds since 1970, from before the year 2500.
pub const LAST_EPOCH: u64 = 16_725_225_600_000_000 - 1;

const LAST_SEQ: u64 = i64::MAX as u64;

/// The first pass of a run has its epoch for a number, and the next ones follow: a run begins fewer
/// than these.
const PASSES: u64 = 1 << 32;

/// Reads an epoch as we write it.
pub fn epoch(text: &str) -> Option<u64> {
    number(text).filter(|&epoch| is_epoch(epoch))
}

/// Reads a sequence number as we write it.
pub fn seq(text: &str) -> Option<u64> {
    number(text).filter(|seq| *seq <= LAST_SEQ)
}

/// Whether a run can have this epoch.
pub fn is_epoch(number: u64) -> bool {
    (1..=LAST_EPOCH).contains(&number)
}

/// Whether a run can have begun or ended this pass.
pub fn is_pass(pass: u64, epoch: u64) -> bool {
    is_epoch(pass) && pass < epoch.saturating_add(PASSES)
}

/// The epoch of a run that begins now, above all that is known; none when no number is left. A
/// clock that is beyond them is not asked.
pub fn next_epoch(now: u64, above: u64) -> Option<u64> {
    let now = if is_epoch(now) { now } else { 1 };
    Some(now.max(above.checked_add(1)?)).filter(|&epoch| is_epoch(epoch))
}

/// A number from 1 on, as we write it.
fn number(text: &str) -> Option<u64> {
    let is_ours = text.starts_with(|c: char| matches!(c, '1'..='9')) && text.bytes().all(|b| b.is_ascii_digit());
    is_ours.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_from_1_up_to_what_fits() {
        let (last_epoch, last_seq) = (LAST_EPOCH.to_string(), LAST_SEQ.to_string());
        assert_eq!((epoch("1"), epoch(&last_epoch)), (Some(1), Some(LAST_EPOCH)));
        assert_eq!((seq("1"), seq(&last_seq)), (Some(1), Some(LAST_SEQ)));
        for beyond in [
            "0",
            "",
            "+1",
            "-1",
            "01",
            "1 ",
            "18446744073709551615",
            "18446744073709551616",
        ] {
            assert_eq!((epoch(beyond), seq(beyond)), (None, None), "{beyond}");
        }
        assert_eq!(epoch(&(LAST_EPOCH + 1).to_string()), None);
        assert_eq!(seq(&(LAST_SEQ + 1).to_string()), None);
    }

    #[test]
    fn a_pass_is_hardly_above_its_run() {
        assert!(is_pass(7, 7) && is_pass(1, 7) && is_pass(8, 7) && is_pass(LAST_EPOCH, LAST_EPOCH));
        assert!(!is_pass(0, 7) && !is_pass(7 + PASSES, 7) && !is_pass(LAST_EPOCH + 1, LAST_EPOCH));
    }

    #[test]
    fn the_next_run_is_above_all_that_is_known_while_there_is_a_number() {
        assert_eq!((next_epoch(50, 7), next_epoch(50, 99)), (Some(50), Some(100)));
        assert_eq!(next_epoch(50, LAST_EPOCH - 1), Some(LAST_EPOCH));
        assert_eq!((next_epoch(50, LAST_EPOCH), next_epoch(50, u64::MAX)), (None, None));
        // A clock that is beyond the year 2500, or stands at 1970.
        assert_eq!((next_epoch(u64::MAX, 7), next_epoch(0, 0)), (Some(8), Some(1)));
    }
}
