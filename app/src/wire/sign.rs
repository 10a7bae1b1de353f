//! Proof of origin: each record of ours carries an HMAC-SHA-256 by a key that both sides have. It
//! covers the topic, the partition, the record's key and its value as it is without that member. So
//! a record says nothing more than what its source said, and says it in one place of one topic.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::base64;
use super::names::{RECORD_ID, SIGNATURE};
use crate::error::{Error, Result};

const OPENER: &[u8] = SIGNATURE.next_string.as_bytes();
/// The letters of a signature: 32 bytes in base64.
pub const LETTERS: usize = 44;
/// The member with its quotes.
const MEMBER: usize = OPENER.len() + LETTERS + 1;

/// A key file holds so many bytes; line feeds at its end are not counted.
const SHORTEST: usize = 32;
const LONGEST: u64 = 4096;

/// What both sides know and nobody else. It is never shown.
#[derive(Clone)]
pub struct SignKey(Hmac<Sha256>);

/// Signs the records of one partition.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl fmt::Debug for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignKey")
    }
}

impl SignKey {
    /// Reads the file that --sign-key names.
    pub fn read(path: &Path) -> Result<Self> {
        let place = format!("--sign-key {}", path.display());
        let way_out = "name a file of at least 32 random bytes that both sides have: openssl rand -hex 32 > FILE";
        let failed = |what: String| Error::failed(format!("{place}: {what}")).way_out(way_out);
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| {
            (&file).take(LONGEST + 1).read_to_end(&mut bytes)?;
            file.metadata()
        });
        let metadata = read.map_err(|e| failed(format!("cannot read it: {e}")))?;
        if bytes.len() as u64 > LONGEST {
            return Err(failed(format!("it holds more than {LONGEST} bytes")));
        }
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        bytes.truncate(end.map_or(0, |end| end + 1));
        if bytes.len() < SHORTEST {
            return Err(failed(format!("it holds only {} bytes", bytes.len())));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            log::warn!("{place}: others can use this file (mode {mode:03o}): chmod 600 keeps the key to you");
        }
        Ok(Self::new(&bytes))
    }

    /// A key of these bytes.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("a key may have any length"))
    }

    /// What signs in one partition.
    pub fn signer(&self, topic: &str, partition: i32) -> Signer {
        let mut mac = self.0.clone();
        mac.update(b"rowferry 1\0");
        part(&mut mac, topic.as_bytes());
        mac.update(&partition.to_le_bytes());
        Signer(mac)
    }
}

/// A part behind its length: no two records have the same bytes.
fn part(mac: &mut Hmac<Sha256>, bytes: &[u8]) {
    mac.update(&(bytes.len() as u64).to_le_bytes());
    mac.update(bytes);
}

impl Signer {
    /// Puts the signature into a value of ours, which begins at `start` and ends with its id. What
    /// stands before it is not touched.
    pub fn sign(&self, key: &[u8], start: usize, out: &mut Vec<u8>) {
        let at = start + id_at(&out[start..]).expect("a value of ours ends with its id");
        let mut mac = self.0.clone();
        part(&mut mac, key);
        mac.update(&out[start..]);
        let id = out.split_off(at);
        out.extend_from_slice(OPENER);
        base64::encode(&mac.finalize().into_bytes(), out);
        out.push(b'"');
        out.extend_from_slice(&id);
    }

    /// Whether the owner of the key wrote this record for this place.
    pub fn has_signed(&self, key: &[u8], value: &[u8]) -> bool {
        let Some((before, signature, id)) = split(value) else {
            return false;
        };
        let Some(signature) = base64::decode(signature) else {
            return false;
        };
        let mut mac = self.0.clone();
        part(&mut mac, key);
        mac.update(before);
        mac.update(id);
        mac.verify_slice(&signature).is_ok()
    }
}

/// What stands before a record's signature and id; none where they do not stand at its end.
pub fn without_origin(value: &[u8]) -> Option<&[u8]> {
    match split(value) {
        Some((before, ..)) => Some(before),
        None => id_at(value).map(|at| &value[..at]),
    }
}

/// What stands before the signature, the signature, and the member with the id.
fn split(value: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (before, id) = value.split_at(id_at(value)?);
    let (before, member) = before.split_at(before.len().checked_sub(MEMBER)?);
    let signature = member.strip_prefix(OPENER)?.strip_suffix(b"\"")?;
    Some((before, signature, id))
}

