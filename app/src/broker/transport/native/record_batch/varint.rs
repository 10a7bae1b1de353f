//! Numbers of variable length: zigzag, then seven bits a byte, the lowest first.

/// Bytes that the longest number takes.
pub(super) const LONGEST: usize = 10;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that a number takes.
pub(super) fn len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Writes a number at a place that has room for it; returns the place behind it.
#[inline]
pub(super) fn write(out: &mut [u8], mut at: usize, value: i64) -> usize {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out[at] = rest as u8 | 0x80;
        at += 1;
        rest >>= 7;
    }
    out[at] = rest as u8;
    at + 1
}

/// Reads a number from the beginning of the bytes: the number, and how many bytes it takes.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(LONGEST).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_take_as_many_bytes_as_was_said() {
        let around = |shift: u32| [-1, 0, 1].map(|by| (1_i64 << shift).wrapping_add(by));
        let numbers = (0..64)
            .flat_map(around)
            .flat_map(|number| [number, number.wrapping_neg()]);
        for number in numbers.chain([i64::MIN, i64::MAX]) {
            let mut out = [0; LONGEST];
            let end = write(&mut out, 0, number);
            assert_eq!(end, len(number), "{number}");
            assert_eq!(read(&out), Some((number, end)));
            assert_eq!(read(&out[..end - 1]), None, "{number}, cut");
        }
        assert_eq!(write(&mut [0; 1], 0, -64), 1);
        assert_eq!(len(64), 2);
    }

    #[test]
    fn a_number_that_does_not_end_is_refused() {
        assert_eq!(read(&[0x80; 20]), None);
        assert_eq!(read(&[]), None);
        // Bits beyond the 64th are lost, as in other clients.
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(read(&longest), Some((i64::MIN, LONGEST)));
    }
}
