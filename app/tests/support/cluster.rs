//! Real clusters, started by the project's own scripts on free ports in a temporary folder.

mod answers;
mod nodes;
mod topics;

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{env, fs, thread};

use super::{Process, Proxy, Random, Run, new_folder, top, wait_until};

/// How long the script may take to start a cluster; the first time it fetches Kafka's jars.
const START: Duration = Duration::from_secs(300);

/// Brings the cluster up for each line on its stdin, in the version that it names, and answers with the script's exit code. When
/// stdin ends, because the test has ended in whatever way, it stops the cluster and removes the
/// folder. Out of reach of Ctrl-C by its own process group.
const KEEPER: &str = r#"
while read -r version; do
    [ -z "$version" ] || export KAFKA_VERSION="$version"
    sh "$0/server_up.sh" --native --stack "$2" --brokers "$3" $4 </dev/null >"$1/up.log" 2>&1
    echo $?
done
sh "$0/server_down.sh" --native -v </dev/null >"$1/down.log" 2>&1 && rm -rf "$1"
"#;

/// Lets members of groups be missed sooner than a broker usually allows.
const QUICK_GROUPS: &str = "\ngroup.min.session.timeout.ms=500";

/// What a cluster of one's own differs in.
pub(crate) struct Config<'a> {
    /// What it is made of: wurstmeister, confluent or kraft; empty means what its version of Kafka
    /// is tried with.
    pub stack: &'a str,
    /// How many brokers it has; their numbers begin with 1.
    pub brokers: u32,
    /// Whether each has a listener with TLS and a login too; only on kraft.
    pub secure: bool,
    /// The version of Kafka; empty means KAFKA_VERSION where the stack is the one that it is tried
    /// with, and the stack's own elsewhere.
    pub kafka_version: String,
    /// More lines for the brokers' server.properties.
    pub broker_config: String,
    /// A proxy that stands before the one broker: `brokers()` leads through it, the tools go around
    /// it.
    pub proxy: Option<&'a Proxy>,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            stack: "",
            brokers: 1,
            secure: false,
            kafka_version: String::new(),
            broker_config: String::new(),
            proxy: None,
        }
    }
}

impl Config<'_> {
    /// The stack and the version of Kafka; an empty version is the stack's own.
    fn made_of(&self) -> (&str, String) {
        let of_run = self.stack.is_empty() || self.stack == default_stack();
        let version = match &self.kafka_version[..] {
            "" if of_run => asked_version(),
            version => version.to_owned(),
        };
        let stack = match self.stack {
            "" => stack_of(&version),
            stack => stack,
        };
        (stack, version)
    }
}

/// The version of Kafka that this run of the tests is for; empty is that of the default stack.
fn asked_version() -> String {
    env::var("KAFKA_VERSION").unwrap_or_default()
}

/// What a cluster is made of unless a test asks for more.
pub(crate) fn default_stack() -> &'static str {
    stack_of(&asked_version())
}

/// The stack that a version of Kafka is tried with: from 4 on there is no ZooKeeper.
fn stack_of(kafka_version: &str) -> &'static str {
    let major = kafka_version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_some_and(|major: u32| major >= 4) {
        "kraft"
    } else {
        "wurstmeister"
    }
}

