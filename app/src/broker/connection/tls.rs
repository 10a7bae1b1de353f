//! The settings of TLS: whom we trust, and who we are. The files are read once, at the start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::tls_error::TlsError;
use crate::error::{Error, Result};
use crate::named_file;

/// A file of certificates or of a key has at most so many bytes.
const LARGEST: u64 = 16 << 20;

/// The files, in PEM, that the user names.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// The CAs that we trust; without it, those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate, those between it and its CA, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How to speak TLS, for all connections of a run.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    has_certificate: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads the files.
    pub fn read(files: &TlsFiles) -> Result<Self> {
        let roots = match &files.ca {
            Some(path) => roots_of(path)?,
            None => system_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::failed(format!("TLS cannot be set up: {e}")))?
            .with_root_certificates(roots);
        let config = match &files.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates_in("--tls-cert", certificate)?;
                let private_key = key_in(key)?;
                builder
                    .with_client_auth_cert(chain, private_key)
                    .map_err(|e| does_not_fit(certificate, key, &e))?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            has_certificate: files.client.is_some(),
        })
    }

    /// Whether we have a certificate of our own.
    pub(super) fn has_certificate(&self) -> bool {
        self.has_certificate
    }

    /// A client that believes only the one who has a certificate for this host: a DNS name or an IP
    /// address.
    pub(super) fn client(&self, host: &str) -> Result<ClientConnection, TlsError> {
        let name = ServerName::try_from(host.to_string()).map_err(|_| TlsError::BadHost(host.to_string()))?;
        ClientConnection::new(self.config.clone(), name).map_err(|e| TlsError::of(e, host, self.has_certificate))
    }
}

fn roots_of(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in("--tls-ca", path)? {
        roots.add(certificate).map_err(|e| {
            at("--tls-ca", path, &format!("a certificate in it cannot be read ({e})"))
                .way_out("name the CA's certificate in PEM, of version 3: openssl x509 -in FILE -text shows it")
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
    Err(Error::failed(format!(
        "--tls: this system has no CA certificates that can be read{why}"
    ))
    .way_out("install them (apt-get install ca-certificates), or name the CA's file: --tls-ca FILE"))
}

fn certificates_in(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let way_out = "name a file in PEM, with -----BEGIN CERTIFICATE----- in it";
    let bytes = named_file::read(flag, path, LARGEST)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|e| at(flag, path, &format!("it is no PEM ({e})")).way_out(way_out))?;
    if certificates.is_empty() {
        return Err(at(flag, path, "there is no certificate in it").way_out(way_out));
    }
    Ok(certificates)
}

fn key_in(path: &Path) -> Result<PrivateKeyDer<'static>> {
    const FLAG: &str = "--tls-key";
    let bytes = named_file::read_secret(FLAG, path, LARGEST)?;
    // Both forms say so: "ENCRYPTED PRIVATE KEY", and "Proc-Type: 4,ENCRYPTED".
    if bytes.windows(9).any(|word| word == b"ENCRYPTED") {
        return Err(at(FLAG, path, "the key in it is encrypted")
            .way_out("decrypt it: openssl pkey -in FILE -out PLAIN && chmod 600 PLAIN, and name PLAIN"));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        at(FLAG, path, "there is no private key in it")
            .way_out("name a file in PEM, with -----BEGIN PRIVATE KEY----- in it")
    })
}

fn does_not_fit(certificate: &Path, key: &Path, why: &rustls::Error) -> Error {
    let (certificate, key) = (certificate.display(), key.display());
    let what = match why {
        rustls::Error::InconsistentKeys(_) => {
            format!("--tls-key {key}: this key is not that of the first certificate in --tls-cert {certificate}")
        }
        why => format!("--tls-cert {certificate}, --tls-key {key}: they cannot be used ({why})"),
    };
    Error::failed(what)
        .way_out("name a certificate and its own key; the certificate stands before its CA's in the file")
}

fn at(flag: &str, path: &Path, what: &str) -> Error {
    Error::failed(format!("{flag} {}: {what}", path.display()))
}
