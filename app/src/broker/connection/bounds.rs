//! What an answer says of its own lengths and counts is looked at before the decoders of
//! `kafka-protocol` see it: those reserve what a count claims, and a process that cannot have so
//! much memory is ended, which no panic handler stops. So the layout of each answer that is asked
//! for stands here, in the versions that are asked for, and only what lies within its frame is
//! decoded.

use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, DescribeGroupsResponse, FetchResponse, FindCoordinatorResponse, HeartbeatResponse,
    JoinGroupResponse, LeaveGroupResponse, ListOffsetsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetFetchResponse, ProduceResponse, SaslAuthenticateResponse, SaslHandshakeResponse, SyncGroupResponse,
};
use kafka_protocol::protocol::buf::ByteBuf;
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use super::fetch_v0::FetchV0Response;

/// An entry with fields takes up to so many times its bytes once it is decoded; no cluster has so
/// many.
const MOST_ENTRIES: usize = 1 << 20;

/// What is read before a login, from one who may be anybody.
const TINY: usize = 64 << 10;

/// What all members of a group say of themselves lies in one record of the brokers, which take 1
/// MiB unless they are set up otherwise.
const SMALL: usize = 16 << 20;

/// All topics of a large cluster.
const LARGE: usize = 64 << 20;

/// The largest batch that we look at, and what stands around it.
const BATCH: usize = 129 << 20;

/// A part of an answer. A length or count of -1 is none, and takes no bytes.
///
/// In a flexible version (KIP-482) lengths and counts are numbers of one to five bytes, one more
/// than they say, and what has fields ends with tagged ones.
pub(crate) enum Field {
    /// Numbers that take so many bytes together.
    Fixed(usize),
    /// A length of 16 bits and that many bytes.
    Text,
    /// A length of 32 bits and that many bytes.
    Bytes,
    /// A count of 32 bits and that many entries, of at least one byte each.
    List(&'static [Field]),
    /// Fields from one version on, up to another one.
    In(i16, i16, &'static [Field]),
    /// Tagged fields, where there are such: the layouts of those that the decoder knows, by tag.
    Tags(&'static [(u32, &'static [Field])]),
}

use Field::{Bytes, Fixed, In, List, Tags, Text};

/// An answer that is asked for.
pub(crate) trait Answer: Decodable + HeaderVersion {
    const API: ApiKey;
    /// The version that all brokers from 0.9 to 3.9 speak, unless something in a newer one is
    /// needed. It is asked for where the broker's own versions are not known.
    const VERSION: i16;
    /// From here on versions are flexible.
    const FLEXIBLE: i16;
    /// In `VERSION`, and in those that are asked for by their number.
    const LAYOUT: &'static [Field];
    /// The most bytes that it takes.
    const LARGEST: usize;
}

macro_rules! answers {
    ($($answer:ty: $api:ident $version:literal $(flexible from $flexible:literal)?, $largest:ident,
        [$($field:expr),* $(,)?];)*) => {$(
        impl Answer for $answer {
            const API: ApiKey = ApiKey::$api;
            const VERSION: i16 = $version;
            const FLEXIBLE: i16 = answers!(@flexible $($flexible)?);
            const LAYOUT: &'static [Field] = &[$($field),*];
            const LARGEST: usize = $largest;
        }
    )*};
    (@flexible) => { i16::MAX };
    (@flexible $flexible:literal) => { $flexible };
}

const NUMBER: Field = Fixed(4);

/// The last version that there is.
const ON: i16 = i16::MAX;

const NO_TAGS: Field = Tags(&[]);