/// Kafka brokers, and ZooKeeper where the stack has it. Its copies are the same cluster; it ends
/// with the last of them, or with the test process.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    stack: String,
    ports: Vec<u16>,
    zookeeper_port: u16,
    proxied_port: Option<u16>,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Cluster {
    /// The cluster that all tests of a run share. Leave it as it is: kill and pause brokers of your
    /// own.
    pub(crate) fn shared() -> Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Config::default())).clone()
    }

    /// A cluster for one test.
    pub(crate) fn own(config: Config) -> Self {
        let (stack, kafka_version) = config.made_of();
        let ports: Vec<u16> = (0..config.brokers).map(|_| free_port()).collect();
        let zookeeper_port = free_port();
        let mut broker_config = config.broker_config.clone() + QUICK_GROUPS;
        if let Some(proxy) = config.proxy {
            assert_eq!(config.brokers, 1, "a proxy stands before a single broker");
            broker_config += &listen_behind(proxy, ports[0], stack, &kafka_version);
        }
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        let folder = new_folder("cluster");
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER])
            .args([top(), &folder])
            .args([stack, &config.brokers.to_string()])
            .args([if config.secure { "--secure" } else { "" }])
            .env("ROWFERRY_CLUSTER_DIR", folder.join("cluster"))
            .env("ROWFERRY_KAFKA_PORT", list.join(","))
            .env("ROWFERRY_ZOOKEEPER_PORT", zookeeper_port.to_string())
            .env("ROWFERRY_KAFKA_CONFIG", broker_config)
            .env("KAFKA_VERSION", kafka_version);
        let mut process = keeper
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let keeper = Keeper {
            orders: process.stdin.take(),
            process,
            answers,
        };
        let cluster = Self(Arc::new(Inner {
            folder,
            stack: stack.to_owned(),
            ports,
            zookeeper_port,
            proxied_port: config.proxy.map(Proxy::port),
            keeper: Mutex::new(keeper),
        }));
        cluster.start_missing();
        cluster
    }

    /// Where clients find it: all brokers, or the proxy before the one.
    pub(crate) fn brokers(&self) -> String {
        match self.0.proxied_port {
            Some(port) => format!("127.0.0.1:{port}"),
            None => self.direct(),
        }
    }

    /// The brokers themselves, past any proxy.
    pub(crate) fn direct(&self) -> String {
        let all: Vec<String> = self.numbers().map(|n| self.broker(n)).collect();
        all.join(",")
    }

    /// Where one of the brokers listens.
    pub(crate) fn broker(&self, number: u32) -> String {
        format!("127.0.0.1:{}", self.0.ports[number as usize - 1])
    }

    /// Where one of the brokers listens with TLS and a login.
    pub(crate) fn secure_broker(&self, number: u32) -> String {
        let ports = fs::read_to_string(self.folder().join("secure.port")).expect("the cluster is secure");
        let port = ports.split(',').nth(number as usize - 1);
        format!("localhost:{}", port.expect("a port for each broker"))
    }

    /// What it is made of.
    pub(crate) fn stack(&self) -> &str {
        &self.0.stack
    }

    /// The numbers of all brokers.
    fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.0.ports.len() as u32
    }

    /// The version of Kafka that it runs.
    pub(crate) fn kafka_version(&self) -> String {
        fs::read_to_string(self.folder().join("version")).expect("the cluster has started")
    }

    /// Whether it runs Kafka 0.x, whose tools and log are of another kind.
    pub(crate) fn is_before_1(&self) -> bool {
        self.kafka_version().starts_with("0.")
    }

    /// The folder with its data, logs and process ids.
    pub(crate) fn folder(&self) -> PathBuf {
        self.0.folder.join("cluster")
    }

    /// The same for a cluster with one broker, by the name that says it.
    pub(crate) fn start_broker(&self) {
        self.start_missing();
    }

    /// Starts what does not run, through server_up.sh, and waits until it serves.
    pub(crate) fn start_missing(&self) {
        self.start_missing_of("");
    }

    /// Ends the one broker and starts one of another version on the same data. ZooKeeper stays.
    pub(crate) fn upgrade(&self, version: &str) {
        self.end_broker();
        fs::write(self.folder().join("version"), version).expect("the cluster has a folder");
        self.start_missing_of(version);
    }

    fn start_missing_of(&self, version: &str) {
        let mut keeper = self.0.keeper.lock().expect("no start of this cluster failed before");
        let order = keeper
            .orders
            .as_mut()
            .expect("the cluster is not stopped")
            .write_all(format!("{version}\n").as_bytes());
        let answer = keeper.answers.recv_timeout(START);
        let log = || fs::read_to_string(self.0.folder.join("up.log")).unwrap_or_default();
        assert!(order.is_ok(), "the keeper of the cluster is gone\n{}", log());
        match answer.as_deref() {
            Ok("0") => (),
            Ok(code) => panic!("sh server_up.sh --native ended with exit code {code}:\n{}", log()),
            Err(_) => panic!("sh server_up.sh --native is not done after {START:?}:\n{}", log()),
        }
    }

    /// Runs app/cluster/NAME.sh; `localhost:9092` and `zookeeper:2181` in its arguments mean this
    /// cluster.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> Run {
        let script: PathBuf = top().join("app/cluster").join(name).with_extension("sh");
        self.script(&script, args)
    }

    /// Runs one of the project's scripts on this cluster's folder.
    pub(crate) fn script(&self, script: &Path, args: &[&str]) -> Run {
        self.script_with(script, args, &[])
    }

    /// The same with settings that it is to find in its environment.
    pub(crate) fn script_with(&self, script: &Path, args: &[&str], settings: &[(&str, &str)]) -> Run {
        let mut command = Command::new("sh");
        command
            .arg(script)
            .args(args)
            .env("ROWFERRY_CLUSTER_DIR", self.folder());
        for setting in [
            "KAFKA_VERSION",
            "ROWFERRY_KAFKA_PORT",
            "ROWFERRY_ZOOKEEPER_PORT",
            "ROWFERRY_KAFKA_CONFIG",
        ] {
            command.env_remove(setting); // the script knows what runs in the folder
        }
        Process::start(command.envs(settings.iter().copied())).wait(Duration::from_secs(90))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        keeper.orders = None; // the end of its stdin is the keeper's sign
        let stopped = wait_until(Duration::from_secs(60), || {
            !matches!(keeper.process.try_wait(), Ok(None))
        });
        if !stopped || self.folder.exists() {
            let log = fs::read_to_string(self.folder.join("down.log")).unwrap_or_default();
            eprintln!(
                "the cluster in {} could not be stopped and removed:\n{log}",
                self.folder.display()
            );
        }
    }
}

