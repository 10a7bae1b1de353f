//! The run: its epoch, its progress, its dead letters.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, params};

use super::file::{File, Tried};
use super::tracking::{self, Look, Place, Tracked, make_tables, next_pass};
use super::{Acked, Capture, Mark, Run, Spread, capture, layout, letters, schema};
use crate::error::{Error, Result};
use crate::row::Value;
use crate::sequence::run_at;
use crate::stop::Stop;

/// What a source remembers of what was shipped. All that it writes, it writes in short transactions.
pub struct Ledger {
    file: File,
    capture: Capture,
    run: Option<Run>,
    /// How this run spreads its rows over each topic, until that is noted.
    spreads: Vec<(String, Spread)>,
    /// Dead letters of a source that is only read, and so cannot keep them.
    lost_letters: u64,
}

impl Ledger {
    pub fn open(path: &Path, capture: Capture, stop: Stop) -> Result<Ledger> {
        let file = File::open(path, capture == Capture::Triggers, &stop)?;
        Ok(Ledger {
            file,
            capture,
            run: None,
            spreads: Vec::new(),
            lost_letters: 0,
        })
    }

    /// Takes a new epoch. It is stored before anything is sent under it. An error when this is not the first run of ours and another
    /// producer has begun one since.
    pub fn begin_run(&mut self) -> Result<Run> {
        let before = self.run.as_ref().map(|run| run.epoch);
        let run = match self.capture {
            Capture::Triggers => self.file.write(|tx| {
                make_tables(tx)?;
                if let Some(before) = before {
                    check_epoch(tx, before)?;
                }
                let (source, prev) = tx.query_row("SELECT source, epoch FROM _rowferry_run", [], |row| {
                    Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(|epoch| epoch as u64)))
                })?;
                let epoch = run_at(SystemTime::now()).max(prev.map_or(0, |prev| prev + 1));
                tx.execute("UPDATE _rowferry_run SET epoch = ?1", [epoch as i64])?;
                Ok(Run { source, epoch, prev })
            })?,
            Capture::None => Run {
                source: self.id_from_path(),
                epoch: run_at(SystemTime::now()),
                prev: None,
            },
        };
        self.run = Some(run.clone());
        self.spreads.clear();
        Ok(run)
    }

    /// Sees to it that the table's changes are captured, and finds out what is to be shipped of it. Comes after `begin_run`.
    pub fn track(&mut self, table: &str, topic: &str, backfill: bool) -> Result<Tracked> {
        if self.capture == Capture::None {
            return self.track_unwatched(table, topic);
        }
        let epoch = self.epoch()?;
        self.file.write(|tx| {
            check_epoch(tx, epoch)?;
            let (schema, place) = tracking::look(tx, table, topic, Look::Start { backfill })?;
            let full = place.pending && place.cursor.is_none();
            let requeued = letters::requeue(tx, &schema, full)?;
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
    pub fn spread(&mut self, topic: &str, partitions: i32) -> Result<Spread> {
        let run = self.run()?.clone();
        if self.capture == Capture::None {
            let moved = Some(run.epoch);
            return Ok(Spread { partitions, moved });
        }
        let spread = self.file.read(|conn| layout::spread(conn, topic, partitions, &run))?;
        self.spreads.push((topic.to_owned(), spread));
        Ok(spread)
    }

    /// Notes that batches are acknowledged, each up to its mark and with its last records, in one transaction. An error when another
    /// producer has begun a run: then nothing is noted.
    pub fn note(&mut self, batches: &[(Mark, Vec<Acked>)]) -> Result<()> {
        if self.capture == Capture::None || batches.is_empty() {
            return Ok(());
        }
        let epoch = self.epoch()?;
        // Where anything is acknowledged, so is the beginning of the run, which stands in every partition.
        let begun = |topic: &str| {
            batches
                .iter()
                .any(|(mark, acked)| !acked.is_empty() && *mark.topic == *topic)
        };
        self.file.write(|tx| {
            check_epoch(tx, epoch)?;
            let mut statement = tx.prepare_cached(
                "INSERT INTO _rowferry_acked(topic, partition, epoch, seq, offset) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, offset = excluded.offset",
            )?;
            for (mark, acked) in batches {
                tracking::advance(tx, mark)?;
                for last in acked {
                    let (epoch, seq) = (last.epoch as i64, last.seq as i64);
                    statement.execute(params![&*mark.topic, last.partition, epoch, seq, last.offset])?;
                }
            }
            for (topic, spread) in self.spreads.iter().filter(|(topic, _)| begun(topic)) {
                layout::note(tx, topic, *spread)?;
            }
            Ok(())
        })?;
        self.spreads.retain(|(topic, _)| !begun(topic));
        Ok(())
    }

    /// Keeps the key of a row that cannot travel, as values and as text for people; the next run tries the row again.
    pub fn dead_letter(&mut self, table: &str, key: &[Value<'_>], text: &str, reason: &str) -> Result<()> {
        log::warn!("{table}: the row {text} stays behind: {reason}");
        if self.capture == Capture::None {
            self.lost_letters += 1;
            return Ok(());
        }
        let epoch = self.epoch()?;
        self.file.write(|tx| {
            check_epoch(tx, epoch)?;
            letters::keep(tx, table, key, text, reason)
        })
    }

    /// How many rows stay behind.
    pub fn dead_letters(&self) -> Result<u64> {
        if self.capture == Capture::None {
            return Ok(self.lost_letters);
        }
        self.file.read(letters::count)
    }

    /// Takes all that is ours out of the source, and says what that was.
    pub fn uninstall(&mut self) -> Result<Vec<String>> {
        self.file.write(|tx| capture::uninstall(tx))
    }

    fn track_unwatched(&self, table: &str, topic: &str) -> Result<Tracked> {
        self.file.read(|conn| {
            let schema = schema::read(conn, table)?;
            let place = Place {
                pass: next_pass(0),
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

    /// A source that cannot be written has no other name than its place.
    fn id_from_path(&self) -> String {
        let bytes = self.file.path().as_os_str().as_encoded_bytes();
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        format!("ro-{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn run(&self) -> Result<&Run> {
        self.run
            .as_ref()
            .ok_or_else(|| Error::failed("no run has begun on this source"))
    }

    fn epoch(&self) -> Result<u64> {
        Ok(self.run()?.epoch)
    }
}

/// An error unless the epoch is still the source's last.
pub fn check_epoch(conn: &Connection, ours: u64) -> Tried<()> {
    let last: i64 = conn
        .prepare_cached("SELECT epoch FROM _rowferry_run")?
        .query_row([], |row| row.get(0))?;
    match last as u64 == ours {
        true => Ok(()),
        false => Err(Error::failed(format!(
            "another producer has taken over this source (epoch {last} after ours, {ours}); nothing is lost"
        ))
        .way_out("let one producer run for each source; start this one again when the other has ended")
        .into()),
    }
}

fn acked(conn: &Connection, topic: &str) -> Tried<Vec<Acked>> {
    let mut statement =
        conn.prepare("SELECT partition, epoch, seq, offset FROM _rowferry_acked WHERE topic = ?1 ORDER BY partition")?;
    let acked = statement.query_map([topic], |row| {
        Ok(Acked {
            partition: row.get(0)?,
            epoch: row.get::<_, i64>(1)? as u64,
            seq: row.get::<_, i64>(2)? as u64,
            offset: row.get(3)?,
        })
    })?;
    Ok(acked.collect::<rusqlite::Result<_>>()?)
}
