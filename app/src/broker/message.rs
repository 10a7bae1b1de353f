//! A record as it lies in an answer.

/// A record. A null key or value has no bytes, and neither has an empty one. Through the crate
/// `kafka`, which does not tell them apart, an empty one is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub offset: i64,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub key_is_null: bool,
    pub value_is_null: bool,
}

impl<'a> Message<'a> {
    /// The key, unless it is null.
    pub fn opt_key(&self) -> Option<&'a [u8]> {
        (!self.key_is_null).then_some(self.key)
    }

    /// The value, unless it is null.
    pub fn opt_value(&self) -> Option<&'a [u8]> {
        (!self.value_is_null).then_some(self.value)
    }
}
