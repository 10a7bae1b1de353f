//! What a listener and we do not agree upon: told at once where waiting changes nothing, by both
//! programs, with the way out.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{
    LIMIT, Login, Secured, USER, key_path, logged_in, make_key, mutual, openssl, three_rows, with_certificate,
};
use crate::support::*;

/// What waiting cannot mend ends in less than the patience.
const SOON: Duration = Duration::from_secs(30);
const PATIENCE: &str = "1m";

/// Fails unless both programs end soon, with these texts.
fn both(workspace: &Workspace, args: &[&str], texts: &[&str]) {
    let args = [&["--patience", PATIENCE], args].concat();
    let programs = [Workspace::start_producer, Workspace::start_consumer];
    let began = Instant::now();
    for process in programs.map(|start| start(workspace, &args)) {
        let run = process.wait(LIMIT).code(1).says("way out: ");
        assert!(began.elapsed() < SOON, "it took {:?}\n{run}", began.elapsed());
        texts.iter().fold(run, |run, text| run.says(text));
    }
}

/// A workspace at the cluster's listener, with this environment alone.
fn at(cluster: &Cluster, brokers: &str, settings: &[(&str, &str)]) -> Workspace {
    let settings = [&[("ROWFERRY_CLIENT", "auto")], settings].concat();
    let workspace = Workspace::on(cluster, "a wrong setting is told")
        .of("t")
        .through(brokers, &settings);
    three_rows(&workspace);
    workspace
}

/// Makes a certificate that nobody trusts, and its key.
fn self_signed(certificate: &str, key: &str) {
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=other",
        "-keyout",
        key,
        "-out",
        certificate,
    ]);
}

#[test]
fn a_login_that_is_wrong_is_told() {
    let (cluster, _calm) = Secured::shared().calm();
    for (login, mechanism) in [
        (Login::Plain, "PLAIN"),
        (Login::Scram256, "SCRAM-SHA-256"),
        (Login::Scram512, "SCRAM-SHA-512"),
    ] {
        let workspace = logged_in(cluster, login, "a wrong login is told").of("t");
        three_rows(&workspace);
        let way_out = "correct --sasl-user and the password (ROWFERRY_SASL_PASSWORD or --sasl-password-file)";
        let refused = |user: &str| format!("refuses the login of '{user}' with {mechanism}");
        both(&workspace, &["--sasl-user", "nobody"], &[&refused("nobody"), way_out]);
        let another = key_path(cluster, "ca.pem");
        both(
            &workspace,
            &["--sasl-password-file", &another],
            &[&refused(USER), way_out],
        );
    }
}

#[test]
fn a_listener_of_another_kind_is_told() {
    let (cluster, _calm) = Secured::shared().calm();
    let (plain, secure, ca) = (cluster.broker(1), cluster.secure_broker(1), key_path(cluster, "ca.pem"));
    let tls = [("ROWFERRY_TLS", "1"), ("ROWFERRY_TLS_CA", ca.as_str())];
    let login = [
        ("ROWFERRY_SASL", "scram-sha-512"),
        ("ROWFERRY_SASL_USER", USER),
        ("ROWFERRY_SASL_PASSWORD", "anything"),
    ];
    let needs_tls = ["it speaks TLS, and --tls is not given", "add --tls"];
    both(&at(cluster, &secure, &[]), &[], &needs_tls);
    both(&at(cluster, &secure, &login), &[], &needs_tls);
    let no_tls = ["it does not speak TLS, and --tls is given", "leave --tls out"];
    both(&at(cluster, &plain, &tls), &[], &no_tls);
    both(&at(cluster, &plain, &[&tls[..], &login].concat()), &[], &no_tls);
    let needs_login = [
        "it asks for a login with ",
        "SCRAM-SHA-512",
        "and --sasl is not given",
        "use --sasl scram-sha-512",
    ];
    both(&at(cluster, &secure, &tls), &[], &needs_login);
    let no_login = [
        "this listener asks for no login, and --sasl is given",
        "leave --sasl out",
    ];
    both(&at(cluster, &plain, &login), &[], &no_login);
}