/// The lines by which a broker listens for a proxy too, and is found through it. Without a
/// ZooKeeper these listeners take the place of its controller's.
fn listen_behind(proxy: &Proxy, port: u16, stack: &str, kafka_version: &str) -> String {
    if ["0.9.", "0.10."].iter().any(|old| kafka_version.starts_with(old)) {
        // It has one listener of a kind: the tools go through the proxy too.
        proxy.forward_to(port);
        return format!("\nadvertised.listeners=PLAINTEXT://localhost:{}", proxy.port());
    }
    let inner = free_port();
    proxy.forward_to(inner);
    let (listeners, map, voters) = match stack {
        "kraft" => {
            let controller = format!("127.0.0.1:{}", free_port());
            let voters = format!("\ncontroller.quorum.voters=1@{controller}");
            (format!(",CONTROLLER://{controller}"), ",CONTROLLER:PLAINTEXT", voters)
        }
        _ => Default::default(),
    };
    format!(
        "\nlisteners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{inner}{listeners}\
         \nadvertised.listeners=PLAINTEXT://localhost:{port},PROXIED://127.0.0.1:{}\
         \nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT{map}{voters}",
        proxy.port()
    )
}

/// A TCP port that nobody listens on, below those that the system hands out by itself.
pub(crate) fn free_port() -> u16 {
    static CHANCE: OnceLock<Mutex<Random>> = OnceLock::new();
    let start = || Mutex::new(Random::seeded(RandomState::new().hash_one(0)));
    let mut chance = CHANCE.get_or_init(start).lock().expect("no thread fails with it");
    loop {
        let port = 15_000 + chance.below(15_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
