//! Who of a group's members gets which partitions: Kafka's assignor `range`, with the assignments
//! and subscriptions as Java and librdkafka write them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str;
use std::sync::Arc;

use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Encodable;

use crate::broker::connection::bounds::Cursor;
use crate::broker::group::coordinator::{text, topic_name};
use crate::model::TopicPartition;

/// The kind of group, and the assignor that all of its members know.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";
pub(crate) const ASSIGNOR: &str = "range";

/// The oldest layout, which every member can read; what newer ones add stands behind it.
const VERSION: i16 = 0;

/// The partitions of each member, by its id.
pub(crate) type Assignments = HashMap<String, Vec<TopicPartition>>;

/// Writes which topics a member wants, and what it says of itself.
pub(crate) fn subscription(topics: &[String], note: &str) -> Vec<u8> {
    let topics = topics.iter().map(|topic| text(topic)).collect();
    let subscription = ConsumerProtocolSubscription::default().with_topics(topics);
    write(&subscription.with_user_data(Some(note.to_owned().into())))
}

/// What a member says of itself; nothing when it cannot be read.
pub(crate) fn user_data(subscription: &[u8]) -> String {
    let note = read_subscription(subscription).map(|(_, note)| String::from_utf8_lossy(note).into_owned());
    note.unwrap_or_default()
}

/// The topics that a member wants; none when it cannot be read.
pub(crate) fn subscribed_topics(subscription: &[u8]) -> BTreeSet<&str> {
    read_subscription(subscription).map_or(BTreeSet::new(), |(topics, _)| topics)
}

/// Any member may write anything: a count is followed as far as there are bytes, and nothing is
/// reserved by it.
fn read_subscription(subscription: &[u8]) -> Option<(BTreeSet<&str>, &[u8])> {
    let mut rest = skip_version(subscription)?;
    let mut topics = BTreeSet::new();
    for _ in 0..rest.count()? {
        topics.insert(topic_in(&mut rest)?);
    }
    Some((topics, rest.bytes()?))
}

/// Writes a member's assignment.
pub(crate) fn write_assignment(partitions: &[TopicPartition]) -> Vec<u8> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        AssignedTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions)
    });
    write(&ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect()))
}

/// A member's assignment as its leader wrote it; none when it cannot be read.
pub(crate) fn read_assignment(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut partitions = Vec::new();
    if bytes.is_empty() {
        return Some(partitions);
    }
    let mut rest = skip_version(bytes)?;
    for _ in 0..rest.count()? {
        let topic: Arc<str> = topic_in(&mut rest)?.into();
        for _ in 0..rest.count()? {
            let partition = rest.i32().filter(|partition| *partition >= 0)?;
            partitions.push(TopicPartition::new(topic.clone(), partition));
        }
    }
    partitions.sort();
    partitions.dedup();
    Some(partitions)
}

fn write(message: &impl Encodable) -> Vec<u8> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    message
        .encode(&mut bytes, VERSION)
        .expect("its fields are those of its version");
    bytes
}

/// What stands behind the layout's version.
fn skip_version(bytes: &[u8]) -> Option<Cursor<'_>> {
    let mut rest = Cursor::new(bytes);
    (rest.i16()? >= 0).then_some(rest)
}

fn topic_in<'a>(rest: &mut Cursor<'a>) -> Option<&'a str> {
    str::from_utf8(rest.text()?).ok().filter(|name| !name.is_empty())
}

