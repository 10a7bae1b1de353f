//! What is remembered between transactions.

use std::sync::Arc;

use rusqlite::Connection;

use crate::error::Result;
use crate::model::Schemas;
use crate::sqlite::pragmas;

use super::binding::Binding;
use super::error::cannot;
use super::table::LandedTable;

/// What is remembered between transactions, as long as nobody else writes. A consumer has few
/// topics, and its records come in runs of one: they are searched for by the pointer first, which
/// takes less than to hash a name for each row.
#[derive(Default)]
pub(super) struct Cache {
    pub tables: Vec<LandedTable>,
    /// Of those topics that are bound.
    pub bindings: Vec<(Arc<str>, Binding)>,
    pub schemas: Schemas,
    data_version: i64,
}

impl Cache {
    /// Forgets the tables and the topics.
    pub(super) fn forget(&mut self) {
        self.tables.clear();
        self.bindings.clear();
    }

    /// Forgets the tables and the topics when another connection has written since.
    pub(super) fn notice_other_writers(&mut self, conn: &Connection) -> Result<()> {
        let version = pragmas::data_version(conn).map_err(|e| cannot(e, "read the sink"))?;
        if version != self.data_version {
            self.data_version = version;
            self.forget();
        }
        Ok(())
    }
}
