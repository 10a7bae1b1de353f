//! How the records of a batch are compressed.

/// Where the codec stands in a batch's attributes.
const MASK: u8 = 0x07;

/// A way to compress records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec that attributes name, or its number when there is none of it.
    pub(super) fn of_attributes(attributes: u8) -> Result<Self, u8> {
        let number = attributes & MASK;
        Self::ALL.get(usize::from(number)).copied().ok_or(number)
    }

    /// Its bits in a batch's attributes.
    pub(super) fn attributes(self) -> u8 {
        self as u8
    }
}
