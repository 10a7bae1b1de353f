//! A record as it lies in an answer.

/// A record. A null key or value reads as an empty one: the `kafka` crate does not tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub offset: i64,
    pub key: &'a [u8],
    pub value: &'a [u8],
}
