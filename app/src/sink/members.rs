//! The consumers that land in this sink as members of a group: so that one that starts can tell the
//! group of those that were killed. Nobody else knows that they are dead before their session has
//! ended.

use std::fs;

use rusqlite::params;

use crate::error::Result;

use super::Sink;
use super::error::cannot;

/// What stands for the group of those that are in none.
const NO_GROUP: &str = "";

/// A process: its id means nothing on another host, or when the system has given it away again.
#[derive(PartialEq, Eq)]
struct Process {
    host: String,
    id: u32,
    /// When it began, in the system's own count.
    began: String,
}

impl Process {
    /// Where the system tells of processes (Linux).
    fn this() -> Option<Self> {
        let id = std::process::id();
        Some(Self {
            host: host()?,
            id,
            began: began(id)?,
        })
    }

    fn is_here(&self) -> bool {
        host().is_some_and(|host| host == self.host)
    }

    /// Whether it has ended. What runs on another host is not known.
    fn has_ended(&self) -> bool {
        self.is_here() && began(self.id).as_ref() != Some(&self.began)
    }
}

fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{} {}", name.trim(), boot.trim()))
}

fn began(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in brackets, can hold anything; the count stands 20 words behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

impl Sink {
    /// Notes that this process lands here without a group.
    pub fn note_ungrouped(&mut self) -> Result<()> {
        let Some(this) = Process::this() else { return Ok(()) };
        let dead = self.dead_members(NO_GROUP)?;
        if !dead.is_empty() {
            self.forget_members(&dead)?;
        }
        self.note_member(NO_GROUP, &format!("process {} of {}", this.id, this.began))
    }

    /// Notes that this process lands as a member of a group, and no more under its older names.
    pub fn note_member(&mut self, group: &str, member: &str) -> Result<()> {
        let Some(this) = Process::this() else { return Ok(()) };
        let landing = self.begin()?;
        landing
            .conn
            .execute(
                "DELETE FROM _rowferry_members WHERE host = ?1 AND process = ?2 AND began = ?3",
                params![this.host, this.id, this.began],
            )
            .and_then(|_| {
                landing.conn.execute(
                    "INSERT OR REPLACE INTO _rowferry_members VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![group, member, this.host, this.id, this.began],
                )
            })
            .map_err(|e| cannot(e, "note the member in the sink"))?;
        landing.commit()
    }

    /// The members of a group whose processes have ended; those that left it are gone from it
    /// already.
    pub fn dead_members(&self, group: &str) -> Result<Vec<String>> {
        let all = self.members("group_name = ?1", group)?;
        let dead = all.into_iter().filter(|(_, process)| process.has_ended());
        Ok(dead.map(|(member, _)| member).collect())
    }

    /// Whether a process that lives lands here under another group than this one.
    pub fn has_other_groups(&self, group: &str) -> Result<bool> {
        let all = self.members("group_name <> ?1", group)?;
        Ok(all.iter().any(|(_, process)| process.is_here() && !process.has_ended()))
    }

    fn members(&self, which: &str, group: &str) -> Result<Vec<(String, Process)>> {
        let member = |row: &rusqlite::Row<'_>| {
            let (host, id, began) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, Process { host, id, began }))
        };
        let sql = format!("SELECT member, host, process, began FROM _rowferry_members WHERE {which}");
        self.conn
            .prepare(&sql)
            .and_then(|mut statement| statement.query_map([group], member)?.collect())
            .map_err(|e| cannot(e, "read the members in the sink"))
    }

    /// Takes members out whose processes have ended.
    pub fn forget_members(&mut self, members: &[String]) -> Result<()> {
        let landing = self.begin()?;
        for member in members {
            landing
                .conn
                .execute("DELETE FROM _rowferry_members WHERE member = ?1", [member])
                .map_err(|e| cannot(e, "forget the member in the sink"))?;
        }
        landing.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_beginning() {
        let this = Process::this().unwrap();
        assert!(!this.has_ended());
        let earlier = Process {
            began: "1".to_owned(),
            ..Process::this().unwrap()
        };
        assert!(earlier.is_here() && earlier.has_ended());
        let elsewhere = Process {
            host: "elsewhere".to_owned(),
            ..earlier
        };
        assert!(!elsewhere.is_here() && !elsewhere.has_ended());
    }
}