fn id_at(value: &[u8]) -> Option<usize> {
    let member = RECORD_ID.next_string.as_bytes();
    value.windows(member.len()).rposition(|window| window == member)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const ROW: &str = "{\"id\":1,\"v\":\"x\",\"_ferry\":\"s.5.7\"}";

    fn signed(signer: &Signer, key: &str, value: &str) -> Vec<u8> {
        let mut out = b"before".to_vec();
        out.extend_from_slice(value.as_bytes());
        signer.sign(key.as_bytes(), 6, &mut out);
        assert!(out.starts_with(b"before"));
        out.split_off(6)
    }

    #[test]
    fn only_what_was_signed_for_this_place_is_genuine() {
        let signer = SignKey::new(KEY).signer("t", 3);
        let value = signed(&signer, "{\"id\":1}", ROW);
        let text = String::from_utf8(value.clone()).unwrap();
        assert!(
            text.starts_with("{\"id\":1,\"v\":\"x\",\"_sig\":\"") && text.ends_with("=\",\"_ferry\":\"s.5.7\"}"),
            "{text}"
        );
        assert_eq!(value.len(), ROW.len() + MEMBER);
        assert!(signer.has_signed(b"{\"id\":1}", &value));
        assert_eq!(without_origin(&value), Some(&b"{\"id\":1,\"v\":\"x\""[..]));
        assert_eq!(without_origin(ROW.as_bytes()), Some(&b"{\"id\":1,\"v\":\"x\""[..]));

        assert!(!signer.has_signed(b"{\"id\":2}", &value), "another key");
        for (topic, partition) in [("u", 3), ("t", 4), ("t3", 3)] {
            assert!(
                !SignKey::new(KEY)
                    .signer(topic, partition)
                    .has_signed(b"{\"id\":1}", &value)
            );
        }
        let other = SignKey::new(b"0123456789abcdef0123456789abcdeF").signer("t", 3);
        assert!(!other.has_signed(b"{\"id\":1}", &value));
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert!(!signer.has_signed(b"{\"id\":1}", &changed), "byte {at}");
        }
        // What is moved from the key into the value, or has no signature, or one of another length,
        // or an empty one.
        for forged in [
            ROW.to_owned(),
            text.replace("=\"", "\""),
            text.replace(
                &text[text.find("\"_sig").unwrap()..text.find(",\"_ferry").unwrap()],
                "\"_sig\":\"\"",
            ),
            text.replace("{\"id\"", "{ \"id\""),
            String::new(),
            "{}".into(),
            ",\"_ferry\":\"".into(),
        ] {
            assert!(!signer.has_signed(b"{\"id\":1}", forged.as_bytes()), "{forged}");
        }
    }

    #[test]
    fn the_signature_is_for_ever_what_it_was() {
        let value = signed(&SignKey::new(KEY).signer("users", 0), "{\"id\":1}", ROW);
        let text = String::from_utf8(value).unwrap();
        // By Python: hmac.new(KEY, b"rowferry 1\0" + le64(5) + b"users" + le32(0) + le64(8) +
        // b'{"id":1}' + ROW, sha256)
        assert!(
            text.contains("\"_sig\":\"5KETMaLLCP7UaE9OO9/l/YnK0PQnt6W39Zj+zwL9W9E=\""),
            "{text}"
        );
    }

    #[test]
    fn a_key_is_a_file_of_enough_bytes() {
        let path = std::env::temp_dir().join(format!("rowferry-key-{}", std::process::id()));
        let reading = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            SignKey::read(&path)
        };
        let sample = |key: &SignKey| signed(&key.signer("t", 0), "k", ROW);
        let plain = sample(&reading(KEY).unwrap());
        assert_eq!(sample(&reading(&[KEY, b"\r\n"].concat()).unwrap()), plain);
        for (bytes, reason) in [
            (&KEY[1..], "it holds only 31 bytes"),
            (b"\n", "only 0 bytes"),
            (&[1; 5000], "more than 4096"),
        ] {
            let error = format!("{:#}", reading(bytes).unwrap_err());
            assert!(error.contains(reason) && error.contains("openssl rand"), "{error}");
            assert!(!error.contains("123456789"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = SignKey::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("--sign-key ") && error.contains("cannot read it"),
            "{error}"
        );
        assert_eq!(format!("{:?}", SignKey::new(KEY)), "SignKey");
    }
}
