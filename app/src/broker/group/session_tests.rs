use std::thread;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::*;
use crate::broker::group::coordinator::text;
use crate::broker::group::fake::{Asked, FakeCoordinator, Reply};
use crate::broker::group::member::Member;
use crate::broker::group::membership::Membership;
use crate::broker::group::range_assignor;
use crate::broker::retry::OutageLog;
use crate::model::TopicPartition;

const ILLEGAL_GENERATION: i16 = 22;
const INCONSISTENT_PROTOCOL: i16 = 23;
const UNKNOWN_MEMBER: i16 = 25;
const REBALANCE: i16 = 27;
const NOT_COORDINATOR: i16 = 16;

/// Longer than anything here takes, and no test waits for its end.
const LONG: Duration = Duration::from_secs(20);

fn config() -> GroupConfig {
    GroupConfig {
        group: "g".to_string(),
        topics: vec!["t".to_string()],
        note: String::new(),
        session_timeout: LONG,
        progress_timeout: LONG * 10,
    }
}

fn start(fake: &FakeCoordinator, config: GroupConfig, stop: &Stop) -> Member {
    let retry = RetryBudget::new(LONG, stop.clone(), OutageLog::default());
    Member::start_with(GroupClient::Fake(fake.clone()), retry, config, stop)
}

fn partitions(partitions: impl IntoIterator<Item = i32>) -> Vec<TopicPartition> {
    partitions.into_iter().map(|p| TopicPartition::new("t", p)).collect()
}

/// The answer to a JoinGroup of a member that does not lead.
fn joined(member: &str, generation: i32) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_generation_id(generation)
        .with_leader(text("leader"))
        .with_member_id(text(member))
}

/// The same for the leader.
fn leads(member: &str, generation: i32, members: &[&str]) -> JoinGroupResponse {
    let subscription = range_assignor::subscription(&["t".to_string()], "");
    let members = members.iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member))
            .with_metadata(subscription.clone().into())
    });
    joined(member, generation)
        .with_leader(text(member))
        .with_members(members.collect())
}

fn join_refused(code: i16) -> JoinGroupResponse {
    JoinGroupResponse::default().with_error_code(code)
}

fn synced(assigned: &[TopicPartition]) -> SyncGroupResponse {
    SyncGroupResponse::default().with_assignment(range_assignor::write_assignment(assigned).into())
}

fn sync_refused(code: i16) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(code)
}

/// A member comes in and gets partition 0.
fn on_joining(fake: &FakeCoordinator, member: &str, generation: i32) {
    fake.on_join(Reply::Answer(joined(member, generation)));
    fake.on_sync(Reply::Answer(synced(&partitions([0]))));
}

fn next(member: &Member) -> Assignment {
    member.assignment(LONG).unwrap().expect("an assignment comes")
}

