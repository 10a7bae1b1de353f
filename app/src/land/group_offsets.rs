//! The broker's group: told how far the sink is, for people and for lag monitoring, and asked whether another sink has landed for it.
//! The sink's own position decides.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Cluster, Committed, Group, Membership};
use crate::error::{Error, Result};
use crate::model::TopicPartition;
use crate::sink::{Sink, SinkPosition};

/// Time between two words to the group.
const EVERY: Duration = Duration::from_secs(1);

/// Time between two words to the group when there is no news: brokers forget offsets that nobody speaks of.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The longest that the end of a run waits for the last word to the group.
const LAST_WORD: Duration = Duration::from_millis(1500);

/// A sink's mark beside the offsets that are committed for it: `rowferry sink 1f00ab till-3:/home/ann/data/sink.db`.
pub struct SinkTag {
    id: String,
    /// Where the file is.
    place: String,
    /// Which file it is, so that a copy is told from the same file at two places.
    file: String,
    note: String,
}

const MARK: &str = "rowferry sink ";

/// Brokers take notes of up to 4 KiB.
const LONGEST_PATH: usize = 1000;

impl SinkTag {
    pub fn of(sink: &Sink, path: &Path) -> Self {
        Self::new(sink.id(), path, sink.file())
    }

    fn new(id: &str, path: &Path, file: String) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let path: String = path.display().to_string().chars().take(LONGEST_PATH).collect();
        let place = format!("{}:{path}", host.trim());
        Self {
            id: id.to_owned(),
            note: format!("{MARK}{id} {place}"),
            place,
            file,
        }
    }

    /// What a member of the group that lands here says of itself.
    pub fn of_member(&self) -> String {
        format!("{}\n{}", self.note, self.file)
    }

    /// The note of another member, and the place, if it lands in another file than this. Its place may be the same: that is a file which
    /// this one has replaced, and whoever has it open stops by itself.
    fn stranger<'m>(&self, member: &'m str) -> Option<(&'m str, &'m str)> {
        let (note, file) = member.split_once('\n')?;
        let (_, place) = note.strip_prefix(MARK)?.split_once(' ')?;
        (file != self.file && place != self.place).then_some((note, place))
    }

    /// The place of another sink, if that is what a note speaks of. One that was in the place of this one is there no more.
    fn other<'n>(&self, note: &'n str) -> Option<&'n str> {
        let (id, place) = note.strip_prefix(MARK)?.split_once(' ')?;
        (id != self.id && place != self.place).then_some(place)
    }
}

/// Members of this sink that were killed cannot leave the group: without this the others would wait for them until their session ends.
pub fn evict_dead(cluster: &Cluster, group: &str, sink: &mut Sink) -> Result<()> {
    let dead = sink.dead_members(group)?;
    if dead.is_empty() {
        return Ok(());
    }
    match cluster.group(group, Membership::none()).evict(dead.clone()) {
        Ok(()) => sink.forget_members(&dead),
        Err(error) => {
            log::debug!("{error}");
            Ok(())
        }
    }
}

/// Sees to it that this group lands in no other sink: a row's versions would be scattered over both. Each marks what it has, then looks
/// for others' marks: of two that do so at once, one at least sees the other.
pub fn check_sink(
    group: &mut Group,
    mark: &SinkTag,
    name: &str,
    sink: &Sink,
    ours: &[SinkPosition],
    topics: &HashMap<Arc<str>, Vec<i32>>,
) -> Result<()> {
    let look = |group: &mut Group| -> Result<()> {
        let mut notes = Vec::new();
        for (topic, partitions) in topics {
            let count = partitions.len() as i32;
            let kept = group.committed(topic, count)?;
            let landed = sink.positions(topic)?;
            for (partition, kept) in kept.into_iter().enumerate() {
                let landed = landed.iter().find(|p| p.at.partition == partition as i32);
                if let Some(kept) = kept {
                    check(mark, name, topic, partition, &kept, landed.map(|p| p.next_offset))?;
                    notes.push(kept.note);
                }
            }
        }
        let members = group.notes_of_others()?;
        check_living(mark, name, &members, &notes)
    };
    look(group)?;
    if ours.is_empty() {
        return Ok(());
    }
    let offsets: Vec<_> = ours.iter().map(offset).collect();
    group.commit_with_retry(&offsets, &mark.note)?;
    look(group)
}

fn check(
    mark: &SinkTag,
    group: &str,
    topic: &str,
    partition: usize,
    kept: &Committed,
    landed: Option<i64>,
) -> Result<()> {
    let Some(path) = mark.other(&kept.note) else {
        return Ok(());
    };
    if landed.is_some_and(|landed| landed >= kept.offset) {
        return Ok(());
    }
    let here = landed.map_or("nothing of it".to_owned(), |landed| format!("it up to offset {landed}"));
    Err(Error::failed(format!(
        "group \"{group}\" lands in another sink: topic \"{topic}\" partition {partition} has landed up to offset {} in {path}, and this sink has {here}",
        kept.offset
    ))
    .way_out(format!(
        "name that file with --sink, which all members of a group share; or give this one a --group of its own, or --partitions; when the other file is gone for good, let the group forget it: kafka-consumer-groups.sh --bootstrap-server HOST:PORT --delete --group {group}"
    )))
}

