//! Who of a group's members gets which partitions: Kafka's `range`, as Java and librdkafka deal it out and write it down.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::coordinator::{text, topic_name};

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
pub fn note(subscription: &[u8]) -> String {
    let data = read::<ConsumerProtocolSubscription>(subscription).and_then(|read| read.user_data);
    data.map_or(String::new(), |data| String::from_utf8_lossy(&data).into_owned())
}

/// The topics that a member wants; none when it cannot be read.
pub fn topics(subscription: &[u8]) -> Vec<String> {
    let read = read::<ConsumerProtocolSubscription>(subscription);
    read.map_or(Vec::new(), |read| read.topics.iter().map(|t| t.to_string()).collect())
}

/// Writes down a member's share.
pub fn assignment(share: &Share) -> Vec<u8> {
    let partitions = share.iter().map(|(topic, partitions)| {
        TopicPartition::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions.clone())
    });
    written(&ConsumerProtocolAssignment::default().with_assigned_partitions(partitions.collect()))
}

/// A member's share as its leader wrote it down; none when it cannot be read.
pub fn share(assignment: &[u8]) -> Option<Vec<(Arc<str>, i32)>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let read = read::<ConsumerProtocolAssignment>(assignment)?;
    let mut share = Vec::new();
    for TopicPartition { topic, partitions, .. } in read.assigned_partitions {
        let topic: Arc<str> = topic.as_str().into();
        share.extend(partitions.into_iter().map(|partition| (topic.clone(), partition)));
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

fn read<M: Decodable>(mut bytes: &[u8]) -> Option<M> {
    let (version, rest) = bytes.split_first_chunk()?;
    bytes = rest;
    match i16::from_be_bytes(*version) {
        0.. => M::decode(&mut bytes, VERSION).ok(),
        _ => None,
    }
}

/// Deals out the partitions: of each topic, every member that wants it gets a run of them, the first members one more where it doesn't
/// come out even. `members`: their ids and what they want; `counts`: the partitions of each topic.
pub fn range(members: &[(String, Vec<String>)], counts: &HashMap<String, i32>) -> HashMap<String, Share> {
    let mut dealt: HashMap<String, Share> = members.iter().map(|(id, _)| (id.clone(), Share::new())).collect();
    for (topic, &count) in counts {
        let mut takers: Vec<&String> = members
            .iter()
            .filter(|(_, wanted)| wanted.contains(topic))
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
            .map(|(id, topics)| (id.to_string(), topics.iter().map(|t| t.to_string()).collect()))
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
        assert_eq!((topics(&bytes), note(&bytes)), (wanted.to_vec(), "a note".to_string()));
        // Version 1 adds the partitions that the member has already.
        bytes[1] = 1;
        bytes.extend([0, 0, 0, 0]);
        assert_eq!(topics(&bytes), wanted);
        let dealt = Share::from([("t".into(), vec![0, 2]), ("u".into(), vec![1])]);
        let back = share(&assignment(&dealt)).unwrap();
        assert_eq!(back, [("t".into(), 0), ("t".into(), 2), ("u".into(), 1)]);
    }

    #[test]
    fn what_cannot_be_read_is_told_from_nothing() {
        assert_eq!(share(&[]), Some(Vec::new()));
        assert_eq!(share(&[0]), None);
        assert_eq!(share(&[0, 0, 0, 0, 0, 9]), None);
        assert!(topics(&[255, 255, 0, 0, 0, 0]).is_empty() && note(&[255]).is_empty());
    }
}