fn membership(assignment: &Assignment) -> Membership {
    assignment.membership.clone().expect("a group assigned it")
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn join(member: &str) -> Asked {
    Asked::Join {
        member: member.to_string(),
        session_timeout: LONG,
    }
}

fn sync(generation: i32) -> Asked {
    Asked::Sync {
        generation,
        assignments: Vec::new(),
    }
}

fn heartbeat(member: &str, generation: i32) -> Asked {
    Asked::Heartbeat {
        member: member.to_string(),
        generation,
    }
}

fn leave(member: &str) -> Asked {
    Asked::Leave(member.to_string())
}

/// A session timeout with many heartbeats a second, and too long to end here by chance.
const QUICK: Duration = Duration::from_secs(2);

fn short_session(time: Duration) -> GroupConfig {
    GroupConfig {
        session_timeout: time,
        ..config()
    }
}

#[test]
fn a_member_joins_gets_what_the_leader_assigns_and_leaves() {
    let fake = FakeCoordinator::default();
    fake.on_join(Reply::Answer(joined("a", 7)));
    fake.on_sync(Reply::Late(Duration::from_millis(100), synced(&partitions([1, 2]))));
    let member = start(&fake, config(), &Stop::default());
    let assignment = next(&member);
    assert_eq!(assignment.partitions, partitions([1, 2]));
    let expected = Membership {
        member: "a".to_string(),
        generation: 7,
    };
    assert_eq!(membership(&assignment), expected);
    assert!(!assignment.over.requested());
    member.leave();
    assert!(assignment.over.requested());
    assert_eq!(fake.asked(), [join(""), sync(7), leave("a")]);
}

#[test]
fn the_leader_assigns_all_partitions_to_all_members() {
    let fake = FakeCoordinator::default();
    fake.set_partitions("t", 3);
    fake.set_partitions("other", 9);
    fake.on_join(Reply::Answer(leads("a", 1, &["b", "a"])));
    fake.on_sync(Reply::Answer(synced(&partitions([0, 1]))));
    let member = start(&fake, config(), &Stop::default());
    assert_eq!(next(&member).partitions, partitions([0, 1]));
    member.leave();
    let assigned = Asked::Sync {
        generation: 1,
        assignments: vec![
            ("a".to_string(), partitions([0, 1])),
            ("b".to_string(), partitions([2])),
        ],
    };
    assert_eq!(fake.asked(), [join(""), assigned, leave("a")]);
}

#[test]
fn the_leader_gives_up_what_it_assigned_when_a_topic_has_grown() {
    let fake = FakeCoordinator::default();
    fake.set_partitions("t", 1);
    fake.on_join(Reply::Answer(leads("a", 1, &["a"])));
    fake.on_sync(Reply::Answer(synced(&partitions([0]))));
    let member = start(&fake, config(), &Stop::default());
    let assignment = next(&member);
    fake.set_partitions("t", 2);
    eventually("it is noticed", || assignment.over.requested());
    fake.on_join(Reply::Answer(leads("a", 2, &["a"])));
    fake.on_sync(Reply::Answer(synced(&partitions([0, 1]))));
    member.give_up();
    assert_eq!(next(&member).partitions, partitions([0, 1]));
    let last = Asked::Sync {
        generation: 2,
        assignments: vec![("a".to_string(), partitions([0, 1]))],
    };
    assert_eq!(fake.asked().last(), Some(&last));
}

#[test]
fn a_rebalance_is_joined_by_the_same_member_once_its_assignment_is_given_up() {
    for code in [ILLEGAL_GENERATION, REBALANCE] {
        let fake = FakeCoordinator::default();
        on_joining(&fake, "a", 1);
        fake.on_heartbeat(Reply::Answer(0));
        fake.on_heartbeat(Reply::Answer(code));
        let member = start(&fake, short_session(QUICK), &Stop::default());
        let assignment = next(&member);
        eventually("the assignment is revoked", || assignment.over.requested());
        // Heartbeats go on, and nobody joins before the work has ended.
        thread::sleep(Duration::from_millis(300));
        let so_far = fake.asked();
        assert_eq!(so_far[1..], [sync(1), heartbeat("a", 1)], "{code}");
        on_joining(&fake, "a", 2);
        member.give_up();
        assert_eq!(membership(&next(&member)).generation, 2);
        assert_eq!(joins(&fake), ["", "a"], "{code}");
        assert!(!fake.asked().contains(&leave("a")));
    }
}

#[test]
fn a_member_that_the_group_does_not_know_joins_as_a_new_one() {
    let fake = FakeCoordinator::default();
    on_joining(&fake, "a", 1);
    fake.on_heartbeat(Reply::Answer(UNKNOWN_MEMBER));
    let member = start(&fake, short_session(QUICK), &Stop::default());
    let assignment = next(&member);
    eventually("the assignment is revoked", || assignment.over.requested());
    thread::sleep(Duration::from_millis(200));
    assert_eq!(joins(&fake), [""], "the work has not ended");
    on_joining(&fake, "b", 5);
    member.give_up();
    assert_eq!(membership(&next(&member)).member(), "b");
    assert_eq!(joins(&fake), ["", ""]);
}

#[test]
fn a_group_that_goes_on_while_a_member_joins_is_joined_again() {
    let fake = FakeCoordinator::default();
    fake.on_join(Reply::Answer(joined("a", 1)));
    fake.on_sync(Reply::Answer(sync_refused(REBALANCE)));
    fake.on_join(Reply::Answer(joined("a", 2)));
    fake.on_sync(Reply::Answer(sync_refused(UNKNOWN_MEMBER)));
    fake.on_join(Reply::Answer(join_refused(UNKNOWN_MEMBER)));
    on_joining(&fake, "b", 4);
    let member = start(&fake, config(), &Stop::default());
    assert_eq!(membership(&next(&member)).generation, 4);
    assert_eq!(joins(&fake), ["", "a", "", ""]);
}

#[test]
fn a_coordinator_that_has_moved_is_looked_for_anew_and_the_assignment_goes_on() {
    let fake = FakeCoordinator::default();
    fake.on_join(Reply::Answer(join_refused(NOT_COORDINATOR)));
    on_joining(&fake, "a", 1);
    let member = start(&fake, short_session(QUICK), &Stop::default());
    let assignment = next(&member);
    fake.on_heartbeat(Reply::Answer(NOT_COORDINATOR));
    let moves = || fake.asked().iter().filter(|asked| **asked == Asked::Disconnect).count();
    eventually("it is looked for anew", || moves() == 2);
    eventually("heartbeats go on", || fake.asked().last() == Some(&heartbeat("a", 1)));
    thread::sleep(Duration::from_millis(150));
    assert!(!assignment.over.requested());
    assert_eq!(joins(&fake), ["", ""]);
}

#[test]
fn a_session_is_lost_after_its_timeout_without_an_answer() {
    let fake = FakeCoordinator::default();
    on_joining(&fake, "a", 1);
    for _ in 0..3 {
        fake.on_heartbeat(Reply::Lost);
    }
    fake.on_heartbeat(Reply::Answer(0));
    let session_timeout = Duration::from_millis(500);
    let member = start(&fake, short_session(session_timeout), &Stop::default());
    let assignment = next(&member);
    eventually("it holds out for a while", || fake.heartbeats_left() == 0);
    assert!(!assignment.over.requested());

    let began = Instant::now();
    for _ in 0..100 {
        fake.on_heartbeat(Reply::Lost);
    }
    eventually("the session ends", || assignment.over.requested());
    assert!(began.elapsed() >= session_timeout - Duration::from_millis(100));
    assert_eq!(joins(&fake), [""]);
    on_joining(&fake, "a", 2);
    member.give_up();
    assert_eq!(membership(&next(&member)).generation, 2);
    assert_eq!(joins(&fake), ["", "a"]);
}

#[test]
fn a_member_whose_work_stands_still_leaves_and_joins_again_when_it_has_given_up() {
    let fake = FakeCoordinator::default();
    on_joining(&fake, "a", 1);
    let config = GroupConfig {
        progress_timeout: Duration::from_millis(300),
        ..short_session(QUICK)
    };
    let member = start(&fake, config, &Stop::default());
    let assignment = next(&member);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(600) {
        member.goes_on();
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!assignment.over.requested(), "the work goes on");
    eventually("it leaves", || fake.asked().last() == Some(&leave("a")));
    assert!(assignment.over.requested());
    on_joining(&fake, "b", 3);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(joins(&fake), [""], "the work has not ended");
    member.give_up();
    assert_eq!(membership(&next(&member)).member(), "b");
    assert_eq!(joins(&fake), ["", ""]);
}

#[test]
fn a_coordinator_too_slow_for_the_session_makes_the_next_one_longer() {
    let fake = FakeCoordinator::default();
    let session_timeout = Duration::from_millis(400);
    // Quick enough: the session was lost for another reason.
    fake.on_join(Reply::Answer(joined("a", 1)));
    fake.on_sync(Reply::Answer(sync_refused(UNKNOWN_MEMBER)));
    fake.on_join(Reply::Answer(joined("b", 2)));
    fake.on_sync(Reply::Late(Duration::from_millis(300), sync_refused(UNKNOWN_MEMBER)));
    on_joining(&fake, "c", 3);
    let member = start(&fake, short_session(session_timeout), &Stop::default());
    assert_eq!(membership(&next(&member)).member(), "c");
    let timeouts: Vec<Duration> = fake
        .asked()
        .iter()
        .filter_map(|asked| match asked {
            Asked::Join { session_timeout, .. } => Some(*session_timeout),
            _ => None,
        })
        .collect();
    assert_eq!(timeouts[..2], [session_timeout; 2]);
    assert!(timeouts[2] >= Duration::from_millis(1200), "{timeouts:?}");
}

#[test]
fn one_that_leaves_while_it_waits_for_others_goes_at_once_if_it_has_a_name() {
    let fake = FakeCoordinator::default();
    fake.on_join(Reply::Answer(joined("a", 1)));
    let member = start(&fake, config(), &Stop::default());
    eventually("it waits for the leader", || fake.asked().last() == Some(&sync(1)));
    let began = Instant::now();
    member.leave();
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(fake.asked()[2..], [Asked::Disconnect, leave("a")]);
}

#[test]
fn one_that_leaves_before_it_has_a_name_waits_for_it_for_a_moment() {
    let fake = FakeCoordinator::default();
    fake.on_join(Reply::Late(Duration::from_millis(500), joined("a", 1)));
    let member = start(&fake, config(), &Stop::default());
    eventually("it waits for others", || fake.asked() == [join("")]);
    member.leave();
    assert_eq!(fake.asked().last(), Some(&leave("a")), "{:?}", fake.asked());

    let fake = FakeCoordinator::default();
    let stop = Stop::default();
    let member = start(&fake, config(), &stop);
    eventually("it waits for others", || fake.asked() == [join("")]);
    stop.request();
    let began = Instant::now();
    let error = member.assignment(LONG).unwrap_err();
    assert_eq!(error.exit_code(), 0, "a stop is no failure: {error}");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(fake.asked(), [join(""), Asked::Disconnect]);
}

#[test]
fn a_group_of_another_kind_is_an_error_that_names_the_way_out() {
    let fake = FakeCoordinator::default();
    fake.on_join(Reply::Answer(join_refused(INCONSISTENT_PROTOCOL)));
    let member = start(&fake, config(), &Stop::default());
    let error = member.assignment(LONG).unwrap_err().to_string();
    assert!(
        error.contains("group g: the broker answers InconsistentGroupProtocol"),
        "{error}"
    );
    assert!(error.contains("name another --group"), "{error}");
}

/// Who joined, in order; the empty name is a new member's.
fn joins(fake: &FakeCoordinator) -> Vec<String> {
    let member = |asked: Asked| match asked {
        Asked::Join { member, .. } => Some(member),
        _ => None,
    };
    fake.asked().into_iter().filter_map(member).collect()
}