/// Assigns the partitions: of each topic, every member that wants it gets a run of them, the first
/// members one more where it doesn't come out even. `members`: their ids and the topics that they
/// want; `partition_counts`: the partitions of each topic.
pub(crate) fn assign(members: &[(String, BTreeSet<&str>)], partition_counts: &HashMap<String, i32>) -> Assignments {
    let mut assignments: Assignments = members.iter().map(|(id, _)| (id.clone(), Vec::new())).collect();
    // A topic that is not there costs nothing, however many a member names.
    for (topic, &count) in partition_counts.iter().filter(|(_, count)| **count > 0) {
        let mut subscribed: Vec<&String> = members
            .iter()
            .filter(|(_, topics)| topics.contains(topic.as_str()))
            .map(|(id, _)| id)
            .collect();
        subscribed.sort();
        let Some(each) = (count as usize).checked_div(subscribed.len()) else {
            continue;
        };
        let more = count as usize % subscribed.len();
        let topic: Arc<str> = topic.as_str().into();
        let mut next = 0;
        for (i, id) in subscribed.into_iter().enumerate() {
            let end = next + (each + usize::from(i < more)) as i32;
            let partitions = (next..end).map(|partition| TopicPartition::new(topic.clone(), partition));
            assignments
                .get_mut(id)
                .expect("every member has an entry")
                .extend(partitions);
            next = end;
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(members: &[(&str, &[&str])], counts: &[(&str, i32)]) -> Assignments {
        let members: Vec<_> = members
            .iter()
            .map(|(id, topics)| (id.to_string(), topics.iter().copied().collect()))
            .collect();
        let mut assignments = assign(&members, &counts.iter().map(|(t, n)| (t.to_string(), *n)).collect());
        assignments.values_mut().for_each(|partitions| partitions.sort());
        assignments
    }

    fn partitions(topic: &str, partitions: impl IntoIterator<Item = i32>) -> Vec<TopicPartition> {
        let of_topic = |partition| TopicPartition::new(topic, partition);
        partitions.into_iter().map(of_topic).collect()
    }

    #[test]
    fn the_first_members_get_one_more() {
        let assignments = assigned(&[("c", &["t"]), ("a", &["t"]), ("b", &["t"])], &[("t", 8)]);
        assert_eq!(assignments["a"], partitions("t", 0..3));
        assert_eq!(assignments["b"], partitions("t", 3..6));
        assert_eq!(assignments["c"], partitions("t", 6..8));
    }

    #[test]
    fn who_comes_after_the_last_partition_gets_nothing() {
        let assignments = assigned(&[("a", &["t"]), ("b", &["t"])], &[("t", 1)]);
        assert_eq!(assignments["a"], partitions("t", [0]));
        assert!(assignments["b"].is_empty());
        assert!(assigned(&[], &[("t", 1)]).is_empty());
    }

    #[test]
    fn each_topic_is_assigned_to_those_that_want_it() {
        let assignments = assigned(&[("a", &["t", "u"]), ("b", &["u"])], &[("t", 2), ("u", 3), ("v", 9)]);
        assert_eq!(
            assignments["a"],
            [partitions("t", 0..2), partitions("u", 0..2)].concat()
        );
        assert_eq!(assignments["b"], partitions("u", [2]));
    }

    #[test]
    fn what_is_written_is_read_back_in_newer_layouts_too() {
        let wanted = ["t".to_string(), "u".to_string()];
        let mut bytes = subscription(&wanted, "a note");
        assert_eq!(subscribed_topics(&bytes), BTreeSet::from(["t", "u"]));
        assert_eq!(user_data(&bytes), "a note");
        // Version 1 adds the partitions that the member has already.
        bytes[1] = 1;
        bytes.extend([0, 0, 0, 0]);
        assert_eq!(subscribed_topics(&bytes), BTreeSet::from(["t", "u"]));
        let assignment = [partitions("t", [0, 2]), partitions("u", [1])].concat();
        assert_eq!(read_assignment(&write_assignment(&assignment)), Some(assignment));
    }

    #[test]
    fn what_cannot_be_read_is_told_from_nothing() {
        assert_eq!(read_assignment(&[]), Some(Vec::new()));
        assert_eq!(read_assignment(&[0]), None);
        assert_eq!(read_assignment(&[0, 0, 0, 0, 0, 9]), None);
        assert!(subscribed_topics(&[255, 255, 0, 0, 0, 0]).is_empty() && user_data(&[255]).is_empty());
    }

    /// Lengths and counts of another member that promise more than is there.
    const LIES: [i32; 4] = [i32::MAX, 0x0fff_ffff, -1, i32::MIN];

    #[test]
    fn counts_of_other_members_cost_nothing_that_is_not_there() {
        for lie in LIES {
            let mut bytes = vec![0, 0];
            bytes.extend(lie.to_be_bytes());
            bytes.extend([0, 1, b't']);
            assert!(
                subscribed_topics(&bytes).is_empty() && user_data(&bytes).is_empty(),
                "{lie}"
            );
            let none = (lie == -1).then(Vec::new);
            assert_eq!(read_assignment(&bytes), none, "{lie}");
            // One topic, whose partitions lie.
            let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 1, b't'];
            bytes.extend(lie.to_be_bytes());
            assert_eq!(read_assignment(&bytes), none, "{lie}");
        }
    }
}
