//! The client's side of SCRAM: each side proves that it knows the password, and neither tells it
//! (RFC 5802, RFC 7677).
//!
//! Names and passwords are taken as their bytes in UTF-8. The RFC wants SASLprep, which changes no
//! ordinary text; Kafka's brokers and its own client leave it out, and a password that it would
//! change could not log in beside them.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::digest::array::Array;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::login_error::LoginError;

/// How many rounds of the hash a server may ask for. Kafka sets 4096 to 16384 (and any more before
/// KRaft); 16 times as many keep us for less than a second.
pub(super) const ITERATIONS: RangeInclusive<u64> = 4096..=16 * 16_384;

/// Random bytes in our nonce.
const NONCE: usize = 24;

/// "n,,", the header of a client that binds no channel, in base64.
const NO_BINDING: &str = "c=biws";

/// The hash of a mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self, key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Sha256 => finish::<Hmac<Sha256>>(key, text),
            Self::Sha512 => finish::<Hmac<Sha512>>(key, text),
        }
    }

    /// Compares in a time that tells nothing of the difference.
    fn is_hmac(self, key: &[u8], text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Sha256 => verify::<Hmac<Sha256>>(key, text, signature),
            Self::Sha512 => verify::<Hmac<Sha512>>(key, text, signature),
        }
    }

    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Sha256 => {
                let mut salted = Zeroizing::new(vec![0; 32]);
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
                salted
            }
            Self::Sha512 => {
                let mut salted = Zeroizing::new(vec![0; 64]);
                pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, iterations, &mut salted);
                salted
            }
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key may have any length");
    mac.update(text);
    mac
}

fn finish<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    let bytes: Array<u8, M::OutputSize> = mac::<M>(key, text).finalize().into_bytes();
    Zeroizing::new(bytes.to_vec())
}

fn verify<M: Mac + KeyInit>(key: &[u8], text: &[u8], signature: &[u8]) -> bool {
    mac::<M>(key, text).verify_slice(signature).is_ok()
}

/// The client's first message has been made; the server's first one is waited for.
pub(super) struct ClientFirst {
    hash: Hash,
    nonce: String,
    /// The message without its header.
    bare: String,
}

/// The proof has been made; the server's is waited for.
pub(super) struct ClientFinal {
    hash: Hash,
    server_key: Zeroizing<Vec<u8>>,
    /// What both sides sign.
    signed: String,
}

impl ClientFirst {
    pub(super) fn new(hash: Hash, user: &str) -> Self {
        let mut random = [0; NONCE];
        getrandom::fill(&mut random).expect("the system gives random bytes");
        Self::with_nonce(hash, user, BASE64.encode(random))
    }

