//! A broker, or another member of the group, that lies: whatever it says, the commands come to an
//! end that they choose themselves, soon and in little memory.

mod both_clients;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::hostile::{Entry, Hostile, Kind, Lie};
use crate::support::message_set::{GZIP, gzip, message};
use crate::support::*;

const MIB: u64 = 1 << 20;

/// What a command may hold that meets a lie.
const MEMORY: u64 = 128 * MIB;

/// How long a command may go on by itself, on a machine that has much else to do, and how long
/// after it was asked to stop.
const LIMIT: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

const PATIENCE: [&str; 4] = ["--patience", "1s", "--request-timeout", "1s"];

const TOPIC: &str = "t";

/// A broker that holds some rows of others.
fn with_rows() -> Hostile {
    let hostile = Hostile::new(TOPIC);
    hostile.hold((0..3).map(row).collect());
    hostile
}

fn row(offset: i64) -> Entry {
    let (key, value) = (
        format!("{{\"id\":{offset}}}"),
        format!("{{\"id\":{offset},\"name\":\"n\"}}"),
    );
    Entry(offset, offset + 1, message(offset, 0, key.as_bytes(), value.as_bytes()))
}

/// A consumer of the broker's only partition, in a group or by itself.
fn consumer(ws: &Workspace, hostile: &Hostile, in_group: bool) -> Process {
    let mut command = ws.command("consumer");
    command.args(["--client", hostile.client()]);
    command.args(["--brokers", &hostile.address(), "--topic", TOPIC, "--until-caught-up"]);
    command.arg("--sink").arg(ws.sink()).args(PATIENCE);
    if in_group {
        command.args(["--group", "group", "--session-timeout", "2s"])
    } else {
        command.args(["--partitions", "0"])
    };
    Process::start(&mut command)
}

fn producer(ws: &Workspace, hostile: &Hostile) -> Process {
    ws.sql(
        &ws.source(),
        "CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO rows(name) VALUES('n'), ('m')",
    );
    let mut command = ws.command("producer");
    command.args(["--client", hostile.client()]);
    command.args(["--brokers", &hostile.address(), "--topic", TOPIC, "--table", "rows"]);
    command.arg("--source").arg(ws.source()).args(PATIENCE);
    Process::start(&mut command)
}

/// Waits for the end of a command, which a user may have to ask for where the broker promises more
/// all the time.
#[track_caller]
fn ends(mut process: Process, limit: Duration, what: &str) -> Run {
    if !wait_until(limit, || !process.is_running()) {
        process.signal(libc::SIGINT);
    }
    let run = process.wait(STOP);
    assert_eq!(run.status.signal(), None, "{what}: it was ended by a signal\n{run}");
    assert!(
        !run.stderr().contains("panicked") && !run.stderr().contains("RUST_BACKTRACE"),
        "{what}: it panicked\n{run}"
    );
    assert!(
        run.peak_memory < MEMORY,
        "{what}: it held {} MiB\n{run}",
        run.peak_memory / MIB
    );
    run
}

/// Does all of them, a few at a time: they wait more than they work.
fn all<T: Send + Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let next = Mutex::new(cases.iter());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { next.lock().map_or(None, |mut next| next.next()) } {
                    check(case);
                }
            });
        }
    });
}

/// Lets a command meet a lie, and fails when it never did.
fn meets(kind: Kind, lie: Lie, start: impl Fn(&Workspace, &Hostile) -> Process) {
    let what = format!("{kind:?}, {lie:?}");
    let ws = Workspace::new("a lie of the broker does no harm");
    let hostile = with_rows();
    hostile.seat(vec![0, 0, 0x7f, 0xff, 0xff, 0xff]);
    hostile.lie(kind, lie);
    ends(start(&ws, &hostile), LIMIT, &what);
    assert!(hostile.struck() > 0, "{what}: the broker was never asked");
}

fn grouped(ws: &Workspace, hostile: &Hostile) -> Process {
    consumer(ws, hostile, true)
}

/// What answers that our own connections read claim, by how many lengths and counts are in each.
const OURS: [(Kind, usize); 8] = [
    (Kind::Metadata, 7),
    (Kind::ApiVersions, 1),
    (Kind::FindCoordinator, 1),
    (Kind::JoinGroup, 8),
    (Kind::SyncGroup, 1),
    (Kind::DescribeGroups, 16),
    (Kind::OffsetFetch, 4),
    (Kind::OffsetCommit, 3),
];

