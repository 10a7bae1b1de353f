//! A CA, its certificates, and their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::broker::connection::{Security, Tls, TlsFiles};

/// A CA, with a folder for files that is removed in the end.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    params: CertificateParams,
    key: KeyPair,
    folder: PathBuf,
}

/// A certificate and its key.
pub(super) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: Vec<u8>,
}

/// When a certificate is valid.
pub(super) enum Validity {
    Now,
    Past,
    Future,
}

impl Authority {
    /// One of this name: two CAs of one name have different keys all the same.
    pub(super) fn new(name: &str) -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rowferry-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self {
            certificate,
            params,
            key,
            folder,
        }
    }

    pub(super) fn identity(&self, names: &[&str], validity: Validity) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "somebody");
        (params.not_before, params.not_after) = match validity {
            Validity::Now => (date_time_ymd(2000, 1, 1), date_time_ymd(2400, 1, 1)),
            Validity::Past => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
            Validity::Future => (date_time_ymd(2300, 1, 1), date_time_ymd(2400, 1, 1)),
        };
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        Identity {
            certificate: params.signed_by(&key, &issuer).unwrap().der().clone(),
            key: key.serialize_der(),
        }
    }

    /// The CA's own certificate and key.
    pub(super) fn itself(&self) -> Identity {
        Identity {
            certificate: self.certificate.clone(),
            key: self.key.serialize_der(),
        }
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.write("ca.pem", pem("CERTIFICATE", &self.certificate))
    }

    pub(super) fn client_files(&self, client: &Identity) -> (PathBuf, PathBuf) {
        let certificate = self.write("client.pem", pem("CERTIFICATE", &client.certificate));
        (certificate, self.write("client.key", pem("PRIVATE KEY", &client.key)))
    }

    /// A client that trusts this CA.
    pub(super) fn trusted(&self, client: Option<&Identity>) -> Security {
        let files = TlsFiles {
            ca: Some(self.ca_file()),
            client: client.map(|client| self.client_files(client)),
        };
        Security {
            tls: Some(Tls::read(&files).unwrap()),
            login: None,
        }
    }

    /// A server that asks for certificates of this CA, if at all.
    pub(super) fn server(
        &self,
        server: &Identity,
        asks_for_certificates: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap();
        let builder = if asks_for_certificates {
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(server.key.clone()).unwrap();
        Arc::new(builder.with_single_cert(vec![server.certificate.clone()], key).unwrap())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.folder));
    }
}

pub(super) fn pem(label: &str, bytes: &[u8]) -> String {
    let text = BASE64.encode(bytes);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
