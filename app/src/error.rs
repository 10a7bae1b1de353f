//! The one error type: what went wrong, the way out of it, and the exit code that follows.

use std::fmt;

use crate::terminal::escape::escape;

/// What most of the library returns.
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
    /// An error of this kind, as a sentence.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            way_out: None,
        }
    }

    /// What did not work: exit code 1.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what)
    }

    /// What was asked for wrongly: exit code 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// Records that are missing: exit code 3.
    pub fn loss(what: impl Into<String>) -> Self {
        Self::new(Kind::Loss, what)
    }

    /// The user wants to stop: exit code 0.
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

    /// Of what kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the program ends with.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Stopped => 0,
            Kind::Failed | Kind::Rival | Kind::Forked | Kind::Denied => 1,
            Kind::Usage => 2,
            Kind::Loss => 3,
        }
    }
}

/// On one line; `{:#}` gives the way out a line of its own. No other line break is ours.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.what))?;
        let Some(way_out) = &self.way_out else { return Ok(()) };
        f.write_str(if f.alternate() { "\n  way out: " } else { "; way out: " })?;
        f.write_str(&escape(way_out))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_begins_but_our_own() {
        let error = Error::failed("no table \"a\n  way out: b\u{1b}[2J\"").way_out("name \u{202e}another\r");
        assert_eq!(
            format!("{error:#}"),
            "no table \"a\\n  way out: b\\u{1b}[2J\"\n  way out: name \\u{202e}another\\r"
        );
        assert_eq!(format!("{error}"), format!("{error:#}").replace("\n ", ";"));
    }
}
