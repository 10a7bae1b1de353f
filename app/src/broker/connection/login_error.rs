//! Why a login fails, and the way out of it.

use std::fmt;
use std::ops::RangeInclusive;

use super::credentials::Mechanism;

/// Why a broker and a user do not come to trust each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// The broker does not accept the user or the password. What it says of it has no password in
    /// it.
    Refused {
        mechanism: Mechanism,
        user: String,
        told: String,
    },
    /// The broker offers others.
    MechanismNotOffered { wanted: Mechanism, offered: Vec<String> },
    /// The listener asks for a login, by one of these.
    Wanted { offered: Vec<String> },
    /// The listener asks for no login.
    NotAskedFor,
    /// The broker is older than 1.0, and has a login of another form.
    TooOld,
    /// The server did not prove that it knows the password.
    ServerNotProved,
    /// So many iterations are too few to be safe, or too many to be meant well.
    Iterations { asked: u64, allowed: RangeInclusive<u64> },
    /// What the server sends is no SCRAM.
    NotScram(&'static str),
    /// Another error code.
    Code(i16, String),
}

impl LoginError {
    /// Whether trying again changes nothing. A refused login is final at any time, amid a run too: a
    /// user that was removed is meant to be stopped, a new password is not known here, and a server
    /// may lock out who tries a wrong one again and again.
    pub(crate) fn is_fatal(&self) -> bool {
        !matches!(self, Self::Code(..))
    }

    /// What the user can do.
    pub(crate) fn way_out(&self) -> String {
        let text = match self {
            Self::Refused { .. } => {
                "correct --sasl-user and the password (ROWFERRY_SASL_PASSWORD or --sasl-password-file); \
                 a user of one mechanism may be none of another (--sasl)"
            }
            Self::MechanismNotOffered { offered, .. } => return name_an_offered(offered),
            Self::Wanted { offered } => {
                let sasl = name_an_offered(offered);
                return format!("{sasl}, with --sasl-user NAME and the password in ROWFERRY_SASL_PASSWORD or a file");
            }
            Self::NotAskedFor => "leave --sasl out, or name the broker's listener for SASL with --brokers HOST:PORT",
            Self::TooOld => {
                "run a broker of version 1.0 or newer, or name a listener without SASL and leave --sasl out"
            }
            Self::ServerNotProved | Self::NotScram(_) => {
                "see what answers there: somebody may pose as the broker (--tls checks who it is)"
            }
            Self::Iterations { .. } => {
                "set the user's password anew with 4096 iterations or some more: kafka-configs.sh --alter \
                 --add-config 'SCRAM-SHA-512=[iterations=8192,password=...]' --entity-type users --entity-name USER"
            }
            Self::Code(..) => "see the broker's log",
        };
        text.to_string()
    }
}

fn name_an_offered(offered: &[String]) -> String {
    let known = [Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::Plain];
    let shared: Vec<String> = known
        .iter()
        .filter(|mechanism| offered.iter().any(|name| name == mechanism.name()))
        .map(|mechanism| format!("--sasl {}", mechanism.name().to_lowercase()))
        .collect();
    if shared.is_empty() {
        "turn on SCRAM-SHA-512 in the broker's sasl.enabled.mechanisms, or name a listener that offers it".to_string()
    } else {
        format!("use {}", shared.join(" or "))
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { mechanism, user, told } => {
                write!(
                    f,
                    "it refuses the login of '{user}' with {mechanism}: the user or the password is wrong"
                )?;
                if told.is_empty() {
                    Ok(())
                } else {
                    write!(f, " ({told})")
                }
            }
            Self::MechanismNotOffered { wanted, offered } if offered.is_empty() => {
                write!(f, "it offers no login with {wanted}, and names no other mechanism")
            }
            Self::MechanismNotOffered { wanted, offered } => {
                write!(f, "it offers no login with {wanted}, but with {}", offered.join(", "))
            }
            Self::Wanted { offered } => {
                write!(
                    f,
                    "it asks for a login with {}, and --sasl is not given",
                    offered.join(" or ")
                )
            }
            Self::NotAskedFor => f.write_str("this listener asks for no login, and --sasl is given"),
            Self::TooOld => f.write_str("it is too old for a login: SASL needs Kafka 1.0 or newer"),
            Self::ServerNotProved => {
                f.write_str("it does not prove that it knows the password: it may not be the broker that it seems")
            }
            Self::Iterations { asked, allowed } => write!(
                f,
                "it asks for {asked} rounds of the password's hash: fewer than {} are not safe, and more than {} \
                 are not believed",
                allowed.start(),
                allowed.end()
            ),
            Self::NotScram(what) => write!(f, "what it sends in the login is no SCRAM: {what}"),
            Self::Code(code, told) if told.is_empty() => write!(f, "it answers the login with error {code}"),
            Self::Code(code, told) => write!(f, "it answers the login with error {code} ({told})"),
        }
    }
}
