//! A batch's events, kept while a lock is held and given on when it is let go.

use std::sync::Arc;

use super::event::Event;
use super::values::{pack, unpack};
use crate::error::Result;
use crate::model::{TableSchema, Value, recycle};

/// As much as is kept for the next batch: memory stays flat after a row that is huge.
const KEPT: usize = 8 << 20;

/// Events with their values packed one after the other.
#[derive(Default)]
pub(super) struct EventBuffer {
    bytes: Vec<u8>,
    events: Vec<Kept>,
}

/// An event, and where its values end among the packed ones: first the key's, then the row's.
enum Kept {
    Begin(u64, Arc<TableSchema>),
    Upsert(usize, usize),
    Delete(usize),
    Refused(usize, String),
    End(u64),
}

impl EventBuffer {
    pub(super) fn add(&mut self, event: Event<'_>) {
        let kept = match event {
            Event::Begin { pass, schema } => Kept::Begin(pass, schema.clone()),
            Event::Upsert { key, row } => Kept::Upsert(self.put(key), self.put(row)),
            Event::Delete { key } => Kept::Delete(self.put(key)),
            Event::Refused { key, reason } => Kept::Refused(self.put(key), reason.to_owned()),
            Event::End { pass } => Kept::End(pass),
        };
        self.events.push(kept);
    }

    /// Gives all that was added to `each`, and forgets it.
    pub(super) fn replay(&mut self, each: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        let mut start = 0;
        let (mut spare_key, mut spare_row) = (Vec::new(), Vec::new());
        for kept in self.events.drain(..) {
            let mut key: Vec<Value<'_>> = recycle(spare_key);
            let mut row: Vec<Value<'_>> = recycle(spare_row);
            let mut take = |end: usize, values: &mut Vec<_>| {
                let whole = unpack(&self.bytes[start..end], values);
                assert!(whole, "what was packed can be unpacked");
                start = end;
            };
            each(match &kept {
                Kept::Begin(pass, schema) => Event::Begin { pass: *pass, schema },
                Kept::Upsert(key_end, row_end) => {
                    take(*key_end, &mut key);
                    take(*row_end, &mut row);
                    Event::Upsert { key: &key, row: &row }
                }
                Kept::Delete(end) => {
                    take(*end, &mut key);
                    Event::Delete { key: &key }
                }
                Kept::Refused(end, reason) => {
                    take(*end, &mut key);
                    Event::Refused { key: &key, reason }
                }
                Kept::End(pass) => Event::End { pass: *pass },
            })?;
            spare_key = recycle(key);
            spare_row = recycle(row);
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        Ok(())
    }

    fn put(&mut self, values: &[Value<'_>]) -> usize {
        values.iter().for_each(|value| pack(value, &mut self.bytes));
        self.bytes.len()
    }
}
