//! Schemas and full passes: what a table looks like, and which of its rows a pass has not touched.

use std::sync::Arc;

use log::info;
use rusqlite::ErrorCode;

use crate::error::{Error, Result};
use crate::model::{TableSchema, TopicPartition};
use crate::sqlite::names::{MOST_COLUMNS, ROWID_NAMES};

use super::error::cannot;
use super::landing::{Landed, Landing};
use super::position::SinkPosition;
use super::table::LandedTable;
use super::{catalog, ddl, positions, reshape};

/// Where a table is tried.
const TRIAL: &str = "_rowferry_trial";

impl Landing<'_> {
    /// A schema record: makes or reshapes the table. `begin` is the full pass that begins with it.
    /// When the landing is not committed, the position has to be read again. Of one that is unfit
    /// nothing was changed.
    pub fn schema(
        &mut self,
        position: &mut SinkPosition,
        schema: &Arc<TableSchema>,
        begin: Option<u64>,
    ) -> Result<Landed> {
        let topic = &position.at.topic;
        if let Some(pass) = begin.filter(|pass| *pass < position.pass) {
            return Ok(Landed::Unfit(format!(
                "full pass {pass} begins after full pass {} in {}, though a source numbers its passes upwards",
                position.pass, position.at
            )));
        }
        let is_known = match self.table(topic)? {
            Some(place) => self.cache.tables[place].schema.as_ref() == Some(schema),
            None => false,
        };
        if !is_known && let Some(reason) = self.schema_refusal(schema)? {
            return Ok(Landed::Unfit(format!(
                "the schema of table {} cannot be: {reason}",
                schema.table
            )));
        }
        self.follow(position, schema, begin)
            .map_err(|e| self.unless_stopped(e))?;
        Ok(Landed::Applied)
    }

    /// Why no table can be made of a schema.
    pub fn schema_refusal(&self, schema: &TableSchema) -> Result<Option<String>> {
        let names: Vec<_> = schema.columns.iter().map(|c| c.name.as_str()).collect();
        match bad_name(&schema.table).or_else(|| bad_columns(&names, schema.keyed_by_rowid())) {
            None => self.trial_refusal(&ddl::shape(schema)),
            reason => Ok(reason),
        }
    }

    /// What SQLite has against a table of this shape, or against the statements that its rows need:
    /// they are tried under another name, before anything is changed. SQLite's own limits and rules
    /// have their one home there.
    pub(super) fn trial_refusal(&self, shape: &TableSchema) -> Result<Option<String>> {
        let trial = TableSchema {
            table: TRIAL.into(),
            ..shape.clone()
        };
        let try_it = || -> rusqlite::Result<()> {
            self.conn.execute_batch(&ddl::create_table(&trial, TRIAL))?;
            self.conn.prepare(&ddl::upsert(&trial))?;
            self.conn.prepare(&ddl::delete(&trial))?;
            Ok(())
        };
        let failed = |e| cannot(e, format!("try the schema of table {}", shape.table));
        self.conn.execute_batch("SAVEPOINT _rowferry_trial").map_err(failed)?;
        let tried = try_it();
        self.conn
            .execute_batch("ROLLBACK TO _rowferry_trial; RELEASE _rowferry_trial")
            .map_err(failed)?;
        match tried {
            Ok(()) => Ok(None),
            Err(e) if matches!(e.sqlite_error_code(), Some(ErrorCode::Unknown | ErrorCode::TooBig)) => {
                Ok(Some(e.to_string()))
            }
            Err(e) => Err(failed(e)),
        }
    }

    fn follow(&mut self, position: &mut SinkPosition, schema: &Arc<TableSchema>, begin: Option<u64>) -> Result<()> {
        let topic = &position.at.topic;
        let schema = self.cache.schemas.shared(TableSchema::clone(schema));
        let place = match self.table(topic)? {
            Some(place) => place,
            None => self.make(LandedTable::new(
                topic.clone(),
                Some(schema.clone()),
                ddl::shape(&schema),
            ))?,
        };
        let table = &self.cache.tables[place];
        let newer = begin.is_some_and(|pass| pass > table.pass);
        // A partition that is behind does not bring an old shape back.
        let leads = newer || table.schema.is_none() || (begin.is_none() && position.pass >= table.pass);
        // A table that someone dropped is made anew when all of its rows follow.
        let lost = newer && !reshape::is_taken(self.conn, &table.shape.table)?;
        if lost || (leads && table.schema.as_ref() != Some(&schema)) {
            self.change(place, &schema)?;
        }
        if let Some(pass) = begin.filter(|_| newer) {
            self.begin_pass(place, pass)
                .map_err(|e| cannot(e, format!("begin full pass {pass}")))?;
        }
        position.schema = Some(schema.clone());
        position.pass = begin.unwrap_or(position.pass);
        catalog::note_schema(self.conn, position, &schema)
            .map_err(|e| cannot(e, format!("note the schema of table {}", schema.table)))
    }

    /// The end mark of a pass in one partition. When it has come in all of `partitions`, the rows
    /// that the pass did not touch are removed: how many.
    pub fn pass_end(&mut self, position: &mut SinkPosition, pass: u64, partitions: &[i32]) -> Result<Option<u64>> {
        self.end(position, pass, partitions).map_err(|e| self.unless_stopped(e))
    }

    fn end(&mut self, position: &mut SinkPosition, pass: u64, partitions: &[i32]) -> Result<Option<u64>> {
        let SinkPosition {
            at: TopicPartition { topic, partition },
            ..
        } = &*position;
        if position.pass != pass {
            // The pass began here before the first contact: it is not whole.
            return Ok(None);
        }
        let failed = |e| cannot(e, format!("end the full pass of topic {topic}"));
        let ended = catalog::note_end(self.conn, topic, *partition, pass).map_err(failed)?;
        let Some(place) = self.table(topic)? else {
            return Ok(None);
        };
        let table = &self.cache.tables[place];
        let runs = table.pass == pass && table.unvisited.is_some();
        // Partitions that were added behind the pass hold neither its beginning nor its end.
        let count = position
            .last_applied
            .as_ref()
            .and_then(|last_applied| last_applied.partitions);
        let mut due = partitions.iter().filter(|p| count.is_none_or(|count| **p < count));
        if !runs || !due.all(|p| ended.contains(p)) {
            return Ok(None);
        }
        let removed = self.sweep(place).map_err(failed)?;
        self.stop_pass(place).map_err(failed)?;
        positions::whole(self.conn, topic).map_err(failed)?;
        position.partial = false;
        Ok(Some(removed))
    }

    /// Makes a table that no record has made yet, or takes over one that is there and that the user
    /// adopts.
    pub(super) fn make(&mut self, mut table: LandedTable) -> Result<usize> {
        let mut shape = table.shape.clone();
        self.check_owner(&table.topic, &shape.table)?;
        let theirs = reshape::theirs(self.conn, &shape.table)?;
        match &theirs {
            None => info!("table {} is made for topic {}", shape.table, table.topic),
            Some(theirs) if self.adopts(&theirs.table) => reshape::check_fit(self.conn, theirs, &shape)?,
            Some(theirs) => return Err(not_ours(&table.topic, &theirs.table)),
        }
        reshape::reshape(self.conn, theirs.as_ref(), &mut shape)?;
        table.reshape(shape);
        catalog::note_table(self.conn, &table)
            .map_err(|e| cannot(e, format!("note the table {}", table.shape.table)))?;
        Ok(self.remember(table))
    }

    /// Gives a table the shape of another schema.
    fn change(&mut self, place: usize, schema: &Arc<TableSchema>) -> Result<()> {
        let failed = |e| cannot(e, format!("reshape the table {}", schema.table));
        // What was known of untouched keys belongs to the old shape.
        self.stop_pass(place).map_err(failed)?;
        let table = &mut self.cache.tables[place];
        let topic = table.topic.clone();
        let shape = ddl::shape(schema);
        if !table.shape.table.eq_ignore_ascii_case(&shape.table) {
            self.check_owner(&topic, &shape.table)?;
            if reshape::is_taken(self.conn, &shape.table)? {
                return Err(Error::failed(format!(
                    "the sink has a table {} already, and the rows of topic {topic} have to move there",
                    shape.table
                ))
                .way_out("rename or drop that table, or name another file with --sink"));
            }
        }
        info!("table {} takes the shape of the source's table", shape.table);
        self.cache.tables[place].schema = Some(schema.clone());
        self.rebuild(place, shape)
    }

    fn check_owner(&self, topic: &str, table: &str) -> Result<()> {
        match catalog::other_topic(self.conn, topic, table).map_err(|e| cannot(e, "read the tables of the sink"))? {
            Some(other) => Err(
                Error::failed(format!("topics {other} and {topic} both carry a table {table}"))
                    .way_out("land one of them in another file with --sink"),
            ),
            None => Ok(()),
        }
    }
}

