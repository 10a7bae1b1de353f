//! Base64 (RFC 4648, padded) for the bytes that JSON cannot hold.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The place of each byte in the alphabet; NONE for the others.
const PLACES: [u8; 256] = {
    let mut places = [NONE; 256];
    let mut i = 0;
    while i < 64 {
        places[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    places
};
const NONE: u8 = 255;

pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    let letter = |bits: u32, shift: u32| ALPHABET[(bits >> shift & 63) as usize];
    let mut threes = bytes.chunks_exact(3);
    for three in &mut threes {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        out.extend_from_slice(&[letter(bits, 18), letter(bits, 12), letter(bits, 6), letter(bits, 0)]);
    }
    match *threes.remainder() {
        [a] => {
            let bits = u32::from(a) << 16;
            out.extend_from_slice(&[letter(bits, 18), letter(bits, 12), b'=', b'=']);
        }
        [a, b] => {
            let bits = u32::from(a) << 16 | u32::from(b) << 8;
            out.extend_from_slice(&[letter(bits, 18), letter(bits, 12), letter(bits, 6), b'=']);
        }
        _ => {}
    }
}

/// The bytes, or nothing when the text is not what `encode` writes.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take(2).take_while(|&&c| c == b'=').count();
    let letters = &text[..text.len() - padding];
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for four in letters.chunks(4) {
        let mut bits = 0;
        for &letter in four {
            let place = PLACES[letter as usize];
            if place == NONE {
                return None;
            }
            bits = bits << 6 | u32::from(place);
        }
        let missing = 4 - four.len();
        bits <<= 6 * missing;
        let bytes = bits.to_be_bytes();
        let (kept, cut) = bytes[1..].split_at(3 - missing);
        if cut.iter().any(|&b| b != 0) {
            return None;
        }
        out.extend_from_slice(kept);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decode(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn all_bytes_come_back_and_what_is_no_base64_is_refused() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        encode(&all, &mut out);
        assert_eq!(decode(&out).unwrap(), all);
        for bad in ["Z", "Zg=", "Zg", "Z===", "Zm9*", "Zh==", "=AAA", "Zg==Zg=="] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
