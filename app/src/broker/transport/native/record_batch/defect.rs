//! What makes a batch unreadable.

use std::error::Error;
use std::fmt;

use super::decompress::LIMIT;

/// A batch that cannot be read, by the offset that it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadBatch {
    pub offset: i64,
    pub defect: Defect,
}

/// What is wrong with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    Checksum,
    /// An unknown format.
    Magic(u8),
    /// An unknown codec, or one that the format does not have.
    Codec(u8),
    /// LZ4 in format 0, whose frames have a wrong header checksum (KIP-57).
    Lz4InFormat0,
    /// What does not unpack.
    Compression,
    /// More than what one answer may unpack to.
    TooLarge,
    /// A compressed message in a compressed one.
    Nested,
    /// Offsets that do not rise.
    Offsets,
    /// A length, a count or a number that leads out of the batch.
    Malformed,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("its checksum is wrong"),
            Self::Magic(magic) => write!(f, "its format is {magic}, which this client does not know"),
            Self::Codec(number) => {
                write!(
                    f,
                    "its codec is {number}, which this client does not know in this format"
                )
            }
            Self::Lz4InFormat0 => f.write_str("it is lz4 of format 0, whose frames are not those of LZ4"),
            Self::Compression => f.write_str("it does not unpack"),
            Self::TooLarge => {
                write!(
                    f,
                    "it unpacks to more than {} MiB, more than this client reads",
                    LIMIT >> 20
                )
            }
            Self::Nested => f.write_str("it holds another compressed one, which no producer of Kafka writes"),
            Self::Offsets => f.write_str("its offsets are not those of a log"),
            Self::Malformed => f.write_str("a length in it leads out of it"),
        }
    }
}

impl fmt::Display for BadBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the batch at offset {} cannot be read: {}", self.offset, self.defect)
    }
}

impl Error for BadBatch {}
