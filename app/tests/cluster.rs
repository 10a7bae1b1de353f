//! The cluster that server_up.sh starts when there is no Docker, and its end.

mod secure;
mod stacks;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;

fn up() -> PathBuf {
    top().join("server_up.sh")
}

fn down() -> PathBuf {
    top().join("server_down.sh")
}

/// The process ids that the scripts have noted, by their files: first the brokers', then
/// ZooKeeper's.
fn pids(cluster: &Cluster) -> Vec<(String, String)> {
    let files = fs::read_dir(cluster.folder())
        .expect("the cluster has started")
        .flatten();
    let names = files.map(|file| file.file_name().into_string().expect("a plain name"));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".pid")).collect();
    names.sort();
    let read = |name: &String| fs::read_to_string(cluster.folder().join(name)).expect("it is noted");
    names.iter().map(|name| (name.clone(), read(name))).collect()
}

/// Where the proxy or the broker listens, nothing may remain.
fn is_open(brokers: &str) -> bool {
    TcpStream::connect(brokers).is_ok()
}

#[test]
fn what_one_client_writes_another_reads() {
    let cluster = Cluster::shared();
    cluster.create_topic("hello", 2, &[("cleanup.policy", "compact")]);
    kcat(&cluster, &["-P", "-t", "hello", "-p", "1", "-K:"], b"1:a\n2:b\n3:c\n");
    assert_eq!(kcat(&cluster, &["-C", "-t", "hello", "-e", "-q"], b""), "a\nb\nc\n");
    assert_eq!(
        (cluster.earliest("hello"), cluster.latest("hello")),
        (vec![0, 0], vec![0, 3])
    );
    cluster.delete_topic("hello");
}

#[test]
fn records_are_removed_before_an_offset() {
    let cluster = Cluster::shared();
    cluster.create_topic("expiring", 1, &[]);
    kcat(&cluster, &["-P", "-t", "expiring"], b"a\nb\nc\n");
    cluster.delete_records("expiring", 0, 2);
    assert_eq!(
        (cluster.earliest("expiring"), cluster.latest("expiring")),
        (vec![2], vec![3])
    );
}

#[test]
fn topics_are_made_with_the_arguments_of_the_container() {
    let cluster = Cluster::shared();
    for (place, name) in [
        (["--bootstrap-server", "localhost:9092"], "by-broker"),
        (["--zookeeper", "zookeeper:2181"], "by-zookeeper"),
    ] {
        let create = [
            "--create",
            place[0],
            place[1],
            "--replication-factor",
            "1",
            "--partitions",
            "1",
            "--topic",
            name,
        ];
        cluster.tool("kafka-topics", &create).ok().says("Created topic");
        assert_eq!(cluster.partitions(name), 1);
        let list = cluster.tool("kafka-topics", &["--list", place[0], place[1]]).ok();
        assert!(list.stdout().lines().any(|line| line == name), "{list}");
    }
}

#[test]
fn what_runs_is_left_as_it_is_and_what_is_missing_is_started() {
    let cluster = Cluster::own(Config::default());
    let port: u16 = cluster
        .direct()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let log = || kcat(&cluster, &["-C", "-t", "users", "-e", "-q"], b"");
    kcat(&cluster, &["-P", "-t", "users", "-p", "2"], b"kept\n");
    let before = pids(&cluster);

    // Called again, with another topic.
    let asked = [
        "--native",
        "--topic",
        "more",
        "--partitions=5",
        "--replication-factor",
        "1",
    ];
    let again = cluster
        .script(&up(), &asked)
        .ok()
        .says("runs already")
        .says("created, partitions: 5");
    again
        .says("cargo run --bin producer")
        .says(&format!("localhost:{port}"));
    assert_eq!((cluster.partitions("users"), cluster.partitions("more")), (3, 5));
    assert_eq!(pids(&cluster), before);
    for options in [["--partitions", "none"], ["--topic", "a b"], ["--native", "--docker"]] {
        cluster.script(&up(), &options).code(2).says("error: ").says(options[0]);
    }

    // Paused, it answers nothing until it is resumed.
    cluster.pause_broker();
    let mut asking = Command::new("timeout");
    asking.args(["3", "kcat", "-b", &cluster.direct(), "-L"]);
    Process::start(&mut asking).wait(Duration::from_secs(20)).code(124);
    cluster.resume_broker();
    assert_eq!(log(), "kept\n");

    // Killed, and its port taken by another.
    cluster.kill_broker();
    assert!(!is_open(&cluster.direct()));
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free again");
    let run = cluster.script_with(&up(), &["--native"], &[("ROWFERRY_KAFKA_PORT", &port.to_string())]);
    run.code(1)
        .says(&format!("error: port {port}"))
        .says("is taken by")
        .says("ROWFERRY_KAFKA_PORT");
    drop(other);
    cluster.start_broker();
    let after = pids(&cluster);
    assert_ne!(after[0], before[0], "the broker is the old one");
    assert_eq!(after[1], before[1], "ZooKeeper was started anew");
    assert_eq!(log(), "kept\n");
}

