//! How text is compared: the collations that every SQLite has.

use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collation {
    Binary,
    NoCase,
    RTrim,
}

impl Collation {
    /// The name of the usual one.
    pub(crate) const BINARY: &str = "BINARY";

    pub(crate) const ALL: [Self; 3] = [Self::Binary, Self::NoCase, Self::RTrim];

    /// The collation of this name, if it is one of SQLite's own.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|collation| collation.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Binary => Self::BINARY,
            Self::NoCase => "NOCASE",
            Self::RTrim => "RTRIM",
        }
    }

    /// Compares two texts as SQLite does.
    pub(crate) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Binary => a.cmp(b),
            Self::NoCase => {
                // SQLite looks no further than to a NUL that both hold at the same place.
                for (a, b) in a.iter().zip(b) {
                    match a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()) {
                        Ordering::Equal if *a == 0 => break,
                        Ordering::Equal => (),
                        other => return other,
                    }
                }
                a.len().cmp(&b.len())
            }
            Self::RTrim => trimmed(a).cmp(trimmed(b)),
        }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let spaces = text.iter().rev().take_while(|byte| **byte == b' ').count();
    &text[..text.len() - spaces]
}
