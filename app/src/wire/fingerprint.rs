//! What stood at an offset, in 64 bits: a position is a number and the record below it, so that a log made anew is told from the old one.

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over the key and the value, each behind its length (8 bytes, little endian). A null is like an empty one: not every client
/// can tell them apart. It is kept in databases, so it never changes.
pub fn fingerprint(key: &[u8], value: &[u8]) -> u64 {
    [key, value].into_iter().fold(BASIS, |hash, part| {
        let length = (part.len() as u64).to_le_bytes();
        length
            .iter()
            .chain(part)
            .fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_ever_what_it_was() {
        assert_eq!(fingerprint(b"", b""), 0x8820_1fb9_60ff_6465);
        assert_eq!(
            fingerprint(br#"{"id":1}"#, br#"{"id":1,"name":"Ann"}"#),
            0x0a7c_528e_6e7f_0874
        );
        assert_eq!(fingerprint(br#"{"id":1}"#, b""), 0x0f47_4957_5890_0363);
        assert_eq!(fingerprint(&[0, 255], &[128; 1000]), 0x5b99_d339_af14_468b);
    }

    #[test]
    fn it_tells_where_the_key_ends() {
        assert_ne!(fingerprint(b"ab", b"c"), fingerprint(b"a", b"bc"));
        assert_ne!(fingerprint(b"ab", b""), fingerprint(b"", b"ab"));
        assert_ne!(fingerprint(b"", b""), fingerprint(b"", &[0]));
    }
}
