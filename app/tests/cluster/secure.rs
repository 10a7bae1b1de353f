//! A cluster with TLS and a login, as our programs and other clients meet it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::stacks::wait_until_in_sync;
use super::{down, up};
use crate::support::*;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs kcat by TLS as the user with this password. Its login is PLAIN: Kafka 4 refuses the SCRAM
/// of older librdkafka (2.0), whatever the password.
fn kcat_by_tls(cluster: &Cluster, password: &str, options: &[&str], args: &[&str]) -> Run {
    let mut command = Command::new("timeout");
    command.args(["20", "kcat", "-b", &cluster.secure_broker(1)]);
    let ca = format!("ssl.ca.location={}", cluster.folder().join("keys/ca.pem").display());
    let password = format!("sasl.password={password}");
    for option in [
        "security.protocol=SASL_SSL",
        "sasl.mechanism=PLAIN",
        "sasl.username=rowferry",
        &password,
        &ca,
    ]
    .iter()
    .chain(options)
    {
        command.args(["-X", option]);
    }
    Process::start(command.args(args)).wait(LIMIT)
}

/// The options that server_up.sh has printed in the line that begins with the first of them.
fn printed(run: &Run, first: &str) -> Vec<String> {
    let line = run.stdout().lines().find(|line| line.trim_start().starts_with(first));
    let line = line.unwrap_or_else(|| panic!("no line begins with {first}\n{run}"));
    line.split_whitespace().map(str::to_owned).collect()
}

/// Adds rows and takes them to the sink, with these options for both programs.
#[track_caller]
fn round(workspace: &Workspace, options: &[String]) {
    let options: Vec<&str> = options.iter().map(String::as_str).chain(["--topic", "users"]).collect();
    let run = workspace.producer(&[&options[..], &["--fake", "100"]].concat()).ok();
    run.says("client: native (TLS or a login)");
    workspace
        .consumer(&[&options[..], &["--until-caught-up"]].concat())
        .ok();
    assert_equal(workspace);
}

fn openssl(folder: &Path, args: &[&str]) -> Run {
    let mut command = Command::new("openssl");
    Process::start(command.args(args).current_dir(folder)).wait(LIMIT).ok()
}

/// Kafka's own tool lists topics at the secured listener, with the settings that are made for it.
#[track_caller]
fn list_topics_by_login(cluster: &Cluster) {
    let settings = cluster.folder().join("keys/kafka/client.properties");
    let settings = settings.to_str().expect("a plain name");
    let secure = [
        "--list",
        "--bootstrap-server",
        "localhost:9292",
        "--command-config",
        settings,
    ];
    cluster.tool("kafka-topics", &secure).ok().says("users");
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    metadata.permissions().mode() & 0o777
}

