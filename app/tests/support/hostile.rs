//! A broker that lies. It knows enough of the old protocol, and of today's, to bring a producer or a
//! consumer of either client to each of its requests, for one topic of one partition; then it answers one kind of request with a
//! length, a count or an offset that cannot be, or not at all.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A kind of request, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Kind {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    SyncGroup = 14,
    DescribeGroups = 15,
    ApiVersions = 18,
}

/// What is wrong with the answers to one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The answer's length or count of this number, from 0 on, is another.
    Claim(usize, i32),
    /// The frame's own size.
    Size(i32),
    /// The request is never answered.
    Silence,
    /// The connection ends instead.
    Close,
    /// The answer ends in the middle, and then the connection.
    Half,
    /// The answer is that to another request.
    Number,
    /// The answer is right, and comes byte by byte, a second for each.
    Trickle,
    /// The answer is said to have so many bytes, and bytes come without an end.
    Endless(i32),
    /// The answer is right, and the connection ends behind it.
    Last,
    /// The answer has the layout of another version.
    Layout,
}

/// Messages of the log as they are handed out: the first offset, the one behind them, the bytes of
/// their set.
#[derive(Debug, Clone)]
pub(crate) struct Entry(pub i64, pub i64, pub Vec<u8>);

/// The broker; its threads end with the connections.
#[derive(Clone)]
pub(crate) struct Hostile(Arc<Shared>);

struct Shared {
    port: u16,
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lie: Option<(Kind, Lie)>,
    struck: usize,
    log: Vec<Entry>,
    /// The end of the log and the high watermark that it tells, where they are not the log's.
    end: Option<i64>,
    /// In today's version of Fetch the log is shown as it is, and from this offset on in format 2.
    new_from: Option<i64>,
    shown: usize,
    /// What other members of the group say of themselves.
    others: Vec<Vec<u8>>,
    /// It says that it speaks what the native client asks, and what the crate `kafka` does where not.
    of_today: bool,
}

