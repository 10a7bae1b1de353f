//! Which partitions are this consumer's, and until when.

use crate::model::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Assignment, Cluster, GroupConfig, Member};
use crate::error::Result;
use crate::stop::Stop;
use crate::terminal::progress::Progress;

use super::group_offsets::SinkTag;
use super::{Options, Sharing};

/// The longest time between two looks at the user's wish to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Where the partitions come from.
pub enum AssignmentSource {
    Pinned {
        partitions: Vec<TopicPartition>,
        stop: Stop,
    },
    Group {
        member: Member,
        said: Option<String>,
    },
}

impl AssignmentSource {
    pub fn new(options: &Options, cluster: &Cluster, mark: &SinkTag, stop: &Stop) -> Self {
        match &options.sharing {
            Sharing::Pinned(pinned) => {
                let topics = options.topics.iter().map(|topic| Arc::<str>::from(topic.as_str()));
                let of_topic = |topic: Arc<str>| {
                    pinned
                        .iter()
                        .map(move |&partition| TopicPartition::new(topic.clone(), partition))
                };
                Self::Pinned {
                    partitions: topics.flat_map(of_topic).collect(),
                    stop: stop.clone(),
                }
            }
            Sharing::Group {
                name,
                session_timeout,
                apply_timeout,
            } => Self::Group {
                member: cluster.join(GroupConfig {
                    group: name.clone(),
                    topics: options.topics.clone(),
                    note: mark.of_member(),
                    session_timeout: *session_timeout,
                    progress_timeout: *apply_timeout,
                }),
                said: None,
            },
        }
    }

    /// Waits for the next assignment.
    pub fn next(&mut self, progress: &mut Progress, stop: &Stop) -> Result<Assignment> {
        loop {
            stop.check()?;
            let assignment = match self {
                Self::Pinned { partitions, stop } => {
                    return Ok(Assignment {
                        partitions: partitions.clone(),
                        over: stop.part(),
                        membership: None,
                    });
                }
                Self::Group { member, .. } => member.assignment(LOOK)?,
            };
            match assignment {
                Some(assignment) => return Ok(assignment),
                None => progress.add(0, 0),
            }
        }
    }

    /// Says what this consumer has, when that has changed. One that has everything from the start needs no word.
    pub fn say(&mut self, assignment: &Assignment, all: usize) {
        let Self::Group { said, .. } = self else { return };
        let words = match assignment.partitions.len() {
            0 => {
                "no partition is left for this consumer: it waits until another member of its group leaves".to_string()
            }
            n if n == all => format!("this consumer has all partitions: {}", list(&assignment.partitions)),
            _ => format!(
                "this consumer has {}; other members of its group have the rest",
                list(&assignment.partitions)
            ),
        };
        let news = match said {
            None => assignment.partitions.len() != all,
            Some(said) => *said != words,
        };
        if news {
            log::info!("{words}");
        }
        *said = Some(words);
    }

    /// The work on the assignment goes on.
    pub fn goes_on(&self) {
        if let Self::Group { member, .. } = self {
            member.goes_on();
        }
    }

    /// Gives the assignment back.
    pub fn give_up(&self) {
        if let Self::Group { member, .. } = self {
            member.give_up();
        }
    }

    pub fn leave(self) {
        if let Self::Group { member, .. } = self {
            member.leave();
        }
    }
}

/// `partitions 0, 1 of topic "users"`
fn list(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(partition.to_string());
    }
    let lists = topics.iter().map(|(topic, partitions)| {
        let plural = if partitions.len() == 1 { "" } else { "s" };
        format!("partition{plural} {} of topic \"{topic}\"", partitions.join(", "))
    });
    lists.collect::<Vec<_>>().join(", ")
}
