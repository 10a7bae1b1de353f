//! The run: its epoch, its progress, its dead dead_letters.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, params};

use super::file::File;
use super::fork::{self, RunState};
use super::tracking::{self, Look, Place, Tracked, make_tables};
use super::{Acked, Capture, Checkpoint, Partitioning, Run, capture, dead_letters, partitioning, resend, schema};
use crate::error::{Error, Kind, Result};
use crate::model::Value;
use crate::model::bounds;
use crate::sequence::epoch_at;
use crate::sqlite::error::SqlResult;
use crate::stop::Stop;
use crate::wire::fingerprint::fingerprint;

/// What a source remembers of what was shipped. All that it writes, it writes in short transactions.
pub struct SourceState {
    file: File,
    capture: Capture,
    run: Option<Run>,
    /// The state of the file when it was looked at before the run.
    looked: Option<(Option<u64>, u64)>,
    /// How this run spreads its rows over each topic, until that is noted.
    spreads: Vec<(String, Partitioning)>,
    /// Dead dead_letters of a source that is only read, and so cannot keep them.
    lost_letters: u64,
}

impl SourceState {
    pub fn open(path: &Path, capture: Capture, stop: Stop) -> Result<SourceState> {
        let file = File::open(path, capture == Capture::Triggers, &stop)?;
        Ok(SourceState {
            file,
            capture,
            run: None,
            looked: None,
            spreads: Vec::new(),
            lost_letters: 0,
        })
    }