/// A table of the user's is never touched unasked: it would lose its constraints, and its rows at
/// the end of a full pass.
fn not_ours(topic: &str, table: &str) -> Error {
    Error::failed(format!(
        "the sink has a table {table} already, and it is not the consumer's: nothing of topic \"{topic}\" lands in it"
    ))
    .way_out(format!(
        "rename that table, or name another file with --sink; or, when topic \"{topic}\" is to land in it, \
         `consumer --adopt {table}`: it takes the columns and the key that come, keeps no CHECK, NOT NULL or DEFAULT, \
         and at the end of a full pass no rows that the source does not have"
    ))
}

/// Why a table cannot have this name.
pub(super) fn bad_name(table: &str) -> Option<String> {
    let starts = |with: &str| {
        table
            .get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    match table {
        "" => Some("a table without a name".into()),
        _ if table.contains('\0') => Some("a name with a zero byte".into()),
        _ if starts("sqlite_") || starts("_rowferry_") => Some(format!("the name {table} is reserved")),
        _ => None,
    }
}

/// Why a table cannot have so many columns: looked at before any of them is.
pub(super) fn too_many(columns: usize) -> Option<String> {
    (columns > MOST_COLUMNS).then(|| format!("{columns} columns, and SQLite allows {MOST_COLUMNS}"))
}

/// Why a table cannot have these columns.
pub(super) fn bad_columns(names: &[&str], keyed_by_rowid: bool) -> Option<String> {
    if let Some(reason) = too_many(names.len() + usize::from(keyed_by_rowid)) {
        return Some(reason);
    }
    if names.is_empty() {
        return Some("no columns".into());
    }
    if let Some(name) = names.iter().find(|name| name.contains('\0')) {
        return Some(format!("a zero byte in the column name {name:?}"));
    }
    let mut folded: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    folded.sort_unstable();
    if let Some(twice) = folded.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("two columns with the name {}", twice[0]));
    }
    let hidden = |name: &&str| folded.binary_search_by(|f| f.as_str().cmp(name)).is_ok();
    if keyed_by_rowid && ROWID_NAMES.iter().all(hidden) {
        return Some("columns rowid, _rowid_ and oid hide the rowid, which is the key".into());
    }
    None
}
