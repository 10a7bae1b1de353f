//! What a table looks like, and what its key is.

/// One column of a table, as its source declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The declared type as it stands ("" where there is none).
    pub declared: String,
    /// BINARY, NOCASE or RTRIM.
    pub collation: String,
    /// Place in the primary key, from 1; 0 when it is no part of it.
    pub pk: usize,
    /// The collation by which the primary key compares this column.
    pub pk_collation: String,
}

/// What the sink needs to know to make the same table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// The table's name.
    pub table: String,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// Whether it is STRICT.
    pub strict: bool,
    /// Whether it is WITHOUT ROWID.
    pub without_rowid: bool,
    /// The single primary-key column is another name of the rowid.
    pub rowid_alias: bool,
}

/// The name under which the key of a table without a primary key travels.
pub const ROWID: &str = "rowid";

impl TableSchema {
    /// The columns of the primary key in key order, as places in `columns`; none when the rowid is
    /// the key.
    pub fn key(&self) -> Vec<usize> {
        let mut key: Vec<usize> = (0..self.columns.len()).filter(|&i| self.columns[i].pk > 0).collect();
        key.sort_by_key(|&i| self.columns[i].pk);
        key
    }

    /// Whether the table has no primary key of its own.
    pub fn keyed_by_rowid(&self) -> bool {
        self.columns.iter().all(|c| c.pk == 0)
    }

    /// The names of the key's members.
    pub fn key_names(&self) -> Vec<&str> {
        if self.keyed_by_rowid() {
            return vec![ROWID];
        }
        self.key().into_iter().map(|i| self.columns[i].name.as_str()).collect()
    }
}
