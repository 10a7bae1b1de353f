//! Who of a group's members gets which partitions: Kafka's `range`, as Java and librdkafka deal it out and write it down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str;
use std::sync::Arc;

use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;

use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Encodable;

use crate::broker::connection::bounds::Cursor;
use crate::broker::group::coordinator::{text, topic_name};
use crate::model::TopicPartition;

/// The kind of group, and the way of dealing that all of its members know.
pub const PROTOCOL_TYPE: &str = "consumer";
pub const RANGE: &str = "range";

/// The oldest layout, which every member can read; what newer ones add stands behind it.
const VERSION: i16 = 0;

/// Partitions by topic.
pub type Share = BTreeMap<String, Vec<i32>>;

/// Writes down which topics a member wants, and what it says of itself.
pub fn subscription(topics: &[String], note: &str) -> Vec<u8> {
    let topics = topics.iter().map(|topic| text(topic)).collect();
    let subscription = ConsumerProtocolSubscription::default().with_topics(topics);
    written(&subscription.with_user_data(Some(note.to_owned().into())))
}

/// What a member says of itself; nothing when it cannot be read.
pub fn user_data(subscription: &[u8]) -> String {
    let note = subscribed(subscription).map(|(_, note)| String::from_utf8_lossy(note).into_owned());
    note.unwrap_or_default()
}

/// The topics that a member wants; none when it cannot be read.
pub fn subscribed_topics(subscription: &[u8]) -> BTreeSet<&str> {
    subscribed(subscription).map_or(BTreeSet::new(), |(topics, _)| topics)
}

/// Any member may write anything: a count is followed as far as there are bytes, and nothing is reserved by it.
fn subscribed(subscription: &[u8]) -> Option<(BTreeSet<&str>, &[u8])> {
    let mut rest = opened(subscription)?;
    let mut topics = BTreeSet::new();
    for _ in 0..rest.count()? {
        topics.insert(name(&mut rest)?);
    }
    Some((topics, rest.bytes()?))
}

/// Writes down a member's share.
pub fn assignment(share: &Share) -> Vec<u8> {
    let partitions = share.iter().map(|(topic, partitions)| {
        AssignedTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions.clone())
    });
    written(&ConsumerProtocolAssignment::default().with_assigned_partitions(partitions.collect()))
}

/// A member's share as its leader wrote it down; none when it cannot be read.
pub fn read_assignment(assignment: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut share = Vec::new();
    if assignment.is_empty() {
        return Some(share);
    }
    let mut rest = opened(assignment)?;
    for _ in 0..rest.count()? {
        let topic: Arc<str> = name(&mut rest)?.into();
        for _ in 0..rest.count()? {
            share.push(TopicPartition::new(
                topic.clone(),
                rest.i32().filter(|partition| *partition >= 0)?,
            ));
        }
    }
    share.sort();
    share.dedup();
    Some(share)
}

fn written(message: &impl Encodable) -> Vec<u8> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    message
        .encode(&mut bytes, VERSION)
        .expect("its fields are those of its version");
    bytes
}

/// What stands behind the number of the layout.
fn opened(bytes: &[u8]) -> Option<Cursor<'_>> {
    let mut rest = Cursor::new(bytes);
    (rest.i16()? >= 0).then_some(rest)
}

fn name<'a>(rest: &mut Cursor<'a>) -> Option<&'a str> {
    str::from_utf8(rest.text()?).ok().filter(|name| !name.is_empty())
}

/// Deals out the partitions: of each topic, every member that wants it gets a run of them, the first members one more where it doesn't
/// come out even. `members`: their ids and what they want; `counts`: the partitions of each topic.
pub fn range(members: &[(String, BTreeSet<&str>)], counts: &HashMap<String, i32>) -> HashMap<String, Share> {
    let mut dealt: HashMap<String, Share> = members.iter().map(|(id, _)| (id.clone(), Share::new())).collect();
    // A topic that is not there costs nothing, however many a member names.
    for (topic, &count) in counts.iter().filter(|(_, count)| **count > 0) {
        let mut takers: Vec<&String> = members
            .iter()
            .filter(|(_, wanted)| wanted.contains(topic.as_str()))
            .map(|(id, _)| id)
            .collect();
        takers.sort();
        let Some(each) = (count as usize).checked_div(takers.len()) else {
            continue;
        };
        let more = count as usize % takers.len();
        let mut next = 0;
        for (i, id) in takers.into_iter().enumerate() {
            let end = next + (each + usize::from(i < more)) as i32;
            if next < end {
                let share = dealt.get_mut(id).expect("every member has a share");
                share.insert(topic.clone(), (next..end).collect());
            }
            next = end;
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(members: &[(&str, &[&str])], counts: &[(&str, i32)]) -> HashMap<String, Share> {
        let members: Vec<_> = members
            .iter()
            .map(|(id, topics)| (id.to_string(), topics.iter().copied().collect()))
            .collect();
        range(&members, &counts.iter().map(|(t, n)| (t.to_string(), *n)).collect())
    }

    #[test]
    fn the_first_members_get_one_more() {
        let dealt = deal(&[("c", &["t"]), ("a", &["t"]), ("b", &["t"])], &[("t", 8)]);
        assert_eq!(dealt["a"]["t"], [0, 1, 2]);
        assert_eq!(dealt["b"]["t"], [3, 4, 5]);
        assert_eq!(dealt["c"]["t"], [6, 7]);
    }

    #[test]
    fn who_comes_after_the_last_partition_gets_nothing() {
        let dealt = deal(&[("a", &["t"]), ("b", &["t"])], &[("t", 1)]);
        assert_eq!(dealt["a"]["t"], [0]);
        assert!(dealt["b"].is_empty());
        assert!(deal(&[], &[("t", 1)]).is_empty());
    }

    #[test]
    fn each_topic_is_dealt_to_those_that_want_it() {
        let dealt = deal(&[("a", &["t", "u"]), ("b", &["u"])], &[("t", 2), ("u", 3), ("v", 9)]);
        assert_eq!(
            dealt["a"],
            Share::from([("t".into(), vec![0, 1]), ("u".into(), vec![0, 1])])
        );
        assert_eq!(dealt["b"], Share::from([("u".into(), vec![2])]));
    }

    #[test]
    fn what_is_written_down_is_read_back_in_newer_layouts_too() {
        let wanted = ["t".to_string(), "u".to_string()];
        let mut bytes = subscription(&wanted, "a note");
        assert_eq!(subscribed_topics(&bytes), BTreeSet::from(["t", "u"]));
        assert_eq!(user_data(&bytes), "a note");
        // Version 1 adds the partitions that the member has already.
        bytes[1] = 1;
        bytes.extend([0, 0, 0, 0]);
        assert_eq!(subscribed_topics(&bytes), BTreeSet::from(["t", "u"]));
        let dealt = Share::from([("t".into(), vec![0, 2]), ("u".into(), vec![1])]);
        let back = read_assignment(&assignment(&dealt)).unwrap();
        assert_eq!(
            back,
            [("t", 0), ("t", 2), ("u", 1)].map(|(topic, partition)| TopicPartition::new(topic, partition))
        );
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
