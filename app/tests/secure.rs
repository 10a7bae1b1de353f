//! TLS and logins: producer and consumer at real listeners that ask for them.

mod kills;
mod options;
mod refusals;
mod rights;
mod secrets;
mod sessions;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::support::*;

/// How long something that is due may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The user that server_up.sh makes; nothing is forbidden to it.
const USER: &str = "rowferry";

/// Nor to the one that loses its password.
const LEAVER: &str = "leaver";

/// The brokers end each session after so many milliseconds.
const SESSION_MS: u32 = 3000;

/// How somebody comes in.
#[derive(Clone, Copy)]
enum Login {
    Plain,
    Scram256,
    Scram512,
    /// And with a client certificate.
    Scram512AndCertificate,
}

/// A cluster whose listener asks for TLS and a login. Nothing is allowed to others than its user,
/// unless an ACL says so.
struct Secured {
    cluster: Cluster,
    broker: RwLock<()>,
}

impl Secured {
    /// The one that the tests share.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Secured> = OnceLock::new();
        SHARED.get_or_init(|| Self {
            cluster: Cluster::own(Config {
                stack: "kraft",
                secure: true,
                broker_config: format!(
                    "connections.max.reauth.ms={SESSION_MS}\
                     \nauthorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\
                     \nsuper.users=User:ANONYMOUS;User:{USER};User:{LEAVER}"
                ),
                ..Config::default()
            }),
            broker: RwLock::default(),
        })
    }

    /// The cluster for a test that leaves the broker as it is, and has it so.
    fn calm(&self) -> (&Cluster, RwLockReadGuard<'_, ()>) {
        (
            &self.cluster,
            self.broker.read().unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The same for a test that kills the broker.
    fn alone(&self) -> (&Cluster, RwLockWriteGuard<'_, ()>) {
        (
            &self.cluster,
            self.broker.write().unwrap_or_else(PoisonError::into_inner),
        )
    }
}

/// A cluster whose listener asks for a client certificate and no login: mutual TLS.
fn mutual() -> &'static Cluster {
    static MUTUAL: OnceLock<Cluster> = OnceLock::new();
    MUTUAL.get_or_init(|| {
        Cluster::own(Config {
            stack: "kraft",
            secure: true,
            broker_config: "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SSL\
                            \nlistener.name.secure.ssl.client.auth=required"
                .to_owned(),
            ..Config::default()
        })
    })
}

/// A file among a cluster's keys.
fn key_file(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.folder().join("keys").join(name)
}

/// The same as words of a command line.
fn key_path(cluster: &Cluster, name: &str) -> String {
    let path = key_file(cluster, name);
    path.to_str().expect("the temporary folder has a plain name").to_owned()
}

/// The password of the user.
fn password(cluster: &Cluster) -> String {
    fs::read_to_string(key_file(cluster, "password")).expect("there is a password")
}

/// A workspace that talks over TLS and with a client certificate, as the listener of `mutual` wants
/// it.
fn with_certificate(cluster: &Cluster, sentence: &str) -> Workspace {
    let files = ["ca.pem", "client.pem", "client.key"].map(|name| key_path(cluster, name));
    let [ca, cert, key] = files.each_ref().map(String::as_str);
    let settings = [
        ("ROWFERRY_TLS", "1"),
        ("ROWFERRY_TLS_CA", ca),
        ("ROWFERRY_TLS_CERT", cert),
        ("ROWFERRY_TLS_KEY", key),
        ("ROWFERRY_CLIENT", "auto"),
    ];
    Workspace::on(cluster, sentence).through(&cluster.secure_broker(1), &settings)
}

/// A workspace that talks over TLS as the user that server_up.sh makes.
fn logged_in(cluster: &Cluster, login: Login, sentence: &str) -> Workspace {
    let mechanism = match login {
        Login::Plain => "plain",
        Login::Scram256 => "scram-sha-256",
        Login::Scram512 | Login::Scram512AndCertificate => "scram-sha-512",
    };
    let files = ["ca.pem", "password", "client.pem", "client.key"].map(|name| key_path(cluster, name));
    let [ca, password, cert, key] = files.each_ref().map(String::as_str);
    let mut settings = vec![
        ("ROWFERRY_TLS", "1"),
        ("ROWFERRY_TLS_CA", ca),
        ("ROWFERRY_SASL", mechanism),
        ("ROWFERRY_SASL_USER", USER),
        ("ROWFERRY_SASL_PASSWORD_FILE", password),
        ("ROWFERRY_CLIENT", "auto"),
    ];
    if matches!(login, Login::Scram512AndCertificate) {
        settings.extend([("ROWFERRY_TLS_CERT", cert), ("ROWFERRY_TLS_KEY", key)]);
    }
    Workspace::on(cluster, sentence).through(&cluster.secure_broker(1), &settings)
}

/// The same as another user, whose password is given by the environment.
fn logged_in_as(cluster: &Cluster, user: &str, password: &str, sentence: &str) -> Workspace {
    let ca = key_path(cluster, "ca.pem");
    let settings = [
        ("ROWFERRY_TLS", "1"),
        ("ROWFERRY_TLS_CA", ca.as_str()),
        ("ROWFERRY_SASL", "scram-sha-512"),
        ("ROWFERRY_SASL_USER", user),
        ("ROWFERRY_SASL_PASSWORD", password),
        ("ROWFERRY_CLIENT", "auto"),
    ];
    Workspace::on(cluster, sentence).through(&cluster.secure_broker(1), &settings)
}

/// Gives a user a password, or another one.
fn set_password(cluster: &Cluster, user: &str, password: &str) {
    let password = format!("SCRAM-SHA-512=[password={password}]");
    alter_user(cluster, user, &["--add-config", &password]);
}

/// Runs kafka-configs.sh on a user.
fn alter_user(cluster: &Cluster, user: &str, change: &[&str]) {
    let place = ["--bootstrap-server", "localhost:9092"];
    let who = ["--alter", "--entity-type", "users", "--entity-name", user];
    cluster.tool("kafka-configs", &[&place[..], &who, change].concat()).ok();
}

/// Runs kafka-acls.sh: allows operations to a user.
fn allow(cluster: &Cluster, user: &str, what: &[&str]) {
    let principal = format!("User:{user}");
    let class = match cluster.kafka_version() {
        version if version.starts_with("3.") => "kafka.admin.AclCommand",
        _ => "org.apache.kafka.tools.AclCommand",
    };
    let place = [
        "--bootstrap-server",
        "localhost:9092",
        "--add",
        "--allow-principal",
        &principal,
    ];
    cluster
        .tool("kafka-run-class", &[&[class], &place[..], what].concat())
        .ok();
}

/// A source with a table of three rows.
fn three_rows(workspace: &Workspace) {
    workspace.sql(
        &workspace.source(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
}

fn openssl(args: &[&str]) {
    Process::start(Command::new("openssl").args(args)).wait(LIMIT).ok();
}

/// Makes a private key in this file.
fn make_key(file: &str) {
    let curve = ["-pkeyopt", "ec_paramgen_curve:P-256"];
    openssl(&[&["genpkey", "-algorithm", "EC"], &curve[..], &["-out", file]].concat());
}
