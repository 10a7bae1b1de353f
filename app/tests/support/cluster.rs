//! Real clusters, started by the project's own scripts on free ports in a temporary folder.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{fs, thread};

use super::{Process, Proxy, Random, Run, kcat, new_folder, top, wait_until};

/// How long the script may take to start a cluster; the first time it fetches Kafka's jars.
const START: Duration = Duration::from_secs(300);

/// Brings the cluster up for each line on its stdin and answers with the script's exit code. When stdin ends, because the
/// test has ended in whatever way, it stops the cluster and removes the folder. Out of reach of Ctrl-C by its own process group.
const KEEPER: &str = r#"
while read -r _; do
    sh "$0/server_up.sh" --native </dev/null >"$1/up.log" 2>&1
    echo $?
done
sh "$0/server_down.sh" --native -v </dev/null >"$1/down.log" 2>&1 && rm -rf "$1"
"#;

/// Lets members of groups be missed sooner than a broker usually allows.
const QUICK_GROUPS: &str = "\ngroup.min.session.timeout.ms=500";

/// What a cluster of one's own differs in.
pub struct Config<'a> {
    /// The version of Kafka; by default that of KAFKA_VERSION, or 2.8.1.
    pub kafka_version: String,
    /// More lines for the broker's server.properties.
    pub broker_config: String,
    /// A proxy that stands before the broker: `brokers()` leads through it, the tools go around it.
    pub proxy: Option<&'a Proxy>,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            kafka_version: std::env::var("KAFKA_VERSION").unwrap_or("2.8.1".to_owned()),
            broker_config: String::new(),
            proxy: None,
        }
    }
}

