//! The one error type: what went wrong, the way out of it, and the exit code that follows.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error means for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something failed that trying again may or may not mend.
    Failed,
    /// The command line asks for what cannot be.
    Usage,
    /// Records are missing, or a run that landed is not remembered by its source.
    Loss,
    /// Another consumer has landed in the sink what this one was about to.
    Rival,
    /// The source is not the file any more that this run began on: another run is due.
    Forked,
    /// A broker does not allow it.
    Denied,
    /// The user asked to stop.
    Stopped,
}

/// A sentence for a person, and what that person can do.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    way_out: Option<String>,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            way_out: None,
        }
    }

    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what)
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    pub fn loss(what: impl Into<String>) -> Self {
        Self::new(Kind::Loss, what)
    }

    pub fn stopped() -> Self {
        Self::new(Kind::Stopped, "stopped as asked")
    }

    /// Adds what the user can do about it.
    pub fn way_out(mut self, way_out: impl Into<String>) -> Self {
        self.way_out = Some(way_out.into());
        self
    }

    /// Puts the place where it happened before the sentence.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// The sentence alone.
    pub fn what(&self) -> &str {
        &self.what
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Stopped => 0,
            Kind::Failed | Kind::Rival | Kind::Forked | Kind::Denied => 1,
            Kind::Usage => 2,
            Kind::Loss => 3,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.way_out {
            Some(way_out) => write!(f, "\n  way out: {way_out}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
