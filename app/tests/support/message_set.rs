//! Messages of format 0 as any client can make them, and as they are sent to old brokers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) const GZIP: u8 = 1;

/// A message; its offset is the broker's matter.
pub(crate) fn message(offset: i64, codec: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut body = vec![0, codec];
    for part in [key, value] {
        body.extend((part.len() as i32).to_be_bytes());
        body.extend(part);
    }
    let mut message = offset.to_be_bytes().to_vec();
    message.extend((body.len() as i32 + 4).to_be_bytes());
    message.extend(checksum(&body).to_be_bytes());
    message.extend(body);
    message
}

/// CRC-32, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |s, _| {
            (s >> 1) ^ (0xEDB8_8320 & (s & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, byte)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut stream = GzEncoder::new(Vec::new(), Compression::best());
    stream.write_all(bytes).expect("memory takes bytes");
    stream.finish().expect("memory takes bytes")
}

/// Sends a set to a broker with Produce in version 0; the first offset that it gets, or the error's
/// code.
pub(crate) fn produce(broker: &str, topic: &str, partition: i32, set: &[u8]) -> Result<i64, i16> {
    const REQUEST: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]; // Produce, version, number, no client's name
    let mut request = REQUEST.to_vec();
    request.extend((-1_i16).to_be_bytes()); // all replicas
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend((topic.len() as i16).to_be_bytes());
    request.extend(topic.as_bytes());
    for number in [1, partition, set.len() as i32] {
        request.extend(number.to_be_bytes());
    }
    request.extend(set);
    let mut broker = TcpStream::connect(broker).expect("the broker takes connections");
    let limit = Some(Duration::from_secs(30));
    broker.set_read_timeout(limit).expect("a socket has a limit");
    let size = (request.len() as u32).to_be_bytes();
    broker.write_all(&[&size, &request[..]].concat()).expect("it takes it");
    let mut size = [0; 4];
    broker.read_exact(&mut size).expect("it answers");
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    broker.read_exact(&mut answer).expect("it answers");
    // At its end, code and offset.
    let end = answer.len() - 10;
    match i16::from_be_bytes([answer[end], answer[end + 1]]) {
        0 => Ok(i64::from_be_bytes(answer[end + 2..].try_into().expect("8 bytes"))),
        code => Err(code),
    }
}