answers! {
    ApiVersionsResponse: ApiVersions 0, SMALL, [Fixed(2), List(&[Fixed(6)])];
    // Throttled. Brokers: id, host, port, rack. Cluster's id, controller's id. Topics: code, name,
    // id, internal, partitions: code, id, leader, its epoch, replicas, those in sync, offline ones;
    // allowed operations. Allowed operations.
    MetadataResponse: Metadata 0 flexible from 9, LARGE, [
        In(3, ON, &[Fixed(4)]),
        List(&[Fixed(4), Text, Fixed(4), In(1, ON, &[Text]), NO_TAGS]),
        In(2, ON, &[Text]),
        In(1, ON, &[Fixed(4)]),
        List(&[
            Fixed(2),
            Text,
            In(10, ON, &[Fixed(16)]),
            In(1, ON, &[Fixed(1)]),
            List(&[
                Fixed(10),
                In(7, ON, &[Fixed(4)]),
                List(&[NUMBER]),
                List(&[NUMBER]),
                In(5, ON, &[List(&[NUMBER])]),
                NO_TAGS,
            ]),
            In(8, ON, &[Fixed(4)]),
            NO_TAGS,
        ]),
        In(8, 10, &[Fixed(4)]),
        NO_TAGS,
    ];
    // Topics: name, partitions: id, code, first offset, time, the log's first offset, bad records:
    // id, reason; reason; leader and its epoch. Throttled. Brokers: id, host, port, rack.
    ProduceResponse: Produce 3 flexible from 9, SMALL, [
        List(&[
            Text,
            List(&[
                Fixed(22),
                In(5, ON, &[Fixed(8)]),
                In(8, ON, &[List(&[Fixed(4), Text, NO_TAGS]), Text]),
                In(0, 9, &[NO_TAGS]),
                In(10, ON, &[Tags(&[(0, &[Fixed(8), NO_TAGS])])]),
            ]),
            NO_TAGS,
        ]),
        Fixed(4),
        In(0, 9, &[NO_TAGS]),
        In(10, ON, &[Tags(&[(0, &[List(&[Fixed(4), Text, Fixed(4), Text, NO_TAGS])])])]),
    ];
    // Throttled. Topics: name, partitions: id, code, timestamp, offset, leader's epoch.
    ListOffsetsResponse: ListOffsets 5 flexible from 6, SMALL, [
        In(2, ON, &[Fixed(4)]),
        List(&[Text, List(&[Fixed(22), In(4, ON, &[Fixed(4)]), NO_TAGS]), NO_TAGS]),
        NO_TAGS,
    ];
    // Throttled, code, session. Topics: name, partitions: id, code, high watermark, last stable
    // offset, the log's first offset, aborted transactions, a replica to read, records; where the
    // log was cut back, leader and its epoch, snapshot.
    FetchResponse: Fetch 4 flexible from 12, BATCH, [
        Fixed(4),
        In(7, ON, &[Fixed(6)]),
        List(&[
            Text,
            List(&[
                Fixed(22),
                In(5, ON, &[Fixed(8)]),
                List(&[Fixed(16), NO_TAGS]),
                In(11, ON, &[Fixed(4)]),
                Bytes,
                Tags(&[
                    (0, &[Fixed(12), NO_TAGS]),
                    (1, &[Fixed(8), NO_TAGS]),
                    (2, &[Fixed(12), NO_TAGS]),
                ]),
            ]),
            NO_TAGS,
        ]),
        NO_TAGS,
    ];
    // Topics: name, partitions: id, code, high watermark, records.
    FetchV0Response: Fetch 0, BATCH, [List(&[Text, List(&[Fixed(14), Bytes])])];
    // Code, mechanisms.
    SaslHandshakeResponse: SaslHandshake 1, TINY, [Fixed(2), List(&[Text])];
    // Code, its text, token, lifetime of the session. Version 2 says the same in another form.
    SaslAuthenticateResponse: SaslAuthenticate 1, TINY, [Fixed(2), Text, Bytes, Fixed(8)];
    SaslAuthenticateV0: SaslAuthenticate 0, TINY, [Fixed(2), Text, Bytes];
    // Code, id, host, port.
    FindCoordinatorResponse: FindCoordinator 0, SMALL, [Fixed(6), Text, Fixed(4)];
    // Code, generation, protocol, leader, member. Members: id, subscription.
    JoinGroupResponse: JoinGroup 0, SMALL, [Fixed(6), Text, Text, Text, List(&[Text, Bytes])];
    SyncGroupResponse: SyncGroup 0, SMALL, [Fixed(2), Bytes];
    HeartbeatResponse: Heartbeat 0, SMALL, [Fixed(2)];
    LeaveGroupResponse: LeaveGroup 0, SMALL, [Fixed(2)];
    // Groups: code, group, state, type, protocol, members: id, client, its host, subscription,
    // assignment.
    DescribeGroupsResponse: DescribeGroups 0, SMALL, [
        List(&[Fixed(2), Text, Text, Text, Text, List(&[Text, Text, Text, Bytes, Bytes])])
    ];
    // Topics: name, partitions: id, code.
    OffsetCommitResponse: OffsetCommit 2, SMALL, [List(&[Text, List(&[Fixed(6)])])];
    // Topics: name, partitions: id, offset, note, code.
    OffsetFetchResponse: OffsetFetch 1, SMALL, [List(&[Text, List(&[Fixed(12), Text, Fixed(2)])])];
}

