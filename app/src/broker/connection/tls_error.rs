//! Why no TLS connection comes about, and the way out of it.

use std::fmt;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// Why client and broker do not come to a TLS connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TlsError {
    /// No CA that is trusted stands behind the broker's certificate.
    UnknownCa,
    /// The broker's certificate is for other names.
    WrongName { host: String, names: Vec<String> },
    /// The broker's certificate is no longer valid.
    Expired,
    /// The broker's certificate is not valid yet.
    NotYetValid,
    /// The broker shows the certificate of a CA as its own.
    CaAsServer,
    /// Another fault of the broker's certificate.
    BadCertificate(String),
    /// The broker asks for a client certificate, and none was given.
    ClientCertificateMissing,
    /// The broker does not accept the client certificate.
    ClientCertificateRefused(String),
    /// The broker refuses the connection for another reason.
    Refused(String),
    /// What answers does not speak TLS.
    NotTls,
    /// What answers speaks TLS, and was talked to without it.
    NeedsTls,
    /// The other side closed the connection instead of its part of the handshake.
    ClosedInHandshake,
    /// The other side does not get on in the handshake.
    TimedOut,
    /// No certificate can be checked against this host's name.
    BadHost(String),
    /// Anything else that the protocol does not allow.
    Other(String),
}

impl TlsError {
    /// What an error of `rustls` means at a host. `has_certificate`: a client certificate was
    /// given.
    pub(super) fn of(error: rustls::Error, host: &str, has_certificate: bool) -> Self {
        use rustls::Error;
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error, host),
            Error::AlertReceived(alert) => Self::of_alert(alert, has_certificate),
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls
            }
            other => Self::Other(other.to_string()),
        }
    }

    fn of_certificate(error: CertificateError, host: &str) -> Self {
        use CertificateError as Fault;
        match error {
            Fault::UnknownIssuer => Self::UnknownCa,
            // Another CA of the same name.
            Fault::BadSignature => Self::UnknownCa,
            Fault::Expired | Fault::ExpiredContext { .. } => Self::Expired,
            Fault::NotValidYet | Fault::NotValidYetContext { .. } => Self::NotYetValid,
            Fault::NotValidForName => Self::wrong_name(host, Vec::new()),
            Fault::NotValidForNameContext { presented, .. } => Self::wrong_name(host, presented),
            // The crate that tells it is no direct dependency; its words are asserted by a test.
            Fault::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::CaAsServer,
            other => Self::BadCertificate(other.to_string()),
        }
    }

    fn wrong_name(host: &str, names: Vec<String>) -> Self {
        Self::WrongName {
            host: host.to_string(),
            names: names.iter().map(|name| plain_name(name).to_string()).collect(),
        }
    }

    fn of_alert(alert: AlertDescription, has_certificate: bool) -> Self {
        use AlertDescription as Alert;
        let name = || format!("{alert:?}");
        match alert {
            // Java tells of a bad certificate where there is none.
            Alert::CertificateRequired | Alert::BadCertificate if !has_certificate => Self::ClientCertificateMissing,
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
                if has_certificate =>
            {
                Self::ClientCertificateRefused(name())
            }
            _ => Self::Refused(name()),
        }
    }

    /// Whether trying again changes nothing. What closes or is silent may be a broker that starts
    /// or stops.
    pub(crate) fn is_fatal(&self) -> bool {
        !matches!(self, Self::ClosedInHandshake | Self::TimedOut)
    }

    /// What the user can do.
    pub(crate) fn way_out(&self) -> &'static str {
        match self {
            Self::UnknownCa => "name the file of the CA that signed the broker's certificate, in PEM: --tls-ca FILE",
            Self::WrongName { .. } => {
                "name the broker by a name of its certificate (--brokers, and advertised.listeners at the broker), \
                 or make it a certificate with this name as a subjectAltName"
            }
            Self::Expired => "renew the broker's certificate, or correct this machine's clock",
            Self::NotYetValid => "correct this machine's clock, or the certificate's dates",
            Self::CaAsServer => {
                "make the broker a certificate of its own (basicConstraints CA:FALSE), and name the CA's: --tls-ca FILE"
            }
            Self::BadCertificate(_) => "make the broker a certificate of version 3 for its name, signed by a CA",
            Self::ClientCertificateMissing => {
                "name a certificate that the broker trusts, and its key: --tls-cert FILE --tls-key FILE"
            }
            Self::ClientCertificateRefused(_) => {
                "name a valid certificate of a CA that the broker trusts, with its key and what lies between both: \
                 --tls-cert FILE --tls-key FILE"
            }
            Self::Refused(_) => {
                "see the broker's log: it may ask for a client certificate (--tls-cert FILE --tls-key FILE), \
                 or speak other versions of TLS than 1.2 and 1.3"
            }
            Self::NotTls => "leave --tls out, or name the broker's listener for TLS with --brokers HOST:PORT",
            Self::NeedsTls => {
                "add --tls (and --tls-ca FILE for a CA of your own), or name the plaintext listener with \
                 --brokers HOST:PORT"
            }
            Self::ClosedInHandshake | Self::TimedOut => {
                "if it is a listener without TLS, leave --tls out, or name that for TLS with --brokers HOST:PORT; \
                 if the broker is about to start, wait"
            }
            Self::BadHost(_) => "name the broker by a DNS name or an IP address",
            Self::Other(_) => "see the broker's log; TLS 1.2 and 1.3 are spoken here",
        }
    }
}

/// A name without what `rustls` puts around it: `DnsName("kafka")`, `IpAddress(::1)`.
fn plain_name(name: &str) -> &str {
    let inside = |before, after| name.strip_prefix(before)?.strip_suffix(after);
    inside("DnsName(\"", "\")")
        .or_else(|| inside("IpAddress(", ")"))
        .unwrap_or(name)
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCa => f.write_str("its certificate is of a CA that is not trusted here"),
            Self::WrongName { host, names } if names.is_empty() => {
                write!(
                    f,
                    "its certificate is not for {host}: it names no host (subjectAltName)"
                )
            }
            Self::WrongName { host, names } => {
                write!(f, "its certificate is not for {host}, but for {}", names.join(", "))
            }
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotYetValid => f.write_str("its certificate is not valid yet"),
            Self::CaAsServer => f.write_str("it shows a CA's certificate as its own"),
            Self::BadCertificate(why) => write!(f, "its certificate cannot be trusted ({why})"),
            Self::ClientCertificateMissing => f.write_str("it asks for a client certificate, and none is given"),
            Self::ClientCertificateRefused(alert) => write!(f, "it refuses the client certificate ({alert})"),
            Self::Refused(alert) => write!(f, "it refuses the TLS connection ({alert})"),
            Self::NotTls => f.write_str("it does not speak TLS, and --tls is given"),
            Self::NeedsTls => f.write_str("it speaks TLS, and --tls is not given"),
            Self::ClosedInHandshake => f.write_str("it closes the connection in the TLS handshake"),
            Self::TimedOut => f.write_str("it takes the connection, but does not answer in the TLS handshake"),
            Self::BadHost(host) => write!(f, "no certificate can be for '{host}'"),
            Self::Other(why) => write!(f, "no TLS connection comes about ({why})"),
        }
    }
}