/// A ZooKeeper and a Kafka broker. Its copies are the same cluster; it ends with the last of them, or with the test process.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    kafka_version: String,
    port: u16,
    proxied_port: Option<u16>,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Cluster {
    /// The cluster that all tests of a run share. Leave it as it is: kill and pause brokers of your own.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::own(Config::default())).clone()
    }

    /// A cluster for one test.
    pub fn own(config: Config) -> Self {
        let [port, zookeeper_port, inner_port] = [(); 3].map(|()| free_port());
        let mut broker_config = config.broker_config + QUICK_GROUPS;
        if let Some(proxy) = config.proxy {
            proxy.forward_to(inner_port);
            broker_config += &format!(
                "\nlisteners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{inner_port}\
                 \nadvertised.listeners=PLAINTEXT://localhost:{port},PROXIED://127.0.0.1:{}\
                 \nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
                proxy.port()
            );
        }
        let folder = new_folder("cluster");
        let mut process = Command::new("sh")
            .args(["-c", KEEPER])
            .args([top(), &folder])
            .env("ROWFERRY_CLUSTER_DIR", folder.join("cluster"))
            .env("ROWFERRY_KAFKA_PORT", port.to_string())
            .env("ROWFERRY_ZOOKEEPER_PORT", zookeeper_port.to_string())
            .env("ROWFERRY_KAFKA_CONFIG", broker_config)
            .env("KAFKA_VERSION", &config.kafka_version)
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
            kafka_version: config.kafka_version,
            port,
            proxied_port: config.proxy.map(Proxy::port),
            keeper: Mutex::new(keeper),
        }));
        cluster.start_broker();
        cluster
    }

    /// Where clients find it: the broker, or the proxy before it.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.0.proxied_port.unwrap_or(self.0.port))
    }

    /// The broker itself, past any proxy.
    pub fn direct(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// The version of Kafka that it runs.
    pub fn kafka_version(&self) -> &str {
        &self.0.kafka_version
    }

    /// The folder with its data, logs and process ids.
    pub fn folder(&self) -> PathBuf {
        self.0.folder.join("cluster")
    }

    /// Starts what does not run, through server_up.sh, and waits until it serves.
    pub fn start_broker(&self) {
        let mut keeper = self.0.keeper.lock().expect("no start of this cluster failed before");
        let order = keeper
            .orders
            .as_mut()
            .expect("the cluster is not stopped")
            .write_all(b"up\n");
        let answer = keeper.answers.recv_timeout(START);
        let log = || fs::read_to_string(self.0.folder.join("up.log")).unwrap_or_default();
        assert!(order.is_ok(), "the keeper of the cluster is gone\n{}", log());
        match answer.as_deref() {
            Ok("0") => (),
            Ok(code) => panic!("sh server_up.sh --native ended with exit code {code}:\n{}", log()),
            Err(_) => panic!("sh server_up.sh --native is not done after {START:?}:\n{}", log()),
        }
    }

    /// Kills the broker with SIGKILL and waits until it is gone.
    pub fn kill_broker(&self) {
        self.signal_broker(libc::SIGKILL);
        let gone = wait_until(Duration::from_secs(10), || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.0.port)).is_err()
        });
        assert!(gone, "the broker answers though it was killed");
    }

    /// Stops the broker in its tracks with SIGSTOP: connections stay open and nothing answers.
    pub fn pause_broker(&self) {
        self.signal_broker(libc::SIGSTOP);
    }

    /// Lets a paused broker go on.
    pub fn resume_broker(&self) {
        self.signal_broker(libc::SIGCONT);
    }

    fn signal_broker(&self, signal: i32) {
        let file = self.folder().join("broker-1.pid");
        let pid = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let pid: i32 = pid
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{} holds {pid}", file.display()));
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            command.contains("kafka.Kafka"),
            "process {pid} is not the broker: {command}"
        );
        // SAFETY: sends a signal to the process that was just looked at.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(
            sent,
            0,
            "signal {signal} to the broker: {}",
            std::io::Error::last_os_error()
        );
    }

    /// Creates a topic, with settings such as `("cleanup.policy", "compact")`.
    pub fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        let settings: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("--config={name}={value}"))
            .collect();
        let partitions = partitions.to_string();
        let mut args = vec![
            "--create",
            "--topic",
            name,
            "--partitions",
            &partitions,
            "--replication-factor",
            "1",
        ];
        args.extend(settings.iter().map(String::as_str));
        self.topics(&args);
    }

    /// Adds partitions to a topic, so that it has so many.
    pub fn add_partitions(&self, name: &str, partitions: u32) {
        self.topics(&["--alter", "--topic", name, "--partitions", &partitions.to_string()]);
        assert_eq!(self.partitions(name), partitions as usize, "partitions of {name}");
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete_topic(&self, name: &str) {
        self.topics(&["--delete", "--topic", name]);
        let gone = wait_until(Duration::from_secs(30), || {
            !self
                .topics(&["--list"])
                .stdout()
                .lines()
                .any(|line| line.split(' ').next() == Some(name))
        });
        assert!(gone, "the topic {name} is still there 30 s after its deletion");
    }

    /// kafka-topics.sh, by the way that this version of Kafka knows.
    fn topics(&self, args: &[&str]) -> Run {
        let place = match self.0.kafka_version.starts_with("0.") {
            true => ["--zookeeper", "zookeeper:2181"],
            false => ["--bootstrap-server", "localhost:9092"],
        };
        self.tool("kafka-topics", &[&place, args].concat()).ok()
    }

    /// Runs app/cluster/NAME.sh; `localhost:9092` and `zookeeper:2181` in its arguments mean this cluster.
    pub fn tool(&self, name: &str, args: &[&str]) -> Run {
        let script: PathBuf = top().join("app/cluster").join(name).with_extension("sh");
        self.script(&script, args)
    }

    /// Runs one of the project's scripts on this cluster's folder.
    pub fn script(&self, script: &Path, args: &[&str]) -> Run {
        self.script_with(script, args, &[])
    }

    /// The same with settings that it is to find in its environment.
    pub fn script_with(&self, script: &Path, args: &[&str], settings: &[(&str, &str)]) -> Run {
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

    /// Removes the records of a partition before an offset, as if they had expired.
    pub fn delete_records(&self, topic: &str, partition: u32, before_offset: i64) {
        let file = self.0.folder.join(format!("delete-{topic}-{partition}.json"));
        let place = format!(r#"{{"topic":"{topic}","partition":{partition},"offset":{before_offset}}}"#);
        fs::write(&file, format!(r#"{{"version":1,"partitions":[{place}]}}"#)).expect("the folder can be written");
        let file = file.to_str().expect("the temporary folder has a plain name");
        let args = ["--bootstrap-server", "localhost:9092", "--offset-json-file", file];
        self.tool("kafka-delete-records", &args).ok().says("low_watermark");
    }

    /// The first offset of each partition that the broker still holds.
    pub fn earliest(&self, topic: &str) -> Vec<i64> {
        self.offsets(topic, "beginning")
    }

    /// The offset after the last record of each partition.
    pub fn latest(&self, topic: &str) -> Vec<i64> {
        self.offsets(topic, "end")
    }

    fn offsets(&self, topic: &str, place: &str) -> Vec<i64> {
        let time = if place == "end" { -1 } else { -2 };
        let places: Vec<String> = (0..self.partitions(topic))
            .map(|p| format!("{topic}:{p}:{time}"))
            .collect();
        let args: Vec<&str> = places.iter().flat_map(|place| ["-t", place]).collect();
        let answer = kcat(self, &[&["-Q"], &args[..]].concat(), b"");
        (0..places.len())
            .map(|partition| {
                let start = format!("{topic} [{partition}] offset ");
                let line = answer.lines().find_map(|line| line.strip_prefix(&start));
                line.and_then(|offset| offset.trim().parse().ok())
                    .unwrap_or_else(|| panic!("kcat tells no {place} of {topic} [{partition}]:\n{answer}"))
            })
            .collect()
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, topic: &str) -> usize {
        let answer = kcat(self, &["-L", "-t", topic], b"");
        let start = format!("topic \"{topic}\" with ");
        let rest = answer
            .lines()
            .find_map(|line| line.trim().strip_prefix(&start))
            .unwrap_or_default();
        rest.split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("no count of partitions in:\n{answer}"))
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

/// A TCP port that nobody listens on, below those that the system hands out by itself.
pub fn free_port() -> u16 {
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
