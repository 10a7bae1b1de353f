//! What an answer says of its own lengths and counts is looked at before the decoders of
//! `kafka-protocol` see it: those reserve what a count claims, and a process that cannot have so
//! much memory is ended, which no panic handler stops. So the layout of each answer that is asked
//! for stands here, in the one version that is asked for, and only what lies within its frame is
//! decoded.

use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, DescribeGroupsResponse, FetchResponse, FindCoordinatorResponse, HeartbeatResponse,
    JoinGroupResponse, LeaveGroupResponse, ListOffsetsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetFetchResponse, SaslAuthenticateResponse, SaslHandshakeResponse, SyncGroupResponse,
};
use kafka_protocol::protocol::buf::ByteBuf;
use kafka_protocol::protocol::{Decodable, HeaderVersion};

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
pub(crate) enum Field {
    /// Numbers that take so many bytes together.
    Fixed(usize),
    /// A length of 16 bits and that many bytes.
    Text,
    /// A length of 32 bits and that many bytes.
    Bytes,
    /// A count of 32 bits and that many entries, of at least one byte each.
    List(&'static [Field]),
}

use Field::{Bytes, Fixed, List, Text};

/// An answer that is asked for, in the version that all brokers from 0.9 to 3.9 speak, unless
/// something in a newer one is needed.
pub(crate) trait Answer: Decodable + HeaderVersion {
    const API: ApiKey;
    const VERSION: i16;
    const LAYOUT: &'static [Field];
    /// The most bytes that it takes.
    const LARGEST: usize;
}

macro_rules! answers {
    ($($answer:ty: $api:ident $version:literal, $largest:ident, [$($field:expr),*];)*) => {$(
        impl Answer for $answer {
            const API: ApiKey = ApiKey::$api;
            const VERSION: i16 = $version;
            const LAYOUT: &'static [Field] = &[$($field),*];
            const LARGEST: usize = $largest;
        }
    )*};
}

const NUMBER: Field = Fixed(4);

answers! {
    ApiVersionsResponse: ApiVersions 0, SMALL, [Fixed(2), List(&[Fixed(6)])];
    // Brokers: id, host, port. Topics: code, name, partitions: code, id, leader, replicas, those in
    // sync.
    MetadataResponse: Metadata 0, LARGE, [
        List(&[Fixed(4), Text, Fixed(4)]),
        List(&[Fixed(2), Text, List(&[Fixed(10), List(&[NUMBER]), List(&[NUMBER])])])
    ];
    // Throttled. Topics: name, partitions: id, code, timestamp, offset, leader's epoch.
    ListOffsetsResponse: ListOffsets 5, SMALL, [Fixed(4), List(&[Text, List(&[Fixed(26)])])];
    // Throttled. Topics: name, partitions: id, code, high watermark, last stable offset, aborted
    // transactions, records.
    FetchResponse: Fetch 4, BATCH, [
        Fixed(4),
        List(&[Text, List(&[Fixed(22), List(&[Fixed(16)]), Bytes])])
    ];
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

/// Whether an answer's lengths and counts stay within its bytes.
pub(crate) fn are_kept<R: Answer>(answer: &[u8]) -> bool {
    let mut rest = Cursor::new(answer);
    walk(R::LAYOUT, &mut rest, &mut 0).is_some()
}

fn walk(layout: &[Field], rest: &mut Cursor, entries: &mut usize) -> Option<()> {
    for field in layout {
        match field {
            Fixed(bytes) => drop(rest.take(*bytes)?),
            Text => drop(rest.text()?),
            Bytes => drop(rest.bytes()?),
            List(layout) => {
                for _ in 0..rest.count()? {
                    // Connection numbers take no more than their bytes.
                    *entries += usize::from(!matches!(layout, [Fixed(4)]));
                    if *entries > MOST_ENTRIES {
                        return None;
                    }
                    walk(layout, rest, entries)?;
                }
            }
        }
    }
    Some(())
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