    fn with_nonce(hash: Hash, user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            bare: format!("n={user},r={nonce}"),
            nonce,
        }
    }

    pub(super) fn message(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// Judges the server's first message, and makes the client's last one.
    pub(super) fn answer(self, server_first: &[u8], password: &str) -> Result<(String, ClientFinal), LoginError> {
        let server_first = std::str::from_utf8(server_first).map_err(|_| LoginError::NotScram("it is not UTF-8"))?;
        let (nonce, salt, iterations) = read_server_first(server_first)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(LoginError::NotScram("the nonce does not continue ours"));
        }
        let salted = self.hash.salted(password, &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let without_proof = format!("{NO_BINDING},r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let signature = self.hash.hmac(&self.hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect();
        let message = format!("{without_proof},p={}", BASE64.encode(proof));
        let server_key = self.hash.hmac(&salted, b"Server Key");
        Ok((
            message,
            ClientFinal {
                hash: self.hash,
                server_key,
                signed,
            },
        ))
    }
}

impl ClientFinal {
    /// Checks that the server knows the password too.
    pub(super) fn verify(&self, server_final: &[u8]) -> Result<(), LoginError> {
        let first = server_final.split(|&byte| byte == b',').next().unwrap_or_default();
        let signature = first
            .strip_prefix(b"v=")
            .and_then(|signature| BASE64.decode(signature).ok())
            .ok_or(LoginError::NotScram("its last message has no signature"))?;
        if self.hash.is_hmac(&self.server_key, self.signed.as_bytes(), &signature) {
            Ok(())
        } else {
            Err(LoginError::ServerNotProved)
        }
    }
}

/// Both messages of a server, for the fuzz targets.
pub(in crate::broker) fn server_messages(first: &[u8], last: &[u8]) {
    for hash in [Hash::Sha256, Hash::Sha512] {
        // Those of the example in RFC 7677.
        let client = ClientFirst::with_nonce(hash, "user", "rOprNGfwEbeRWgbNEkqO".to_string());
        if let Ok((proof, client_final)) = client.answer(first, "pencil") {
            assert!(proof.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO"), "{proof}");
            let _ = client_final.verify(last);
        }
    }
}

/// Nonce, salt and iterations, in this order; what follows them are extensions that nobody has to
/// know.
fn read_server_first(message: &str) -> Result<(&str, Vec<u8>, u32), LoginError> {
    let mut attributes = message.split(',');
    let mut next = |name, missing| {
        let attribute = attributes.next().and_then(|attribute| attribute.strip_prefix(name));
        attribute.ok_or(LoginError::NotScram(missing))
    };
    // A mandatory extension ("m=") stands before the nonce, and is refused as the RFC demands.
    let nonce = next("r=", "its first message does not begin with a nonce")?;
    let salt = next("s=", "its first message has no salt")?;
    let iterations = next("i=", "its first message tells no iterations")?;
    let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty());
    let salt = salt.ok_or(LoginError::NotScram("its salt is no base64"))?;
    let asked: u64 = iterations
        .parse()
        .map_err(|_| LoginError::NotScram("its iterations are no number"))?;
    match u32::try_from(asked) {
        Ok(iterations) if ITERATIONS.contains(&asked) => Ok((nonce, salt, iterations)),
        _ => Err(LoginError::Iterations {
            asked,
            allowed: ITERATIONS,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn answer(server_first: &str) -> Result<(String, ClientFinal), LoginError> {
        ClientFirst::with_nonce(Hash::Sha256, "user", NONCE.to_string()).answer(server_first.as_bytes(), "pencil")
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_kept_to_the_letter() {
        let first = ClientFirst::with_nonce(Hash::Sha256, "user", NONCE.to_string());
        assert_eq!(first.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (message, client_final) = answer(SERVER_FIRST).unwrap();
        assert_eq!(
            message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let proof = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(client_final.verify(proof), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let (_, client_final) = answer(SERVER_FIRST).unwrap();
        let wrong = b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(client_final.verify(wrong), Err(LoginError::ServerNotProved));
        assert_eq!(client_final.verify(b"v="), Err(LoginError::ServerNotProved));
        for garbage in [&b""[..], b"v", b"e=other-error", b"v=!", b"\xff\xfe", b"x=1,v=6rri"] {
            assert!(matches!(client_final.verify(garbage), Err(LoginError::NotScram(_))));
        }
    }

    #[test]
    fn names_are_escaped_and_nonces_are_new() {
        let first = ClientFirst::with_nonce(Hash::Sha512, "a,b=c", "x".to_string());
        assert_eq!(first.message(), "n,,n=a=2Cb=3Dc,r=x");
        let message = || ClientFirst::new(Hash::Sha512, "ü").message();
        assert!(message().starts_with("n,,n=ü,r=") && message() != message());
    }

    #[test]
    fn what_is_no_first_message_of_a_server_is_refused() {
        for garbage in [
            "",
            "r",
            "r=,s=,i=",
            "r=other,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
            "m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=!!!!,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=99999999999999999999",
            "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=W22Z",
            "e=unknown-user",
        ] {
            assert!(matches!(answer(garbage), Err(LoginError::NotScram(_))), "{garbage}");
        }
        assert!(
            ClientFirst::new(Hash::Sha256, "user")
                .answer(b"r=\xff", "pencil")
                .is_err()
        );
    }

    #[test]
    fn iterations_that_are_not_safe_or_would_never_end_are_refused_at_once() {
        let began = Instant::now();
        for asked in [0, 1, 4095, 262_145, 4_294_967_296, u64::MAX] {
            let refused = answer(&format!("r={NONCE}x,s=W22Z,i={asked}")).err();
            assert!(
                matches!(refused, Some(LoginError::Iterations { asked: told, .. }) if told == asked),
                "{asked}: {refused:?}"
            );
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(answer(&format!("r={NONCE}x,s=W22Z,i=4096,z=extension")).is_ok());
    }

    #[test]
    fn the_most_iterations_come_to_an_end() {
        let first = ClientFirst::with_nonce(Hash::Sha512, "user", NONCE.to_string());
        let server_first = format!("r={NONCE}x,s=W22Z,i={}", ITERATIONS.end());
        assert!(first.answer(server_first.as_bytes(), "pencil").is_ok());
    }
}