impl Hostile {
    /// A broker that tells the truth yet, on a free port.
    pub(crate) fn new(topic: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let hostile = Self(Arc::new(Shared {
            port: listener.local_addr().expect("it is bound").port(),
            topic: topic.to_owned(),
            state: Mutex::default(),
        }));
        let accepting = hostile.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(client));
            }
        });
        hostile
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// From now on it can be asked by the native client, and no longer by the crate `kafka`.
    pub(crate) fn be_of_today(&self) {
        self.state(|state| state.of_today = true);
    }

    /// The --client that can ask it.
    pub(crate) fn client(&self) -> &'static str {
        if self.state(|state| state.of_today) {
            "native"
        } else {
            "kafka"
        }
    }

    /// The lie that it tells from now on, whenever it is asked this.
    pub(crate) fn lie(&self, kind: Kind, lie: Lie) {
        self.state(|state| state.lie = Some((kind, lie)));
    }

    /// How often it has lied.
    pub(crate) fn struck(&self) -> usize {
        self.state(|state| state.struck)
    }

    /// What it holds from now on.
    pub(crate) fn hold(&self, log: Vec<Entry>) {
        self.state(|state| state.log = log);
    }

    /// The end of the log that it tells.
    pub(crate) fn tell_end(&self, end: i64) {
        self.state(|state| state.end = Some(end));
    }

    /// It shows the formats of its log from now on: from this offset on they are new.
    pub(crate) fn show_formats(&self, new_from: i64) {
        self.state(|state| state.new_from = Some(new_from));
    }

    /// How often it has.
    pub(crate) fn shown(&self) -> usize {
        self.state(|state| state.shown)
    }

    /// Another member of each group, which says this of itself.
    pub(crate) fn seat(&self, subscription: Vec<u8>) {
        self.state(|state| state.others.push(subscription));
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().expect("no thread fails with the state in hand"))
    }

    fn serve(&self, mut client: TcpStream) -> Option<()> {
        loop {
            let mut size = [0; 4];
            client.read_exact(&mut size).ok()?;
            let mut frame = vec![0; u32::from_be_bytes(size) as usize];
            client.read_exact(&mut frame).ok()?;
            let mut request = Asked(&frame);
            let (kind, version, number) = (request.i16(), request.i16(), request.i32());
            request.text();
            let mut answer = Answer::default();
            answer.i32(number);
            self.answer(kind, version, &mut request, &mut answer);
            let lie = self.state(|state| {
                let lie = state.lie.filter(|(of, _)| *of as i16 == kind).map(|(_, lie)| lie);
                // A claim that this answer does not make, as it has none of that number, is no lie.
                let lie = lie.filter(|lie| !matches!(lie, Lie::Claim(at, _) if *at >= answer.claims.len()));
                // Claims of Fetch are for the crate, and our own look goes before it.
                let is_look = kind == Kind::Fetch as i16 && version > 0 && !state.of_today;
                let lie = lie.filter(|lie| !(is_look && matches!(lie, Lie::Claim(..))));
                state.struck += usize::from(lie.is_some());
                lie
            });
            let mut size = answer.bytes.len() as i32;
            match lie {
                Some(Lie::Silence) => {
                    // Until the other side gives up.
                    let _ = client.read(&mut [0]);
                    return None;
                }
                Some(Lie::Close) => return None,
                Some(Lie::Half) => {
                    client.write_all(&size.to_be_bytes()).ok()?;
                    client.write_all(&answer.bytes[..answer.bytes.len() / 2]).ok()?;
                    return None;
                }
                Some(Lie::Size(claimed)) => size = claimed,
                Some(Lie::Claim(at, claimed)) => answer.claim(at, claimed),
                Some(Lie::Number) => answer.bytes[3] ^= 1,
                Some(Lie::Trickle) => {
                    for byte in [&size.to_be_bytes()[..], &answer.bytes].concat() {
                        client.write_all(&[byte]).ok()?;
                        thread::sleep(Duration::from_secs(1));
                    }
                    return None;
                }
                Some(Lie::Endless(claimed)) => {
                    client.write_all(&claimed.to_be_bytes()).ok()?;
                    client.write_all(&answer.bytes[..4]).ok()?;
                    loop {
                        client.write_all(&[0; 1 << 16]).ok()?;
                    }
                }
                Some(Lie::Layout) => {
                    size += 4;
                    answer.bytes.splice(4..4, [0, 0, 0, 7]);
                }
                Some(Lie::Last) | None => {}
            }
            client.write_all(&size.to_be_bytes()).ok()?;
            client.write_all(&answer.bytes).ok()?;
            if lie == Some(Lie::Last) {
                return None;
            }
        }
    }

    fn answer(&self, kind: i16, version: i16, asked: &mut Asked, answer: &mut Answer) {
        const ALL: [i16; 13] = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 18];
        let (topic, port) = (&self.0.topic, self.0.port);
        let of_today = self.state(|state| state.of_today);
        match kind {
            0 => {
                if version >= 3 {
                    asked.text();
                }
                asked.take(2 + 4);
                asked.count();
                asked.text();
                asked.count();
                asked.take(4);
                let set = asked.bytes().to_vec();
                let base = self.state(|state| append(&mut state.log, &set));
                answer.one(|a| {
                    a.text(topic);
                    a.one(|a| {
                        a.i32(0).i16(0).i64(base);
                        if version >= 3 {
                            a.i64(-1);
                        }
                    });
                });
                if version >= 3 {
                    answer.i32(0);
                }
            }
            1 => {
                asked.take(12 + if version >= 4 { 5 } else { 0 });
                asked.count();
                asked.text();
                asked.count();
                asked.take(4);
                let (from, window) = (asked.i64(), asked.i32());
                let (mut set, end) = self.state(|state| (read(&state.log, from, window), state.end()));
                if version >= 4 && !of_today {
                    set = self.state(|state| state.show(from, set));
                }
                if set.is_empty() {
                    thread::sleep(Duration::from_millis(20));
                }
                if version >= 4 {
                    answer.i32(0);
                }
                answer.one(|a| {
                    a.text(topic);
                    a.one(|a| {
                        a.i32(0).i16(0).i64(end);
                        if version >= 4 {
                            a.i64(end).count(0);
                        }
                        a.bytes(&set);
                    });
                });
            }
            2 => {
                asked.take(4 + usize::from(version >= 2));
                asked.count();
                asked.text();
                asked.count();
                asked.take(4 + if version >= 4 { 4 } else { 0 });
                let time = asked.i64();
                let offset = self.state(|state| match time {
                    -2 => state.log.first().map_or(0, |entry| entry.0),
                    _ => state.end(),
                });
                if version >= 2 {
                    answer.i32(0);
                }
                answer.one(|a| {
                    a.text(topic);
                    a.one(|a| {
                        a.i32(0).i16(0);
                        match version {
                            0 => a.one(|a| {
                                a.i64(offset);
                            }),
                            _ => {
                                a.i64(-1).i64(offset).i32(0);
                            }
                        }
                    });
                });
            }
            3 => {
                if version >= 4 {
                    answer.i32(0);
                }
                answer.one(|a| {
                    a.i32(1).text("127.0.0.1").i32(port.into());
                    if version >= 4 {
                        a.text("rack");
                    }
                });
                if version >= 4 {
                    answer.text("cluster").i32(1);
                }
                answer.one(|a| {
                    a.i16(0).text(topic);
                    if version >= 4 {
                        a.bytes.push(0);
                    }
                    a.one(|a| {
                        a.i16(0).i32(0).i32(1);
                        a.one(|a| {
                            a.i32(1);
                        });
                        a.one(|a| {
                            a.i32(1);
                        });
                    });
                });
            }
            8 => answer.one(|a| {
                a.text(topic);
                a.one(|a| {
                    a.i32(0).i16(0);
                });
            }),
            9 => answer.one(|a| {
                a.text(topic);
                a.one(|a| {
                    a.i32(0).i64(-1).text("").i16(0);
                });
            }),
            10 => {
                answer.i16(0).i32(1).text("127.0.0.1").i32(port.into());
            }
            11 => {
                asked.text();
                asked.take(4);
                asked.text();
                asked.text();
                asked.count();
                asked.text();
                let subscription = asked.bytes().to_vec();
                answer.i16(0).i32(1).text("range").text("we").text("we");
                self.members(subscription, answer, |a, id, subscription| {
                    a.text(id).bytes(subscription);
                });
            }
            14 => {
                asked.text();
                asked.take(4);
                asked.text();
                // Dealt out by the member that leads.
                let mut share = Vec::new();
                for _ in 0..asked.count() {
                    let (id, dealt) = (asked.text().to_vec(), asked.bytes().to_vec());
                    if id == b"we" {
                        share = dealt;
                    }
                }
                answer.i16(0).bytes(&share);
            }
            15 => answer.one(|a| {
                a.i16(0).text("group").text("Stable").text("consumer").text("range");
                self.members(Vec::new(), a, |a, id, subscription| {
                    a.text(id).text("client").text("host").bytes(subscription).bytes(&[]);
                });
            }),
            18 => {
                answer.i16(0).count(ALL.len() as i32);
                for kind in ALL {
                    let newest = match kind {
                        0 if of_today => 3,
                        1 | 3 if of_today => 4,
                        1 => 11,
                        _ => 5,
                    };
                    answer.i16(kind).i16(0).i16(newest);
                }
            }
            _ => {
                answer.i16(0);
            }
        }
    }

    fn members(&self, own: Vec<u8>, answer: &mut Answer, put: impl Fn(&mut Answer, &str, &[u8])) {
        let others = self.state(|state| state.others.clone());
        answer.count(others.len() as i32 + 1);
        put(answer, "we", &own);
        for (i, subscription) in others.iter().enumerate() {
            put(answer, &format!("other {i}"), subscription);
        }
    }
}

