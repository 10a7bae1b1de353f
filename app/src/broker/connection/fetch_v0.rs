//! Fetch in the version that brokers of 0.9 to 3.9 speak, of which `kafka-protocol` knows nothing.
//! A set of format 0 comes as it lies in the log.

use anyhow::{Context, Result, ensure};
use bytes::{Buf, Bytes};
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

/// Of the request just what this version has. Each partition answers so many bytes at most, though
/// its first set be larger.
#[derive(Debug)]
pub(crate) struct FetchV0Request(pub(crate) FetchRequest);

/// The answer, which tells no last stable offset.
#[derive(Debug)]
pub(crate) struct FetchV0Response(pub(crate) FetchResponse);

impl HeaderVersion for FetchV0Request {
    fn header_version(_version: i16) -> i16 {
        1
    }
}

impl HeaderVersion for FetchV0Response {
    fn header_version(_version: i16) -> i16 {
        0
    }
}

impl Encodable for FetchV0Request {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _version: i16) -> Result<()> {
        let Self(request) = self;
        buf.put_i32(request.replica_id.0);
        buf.put_i32(request.max_wait_ms);
        buf.put_i32(request.min_bytes);
        buf.put_i32(request.topics.len().try_into()?);
        for FetchTopic { topic, partitions, .. } in &request.topics {
            buf.put_i16(topic.len().try_into()?);
            buf.put_slice(topic.as_bytes());
            buf.put_i32(partitions.len().try_into()?);
            for partition in partitions {
                buf.put_i32(partition.partition);
                buf.put_i64(partition.fetch_offset);
                buf.put_i32(partition.partition_max_bytes);
            }
        }
        Ok(())
    }

    fn compute_size(&self, _version: i16) -> Result<usize> {
        let topic = |topic: &FetchTopic| 6 + topic.topic.len() + 16 * topic.partitions.len();
        Ok(16 + self.0.topics.iter().map(topic).sum::<usize>())
    }
}

impl Decodable for FetchV0Response {
    fn decode<B: ByteBuf>(buf: &mut B, _version: i16) -> Result<Self> {
        let topics = list(buf, |buf| {
            let name = fixed::<B, 2>(buf).map(i16::from_be_bytes)?;
            let name = StrBytes::try_from(some_bytes(buf, name.into())?)?;
            let partitions = list(buf, partition)?;
            Ok(FetchableTopicResponse::default()
                .with_topic(TopicName(name))
                .with_partitions(partitions))
        })?;
        Ok(Self(FetchResponse::default().with_responses(topics)))
    }
}

fn partition<B: ByteBuf>(buf: &mut B) -> Result<PartitionData> {
    let index = fixed(buf).map(i32::from_be_bytes)?;
    let error_code = fixed(buf).map(i16::from_be_bytes)?;
    let high_watermark = fixed(buf).map(i64::from_be_bytes)?;
    let length = fixed(buf).map(i32::from_be_bytes)?;
    Ok(PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error_code)
        .with_high_watermark(high_watermark)
        .with_last_stable_offset(-1)
        .with_records(Some(some_bytes(buf, length)?)))
}

fn list<B: ByteBuf, T>(buf: &mut B, mut entry: impl FnMut(&mut B) -> Result<T>) -> Result<Vec<T>> {
    let count = fixed(buf).map(i32::from_be_bytes)?;
    // Nothing is reserved for what a count claims.
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(buf)?);
    }
    Ok(entries)
}

/// Bytes of this length; null is none.
fn some_bytes<B: ByteBuf>(buf: &mut B, length: i32) -> Result<Bytes> {
    match length {
        -1 => Ok(Bytes::new()),
        _ => Ok(buf.try_get_bytes(usize::try_from(length).context("a length is less than 0")?)?),
    }
}

fn fixed<B: Buf, const N: usize>(buf: &mut B) -> Result<[u8; N]> {
    ensure!(buf.remaining() >= N, "it ends too soon");
    let mut bytes = [0; N];
    buf.copy_to_slice(&mut bytes);
    Ok(bytes)
}