#[test]
fn lengths_and_counts_in_answers_to_our_own_questions_cost_nothing_that_is_not_there() {
    let lies = |(kind, claims): (Kind, usize)| {
        (0..claims).flat_map(move |at| [i32::MAX, -1].map(|claimed| (kind, Lie::Claim(at, claimed))))
    };
    let cases: Vec<_> = OURS.into_iter().flat_map(lies).collect();
    all(&cases, |(kind, lie)| meets(*kind, *lie, grouped));
}

/// The crate `kafka` reads the answers to these. It reserves what a count says, and where a length
/// is wrong it takes any bytes for a count: a broker that can make it reserve gigabytes is the
/// limit of a plaintext connection. What claims less ends as all else does.
#[test]
fn counts_in_answers_that_the_crate_reads_end_where_they_claim_less_than_gigabytes() {
    let lies = |(kind, counts): (Kind, &'static [usize])| {
        counts
            .iter()
            .flat_map(move |at| [1 << 16, -1].map(|claimed| (kind, Lie::Claim(*at, claimed))))
    };
    const READ: [(Kind, &[usize]); 2] = [(Kind::ListOffsets, &[0, 2, 3]), (Kind::Fetch, &[0, 2, 3])];
    let cases: Vec<_> = READ.into_iter().flat_map(lies).collect();
    all(&cases, |(kind, lie)| meets(*kind, *lie, grouped));
    const ACKNOWLEDGED: [(Kind, &[usize]); 2] = [(Kind::ListOffsets, &[0, 2, 3]), (Kind::Produce, &[0, 2])];
    let cases: Vec<_> = ACKNOWLEDGED.into_iter().flat_map(lies).collect();
    all(&cases, |(kind, lie)| meets(*kind, *lie, producer));
}

#[test]
fn silence_closed_connections_and_broken_frames_at_each_request_end() {
    const KINDS: [Kind; 10] = [
        Kind::Metadata,
        Kind::ApiVersions,
        Kind::ListOffsets,
        Kind::Fetch,
        Kind::FindCoordinator,
        Kind::JoinGroup,
        Kind::SyncGroup,
        Kind::DescribeGroups,
        Kind::OffsetFetch,
        Kind::OffsetCommit,
    ];
    const LIES: [Lie; 6] = [
        Lie::Silence,
        Lie::Close,
        Lie::Half,
        Lie::Size(i32::MAX),
        Lie::Size(-1),
        Lie::Size(0),
    ];
    let cases: Vec<_> = KINDS.into_iter().flat_map(|kind| LIES.map(|lie| (kind, lie))).collect();
    all(&cases, |(kind, lie)| meets(*kind, *lie, grouped));
    let cases = LIES.map(|lie| (Kind::Produce, lie));
    all(&cases, |(kind, lie)| meets(*kind, *lie, producer));
}

#[test]
fn members_that_lie_of_themselves_are_members_without_topics() {
    let ws = Workspace::new("the others' bytes keep nobody from landing");
    let hostile = with_rows();
    let claimed = |claimed: i32, rest: &[u8]| [&[0, 0][..], &claimed.to_be_bytes(), rest].concat();
    for subscription in [
        Vec::new(),
        vec![0xff; 40],
        claimed(i32::MAX, b""),
        claimed(-1, b""),
        claimed(1, &[0x7f, 0xff, b't']),
        claimed(1, &[0, 1, b't', 0x7f, 0xff, 0xff, 0xff]),
        claimed(0x0fff_ffff, &[0; 1 << 16]),
        // Many topics that are not there.
        claimed(
            50_000,
            &(0..50_000_u32)
                .flat_map(|i| [&[0, 4][..], &(i + 0x3030_3030).to_be_bytes()].concat())
                .collect::<Vec<_>>(),
        ),
    ] {
        hostile.seat(subscription);
    }
    ends(consumer(&ws, &hostile, true), LIMIT, "lying members").ok();
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t"), 3);
}

/// A consumer whose broker holds these entries and tells this end.
fn lands(log: Vec<Entry>, end: Option<i64>, what: &str) -> (Workspace, Run) {
    let ws = Workspace::new("offsets that cannot be do no harm");
    let hostile = Hostile::new(TOPIC);
    hostile.hold(log);
    end.into_iter().for_each(|end| hostile.tell_end(end));
    let run = ends(consumer(&ws, &hostile, false), LIMIT, what);
    (ws, run)
}

