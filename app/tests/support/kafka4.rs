//! A broker of Kafka 4, which has forgotten the protocol of the old days. It runs without ZooKeeper
//! (KRaft).

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::cluster::free_port;
use super::{Process, new_folder, top, wait_until};

/// How long it may take to start; the first time Maven fetches its jars.
const START: Duration = Duration::from_secs(300);

/// Formats the folder and becomes the broker, with the jars that the project's own scripts resolve.
const RUN: &str = r#"
set -eu
TOP=$0
KAFKA_VERSION=4.0.0
. "$TOP/app/cluster/common.sh"
. "$TOP/app/cluster/jars.sh"
find_java
[ "$java_version" -ge 17 ] || die "$JAVA is Java $java_version, and Kafka 4 needs Java 17 or later" "install it (Debian, Ubuntu: apt install openjdk-17-jre-headless)"
find_jars
cd "$1"
"$JAVA" -Xmx128m -cp "$LIBS/*" kafka.tools.StorageTool format -t Um93ZmVycnkncyB0ZXN0cw -c server.properties
exec "$JAVA" -Xmx300m -XX:+UseSerialGC -cp "$LIBS/*" kafka.Kafka server.properties
"#;

/// One broker that is its own controller. It ends with this value.
pub(crate) struct Kafka4 {
    port: u16,
    folder: PathBuf,
    process: Process,
}

impl Kafka4 {
    pub(crate) fn start() -> Self {
        let (port, controller, folder) = (free_port(), free_port(), new_folder("kafka4"));
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\nlog.dirs=data\noffsets.topic.replication.factor=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n"
        );
        fs::write(folder.join("server.properties"), properties).expect("the folder can be written");
        let process = Process::start(Command::new("sh").args(["-c", RUN]).args([top(), &folder]));
        let mut broker = Self { port, folder, process };
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let ended = wait_until(START, || listens() || !broker.process.is_running());
        assert!(
            ended && broker.process.is_running(),
            "Kafka 4 does not start:\n{}",
            broker.process.output()
        );
        broker
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

impl Drop for Kafka4 {
    fn drop(&mut self) {
        self.process.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
