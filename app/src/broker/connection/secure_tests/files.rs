//! What is read at the start.

use std::path::PathBuf;

use super::authority::{Authority, Validity, pem};
use crate::broker::connection::{Tls, TlsFiles};

/// The error of these files, with these words in it; a failure, not a slip on the command line.
fn refused(ca: Option<PathBuf>, client: Option<(PathBuf, PathBuf)>, texts: &[&str]) {
    let error = Tls::read(&TlsFiles { ca, client }).expect_err(texts[0]);
    assert_eq!(error.exit_code(), 1, "{error}");
    let error = error.to_string();
    for text in texts {
        assert!(error.contains(text), "{text}: {error}");
    }
    assert!(error.contains("way out"), "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_flag() {
    let ca = Authority::new("ca");
    let missing = ca.path("missing.pem");
    let empty = ca.write("empty.pem", "");
    let text = ca.write("text.pem", "no PEM\n");
    let cut = ca.write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    let broken = ca.write("broken.pem", pem("CERTIFICATE", b"no certificate"));
    let key = ca.write("key.pem", pem("PRIVATE KEY", &ca.itself().key));
    for (file, why) in [
        (&missing, "cannot read it: No such file"),
        (&ca.path(""), "cannot read it: Is a directory"),
        (&empty, "there is no certificate in it"),
        (&text, "there is no certificate in it"),
        (&key, "there is no certificate in it"),
        (&cut, "it is no PEM"),
        (&broken, "a certificate in it cannot be read"),
    ] {
        refused(
            Some(file.clone()),
            None,
            &["--tls-ca", &file.display().to_string(), why],
        );
    }
    let (certificate, key) = ca.client_files(&ca.identity(&["client"], Validity::Now));
    for (file, why) in [
        (&missing, "cannot read it: No such file"),
        (&key, "there is no certificate in it"),
    ] {
        let client = Some((file.clone(), key.clone()));
        refused(
            Some(ca.ca_file()),
            client,
            &["--tls-cert", &file.display().to_string(), why],
        );
    }
    for (file, why) in [
        (&missing, "cannot read it: No such file"),
        (&certificate, "there is no private key in it"),
        (&text, "there is no private key in it"),
    ] {
        let client = Some((certificate.clone(), file.clone()));
        refused(
            Some(ca.ca_file()),
            client,
            &["--tls-key", &file.display().to_string(), why],
        );
    }
}

#[test]
fn a_key_that_is_encrypted_or_anothers_is_told() {
    let ca = Authority::new("ca");
    let (certificate, _) = ca.client_files(&ca.identity(&["client"], Validity::Now));
    let other = ca.write(
        "other.key",
        pem("PRIVATE KEY", &ca.identity(&["other"], Validity::Now).key),
    );
    refused(
        Some(ca.ca_file()),
        Some((certificate.clone(), other)),
        &[
            "--tls-key",
            "--tls-cert",
            "this key is not that of the first certificate",
        ],
    );
    let old_form = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n";
    for encrypted in [pem("ENCRYPTED PRIVATE KEY", b"secret"), old_form.to_string()] {
        let key = ca.write("encrypted.key", encrypted);
        refused(
            Some(ca.ca_file()),
            Some((certificate.clone(), key)),
            &["--tls-key", "the key in it is encrypted", "openssl pkey"],
        );
    }
    let garbage = ca.write("garbage.key", pem("PRIVATE KEY", b"no key"));
    refused(
        Some(ca.ca_file()),
        Some((certificate, garbage)),
        &["--tls-key", "--tls-cert", "they cannot be used"],
    );
}

#[test]
fn several_certificates_may_stand_in_one_file() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let both = [&other, &ca]
        .map(|ca| pem("CERTIFICATE", &ca.itself().certificate))
        .concat();
    let files = TlsFiles {
        ca: Some(ca.write("both.pem", format!("# comments are allowed\n{both}"))),
        client: None,
    };
    assert!(Tls::read(&files).is_ok());
}