#[test]
fn offsets_that_cannot_be_are_no_offsets() {
    let at =
        |offset: i64, behind: i64, said: i64| Entry(offset, behind, message(said, 0, b"{\"id\":1}", b"{\"id\":1}"));
    let cases: [(&str, Vec<Entry>, Option<i64>); 7] = [
        ("an end that is never reached", vec![row(0)], Some(i64::MAX)),
        ("an end before the first offset", vec![row(0)], Some(-5)),
        (
            "a record at the last offset that there is",
            vec![at(0, i64::MAX, i64::MAX)],
            None,
        ),
        ("two records at one offset", vec![row(0), at(1, 2, 0)], None),
        ("a record that goes back", vec![row(5), row(6), at(7, 8, 2)], None),
        ("a negative offset", vec![at(0, 1, -3)], None),
        ("a first offset of minus one", vec![at(-1, 0, -1)], None),
    ];
    all(&cases, |(what, log, end)| {
        let (_, run) = lands(log.clone(), *end, what);
        let run = run.code(1);
        let says = run.stderr();
        assert!(
            says.contains("topic t") || says.contains("topic \"t\" partition 0"),
            "{what}: {says}"
        );
    });
}

/// A batch of gzip, or of gzip in gzip, as it lies in a log at an offset behind three rows.
fn behind_rows(batch: Vec<u8>) -> Vec<Entry> {
    let mut log: Vec<Entry> = (0..3).map(row).collect();
    log.push(Entry(3, 4, message(3, GZIP, b"", &batch)));
    log
}

#[test]
fn a_batch_that_unpacks_to_more_than_it_may_is_named_and_never_unpacked() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let mut value = vec![b' '; 4 << 20];
    for _ in 0..95 {
        let piece = message(3, 0, b"", &value);
        bomb.write_all(&piece).expect("memory takes bytes");
        value[0] ^= 1;
    }
    let bomb = bomb.finish().expect("memory takes bytes");
    println!("{} bytes unpack to 380 MiB", bomb.len());
    let (ws, run) = lands(behind_rows(bomb), None, "a bomb");
    let run = run.code(1).says("unpacks to more than 256 MiB");
    run.says("topic \"t\" partition 0, offset 3")
        .says("kafka-delete-records.sh");
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t"), 3);
}

/// A set of gzip in gzip.
fn nested() -> Vec<u8> {
    let value = b"{\"id\":9,\"name\":\"inner\"}";
    let inner: Vec<u8> = (0..500).flat_map(|i| message(i, 0, b"{\"id\":9}", value)).collect();
    gzip(&message(3, GZIP, b"", &gzip(&inner)))
}

/// It shows no batch of format 0 in the version of Fetch that asks for the log as it is, and hands
/// one out in the old one.
#[test]
fn a_batch_in_a_batch_where_none_can_be_is_named_and_never_unpacked() {
    let (ws, run) = lands(behind_rows(nested()), None, "nested batches");
    let run = run.code(1).says("holds another compressed one");
    run.says("topic \"t\" partition 0, offset 3");
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t"), 3);
}

#[test]
fn a_batch_in_a_batch_of_an_old_log_is_a_record_that_is_no_row() {
    type Prepare = fn(&Hostile);
    const CASES: [(&str, Prepare, bool); 3] = [
        (
            "a broker that tells no versions",
            |h| h.lie(Kind::ApiVersions, Lie::Silence),
            false,
        ),
        ("an old log in a newer broker", |h| h.show_formats(i64::MAX), true),
        ("and newer batches behind it", |h| h.show_formats(4), true),
    ];
    for (what, prepare, is_shown) in CASES {
        let ws = Workspace::new("a set that old brokers store stops nobody");
        let hostile = Hostile::new(TOPIC);
        prepare(&hostile);
        hostile.hold([behind_rows(nested()), (4..9).map(row).collect()].concat());
        let run = ends(consumer(&ws, &hostile, false), LIMIT, what).ok();
        run.says("1 records were no rows");
        assert_eq!(
            ws.number(&ws.sink(), "SELECT count(*) FROM t WHERE id <> 9"),
            8,
            "{what}"
        );
        assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM t"), 8, "{what}");
        let put_aside = "SELECT \"offset\" FROM _rowferry_dead_letters";
        assert_eq!(ws.number(&ws.sink(), put_aside), 3, "{what}");
        assert_eq!(hostile.shown() > 0, is_shown, "{what}");
    }
}

/// Numbers, names and texts that a writer may think of.
const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1.5",
    "1e999",
    "2147483647",
    "9223372036854775807",
    "18446744073709551615",
    "-0",
    "\"7\"",
];
const NAMES: [&str; 10] = [
    "id",
    "name",
    "ID",
    "rowid",
    "",
    "a\\\"b",
    "_rowferry_positions",
    "sqlite_x",
    "_ferry",
    "x\\ny",
];
const TABLES: [&str; 7] = ["t", "u", "_rowferry_positions", "sqlite_master", "", "T", "canary"];