/// One group, one living sink: of two files that have members in it, each would get some of a row's versions. They can be copies, with
/// one id and the same positions. The one goes on that the group's offsets name, and the other only; where they name neither, or both,
/// none does. A sink that was moved, or put back, finds nobody alive at its old place, and is taken.
fn check_living(mark: &SinkTag, group: &str, members: &[String], notes: &[String]) -> Result<()> {
    let is_named = |note: &str| notes.iter().any(|named| named == note);
    let strangers = members.iter().filter_map(|member| mark.stranger(member));
    let Some((_, place)) = strangers
        .into_iter()
        .find(|(note, _)| is_named(note) || !is_named(&mark.note))
    else {
        return Ok(());
    };
    Err(Error::failed(format!(
        "group \"{group}\" lands in another sink: a consumer that lives lands in {place}, and this one in {}",
        mark.place
    ))
    .way_out(
        "one of both can land in this group: stop the other one, or give one a --group of its own, or --partitions; where both are to share the work, name the same file with --sink",
    ))
}

fn offset(position: &SinkPosition) -> (TopicPartition, i64) {
    (position.at.clone(), position.next_offset)
}

/// Tells the group from a thread of its own, so that no row waits for it.
pub struct OffsetCommitter {
    offsets: Option<Sender<(TopicPartition, i64)>>,
    /// Closed when the teller has ended.
    ended: Receiver<()>,
}

impl OffsetCommitter {
    pub fn start(group: Group, mark: SinkTag) -> Self {
        let (offsets, queue) = channel();
        let (alive, ended) = channel();
        thread::spawn(move || {
            tell(group, &mark, &queue);
            drop(alive);
        });
        Self {
            offsets: Some(offsets),
            ended,
        }
    }

    /// What is in the sink now; sent before long.
    pub fn tell<'p>(&self, positions: impl Iterator<Item = &'p SinkPosition>) {
        if let Some(offsets) = &self.offsets {
            for position in positions {
                // The teller lives until `finish`.
                let _ = offsets.send(offset(position));
            }
        }
    }

    /// Tells what is still untold and ends; a broker that hangs keeps nobody waiting.
    pub fn finish(&mut self) {
        self.offsets = None;
        let _ = self.ended.recv_timeout(LAST_WORD);
    }
}

fn tell(mut group: Group, mark: &SinkTag, queue: &Receiver<(TopicPartition, i64)>) {
    let mut known = HashMap::new();
    let mut failing = false;
    loop {
        match queue.recv_timeout(KEEP_ALIVE) {
            Ok((at, offset)) => {
                known.insert(at, offset);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if !failing => return,
            Err(RecvTimeoutError::Disconnected) => {}
        }
        let end = Instant::now() + EVERY;
        let ended = loop {
            match queue.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, offset)) => {
                    known.insert(at, offset);
                }
                Err(why) => break why == RecvTimeoutError::Disconnected,
            }
        };
        let offsets: Vec<_> = known
            .iter()
            .map(|(at, offset): (&TopicPartition, &i64)| (at.clone(), *offset))
            .collect();
        let told = match offsets.is_empty() {
            true => Ok(()),
            false => group.commit(&offsets, &mark.note),
        };
        if let Err(error) = &told
            && !failing
        {
            log::warn!("the broker's group was not told how far the sink is (the sink itself is safe): {error}");
        }
        failing = told.is_err();
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_sink_is_known_by_its_mark() {
        let mark = SinkTag::new("1f", Path::new("a b.db"), String::new());
        assert_eq!(mark.other(&mark.note), None);
        assert_eq!(mark.other("rowferry sink 2e host:c d.db"), Some("host:c d.db"));
        let before_it = SinkTag::new("2e", Path::new("a b.db"), String::new());
        assert_eq!(
            mark.other(&before_it.note),
            None,
            "its file has been replaced by this one"
        );
        assert_eq!(mark.other(""), None);
    }

    #[test]
    fn what_others_have_landed_and_this_sink_has_not_is_refused() {
        let mark = SinkTag::new("1f", Path::new("a.db"), String::new());
        let kept = |note: &str| Committed {
            offset: 7,
            note: note.to_owned(),
        };
        let check = |note, landed| check(&mark, "g", "t", 0, &kept(note), landed);
        check("", None).unwrap();
        check(&mark.note, Some(3)).unwrap();
        check("rowferry sink 2e b.db", Some(7)).unwrap();
        let refused = check("rowferry sink 2e b.db", Some(6)).unwrap_err().to_string();
        assert!(
            refused.contains("up to offset 7 in b.db") && refused.contains("--group"),
            "{refused}"
        );
        check("rowferry sink 2e b.db", None).unwrap_err();
    }

    #[test]
    fn of_two_files_with_living_members_the_one_that_the_group_names_goes_on() {
        let mark = |id, path, file: &str| SinkTag::new(id, Path::new(path), file.to_owned());
        let (original, copy) = (mark("1f", "a.db", "boot 1 7"), mark("1f", "b.db", "boot 1 8"));
        let check = |own: &SinkTag, other: &SinkTag, notes: &[&SinkTag]| {
            let notes: Vec<String> = notes.iter().map(|mark| mark.note.clone()).collect();
            check_living(own, "g", &[String::new(), other.of_member()], &notes)
        };
        check(&original, &copy, &[&original]).unwrap();
        let refused = check(&copy, &original, &[&original]).unwrap_err().to_string();
        assert!(
            refused.contains("a.db, and this one in") && refused.contains("b.db") && refused.contains("--group"),
            "{refused}"
        );
        for notes in [&[][..], &[&original, &copy]] {
            check(&copy, &original, notes).unwrap_err();
            check(&original, &copy, notes).unwrap_err();
        }
        // The same file at two places, and the one that was in this place.
        check(&mark("1f", "b.db", "boot 1 7"), &original, &[&original]).unwrap();
        check(&mark("2e", "a.db", "boot 1 9"), &original, &[&original]).unwrap();
        // Nobody else lives: it was moved.
        check_living(&copy, "g", &["of another program".to_owned()], &[original.note]).unwrap();
    }
}
