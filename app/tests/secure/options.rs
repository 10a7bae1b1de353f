//! Options and files that cannot be meant: told before anything is connected, by both programs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Login, Secured, key_path, logged_in, make_key, openssl, three_rows};
use crate::support::*;

/// Fails unless both programs end so, with these texts.
fn both(workspace: &Workspace, args: &[&str], code: i32, texts: &[&str]) {
    for run in [workspace.producer(args), workspace.consumer(args)] {
        let run = run.code(code).says("way out: ");
        texts.iter().fold(run, |run, text| run.says(text));
    }
}

/// A workspace at brokers that nobody may need, with this environment.
fn offline(sentence: &str, settings: &[(&str, &str)]) -> Workspace {
    let workspace = Workspace::new(sentence).of("t").through("localhost:1", settings);
    three_rows(&workspace);
    workspace
}

#[test]
fn options_that_do_not_go_together_are_usage_errors() {
    const SCRAM: [&str; 4] = ["--sasl", "scram-sha-512", "--sasl-user", "alice"];
    const PLAIN: [&str; 4] = ["--sasl", "plain", "--sasl-user", "alice"];
    let plain = offline("options fit one another", &[]);
    for (args, texts) in [
        (&["--tls-ca", "ca.pem"][..], &["--tls-ca needs --tls"][..]),
        (&["--tls", "--tls-cert", "c.pem"], &["--tls-cert needs --tls-key FILE"]),
        (&["--tls", "--tls-key", "k.pem"], &["--tls-key needs --tls-cert FILE"]),
        (&["--sasl", "scram-sha-512"], &["--sasl needs --sasl-user NAME"]),
        (&["--sasl-user", "alice"], &["--sasl-user needs --sasl MECHANISM"]),
        (
            &SCRAM,
            &[
                "--sasl needs a password",
                "ROWFERRY_SASL_PASSWORD",
                "--sasl-password-file FILE",
            ],
        ),
        (
            &PLAIN,
            &[
                "--sasl plain without --tls sends the password readably",
                "--sasl-plain-in-clear",
            ],
        ),
        (
            &["--client", "kafka", "--tls"],
            &["TLS or a login: --client kafka cannot do that", "--client native"],
        ),
    ] {
        both(&plain, args, 2, texts);
    }
    let empty = offline("an empty password is none", &[("ROWFERRY_SASL_PASSWORD", "")]);
    both(&empty, &SCRAM, 2, &["ROWFERRY_SASL_PASSWORD: the password is empty"]);
    let given = offline("one password is enough", &[("ROWFERRY_SASL_PASSWORD", "pencil")]);
    let twice = [&SCRAM[..], &["--sasl-password-file", "f"]].concat();
    both(
        &given,
        &twice,
        2,
        &["given twice, by --sasl-password-file and by ROWFERRY_SASL_PASSWORD"],
    );
    let unknown = given.producer(&["--tls", "--sasl", "gssapi"]).code(2);
    unknown.says("--sasl").says("plain, scram-sha-256, scram-sha-512");
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_flags() {
    let workspace = offline("a file is named with its flag", &[("ROWFERRY_TLS", "1")]);
    let file = |name: &str, content: &[u8]| {
        let path = workspace.path(name);
        fs::write(&path, content).expect("the folder can be written");
        path.to_str().expect("a plain name").to_owned()
    };
    let ca = |path: &str, text: &str| {
        both(
            &workspace,
            &["--tls-ca", path],
            1,
            &[&format!("--tls-ca {path}: "), text],
        );
    };
    ca("/no/such/file", "cannot read it: No such file");
    ca("/", "cannot read it: Is a directory");
    ca(&file("empty", b""), "there is no certificate in it");
    ca(&file("text", b"no PEM at all"), "there is no certificate in it");
    ca(&file("cut", b"-----BEGIN CERTIFICATE-----\nMIIB"), "it is no PEM");
    let lie = b"-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n";
    ca(&file("lie", lie), "a certificate in it cannot be read");

    let [key, other, locked, cert] = ["k.key", "o.key", "l.key", "k.pem"].map(|name| file(name, b""));
    for key in [&key, &other] {
        make_key(key);
        fs::set_permissions(key, Permissions::from_mode(0o600)).expect("it is ours");
    }
    openssl(&["req", "-x509", "-new", "-key", &key, "-subj", "/CN=x", "-out", &cert]);
    openssl(&[
        "pkey",
        "-in",
        &key,
        "-aes256",
        "-passout",
        "pass:secret",
        "-out",
        &locked,
    ]);
    let client = |key: &str, texts: &[&str]| {
        both(
            &workspace,
            &["--tls-ca", &cert, "--tls-cert", &cert, "--tls-key", key],
            1,
            texts,
        );
    };
    client(
        &other,
        &[&format!("--tls-key {other}: this key is not that of"), "--tls-cert"],
    );
    client(
        &locked,
        &["the key in it is encrypted", "openssl pkey -in FILE -out PLAIN"],
    );
    client(&cert, &["there is no private key in it", "-----BEGIN PRIVATE KEY-----"]);
    client("/no/such/key", &["--tls-key /no/such/key: cannot read it"]);
}

#[test]
fn a_password_file_may_end_in_a_new_line_and_a_reader_of_it_is_warned_of() {
    let (cluster, _calm) = Secured::shared().calm();
    let workspace = logged_in(cluster, Login::Scram512, "a password file is what people make").of("t");
    three_rows(&workspace);
    let password = fs::read_to_string(key_path(cluster, "password")).expect("there is one");
    let path = workspace.path("password");
    for end in ["\n", "\r\n"] {
        fs::write(&path, format!("{password}{end}")).expect("the folder can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("it is ours");
        let path = path.to_str().expect("a plain name");
        let run = workspace.producer(&["--sasl-password-file", path]).ok();
        run.says(&format!(
            "--sasl-password-file {path}: others can use this file (mode 644): chmod 600"
        ));
    }
    fs::write(&path, "\n").expect("the folder can be written");
    let path = path.to_str().expect("a plain name");
    let text = format!("--sasl-password-file {path}: the password is empty");
    both(&workspace, &["--sasl-password-file", path], 1, &[&text]);
}
