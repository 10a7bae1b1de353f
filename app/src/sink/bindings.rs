//! Whose records a topic carries, and of which table. It is decided at first contact, by the first
//! record that lands, and kept in the sink: everything else that comes in the topic is held against
//! it before it changes anything. A source may rename its table; nothing else moves a topic to
//! another table, or from others to a source, unless the user adopts.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;

use super::binding::{Binding, Conflict};
use super::error::cannot;
use super::landing::Landing;
use super::{catalog, reshape};

impl Landing<'_> {
    /// Whose records a topic carries; none before the first contact.
    pub fn binding(&mut self, topic: &Arc<str>) -> Result<Option<&Binding>> {
        let bindings = &mut self.cache.bindings;
        let is_it = |(known, _): &(Arc<str>, Binding)| Arc::ptr_eq(known, topic) || known == topic;
        let place = match bindings.iter().position(is_it) {
            Some(place) => place,
            None => match read(self.conn, topic).map_err(|e| cannot(e, "read whose records the topics carry"))? {
                Some(binding) => {
                    bindings.push((topic.clone(), binding));
                    bindings.len() - 1
                }
                None => return Ok(None),
            },
        };
        Ok(Some(&bindings[place].1))
    }

    /// Binds a topic, for a record that has landed.
    pub fn bind(&mut self, topic: &Arc<str>, to: Binding) -> Result<()> {
        if self.binding(topic)? == Some(&to) {
            return Ok(());
        }
        note(self.conn, topic, &to).map_err(|e| cannot(e, format!("note whose records topic {topic} carries")))?;
        self.cache.bindings.retain(|(known, _)| known != topic);
        self.cache.bindings.push((topic.clone(), to));
        Ok(())
    }

    /// Whether the user gives the table that a topic of others lands in to a source.
    pub fn gives_away(&mut self, topic: &Arc<str>) -> Result<bool> {
        let place = self.table(topic)?;
        Ok(place.is_some_and(|place| self.adopts(&self.cache.tables[place].shape.table)))
    }

    /// Whether the user lets a table be landed in that is not ours.
    pub(super) fn adopts(&self, table: &str) -> bool {
        self.adopted.iter().any(|name| name.eq_ignore_ascii_case(table))
    }

    /// Why the schema of `table` of a source, with this identity, is not that of the table that the
    /// topic carries; none when it is, or when there is no such table yet.
    pub fn conflict(
        &mut self,
        topic: &Arc<str>,
        source: &str,
        id: Option<&str>,
        table: &str,
    ) -> Result<Option<Conflict>> {
        let Some(Binding::Source {
            source: bound,
            table: known,
        }) = self.binding(topic)?.cloned()
        else {
            return Ok(None);
        };
        let Some(place) = self.table(topic)? else {
            return Ok(None);
        };
        let carried = self.cache.tables[place].shape.table.clone();
        let is_named_so = carried.eq_ignore_ascii_case(table);
        let is_source = bound == source;
        if is_source && known.as_deref().zip(id).is_some_and(|(known, id)| known != id) {
            return Ok(Some(Conflict::Other { carried }));
        }
        if is_named_so {
            return Ok(None);
        }
        // Rows that came before their schema lie in a table with a name of our own choice.
        let is_same = known.is_some() && known.as_deref() == id || self.cache.tables[place].schema.is_none();
        if !is_source || !is_same {
            return Ok(Some(Conflict::Other { carried }));
        }
        let is_taken = reshape::is_taken(self.conn, table)?
            || catalog::other_topic(self.conn, topic, table)
                .map_err(|e| cannot(e, "read the tables of the sink"))?
                .is_some();
        Ok(is_taken.then_some(Conflict::NameTaken { carried }))
    }
}

fn read(conn: &Connection, topic: &str) -> rusqlite::Result<Option<Binding>> {
    conn.prepare_cached("SELECT source, id FROM _rowferry_topics WHERE topic = ?1")?
        .query_row([topic], |r| {
            Ok(match r.get(0)? {
                Some(source) => Binding::Source {
                    source,
                    table: r.get(1)?,
                },
                None => Binding::Others,
            })
        })
        .optional()
}

fn note(conn: &Connection, topic: &str, binding: &Binding) -> rusqlite::Result<()> {
    let (source, id) = match binding {
        Binding::Source { source, table } => (Some(source), table.as_ref()),
        Binding::Others => (None, None),
    };
    conn.prepare_cached("INSERT OR REPLACE INTO _rowferry_topics VALUES (?1, ?2, ?3)")?
        .execute(params![topic, source, id])?;
    Ok(())
}