    /// What the file remembers of the runs before. Makes our tables where they are missing.
    pub fn look(&mut self) -> Result<Noted> {
        if self.capture == Capture::None {
            return Ok(Noted {
                source: self.id_from_place(),
                is_new: false,
                above: 0,
            });
        }
        let (is_new, source, epoch, notes, pass) = self.file.write(|tx| {
            let is_new = make_tables(tx)?;
            let (source, epoch, notes) = tx.query_row("SELECT source, epoch, notes FROM _rowferry_run", [], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, i64>(2)?))
            })?;
            let pass: Option<i64> = tx.query_row("SELECT max(pass) FROM _rowferry_tracked", [], |row| row.get(0))?;
            Ok((is_new, source, epoch, notes, pass))
        })?;
        self.looked = Some((epoch.map(|epoch| epoch as u64), notes as u64));
        let above = epoch.into_iter().chain(pass).max().unwrap_or(0) as u64;
        Ok(Noted { source, is_new, above })
    }

    /// The last acknowledged record of each partition of a topic, as far as the file remembers.
    pub fn acked(&self, topic: &str) -> Result<Vec<Acked>> {
        match self.capture {
            Capture::Triggers => self.file.read(|conn| acked(conn, topic)),
            Capture::None => Ok(Vec::new()),
        }
    }

    /// Takes a new epoch, larger than `above` and than all epochs and passes that the file knows. It is stored before anything is sent
    /// under it. An error when the file is another one than at the last look or in the last run of ours.
    pub fn begin_run(&mut self, above: u64) -> Result<Run> {
        let noted = match self.looked {
            Some(_) => None,
            None => Some(self.look()?),
        };
        let (before, looked) = (self.run.take(), self.looked);
        let floor = above.max(noted.map_or(0, |noted| noted.above));
        let now = epoch_at(SystemTime::now());
        let run = match self.capture {
            Capture::Triggers => self.file.write(|tx| {
                if let Some(before) = &before {
                    before.state.check(tx, before.state.notes())?;
                }
                let found = fork::state(tx)?;
                if before.is_none() && found != looked {
                    return Err(Error::new(Kind::Forked, "another producer has begun a run on this source").into());
                }
                let (source, prev, pass) = tx.query_row(
                    "SELECT source, epoch, (SELECT max(pass) FROM _rowferry_tracked) FROM _rowferry_run",
                    [],
                    |row| {
                        Ok((
                            row.get(0)?,
                            row.get::<_, Option<i64>>(1)?,
                            row.get::<_, Option<i64>>(2)?,
                        ))
                    },
                )?;
                let last = prev.into_iter().chain(pass).max().unwrap_or(0) as u64;
                let epoch = next_epoch(now, last.max(floor))?;
                tx.execute("UPDATE _rowferry_run SET epoch = ?1, notes = 0", [epoch as i64])?;
                Ok(Run {
                    source,
                    epoch,
                    is_first: prev.is_none(),
                    state: RunState::new(epoch, 0),
                })
            })?,
            Capture::None => {
                let epoch = next_epoch(now, floor)?;
                Run {
                    source: self.id_from_place(),
                    epoch,
                    is_first: true,
                    state: RunState::new(epoch, 0),
                }
            }
        };
        self.run = Some(run.clone());
        self.spreads.clear();
        Ok(run)
    }

    /// The last full pass that the file remembers for a topic, 0 for none.
    pub fn last_pass(&self, topic: &str) -> Result<u64> {
        let sql = "SELECT max(pass) FROM _rowferry_tracked WHERE topic = ?1";
        let pass: Option<i64> = self
            .file
            .read(|conn| Ok(conn.query_row(sql, [topic], |row| row.get(0))?))?;
        Ok(pass.unwrap_or(0) as u64)
    }

    /// Whether the next run sends all rows to a topic anyway.
    pub fn is_full_due(&self, topic: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM _rowferry_tracked WHERE topic = ?1 AND pending AND cursor IS NULL";
        match self.capture {
            Capture::Triggers => self.file.read(|conn| Ok(conn.prepare(sql)?.exists([topic])?)),
            Capture::None => Ok(true),
        }
    }

    /// Keeps keys that a topic holds and the file may have forgotten; `settle` puts them into the outbox.
    pub fn keep_keys(&self, topic: &str, keys: &[Vec<Value<'_>>]) -> Result<()> {
        resend::keep(&self.file.conn, topic, keys).map_err(|e| self.file.error(e))
    }

    /// The run's first records are acknowledged, and the log was read up to them: notes the new place, and sends the keys again that were
    /// kept, in one transaction. How many rows those are. A full pass finds them anyway.
    pub fn settle(&mut self, tables: &[(&Tracked, Vec<Acked>)]) -> Result<u64> {
        if self.capture == Capture::None {
            return Ok(0);
        }
        let state = self.run()?.state.clone();
        let spreads = &self.spreads;
        let (resent, notes) = self.file.write(|tx| {
            state.check(tx, state.notes())?;
            let mut resent = 0;
            for (tracked, acked) in tables {
                if !tracked.full {
                    resent += resend::enqueue(tx, &tracked.topic, &tracked.schema)?;
                }
                note_acked(tx, &tracked.topic, acked)?;
            }
            for (topic, spread) in spreads {
                partitioning::note(tx, topic, *spread)?;
            }
            Ok((resent, state.renew(tx)?))
        })?;
        state.confirm(notes);
        self.spreads.clear();
        resend::forget(&self.file.conn).map_err(|e| self.file.error(e))?;
        Ok(resent)
    }

    /// Sees to it that the table's changes are captured, and finds out what is to be shipped of it. Comes after `begin_run`.
    pub fn track(&mut self, table: &str, topic: &str, backfill: bool) -> Result<Tracked> {
        if self.capture == Capture::None {
            return self.track_unwatched(table, topic);
        }
        let state = self.run()?.state.clone();
        self.file.write(|tx| {
            state.check(tx, state.notes())?;
            let (schema, place) = tracking::look(tx, table, topic, Look::Start { backfill })?;
            let full = place.pending && place.cursor.is_none();
            let requeued = dead_letters::requeue(tx, &schema, full)?;
            let in_outbox = tracking::changes_waiting(tx, &schema, &place)?;
            let rows_waiting = tracking::rows_in_pass(tx, &schema, &place)?.saturating_add(in_outbox);
            Ok(Tracked {
                table: schema.table.clone(),
                topic: topic.to_owned(),
                id: tracking::id(tx, &schema.table)?,
                acked: acked(tx, topic)?,
                pass_pending: place.pending,
                full,
                dead_letters_requeued: requeued,
                rows_waiting,
                schema,
                place,
            })
        })
    }

    /// How this run spreads rows over a topic that has so many partitions now. Comes after `begin_run`. A source that is only read
    /// remembers no other count: there keys may have moved before every run.
    pub fn spread(&mut self, topic: &str, partitions: i32) -> Result<Partitioning> {
        let run = self.run()?.clone();
        if self.capture == Capture::None {
            let moved = Some(run.epoch);
            return Ok(Partitioning { partitions, moved });
        }
        let spread = self
            .file
            .read(|conn| partitioning::spread(conn, topic, partitions, &run))?;
        self.spreads.push((topic.to_owned(), spread));
        Ok(spread)
    }

    /// Notes that batches are acknowledged, each up to its mark and with its last records, in one transaction. An error when another
    /// producer has begun a run, or the file is not the one any more that they were read from: then nothing is noted.
    pub fn note(&mut self, batches: &[(Checkpoint, Vec<Acked>)]) -> Result<()> {
        if self.capture == Capture::None || batches.is_empty() {
            return Ok(());
        }
        self.file.check_place()?;
        let state = self.run()?.state.clone();
        // Where anything is acknowledged, so is the beginning of the run, which stands in every partition.
        let begun = |topic: &str| {
            batches
                .iter()
                .any(|(mark, acked)| !acked.is_empty() && *mark.topic == *topic)
        };
        let notes = self.file.write(|tx| {
            state.check(tx, state.notes())?;
            for (mark, acked) in batches {
                tracking::advance(tx, mark)?;
                note_acked(tx, &mark.topic, acked)?;
            }
            for (topic, spread) in self.spreads.iter().filter(|(topic, _)| begun(topic)) {
                partitioning::note(tx, topic, *spread)?;
            }
            state.renew(tx)
        })?;
        state.confirm(notes);
        self.spreads.retain(|(topic, _)| !begun(topic));
        Ok(())
    }

    /// An error unless this run is still the file's last: the one of a producer that has taken over, or of a file that was put back.
    pub fn check(&self) -> Result<()> {
        if self.capture == Capture::None {
            return Ok(());
        }
        self.file.check_place()?;
        let state = &self.run()?.state;
        let notes = state.notes();
        self.file.read(|conn| state.check(conn, notes))
    }

    /// The same without waiting for a lock: false, and nothing is noted, when somebody else is at the file just now.
    pub fn try_note(&mut self, batches: &[(Checkpoint, Vec<Acked>)]) -> Result<bool> {
        if self.capture == Capture::None {
            return Ok(true);
        }
        self.file.hurry()?;
        let noted = self.note(batches);
        match (self.file.calm()?, noted) {
            (true, Err(_)) => Ok(false),
            (_, noted) => noted.map(|()| true),
        }
    }

    /// Keeps the key of a row that cannot travel, as values and as text for people; the next run tries the row again.
    pub fn dead_letter(&mut self, table: &str, key: &[Value<'_>], text: &str, reason: &str) -> Result<()> {
        log::warn!("{table}: the row {text} stays behind: {reason}");
        if self.capture == Capture::None {
            self.lost_letters += 1;
            return Ok(());
        }
        let state = self.run()?.state.clone();
        self.file.write(|tx| {
            state.check(tx, state.notes())?;
            dead_letters::keep(tx, table, key, text, reason)
        })
    }

    /// How many rows stay behind.
    pub fn dead_letters(&self) -> Result<u64> {
        if self.capture == Capture::None {
            return Ok(self.lost_letters);
        }
        self.file.read(dead_letters::count)
    }

    /// Takes all that is ours out of the source, and says what that was.
    pub fn uninstall(&mut self) -> Result<Vec<String>> {
        self.file.write(|tx| capture::uninstall(tx))
    }

    /// Makes the file a source of its own, which knows nothing of what was shipped under its old name: the new one.
    pub fn new_identity(&mut self) -> Result<String> {
        self.file.write(|tx| {
            make_tables(tx)?;
            tx.execute_batch(
                "UPDATE _rowferry_run SET source = lower(hex(randomblob(6))), epoch = NULL, notes = 0;
                 UPDATE _rowferry_tracked SET pending = 1, cursor = NULL;
                 DELETE FROM _rowferry_acked; DELETE FROM _rowferry_layout;",
            )?;
            Ok(tx.query_row("SELECT source FROM _rowferry_run", [], |row| row.get(0))?)
        })
    }

    fn track_unwatched(&self, table: &str, topic: &str) -> Result<Tracked> {
        let epoch = self.run()?.epoch;
        self.file.read(|conn| {
            let schema = schema::read(conn, table)?;
            let place = Place {
                pass: epoch,
                pending: true,
                ..Place::default()
            };
            Ok(Tracked {
                table: schema.table.clone(),
                topic: topic.to_owned(),
                id: schema.table.clone(),
                acked: Vec::new(),
                pass_pending: true,
                full: true,
                dead_letters_requeued: 0,
                rows_waiting: tracking::rows_in_pass(conn, &schema, &place)?,
                schema: Arc::new(schema),
                place,
            })
        })
    }

    /// A source that cannot be written has no other name than its place: the machine and the path.
    fn id_from_place(&self) -> String {
        let machine = || {
            fs::read("/etc/machine-id")
                .ok()
                .filter(|id| !id.trim_ascii().is_empty())
        };
        let host = machine().or_else(|| fs::read("/proc/sys/kernel/hostname").ok());
        let path = self.file.path().as_os_str().as_encoded_bytes();
        format!("ro-{:016x}", fingerprint(&host.unwrap_or_default(), path))
    }

    fn run(&self) -> Result<&Run> {
        self.run
            .as_ref()
            .ok_or_else(|| Error::failed("no run has begun on this source"))
    }
}

/// The number of a run that begins now. An error when none is left above those that are known.
fn next_epoch(now: u64, above: u64) -> Result<u64> {
    bounds::next_epoch(now, above).ok_or_else(|| {
        Error::failed(format!(
            "no run can follow run {above}: the numbers of runs end before the year 2500, and the file or the log says that one was there"
        ))
        .way_out("run `producer --new-identity`, and ship to a topic of its own; or put the file back from a backup and make the topic anew")
    })
}

/// What a file remembers before a run.
#[derive(Debug)]
pub struct Noted {
    /// The source's id.
    pub source: String,
    /// Whether it was made just now, so that nothing can have been sent under it.
    pub is_new: bool,
    /// The highest epoch or pass that the file knows.
    pub above: u64,
}

fn note_acked(conn: &Connection, topic: &str, acked: &[Acked]) -> SqlResult<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO _rowferry_acked(topic, partition, epoch, seq, offset, stood) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET epoch = ?3, seq = ?4, offset = ?5, stood = ?6",
    )?;
    for last in acked {
        let (epoch, seq, stood) = (last.epoch as i64, last.seq as i64, last.stood.map(|stood| stood as i64));
        statement.execute(params![topic, last.partition, epoch, seq, last.offset, stood])?;
    }
    Ok(())
}

fn acked(conn: &Connection, topic: &str) -> SqlResult<Vec<Acked>> {
    let mut statement = conn.prepare(
        "SELECT partition, epoch, seq, offset, stood FROM _rowferry_acked WHERE topic = ?1 ORDER BY partition",
    )?;
    let acked = statement.query_map([topic], |row| {
        Ok(Acked {
            partition: row.get(0)?,
            epoch: row.get::<_, i64>(1)? as u64,
            seq: row.get::<_, i64>(2)? as u64,
            offset: row.get(3)?,
            stood: row.get::<_, Option<i64>>(4)?.map(|stood| stood as u64),
        })
    })?;
    Ok(acked.collect::<rusqlite::Result<_>>()?)
}
