//! The records of an answer, lent out as they lie in it.

use crate::broker::message::Message;
use crate::broker::transport::crate_kafka::records as crate_kafka;
use crate::broker::transport::native::record_batch::records::{Record, RecordSets};

/// The records that one partition answered, each in the form of the client that brought them.
#[derive(Debug)]
pub(crate) enum Records {
    Crate(crate_kafka::Records),
    Native(RecordSets),
    /// Offset, key and value.
    #[cfg(test)]
    Fake(Vec<(i64, Vec<u8>, Vec<u8>)>),
}

/// A look at them, made once for all records.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Crate(crate_kafka::View<'a>),
    Native(&'a RecordSets),
    #[cfg(test)]
    Fake(&'a [(i64, Vec<u8>, Vec<u8>)]),
}

impl Records {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::Crate(records) => View::Crate(records.view()),
            Self::Native(sets) => View::Native(sets),
            #[cfg(test)]
            Self::Fake(records) => View::Fake(records),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Crate(records) => records.len(),
            Self::Native(sets) => sets.len(),
            #[cfg(test)]
            Self::Fake(records) => records.len(),
        }
    }

    /// The record at a place, counted from 0.
    pub(crate) fn get(self, place: usize) -> Message<'a> {
        match self {
            Self::Crate(records) => records.get(place),
            Self::Native(sets) => {
                let Record { offset, key, value } = sets.get(place);
                Message {
                    offset,
                    key: key.unwrap_or_default(),
                    value: value.unwrap_or_default(),
                    key_is_null: key.is_none(),
                    value_is_null: value.is_none(),
                }
            }
            #[cfg(test)]
            Self::Fake(records) => {
                let (offset, key, value) = &records[place];
                Message {
                    offset: *offset,
                    key,
                    value,
                    key_is_null: key.is_empty(),
                    value_is_null: value.is_empty(),
                }
            }
        }
    }
}