impl State {
    /// What today's version of Fetch brings of these messages. Of format 2 there is no more than what
    /// says so.
    fn show(&mut self, from: i64, mut set: Vec<u8>) -> Vec<u8> {
        const FORMAT: usize = 16;
        let Some(new_from) = self.new_from else {
            return Vec::new();
        };
        self.shown += 1;
        if from >= new_from
            && let Some(format) = set.get_mut(FORMAT)
        {
            *format = 2;
        }
        set
    }

    fn end(&self) -> i64 {
        self.end.unwrap_or(self.log.last().map_or(0, |entry| entry.1))
    }
}

/// Adds the messages of a set; its first offset.
fn append(log: &mut Vec<Entry>, mut set: &[u8]) -> i64 {
    let base = log.last().map_or(0, |entry| entry.1);
    let mut next = base;
    while set.len() >= 12 {
        let size = u32::from_be_bytes(set[8..12].try_into().expect("4 bytes")) as usize;
        let (message, rest) = set.split_at(12 + size);
        let mut message = message.to_vec();
        message[..8].copy_from_slice(&next.to_be_bytes());
        // A batch of today's format holds many records.
        let records = match message.get(16..27) {
            Some([2, .., a, b, c, d]) => i64::from(i32::from_be_bytes([*a, *b, *c, *d])) + 1,
            _ => 1,
        };
        log.push(Entry(next, next + records, message));
        next += records;
        set = rest;
    }
    base
}