#[test]
fn a_certificate_that_is_not_trusted_is_told() {
    let (cluster, _calm) = Secured::shared().calm();
    let workspace = logged_in(cluster, Login::Scram512, "a wrong certificate is told").of("t");
    three_rows(&workspace);
    let unknown = ["its certificate is of a CA that is not trusted here", "--tls-ca FILE"];
    let [ca, key] = ["other.pem", "other.key"].map(|name| workspace.path(name));
    let [ca, key] = [&ca, &key].map(|path| path.to_str().expect("a plain name"));
    self_signed(ca, key);
    both(&workspace, &["--tls-ca", ca], &unknown);
    // 0.0.0.0 leads to this machine, and is none of the names in the certificate.
    let port = cluster.secure_broker(1).replace("localhost:", "");
    let names = "its certificate is not for 0.0.0.0, but for localhost, 127.0.0.1, kafka, kafka_2, kafka_3";
    both(
        &workspace,
        &["--brokers", &format!("0.0.0.0:{port}")],
        &[names, "--brokers", "subjectAltName"],
    );
    workspace.producer(&["--brokers", &format!("127.0.0.1:{port}")]).ok();

    // Another server with a certificate of the right CA, which has expired.
    let file = |name: &str| workspace.path(name).to_str().expect("a plain name").to_owned();
    let [key, request, extensions, expired] = ["s.key", "s.csr", "s.ext", "s.pem"].map(file);
    fs::write(&extensions, "subjectAltName=DNS:localhost").expect("the folder can be written");
    make_key(&key);
    openssl(&["req", "-new", "-key", &key, "-subj", "/CN=localhost", "-out", &request]);
    let [our_ca, ca_key] = ["ca.pem", "ca.key"].map(|name| key_path(cluster, name));
    openssl(&[
        "x509",
        "-req",
        "-days",
        "-1",
        "-in",
        &request,
        "-extfile",
        &extensions,
        "-CA",
        &our_ca,
        "-CAkey",
        &ca_key,
        "-set_serial",
        "99",
        "-out",
        &expired,
    ]);
    let port = free_port().to_string();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", &port, "-cert", &expired, "-key", &key, "-www"]);
    let server = Process::start(&mut server);
    let listens = wait_until(LIMIT, || {
        TcpStream::connect(("localhost", port.parse().expect("a port"))).is_ok()
    });
    assert!(listens, "openssl does not listen\n{}", server.output());
    let brokers = format!("localhost:{port}");
    both(
        &workspace,
        &["--brokers", &brokers],
        &["its certificate has expired", "renew", "clock"],
    );
}

#[test]
fn a_client_certificate_that_is_missing_or_unknown_is_told() {
    let cluster = mutual();
    let secure = cluster.secure_broker(1);
    let ca = key_path(cluster, "ca.pem");
    let tls = [("ROWFERRY_TLS", "1"), ("ROWFERRY_TLS_CA", ca.as_str())];
    let missing = [
        "it asks for a client certificate, and none is given",
        "--tls-cert FILE --tls-key FILE",
    ];
    both(&at(cluster, &secure, &tls), &[], &missing);
    let login = [
        ("ROWFERRY_SASL", "scram-sha-512"),
        ("ROWFERRY_SASL_USER", USER),
        ("ROWFERRY_SASL_PASSWORD", "anything"),
    ];
    let certified = with_certificate(cluster, "a login that nobody asks for is told").of("t");
    three_rows(&certified);
    let [other, key] = ["other.pem", "other.key"].map(|name| certified.path(name));
    let [other, key] = [&other, &key].map(|path| path.to_str().expect("a plain name"));
    self_signed(other, key);
    let unknown = ["it refuses the client certificate", "of a CA that the broker trusts"];
    both(&certified, &["--tls-cert", other, "--tls-key", key], &unknown);
    login.iter().for_each(|(name, value)| certified.set(name, value));
    both(
        &certified,
        &[],
        &[
            "this listener asks for no login, and --sasl is given",
            "leave --sasl out",
        ],
    );
}
