//! Who logs in, and by which mechanism.

use std::fmt;

use zeroize::Zeroizing;

/// How a user proves to a broker who it is (SASL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mechanism {
    /// The broker is told the password (RFC 4616)
    #[value(name = "plain")]
    Plain,
    /// Both sides prove that they know the password, and neither tells it (RFC 7677)
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// The same with a longer hash
    #[value(name = "scram-sha-512")]
    ScramSha512,
}

impl Mechanism {
    /// The name by which brokers know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A password. It is never shown, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Keeps a password.
    pub fn new(password: Zeroizing<String>) -> Self {
        Self(password)
    }

    #[cfg(test)]
    pub(crate) fn is(&self, password: &str) -> bool {
        *self.0 == password
    }

    /// For the proof alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What a login needs.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// Who logs in.
    pub user: String,
    /// What is proved.
    pub password: Password,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_itself() {
        let credentials = Credentials {
            mechanism: Mechanism::Plain,
            user: "alice".to_string(),
            password: Password::new("pencil".to_string().into()),
        };
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(shown.contains("alice") && !shown.contains("pencil"), "{shown}");
    }
}
