//! The records of an answer, lent out as they lie in it.

use crate::broker::message::Message;
use crate::broker::transport::crate_kafka::records as crate_kafka;

/// The records that one partition answered, each in the form of the client that brought them.
#[derive(Debug)]
pub(crate) enum Records {
    Crate(crate_kafka::Records),
    /// Offset, key and value.
    #[cfg(test)]
    Fake(Vec<(i64, Vec<u8>, Vec<u8>)>),
}

/// A look at them, made once for all records.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Crate(crate_kafka::View<'a>),
    #[cfg(test)]
    Fake(&'a [(i64, Vec<u8>, Vec<u8>)]),
}

impl Records {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::Crate(records) => View::Crate(records.view()),
            #[cfg(test)]
            Self::Fake(records) => View::Fake(records),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Crate(records) => records.len(),
            #[cfg(test)]
            Self::Fake(records) => records.len(),
        }
    }

    /// The record at a place, counted from 0.
    pub(crate) fn get(self, place: usize) -> Message<'a> {
        match self {
            Self::Crate(records) => records.get(place),
            #[cfg(test)]
            Self::Fake(records) => {
                let (offset, key, value) = &records[place];
                Message {
                    offset: *offset,
                    key,
                    value,
                }
            }
        }
    }
}
