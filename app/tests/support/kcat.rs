//! kcat, the command-line client of others.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::Cluster;

/// Runs `kcat -b <brokers> <args>` with this stdin and returns its stdout; fails when kcat does, or takes over 60 s.
pub fn kcat(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> String {
    String::from_utf8_lossy(&kcat_bytes(cluster, args, stdin)).into_owned()
}

/// The same, for output that need not be text.
pub fn kcat_bytes(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> Vec<u8> {
    let mut command = Command::new("timeout");
    command.args(["60", "kcat", "-b", &cluster.direct()]);
    if cluster.kafka_version().starts_with("0.") {
        // A broker this old cannot be asked for what it speaks.
        let fallback = format!("broker.version.fallback={}", cluster.kafka_version());
        command.args(["-X", "api.version.request=false", "-X", &fallback]);
    }
    command
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
        Some(0) => output.stdout,
        Some(127) => panic!("these tests need kcat: apt-get install kcat\n{stderr}"),
        _ => panic!("kcat {} ended with {}:\n{stderr}", args.join(" "), output.status),
    }
}
