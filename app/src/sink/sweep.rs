//! Beginning and ending a full pass in a table: every row that it does not touch is removed.

use crate::sqlite::names::quote;
use crate::sqlite::values::borrow;

use super::catalog;
use super::ddl::{self, GO_ON};
use super::landing::Landing;
use super::table::bind;

impl Landing<'_> {
    /// Begins a pass: every row that is there now has yet to be touched by it.
    pub(super) fn begin_pass(&mut self, place: usize, pass: u64) -> rusqlite::Result<()> {
        self.stop_pass(place)?;
        let table = &mut self.cache.tables[place];
        let unvisited = quote(&table.unvisited_name());
        let expressions = ddl::key_expressions(&table.shape);
        let names = (1..=expressions.len())
            .map(|i| format!("k{i}"))
            .collect::<Vec<_>>()
            .join(", ");
        self.conn.execute_batch(&format!(
            "CREATE TABLE {unvisited} ({names}, PRIMARY KEY ({names})) WITHOUT ROWID"
        ))?;
        let fill = format!(
            "INSERT INTO {unvisited} SELECT {} FROM {} WHERE {GO_ON}()",
            expressions.join(", "),
            quote(&table.shape.table)
        );
        table.unvisited = Some(self.conn.execute(&fill, [])? as u64);
        table.pass = pass;
        catalog::note_table(self.conn, table)
    }

    /// Forgets which keys the running pass has not touched.
    pub(super) fn stop_pass(&mut self, place: usize) -> rusqlite::Result<()> {
        let (table, statements) = (&mut self.cache.tables[place], &mut self.statements[place]);
        if table.unvisited.take().is_some() {
            (statements.visit, statements.unvisit) = (None, None);
            table.unvisited_moved = true;
            self.conn
                .execute_batch(&format!("DROP TABLE IF EXISTS {}", quote(&table.unvisited_name())))?;
        }
        Ok(())
    }

    /// Deletes the rows that the pass did not touch.
    pub(super) fn sweep(&mut self, place: usize) -> rusqlite::Result<u64> {
        let table = &self.cache.tables[place];
        let mut delete = self.conn.prepare_cached(&ddl::delete(&table.shape))?;
        let mut unvisited = self.conn.prepare(&format!(
            "SELECT * FROM {} WHERE {GO_ON}()",
            quote(&table.unvisited_name())
        ))?;
        let width = table.key.len().max(1);
        let mut keys = unvisited.query([])?;
        let mut removed = 0;
        while let Some(key) = keys.next()? {
            for i in 0..width {
                let part = borrow(key.get_ref(i)?);
                bind(&mut delete, 1 + i, std::slice::from_ref(&part))?;
            }
            removed += delete.raw_execute()? as u64;
        }
        Ok(removed)
    }
}