#[test]
fn a_secure_cluster_wants_tls_and_a_login() {
    let cluster = Cluster::own(Config {
        stack: "kraft",
        secure: true,
        ..Config::default()
    });
    let keys = cluster.folder().join("keys");
    let password = fs::read_to_string(keys.join("password")).expect("there is a password");
    assert_eq!(password.len(), 40, "by chance");
    assert_eq!((mode(&keys), mode(&keys.join("password"))), (0o700, 0o600));
    let files = fs::read_dir(keys.join("kafka"))
        .expect("what the brokers read")
        .flatten();
    assert!(files.map(|file| mode(&file.path())).all(|mode| mode == 0o600));

    // With the right login, with a certificate of its own or without, and by the names of the
    // certificate.
    let listed = |options: &[&str]| {
        kcat_by_tls(&cluster, &password, options, &["-L"])
            .ok()
            .says("topic \"users\"")
    };
    listed(&[]);
    let certificate = |name: &str| {
        ["certificate", "key"].map(|what| {
            let end = if what == "key" { "key" } else { "pem" };
            format!("ssl.{what}.location={}", keys.join(format!("{name}.{end}")).display())
        })
    };
    let [cert, key] = certificate("client");
    listed(&[&cert, &key]);
    openssl(
        &keys,
        &["x509", "-in", "kafka/server.pem", "-noout", "-ext", "subjectAltName"],
    )
    .says("DNS:localhost, IP Address:127.0.0.1, DNS:kafka, DNS:kafka_2, DNS:kafka_3");
    // By SCRAM, as Kafka's own tools do; they find the plain listener too.
    list_topics_by_login(&cluster);
    let users = [
        "--describe",
        "--entity-type",
        "users",
        "--bootstrap-server",
        "localhost:9092",
    ];
    let users = cluster.tool("kafka-configs", &users).ok();
    ["SCRAM-SHA-256", "SCRAM-SHA-512"].into_iter().fold(users, Run::says);

    // Whatever is wrong is refused.
    let refused = |password: &str, options: &[&str], words: &str| {
        kcat_by_tls(&cluster, password, options, &["-L", "-m", "3"])
            .code(1)
            .says(words);
    };
    refused("wrong", &[], "Authentication failed");
    refused(
        &password,
        &["security.protocol=PLAINTEXT"],
        "Failed to acquire metadata",
    );
    refused(
        &password,
        &["ssl.ca.location=/etc/ssl/certs/ca-certificates.crt"],
        "certificate verify failed",
    );
    openssl(
        &keys,
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "x.key", "-out", "x.pem",
        ],
    );
    let [cert, key] = certificate("x");
    refused(&password, &[&cert, &key], "Failed to acquire metadata");

    // Called again it keeps the keys and tells how to come in, but never the password.
    let workspace = Workspace::on(&cluster, "what --secure prints is all that the programs need");
    let asked = [&["--native", "--stack", "kraft", "--secure"][..], &["--native"]];
    for options in asked {
        let run = cluster
            .script(&up(), options)
            .ok()
            .says("runs already")
            .never_says(&password);
        let mut options = printed(&run, "--brokers");
        assert_eq!(options[1], cluster.secure_broker(1));
        round(&workspace, &options);
        options.extend(printed(&run, "--tls-cert"));
        for mechanism in ["scram-sha-512", "scram-sha-256", "plain"] {
            let at = options
                .iter()
                .position(|option| option == "--sasl")
                .expect("it is printed");
            options[at + 1] = mechanism.to_owned();
            round(&workspace, &options);
        }
    }
    assert_eq!(fs::read_to_string(keys.join("password")).ok(), Some(password.clone()));
    for name in ["broker-1.log", "broker-1.properties"] {
        let text = fs::read_to_string(cluster.folder().join(name)).expect("it is there");
        assert!(!text.contains(&password), "{name} tells the password");
    }

    // After its death it is the same, and the data goes with the keys.
    let port = cluster.secure_broker(1);
    cluster.kill_broker();
    cluster.start_broker();
    assert_eq!(cluster.secure_broker(1), port);
    listed(&[]);
    cluster.script(&down(), &["--native", "-v"]).ok().says("removed");
    assert!(!cluster.folder().exists());
}

#[test]
fn a_cluster_becomes_secure_only_anew() {
    let cluster = Cluster::own(Config {
        stack: "kraft",
        kafka_version: "3.9.1".to_owned(),
        ..Config::default()
    });
    let run = cluster.script(&up(), &["--native", "--secure"]).code(1);
    run.says("holds a cluster without --secure").says("server_down.sh -v");
    cluster.script(&down(), &["--native", "-v"]).ok();
    let anew = [
        ("ROWFERRY_KAFKA_PORT", &*free_port().to_string()),
        ("ROWFERRY_KAFKA_CONFIG", "group.min.session.timeout.ms=500"),
        ("KAFKA_VERSION", "3.9.1"),
    ];
    let options = ["--native", "--stack", "kraft", "--secure"];
    let run = cluster.script_with(&up(), &options, &anew).ok().says("Kafka 3.9.1");
    let workspace = Workspace::on(&cluster, "what --secure prints is all that the programs need");
    round(&workspace, &printed(&run, "--brokers"));
    let password = fs::read_to_string(cluster.folder().join("keys/password")).expect("there is a password");
    kcat_by_tls(&cluster, &password, &[], &["-L"])
        .ok()
        .says("topic \"users\"");
    list_topics_by_login(&cluster);
}

#[test]
fn three_secure_brokers_carry_rows_whichever_is_lost() {
    let cluster = Cluster::own(Config {
        stack: "kraft",
        brokers: 3,
        secure: true,
        ..Config::default()
    });
    let run = cluster.script(&up(), &["--native"]).ok();
    let options = printed(&run, "--brokers");
    assert_eq!(options[1], [1, 2, 3].map(|n| cluster.secure_broker(n)).join(","));
    let workspace = Workspace::on(&cluster, "rows travel by TLS whichever broker is lost");
    round(&workspace, &options);
    for broker in [1, 2, 3] {
        cluster.kill_broker_number(broker);
        assert!(!cluster.awake().contains(&broker));
        round(&workspace, &options);
        cluster.start_missing();
        for partition in [0, 1, 2] {
            wait_until_in_sync(&cluster, "users", partition);
        }
    }
}