#[test]
fn down_keeps_the_data_unless_asked_and_can_be_called_twice() {
    let cluster = Cluster::own(Config::default());
    kcat(&cluster, &["-P", "-t", "users", "-p", "0"], b"kept\n");
    cluster
        .script(&down(), &["--native"])
        .ok()
        .says("broker-1 stopped")
        .says("zookeeper stopped");
    assert!(!is_open(&cluster.direct()));
    cluster
        .script(&down(), &["--native"])
        .ok()
        .says("nothing of ours runs here");
    cluster.start_broker();
    assert_eq!(kcat(&cluster, &["-C", "-t", "users", "-e", "-q"], b""), "kept\n");
    cluster.script(&down(), &["--native", "-v"]).ok().says("removed");
    assert!(!cluster.folder().exists());
    cluster
        .script(&down(), &["--native", "-v"])
        .ok()
        .says("nothing of ours runs here");
    cluster.script(&down(), &["--what"]).code(2).says("--what");
}

#[test]
fn both_scripts_tell_their_options() {
    let help = |script: &Path| {
        Process::start(Command::new("sh").arg(script).arg("--help"))
            .wait(Duration::from_secs(20))
            .ok()
    };
    let run = help(&up());
    [
        "--native",
        "--docker",
        "--stack NAME",
        "--secure",
        "--brokers N",
        "--topic NAME",
        "--partitions N",
        "--replication-factor N",
        "ROWFERRY_KAFKA_PORT",
        "KAFKA_VERSION",
    ]
    .into_iter()
    .fold(run, Run::says);
    ["--native", "--docker", "-v"]
        .into_iter()
        .fold(help(&down()), Run::says);
}

#[test]
fn without_java_or_maven_it_says_what_to_install() {
    let ws = Workspace::new("what is missing is named with the way out");
    for (hidden, message) in [("java", "no Java"), ("mvn", "no Maven")] {
        // A folder with all commands of this machine but one.
        let commands = ws.path(hidden);
        fs::create_dir(&commands).expect("it can be made");
        for folder in std::env::split_paths(&std::env::var_os("PATH").expect("PATH is set")) {
            for command in fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|file| file.file_name() != hidden)
            {
                let _ = symlink(command.path(), commands.join(command.file_name())); // the first of a name counts
            }
        }
        let mut command = Command::new("sh");
        command
            .arg(up())
            .arg("--native")
            .env_remove("JAVA_HOME")
            .env_remove("KAFKA_VERSION")
            .env("PATH", &commands);
        command
            .env("ROWFERRY_CLUSTER_DIR", ws.path("cluster"))
            .env("XDG_CACHE_HOME", ws.path("cache"));
        command
            .env("ROWFERRY_KAFKA_PORT", free_port().to_string())
            .env("ROWFERRY_ZOOKEEPER_PORT", free_port().to_string());
        let run = Process::start(&mut command).wait(Duration::from_secs(20));
        run.code(1)
            .says(&format!("error: {message}"))
            .says("apt install")
            .says("--docker");
    }
}

