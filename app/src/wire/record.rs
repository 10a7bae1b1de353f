//! What a record turns out to be.

use std::borrow::Cow;

use crate::model::{RecordId, RunHeader, TableSchema, Value};

/// The members of an object by name, in their order.
pub type NamedValues<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// One record of a topic.
#[allow(missing_docs)] // each field is a word of the specification
pub enum Record<'a> {
    /// A row in the order of the schema's columns.
    Row { id: RecordId<'a>, row: Vec<Value<'a>> },
    /// A row that is gone.
    Deletion { id: RecordId<'a>, key: NamedValues<'a> },
    /// A row of ours whose schema record was not read.
    RowWithoutSchema { id: RecordId<'a>, row: NamedValues<'a> },
    /// The table's schema; `begin` names the full pass that begins here.
    Schema {
        id: RecordId<'a>,
        schema: Box<TableSchema>,
        /// What tells the table from others of its source; none from earlier versions.
        table_id: Option<String>,
        header: Option<RunHeader>,
        begin: Option<u64>,
    },
    /// The end of a full pass.
    PassEnd { id: RecordId<'a>, pass: u64 },
    /// It stands in the place of a row that the broker would not take.
    Placeholder {
        id: RecordId<'a>,
        key: String,
        reason: String,
    },
    /// A row that others wrote.
    Foreign(NamedValues<'a>),
    /// No value, which is not an empty one: a tombstone of ours, or others' deletion.
    Null,
}

impl<'a> Record<'a> {
    /// Its id, where one of our sources sent it.
    pub fn id(&self) -> Option<RecordId<'a>> {
        match self {
            Record::Row { id, .. }
            | Record::Deletion { id, .. }
            | Record::RowWithoutSchema { id, .. }
            | Record::Schema { id, .. }
            | Record::PassEnd { id, .. }
            | Record::Placeholder { id, .. } => Some(*id),
            Record::Foreign(_) | Record::Null => None,
        }
    }

    /// What the first record of a run says of it.
    pub fn header(&self) -> Option<&RunHeader> {
        match self {
            Record::Schema { header, .. } => header.as_ref(),
            _ => None,
        }
    }
}

/// A record's key.
pub enum RecordKey<'a> {
    /// An object, as we write it.
    Object(NamedValues<'a>),
    /// What others use for a key: a bare JSON scalar, or any text.
    Bare(Value<'a>),
    /// No key.
    None,
}
