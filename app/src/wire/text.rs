//! Strings in JSON: where one ends, and whether it stands there as it is.

/// Eight bytes that are all the same.
const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const HIGH: u64 = all(0x80);

/// The place of the first byte that a string does not hold as it is: a quote, a backslash or a
/// control character.
pub(super) fn special(bytes: &[u8]) -> Option<usize> {
    find(bytes, 0)
}

/// Whether all of it is ASCII and stands in a string as it is.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    find(bytes, HIGH).is_none()
}

/// Looks at eight bytes at a time; `also` are the bits that make a byte a find, whatever the others
/// are.
fn find(bytes: &[u8], also: u64) -> Option<usize> {
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        // The lowest bit is right: what is borrowed goes up.
        let below = |word: u64, least: u8| word.wrapping_sub(all(least)) & !word;
        let is = |byte: u8| below(word ^ all(byte), 1);
        let found = (below(word, 0x20) | is(b'"') | is(b'\\') | (word & also)) & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20) || u64::from(*byte) & also != 0;
    words.remainder().iter().position(is_special).map(|place| at + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_in_every_place() {
        for byte in 0..=255 {
            let is_special = matches!(byte, b'"' | b'\\' | 0..0x20);
            for length in 1..20 {
                for place in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    assert_eq!(
                        special(&bytes),
                        is_special.then_some(place),
                        "{byte} at {place} of {length}"
                    );
                    assert_eq!(
                        is_plain(&bytes),
                        !is_special && byte.is_ascii(),
                        "{byte} at {place} of {length}"
                    );
                    // What stands behind it changes nothing.
                    bytes[place..].fill(byte);
                    assert_eq!(
                        special(&bytes),
                        is_special.then_some(place),
                        "{byte} from {place} of {length}"
                    );
                }
            }
        }
        assert_eq!((special(b""), is_plain(b"")), (None, true));
    }

    #[test]
    fn the_first_of_several_is_found() {
        let bytes = b"\x7f\x80\xff\xe9 !#[]\x01\"\\";
        assert_eq!(special(bytes), Some(9));
        assert_eq!(special(&bytes[10..]), Some(0));
        assert!(!is_plain(bytes) && is_plain(b"\x7f !#[]~"));
    }
}