/// A value of a record, which may be one of ours, one of others, forged or nothing at all.
fn value(random: &mut Random, topic: &str) -> Vec<u8> {
    let stamp = |random: &mut Random| {
        let source = random.pick(&["0123456789abcdef", "s", ""]);
        let (epoch, seq) = (random.pick(&NUMBERS), random.below(6));
        format!("\"_ferry\":\"{source}.{epoch}.{seq}\"")
    };
    let member = |random: &mut Random| {
        let value = match random.below(6) {
            0 => format!("\"{}\"", random.pick(&NAMES)),
            1 => "null".to_owned(),
            2 => "{\"$blob\":\"AAEC\"}".to_owned(),
            3 => "[1,{\"x\":[]}]".to_owned(),
            _ => (*random.pick(&NUMBERS)).to_owned(),
        };
        format!("\"{}\":{value}", random.pick(&NAMES))
    };
    let members = |random: &mut Random| {
        let members: Vec<String> = (0..random.below(4)).map(|_| member(random)).collect();
        members.join(",")
    };
    let text = match random.below(8) {
        0 => return random.bytes(40),
        1 => format!("{{\"id\":{},\"name\":\"n\"}}", random.below(9)),
        2 => format!("{{{}}}", members(random)),
        3 => format!("{{\"id\":{},\"name\":\"n\",{}}}", random.below(9), stamp(random)),
        4 => format!("{{\"id\":{},\"__deleted\":true,{}}}", random.below(9), stamp(random)),
        5 => format!("{{\"_pass\":{{\"end\":{}}},{}}}", random.pick(&NUMBERS), stamp(random)),
        6 => format!(
            "{{\"_kept\":{{\"key\":\"{}\",\"reason\":\"r\"}},{}}}",
            random.pick(&NAMES),
            stamp(random)
        ),
        _ => {
            let table = if random.below(2) == 0 {
                topic
            } else {
                random.pick(&TABLES)
            };
            let column = |random: &mut Random| {
                let (name, kind) = (
                    random.pick(&NAMES),
                    random.pick(&["INTEGER", "TEXT", "", "x) --", "BLOB"]),
                );
                format!("{{\"name\":\"{name}\",\"type\":\"{kind}\",\"pk\":{}}}", random.below(3))
            };
            let columns: Vec<String> = (0..random.below(4)).map(|_| column(random)).collect();
            let (moved, begin) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
            format!(
                "{{\"_schema\":{{\"table\":\"{table}\",\"columns\":[{}]}},\"_run\":{{\"acked\":null,\"full\":{},\"partitions\":{},\"moved\":{moved}}},\"_pass\":{{\"begin\":{begin}}},{}}}",
                columns.join(","),
                random.below(2) == 0,
                random.pick(&["1", "1", "7", "-1", "2147483647"]),
                stamp(random)
            )
        }
    };
    text.into_bytes()
}

/// Whoever may write to the topic gets no further than its own table. As often as ever, or for
/// ROWFERRY_FUZZ_SECONDS.
#[test]
fn forty_records_of_any_kind_leave_other_tables_alone() {
    let mut random = Random::new();
    let seconds = std::env::var("ROWFERRY_FUZZ_SECONDS").map(|seconds| seconds.parse().expect("it is a number"));
    let (began, mut done) = (Instant::now(), 0);
    while match seconds {
        Ok(seconds) => began.elapsed() < Duration::from_secs(seconds),
        Err(_) => done < 20,
    } {
        done += 1;
        let ws = Workspace::new("records of any kind do no harm beside their table");
        ws.sql(&ws.sink(), "CREATE TABLE canary(id INTEGER PRIMARY KEY, sings TEXT NOT NULL CHECK(sings <> '')); INSERT INTO canary VALUES(1, 'yes'), (2, 'still')");
        let canary = |ws: &Workspace| {
            let schema = ws.rows(&ws.sink(), "SELECT sql FROM sqlite_schema WHERE name = 'canary'");
            (schema, ws.rows(&ws.sink(), "SELECT * FROM canary"))
        };
        let before = canary(&ws);
        let hostile = Hostile::new(TOPIC);
        let record = |offset: i64| {
            let key = match random.below(4) {
                0 => random.bytes(9),
                _ => format!("{{\"id\":{}}}", random.below(9)).into_bytes(),
            };
            Entry(offset, offset + 1, message(offset, 0, &key, &value(&mut random, TOPIC)))
        };
        hostile.hold((0..1 + done % 40).map(record).collect());
        let what = "records of any kind";
        for _ in 0..2 {
            ends(consumer(&ws, &hostile, false), Duration::from_secs(5), what);
            assert_eq!(canary(&ws), before, "{what}");
        }
        let check = ws.rows(&ws.sink(), "PRAGMA integrity_check");
        assert_eq!(check, [[rusqlite::types::Value::Text("ok".into())]]);
    }
    println!("{done} times");
}
