//! Whose records a topic carries, and what stands against a schema.

/// Whose records a topic carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    Source {
        source: String,
        /// What tells the table from others of its source, where the source has told it.
        table: Option<String>,
    },
    Others,
}

/// Why a schema is not that of the table which a topic carries. Names are those of the sink.
#[derive(Debug, PartialEq, Eq)]
pub enum Conflict {
    /// It is another table's.
    Other { carried: String },
    /// It is the same table under a new name, which something else has.
    NameTaken { carried: String },
}
