//! Which partitions are this consumer's, and until when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Cluster, Member, Seat, Terms};
use crate::error::Result;
use crate::meter::Meter;
use crate::stop::Stop;

use super::group::Mark;
use super::{Options, Sharing};

/// The longest time between two looks at the user's wish to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Partitions that are this consumer's until `over` is raised.
pub struct Berth {
    pub partitions: Vec<(Arc<str>, i32)>,
    pub over: Stop,
    /// Where a group dealt them out.
    pub seat: Option<Seat>,
}

/// Where the partitions come from.
pub enum Berths {
    Pinned {
        partitions: Vec<(Arc<str>, i32)>,
        stop: Stop,
    },
    Group {
        member: Member,
        said: Option<String>,
    },
}

impl Berths {
    pub fn new(options: &Options, cluster: &Cluster, mark: &Mark, stop: &Stop) -> Self {
        match &options.sharing {
            Sharing::Pinned(pinned) => {
                let topics = options.topics.iter().map(|topic| Arc::<str>::from(topic.as_str()));
                let of_topic = |topic: Arc<str>| pinned.iter().map(move |&partition| (topic.clone(), partition));
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
                member: cluster.join(Terms {
                    group: name.clone(),
                    topics: options.topics.clone(),
                    note: mark.of_member(),
                    session: *session_timeout,
                    standstill: *apply_timeout,
                }),
                said: None,
            },
        }
    }

    /// Waits for the next berth.
    pub fn next(&mut self, meter: &mut Meter, stop: &Stop) -> Result<Berth> {
        loop {
            stop.check()?;
            let share = match self {
                Self::Pinned { partitions, stop } => {
                    return Ok(Berth {
                        partitions: partitions.clone(),
                        over: stop.part(),
                        seat: None,
                    });
                }
                Self::Group { member, .. } => member.share(LOOK)?,
            };
            match share {
                Some(share) => {
                    return Ok(Berth {
                        partitions: share.partitions,
                        over: share.over,
                        seat: Some(share.seat),
                    });
                }
                None => meter.add(0, 0),
            }
        }
    }

    /// Says what this consumer has, when that has changed. One that has everything from the start needs no word.
    pub fn say(&mut self, berth: &Berth, all: usize) {
        let Self::Group { said, .. } = self else { return };
        let words = match berth.partitions.len() {
            0 => {
                "no partition is left for this consumer: it waits until another member of its group leaves".to_string()
            }
            n if n == all => format!("this consumer has all partitions: {}", list(&berth.partitions)),
            _ => format!(
                "this consumer has {}; other members of its group have the rest",
                list(&berth.partitions)
            ),
        };
        let news = match said {
            None => berth.partitions.len() != all,
            Some(said) => *said != words,
        };
        if news {
            log::info!("{words}");
        }
        *said = Some(words);
    }

    /// The work on the berth goes on.
    pub fn goes_on(&self) {
        if let Self::Group { member, .. } = self {
            member.goes_on();
        }
    }

    /// Gives the berth back.
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
fn list(partitions: &[(Arc<str>, i32)]) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(partition.to_string());
    }
    let lists = topics.iter().map(|(topic, partitions)| {
        let plural = if partitions.len() == 1 { "" } else { "s" };
        format!("partition{plural} {} of topic \"{topic}\"", partitions.join(", "))
    });
    lists.collect::<Vec<_>>().join(", ")
}
