//! kcat, the command-line client of others.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::Cluster;

/// Runs `kcat -b <brokers> <args>` with this stdin and returns its stdout; fails when kcat does, or
/// takes over 60 s.
pub(crate) fn kcat(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> String {
    String::from_utf8_lossy(&kcat_bytes(cluster, args, stdin)).into_owned()
}

/// The same, for output that need not be text.
fn kcat_bytes(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> Vec<u8> {
    try_kcat(cluster, args, stdin).unwrap_or_else(|error| panic!("{error}"))
}

/// The same, where kcat may fail: what it says then.
pub(super) fn try_kcat(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("timeout");
    command
        .args(["60", "kcat"])
        .args(kcat_reaches(cluster))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start timeout (package coreutils): {e}"));
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let input = stdin.to_vec();
    let writer = thread::spawn(move || match pipe.write_all(&input) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => panic!("cannot write to kcat: {e}"),
        _ => (),
    });
    let output = child.wait_with_output().expect("its outputs can be read");
    writer.join().expect("the writer does not fail");
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(127) => panic!("these tests need kcat: apt-get install kcat\n{stderr}"),
        _ => Err(format!(
            "kcat {} ended with {}:\n{stderr}",
            args.join(" "),
            output.status
        )),
    }
}

/// The arguments by which kcat finds a cluster and speaks as that one does.
pub(crate) fn kcat_reaches(cluster: &Cluster) -> Vec<String> {
    // A broker that is paused would be waited for.
    let brokers: Vec<String> = cluster.awake().into_iter().map(|n| cluster.broker(n)).collect();
    let mut args = vec!["-b".to_owned(), brokers.join(",")];
    if cluster.is_before_1() {
        // A broker this old cannot be asked for what it speaks.
        let fallback = format!("broker.version.fallback={}", cluster.kafka_version());
        args.extend(["-X", "api.version.request=false", "-X", &fallback].map(str::to_owned));
    }
    args
}

/// A record as another client writes and reads it; an empty key or value is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl Record {
    pub(crate) fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// Writes records into one partition with kcat, in this order. They may hold any bytes but 0x1d,
/// 0x1e and 0x1f.
pub(crate) fn write_records<'a>(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
    records: impl IntoIterator<Item = &'a Record>,
) {
    let mut input = Vec::new();
    for Record { key, value } in records {
        assert!(
            !key.iter().chain(value).any(|byte| (0x1d..=0x1f).contains(byte)),
            "a record holds what parts records"
        );
        if !input.is_empty() {
            input.push(0x1e);
        }
        input.extend_from_slice(key);
        input.push(0x1f);
        input.extend_from_slice(value);
    }
    let partition = partition.to_string();
    let args = ["-P", "-Z", "-t", topic, "-p", &partition, "-D", "\\x1e", "-K", "\\x1f"];
    kcat(cluster, &args, &input);
}

/// All records of a partition, with their offsets, as kcat reads them.
pub(crate) fn read_records(cluster: &Cluster, topic: &str, partition: u32) -> Vec<(i64, Record)> {
    let partition = partition.to_string();
    let format = "%o %K %S\\n%k%s";
    let output = kcat_bytes(
        cluster,
        &["-C", "-e", "-q", "-t", topic, "-p", &partition, "-f", format],
        b"",
    );
    let mut rest = &output[..];
    let mut records = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let numbers: Vec<i64> = head
            .split(' ')
            .map(|n| n.parse().expect("kcat gives numbers"))
            .collect();
        let (key, value) = (numbers[1].max(0) as usize, numbers[2].max(0) as usize); // -1 is none
        rest = &rest[end + 1..];
        records.push((numbers[0], Record::new(&rest[..key], &rest[key..key + value])));
        rest = &rest[key + value..];
    }
    records
}
