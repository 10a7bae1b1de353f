//! The options for TLS and for a login.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::flag;
use crate::broker::{Credentials, Mechanism, Password, Security, Tls, TlsFiles};
use crate::error::{Error, Result};
use crate::named_file;

const PASSWORD_VARIABLE: &str = "ROWFERRY_SASL_PASSWORD";
const PASSWORD_FLAG: &str = "--sasl-password-file";

/// The file of a password has at most so many bytes.
const LARGEST: u64 = 64 << 10;

/// How connections to the brokers are secured.
#[derive(Debug, Default, clap::Args)]
pub struct SecurityArgs {
    /// Talk to the brokers over TLS, and check their certificates and names
    #[arg(long, env = "ROWFERRY_TLS", value_parser = flag())]
    pub tls: bool,

    /// With --tls: the CAs to trust, in PEM [default: those of the system]
    #[arg(long, value_name = "FILE", env = "ROWFERRY_TLS_CA")]
    pub tls_ca: Option<PathBuf>,

    /// With --tls: our own certificate and those below its CA, in PEM, for brokers that ask for one
    #[arg(long, value_name = "FILE", env = "ROWFERRY_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// With --tls-cert: its key, in PEM, not encrypted
    #[arg(long, value_name = "FILE", env = "ROWFERRY_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Log in by this mechanism
    #[arg(
        long,
        value_enum,
        value_name = "MECHANISM",
        env = "ROWFERRY_SASL",
        ignore_case = true
    )]
    pub sasl: Option<Mechanism>,

    /// With --sasl: the user. The password comes from the environment variable
    /// ROWFERRY_SASL_PASSWORD, or from a file
    #[arg(long, value_name = "NAME", env = "ROWFERRY_SASL_USER")]
    pub sasl_user: Option<String>,

    /// With --sasl: the file whose first line is the password
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SASL_PASSWORD_FILE")]
    pub sasl_password_file: Option<PathBuf>,

    /// With --sasl plain and without --tls: send the password readably over the network all the
    /// same
    #[arg(long, env = "ROWFERRY_SASL_PLAIN_IN_CLEAR", value_parser = flag())]
    pub sasl_plain_in_clear: bool,
}

impl SecurityArgs {
    /// Reads the files, and refuses options that do not go together.
    pub fn security(&self) -> Result<Security> {
        self.with_variable(env::var_os(PASSWORD_VARIABLE))
    }

    fn with_variable(&self, variable: Option<OsString>) -> Result<Security> {
        // What needs no file is judged first.
        let files = self.tls_files()?;
        let login = self.login(variable)?;
        Ok(Security {
            tls: files.as_ref().map(Tls::read).transpose()?,
            login: login.map(Arc::new),
        })
    }

    fn tls_files(&self) -> Result<Option<TlsFiles>> {
        if !self.tls {
            let given = [
                ("--tls-ca", &self.tls_ca),
                ("--tls-cert", &self.tls_cert),
                ("--tls-key", &self.tls_key),
            ];
            return match given.iter().find(|(_, file)| file.is_some()) {
                Some((flag, _)) => Err(needs(flag, "--tls")),
                None => Ok(None),
            };
        }
        let client = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(needs("--tls-cert", "--tls-key FILE")),
            (None, Some(_)) => return Err(needs("--tls-key", "--tls-cert FILE")),
        };
        Ok(Some(TlsFiles {
            ca: self.tls_ca.clone(),
            client,
        }))
    }

    fn login(&self, variable: Option<OsString>) -> Result<Option<Credentials>> {
        let Some(mechanism) = self.sasl else {
            let given = [
                ("--sasl-user", self.sasl_user.is_some()),
                (PASSWORD_FLAG, self.sasl_password_file.is_some()),
                ("--sasl-plain-in-clear", self.sasl_plain_in_clear),
            ];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((flag, _)) => Err(needs(flag, "--sasl MECHANISM")),
                None => Ok(None),
            };
        };
        if self.sasl_plain_in_clear && mechanism != Mechanism::Plain {
            return Err(needs("--sasl-plain-in-clear", "--sasl plain"));
        }
        if mechanism == Mechanism::Plain && !self.tls && !self.sasl_plain_in_clear {
            return Err(
                Error::usage("--sasl plain without --tls sends the password readably over the network").way_out(
                    "add --tls, or use --sasl scram-sha-512; where the network is trusted, --sasl-plain-in-clear",
                ),
            );
        }
        let user = self
            .sasl_user
            .clone()
            .ok_or_else(|| needs("--sasl", "--sasl-user NAME"))?;
        if user.is_empty() || user.contains('\0') {
            return Err(Error::usage("--sasl-user: this is no user's name").way_out("name one: --sasl-user NAME"));
        }
        Ok(Some(Credentials {
            mechanism,
            user,
            password: self.password(variable)?,
        }))
    }

    fn password(&self, variable: Option<OsString>) -> Result<Password> {
        const WAY_OUT: &str = "give the password by the environment variable ROWFERRY_SASL_PASSWORD, or as the first \
                               line of a file: --sasl-password-file FILE";
        match (&self.sasl_password_file, variable) {
            (Some(_), Some(_)) => Err(Error::usage(format!(
                "the password is given twice, by {PASSWORD_FLAG} and by {PASSWORD_VARIABLE}"
            ))
            .way_out("leave one of them out")),
            (Some(path), None) => password_in(path),
            (None, Some(variable)) => {
                // A text that is not UTF-8 is never shown.
                let text = variable.into_string().map_err(|_| "it is not UTF-8");
                let password = text.map(Zeroizing::new).and_then(usable);
                password.map_err(|why| Error::usage(format!("{PASSWORD_VARIABLE}: {why}")).way_out(WAY_OUT))
            }
            (None, None) => Err(Error::usage("--sasl needs a password, and none is given").way_out(WAY_OUT)),
        }
    }
}

fn password_in(path: &Path) -> Result<Password> {
    let bytes = named_file::read_secret(PASSWORD_FLAG, path, LARGEST)?;
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| "its first line is not UTF-8");
    let password = text.map(|text| Zeroizing::new(text.to_string())).and_then(usable);
    password.map_err(|why| {
        Error::failed(format!("{PASSWORD_FLAG} {}: {why}", path.display()))
            .way_out("write the password into the file's first line, and nothing else into it")
    })
}

fn usable(password: Zeroizing<String>) -> Result<Password, &'static str> {
    if password.is_empty() {
        Err("the password is empty")
    } else if password.contains('\0') {
        Err("no password has a zero byte")
    } else {
        Ok(Password::new(password))
    }
}

fn needs(flag: &str, other: &str) -> Error {
    Error::usage(format!("{flag} needs {other}")).way_out(format!("add {other}, or leave {flag} out"))
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