/// What fits into the window, from an offset on; an entry that does not is cut.
fn read(log: &[Entry], from: i64, window: i32) -> Vec<u8> {
    let sets = log.iter().filter(|entry| entry.1 > from);
    let mut read: Vec<u8> = sets
        .flat_map(|entry| &entry.2)
        .copied()
        .take(window.max(0) as usize)
        .collect();
    if read.len() < 12 {
        read.clear();
    }
    read
}

/// A request, read from its front.
struct Asked<'a>(&'a [u8]);

impl<'a> Asked<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> i64 {
        let negative = self.0.first().is_some_and(|byte| byte & 0x80 != 0);
        self.take(bytes)
            .iter()
            .fold(-i64::from(negative), |number, byte| number << 8 | i64::from(*byte))
    }

    fn i16(&mut self) -> i16 {
        self.number(2) as i16
    }

    fn i32(&mut self) -> i32 {
        self.number(4) as i32
    }

    fn i64(&mut self) -> i64 {
        self.number(8)
    }

    fn count(&mut self) -> i32 {
        self.i32()
    }

    fn text(&mut self) -> &'a [u8] {
        let length = self.i16();
        self.take(length.max(0) as usize)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.i32();
        self.take(length.max(0) as usize)
    }
}

/// An answer that remembers where its lengths and counts stand.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    claims: Vec<(usize, usize)>,
}

impl Answer {
    fn i16(&mut self, number: i16) -> &mut Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    fn i32(&mut self, number: i32) -> &mut Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    fn i64(&mut self, number: i64) -> &mut Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    fn count(&mut self, count: i32) -> &mut Self {
        self.claims.push((self.bytes.len(), 4));
        self.i32(count)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.claims.push((self.bytes.len(), 2));
        self.i16(text.len() as i16);
        self.bytes.extend(text.as_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len() as i32);
        self.bytes.extend(bytes);
        self
    }

    /// A list of one entry.
    fn one(&mut self, entry: impl FnOnce(&mut Self)) {
        self.count(1);
        entry(self);
    }

    /// Makes a length or a count another one; a length of 16 bits gets the upper half.
    fn claim(&mut self, at: usize, claimed: i32) {
        let (at, width) = self.claims[at];
        self.bytes[at..at + width].copy_from_slice(&claimed.to_be_bytes()[..width]);
    }
}
