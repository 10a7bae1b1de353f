//! A password is nowhere to be read: in no log, error, help or list of processes.

use std::fmt::Write;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{LIMIT, Login, Secured, USER, key_path, logged_in, password, three_rows};
use crate::support::*;

/// All forms in which a password, or what it is proved by, could be told.
fn secrets(password: &str) -> Vec<String> {
    let hex = |separator: &str| {
        password.bytes().fold(String::new(), |mut hex, byte| {
            let between = if hex.is_empty() { "" } else { separator };
            write!(hex, "{between}{byte:02x}").expect("a text takes it");
            hex
        })
    };
    let bytes = password
        .bytes()
        .map(|byte| byte.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let mut secrets = vec![password.to_owned(), bytes, hex(""), hex(" ")];
    // Behind other bytes its base64 is another one; the last signs may belong to what follows.
    for before in ["", "\0", "\0\0", &format!("\0{USER}\0")] {
        let whole = BASE64.encode(format!("{before}{password}"));
        secrets.push(whole[before.len().div_ceil(3) * 4..whole.len() - 4].to_owned());
    }
    // The messages of SCRAM: from the salt and a proof a password can be guessed at.
    secrets.extend(["c=biws,r=", ",p=", ",i=4096", "n,,n="].map(str::to_owned));
    secrets
}

#[test]
fn a_password_is_in_no_log_and_in_no_error() {
    let (cluster, _calm) = Secured::shared().calm();
    let right = password(cluster);
    for login in [Login::Plain, Login::Scram256, Login::Scram512] {
        let workspace = logged_in(cluster, login, "a password is never shown").of("t");
        three_rows(&workspace);
        workspace.set("RUST_LOG", "trace");
        let check = |run: Run, password: &str| {
            let run = run.says(USER);
            secrets(password).iter().fold(run, |run, secret| run.never_says(secret));
        };
        check(workspace.producer(&[]).ok(), &right);
        check(workspace.consumer(&["--until-caught-up"]).ok(), &right);
        let wrong = workspace.path("wrong");
        fs::write(&wrong, "no-such-password-at-all\n").expect("the folder can be written");
        let wrong = ["--sasl-password-file", wrong.to_str().expect("a plain name")];
        check(workspace.producer(&wrong).code(1), "no-such-password-at-all");
        check(workspace.consumer(&wrong).code(1), "no-such-password-at-all");
    }
}

#[test]
fn a_password_is_on_no_command_line_and_in_no_help() {
    let (cluster, _calm) = Secured::shared().calm();
    let workspace = logged_in(cluster, Login::Scram512, "a password is on no command line").of("t");
    three_rows(&workspace);
    let password = password(cluster);
    let mut producer = workspace.start_producer(&["--follow"]);
    producer.wait_for_line("client: native", LIMIT);
    let line = fs::read_to_string(format!("/proc/{}/cmdline", producer.id())).expect("it runs");
    assert!(line.contains("--follow") && !line.contains(&password), "{line}");
    producer.stop();
    for program in ["producer", "consumer"] {
        let mut command = workspace.command(program);
        let file = key_path(cluster, "password");
        command
            .env("ROWFERRY_SASL_PASSWORD", &password)
            .env("ROWFERRY_SASL_PASSWORD_FILE", file);
        let run = Process::start(command.arg("--help")).wait(LIMIT).ok();
        run.says("ROWFERRY_SASL_PASSWORD").never_says(&password);
        let run = Process::start(workspace.command(program).args(["--sasl-password", &password])).wait(LIMIT);
        run.code(2).says("--sasl-password");
    }
}