/// The answer of brokers that tell no lifetime: those before 2.2.
#[derive(Debug)]
pub(crate) struct SaslAuthenticateV0(pub(super) SaslAuthenticateResponse);

impl Decodable for SaslAuthenticateV0 {
    fn decode<B: ByteBuf>(bytes: &mut B, version: i16) -> anyhow::Result<Self> {
        SaslAuthenticateResponse::decode(bytes, version).map(Self)
    }
}

impl HeaderVersion for SaslAuthenticateV0 {
    fn header_version(version: i16) -> i16 {
        SaslAuthenticateResponse::header_version(version)
    }
}

/// Whether the lengths and counts of an answer in `VERSION` stay within its bytes.
pub(crate) fn are_kept<R: Answer>(answer: &[u8]) -> bool {
    are_kept_in::<R>(R::VERSION, answer)
}

/// The same of one in another version.
pub(crate) fn are_kept_in<R: Answer>(version: i16, answer: &[u8]) -> bool {
    Walk::new::<R>(version)
        .walk(R::LAYOUT, &mut Cursor::new(answer))
        .is_some()
}

/// Where an answer's body begins; none where its header is none.
pub(crate) fn behind_header<R: Answer>(version: i16, answer: &[u8]) -> Option<usize> {
    let mut rest = Cursor::new(answer);
    rest.take(4)?;
    if R::header_version(version) > 0 {
        Walk::new::<R>(version).walk(&[NO_TAGS], &mut rest)?;
    }
    Some(answer.len() - rest.0.len())
}

/// A walk through an answer.
struct Walk {
    version: i16,
    is_flexible: bool,
    entries: usize,
}

impl Walk {
    fn new<R: Answer>(version: i16) -> Self {
        Self {
            version,
            is_flexible: version >= R::FLEXIBLE,
            entries: 0,
        }
    }

    fn walk(&mut self, layout: &[Field], rest: &mut Cursor<'_>) -> Option<()> {
        for field in layout {
            match field {
                Fixed(bytes) => drop(rest.take(*bytes)?),
                Text | Bytes if self.is_flexible => {
                    let length = rest.compact()?;
                    rest.take(length)?;
                }
                Text => drop(rest.text()?),
                Bytes => drop(rest.bytes()?),
                List(layout) => {
                    let count = if self.is_flexible {
                        rest.compact()?
                    } else {
                        rest.count()?
                    };
                    for _ in 0..count {
                        // Plain numbers take no more than their bytes.
                        if !matches!(layout, [Fixed(4)]) {
                            self.count_entry()?;
                        }
                        self.walk(layout, rest)?;
                    }
                }
                In(from, to, layout) if (*from..=*to).contains(&self.version) => self.walk(layout, rest)?,
                Tags(known) if self.is_flexible => self.tags(known, rest)?,
                In(..) | Tags(_) => {}
            }
        }
        Some(())
    }

    /// A tagged field that the decoder knows is decoded where it stands, whatever its length says:
    /// both must end at one place.
    fn tags(&mut self, known: &[(u32, &[Field])], rest: &mut Cursor<'_>) -> Option<()> {
        for _ in 0..rest.varint()? {
            self.count_entry()?;
            let tag = rest.varint()?;
            let length = rest.varint()?;
            let mut value = Cursor::new(rest.take(length as usize)?);
            if let Some((_, layout)) = known.iter().find(|(known, _)| *known == tag) {
                self.walk(layout, &mut value)?;
                if !value.0.is_empty() {
                    return None;
                }
            }
        }
        Some(())
    }

    fn count_entry(&mut self) -> Option<()> {
        self.entries += 1;
        (self.entries <= MOST_ENTRIES).then_some(())
    }
}

/// Reads what others wrote, and never beyond what is there. None is the end of the bytes, or a
/// length that cannot be.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// How many entries follow. It is a claim: nothing may be reserved by it.
    pub(crate) fn count(&mut self) -> Option<usize> {
        length(self.i32()?)
    }

    /// A number of up to five bytes, seven bits in each, the lowest first.
    fn varint(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }

    /// A length or a count of a flexible version: one more than it says, and 0 is none.
    fn compact(&mut self) -> Option<usize> {
        Some(self.varint()?.saturating_sub(1) as usize)
    }

    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let length = length(self.i16()?.into())?;
        self.take(length)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = length(self.i32()?)?;
        self.take(length)
    }
}

fn length(claimed: i32) -> Option<usize> {
    match claimed {
        -1 => Some(0),
        _ => usize::try_from(claimed).ok(),
    }
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