#[test]
fn older_and_newer_versions_of_kafka_serve_too() {
    for (stack, kafka_version, expected) in [
        ("wurstmeister", "0.9.0.1", "0.9.0.1"),
        ("wurstmeister", "3.9.1", "3.9.1"),
        ("confluent", "", "3.3.2"),
        ("kraft", "3.3.2", "3.3.2"),
        ("kraft", "3.9.1", "3.9.1"),
        ("kraft", "", "4.4.0"),
    ] {
        let cluster = Cluster::own(Config {
            stack,
            kafka_version: kafka_version.to_owned(),
            ..Config::default()
        });
        assert_eq!(cluster.kafka_version(), expected);
        cluster.create_topic("hello", 2, &[]);
        kcat(&cluster, &["-P", "-t", "hello", "-p", "1"], stack.as_bytes());
        let before = pids(&cluster);
        cluster.start_broker(); // twice is once
        assert_eq!(pids(&cluster), before);
        assert_eq!(
            kcat(&cluster, &["-C", "-t", "hello", "-e", "-q"], b""),
            format!("{stack}\n")
        );
        let offsets = (cluster.earliest("hello"), cluster.latest("hello"));
        assert_eq!(offsets, (vec![0, 0], vec![0, 1]), "{stack} {expected}");
        cluster.delete_topic("hello");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out() {
    let ws = Workspace::new("a cluster that cannot be is refused before anything starts");
    for (options, setting, message) in [
        (
            "--stack docker",
            ("KAFKA_VERSION", ""),
            "--stack is wurstmeister, confluent or kraft, not 'docker'",
        ),
        (
            "--brokers 10",
            ("KAFKA_VERSION", ""),
            "--brokers needs a number from 1 to 9, not '10'",
        ),
        ("--stack kraft", ("KAFKA_VERSION", "3.2.3"), "use 3.3 or later"),
        ("", ("KAFKA_VERSION", "4.0.0"), "use 3.9.1 or older"),
        (
            "--stack confluent",
            ("KAFKA_VERSION", "4.4.0"),
            "knows no ZooKeeper, and --stack confluent has one",
        ),
        ("--secure", ("KAFKA_VERSION", ""), "--secure needs --stack kraft"),
        (
            "--secure --stack kraft",
            ("KAFKA_VERSION", "3.4.1"),
            "use 3.5 or later for --secure",
        ),
        (
            "--brokers 3",
            ("ROWFERRY_KAFKA_PORT", "15000,15001"),
            "name a port for each",
        ),
        (
            "--brokers 3",
            ("ROWFERRY_KAFKA_PORT", "15000,15001,15000"),
            "names 15000 twice",
        ),
        (
            "--brokers 3",
            ("ROWFERRY_KAFKA_PORT", "65534"),
            "'65536', which is no port",
        ),
    ] {
        let mut command = Command::new("sh");
        command.arg(up()).arg("--native").args(options.split_whitespace());
        command.env_remove("KAFKA_VERSION").env_remove("ROWFERRY_KAFKA_PORT");
        command
            .env(setting.0, setting.1)
            .env("ROWFERRY_CLUSTER_DIR", ws.path("cluster"));
        let run = Process::start(&mut command).wait(Duration::from_secs(20));
        let code = if message.starts_with("--") { 2 } else { 1 };
        run.code(code).says("error: ").says(message);
        assert!(!ws.path("cluster").exists());
    }
}

#[test]
fn only_a_folder_that_is_ours_is_removed_or_filled() {
    let ws = Workspace::new("a folder of others is left alone");
    let folder = ws.path("srv");
    let put = |name: &str, content: &str| {
        fs::create_dir_all(folder.join(name).parent().expect("it lies in a folder")).expect("a folder can be made");
        fs::write(folder.join(name), content).expect("a file can be written");
    };
    let script = |script: PathBuf, options: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(script).args(options).env("ROWFERRY_CLUSTER_DIR", &folder);
        Process::start(&mut command).wait(Duration::from_secs(20))
    };
    let theirs = [
        "zookeeper/data",
        "zookeeper.pid",
        "broker-1/data",
        "broker-notes",
        "version",
        "kafka.port",
        "brokers",
    ];
    theirs.iter().for_each(|name| put(name, "theirs"));
    let are_there = || theirs.iter().all(|name| folder.join(name).exists());
    script(down(), &["--native", "-v"])
        .code(1)
        .says("srv holds no cluster of ours, and nothing in it is removed")
        .says("ROWFERRY_CLUSTER_DIR");
    script(down(), &["--native"]).ok().says("nothing of ours runs here");
    assert!(are_there());
    // One that a cluster was put into by an earlier version is known by its settings; what else
    // lies there stays.
    put("broker-1.properties", "broker.id=1\nlog.dirs=broker-1\n");
    script(down(), &["--native", "-v"]).ok().says("is removed");
    let left: Vec<_> = theirs.iter().filter(|name| folder.join(name).exists()).collect();
    assert_eq!(left, [&"broker-notes"]);
    // Nothing is put into a folder of others, either.
    script(up(), &["--native"])
        .code(1)
        .says("srv is not empty, and no cluster of ours is in it")
        .says("ROWFERRY_CLUSTER_DIR");
    assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 1);
}

/// With this set, a test is the one that is killed.
const VICTIM: &str = "ROWFERRY_TEST_VICTIM";

#[test]
fn a_cluster_ends_with_its_tests_even_when_they_are_killed() {
    if std::env::var_os(VICTIM).is_some() {
        let cluster = Cluster::own(Config::default());
        println!("here {} {}", cluster.direct(), cluster.folder().display());
        thread::sleep(Duration::from_secs(120));
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.args([
        "--exact",
        "--nocapture",
        "cluster::a_cluster_ends_with_its_tests_even_when_they_are_killed",
    ]);
    let mut victim = Process::start(command.env(VICTIM, "yes"));
    let line = victim.wait_for_line("here ", Duration::from_secs(300));
    let (brokers, folder) = line
        .split_once("here ")
        .and_then(|(_, rest)| rest.split_once(' '))
        .expect("two words");
    assert!(is_open(brokers));
    victim.kill9();
    let killed = Instant::now();
    let gone = wait_until(Duration::from_secs(60), || {
        !is_open(brokers) && !Path::new(folder).parent().expect("a parent").exists()
    });
    assert!(
        gone,
        "{brokers} or {folder} is still there {:?} after the test was killed",
        killed.elapsed()
    );
}
