//! A record as it lies in an answer.

/// A record. A null key or value reads as an empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub offset: i64,
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Whether the value is null. Through the crate `kafka`, which does not tell them apart, an empty
    /// one is.
    pub value_is_null: bool,
}
