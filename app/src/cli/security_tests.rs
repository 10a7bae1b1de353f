use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    security: SecurityArgs,
}

/// What comes of a command line, with a password in the environment or without.
fn secured(line: &str, password: Option<&str>) -> Result<Security> {
    let args = Args::try_parse_from(format!("test {line}").split_whitespace()).expect("clap takes it");
    args.security.with_variable(password.map(OsString::from))
}

#[test]
fn without_options_nothing_is_secured() {
    assert!(!secured("", Some("pencil")).unwrap().is_given());
}

#[test]
fn options_that_do_not_go_together_are_usage_errors_that_name_them() {
    let scram = "--sasl scram-sha-512 --sasl-user alice";
    for (line, password, texts) in [
        ("--tls-ca ca.pem", None, ["--tls-ca needs --tls", "add --tls"]),
        (
            "--tls-cert c.pem --tls-key k.pem",
            None,
            ["--tls-cert needs --tls", "leave --tls-cert out"],
        ),
        (
            "--tls --tls-cert c.pem",
            None,
            ["--tls-cert needs --tls-key FILE", "add --tls-key"],
        ),
        (
            "--tls --tls-key k.pem",
            None,
            ["--tls-key needs --tls-cert FILE", "add --tls-cert"],
        ),
        (
            "--sasl-user alice",
            Some("x"),
            ["--sasl-user needs --sasl", "--sasl MECHANISM"],
        ),
        (
            "--sasl-password-file f",
            None,
            ["--sasl-password-file needs --sasl", "--sasl MECHANISM"],
        ),
        (
            "--sasl-plain-in-clear",
            None,
            ["--sasl-plain-in-clear needs --sasl", "--sasl MECHANISM"],
        ),
        (
            "--sasl scram-sha-256",
            Some("x"),
            ["--sasl needs --sasl-user NAME", "add --sasl-user"],
        ),
        (scram, None, ["--sasl needs a password", "ROWFERRY_SASL_PASSWORD"]),
        (
            scram,
            Some(""),
            [
                "ROWFERRY_SASL_PASSWORD: the password is empty",
                "--sasl-password-file FILE",
            ],
        ),
        (
            "--sasl scram-sha-256 --sasl-user a --sasl-password-file f",
            Some("x"),
            ["given twice", "ROWFERRY_SASL_PASSWORD"],
        ),
        (
            "--sasl scram-sha-256 --sasl-user a --sasl-plain-in-clear",
            Some("x"),
            [
                "--sasl-plain-in-clear needs --sasl plain",
                "leave --sasl-plain-in-clear out",
            ],
        ),
        (
            "--sasl plain --sasl-user alice",
            Some("pencil"),
            ["--sasl plain without --tls", "--sasl-plain-in-clear"],
        ),
    ] {
        let error = secured(line, password).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
        for text in texts {
            assert!(error.to_string().contains(text), "{line}: {error}");
        }
        assert!(!error.to_string().contains("pencil"), "{error}");
    }
}

#[test]
fn a_password_is_on_no_command_line_and_in_no_debug_output() {
    assert!(Args::try_parse_from(["test", "--sasl-password", "pencil"]).is_err());
    for line in [
        "--sasl plain --sasl-user alice --sasl-plain-in-clear",
        "--sasl SCRAM-SHA-512 --sasl-user alice",
    ] {
        let security = secured(line, Some("pencil")).unwrap();
        assert!(security.is_given());
        assert!(!format!("{security:?}").contains("pencil"), "{security:?}");
    }
    let not_text = OsString::from_vec(b"pencil\xff".to_vec());
    let args = Args::parse_from(["test", "--sasl", "scram-sha-256", "--sasl-user", "alice"]);
    let error = args.security.with_variable(Some(not_text)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("pencil"), "{error:?}");
}

#[test]
fn the_first_line_of_a_file_is_the_password() {
    let path = env::temp_dir().join(format!("rowferry-password-{}", std::process::id()));
    let line = format!(
        "--sasl scram-sha-256 --sasl-user alice --sasl-password-file {}",
        path.display()
    );
    for content in ["päss word \n", "päss word \r\n", "päss word ", "päss word \nmore\n"] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let security = secured(&line, None).unwrap();
        let password = format!("{:?}", security.login.unwrap().password);
        assert_eq!(password, "Password", "{content:?}");
        assert!(password_in(&path).unwrap().is("päss word "), "{content:?}");
    }
    for (content, text) in [
        (&b""[..], "the password is empty"),
        (b"\nsecond", "the password is empty"),
        (b"a\0b", "zero byte"),
        (b"secret\xff\n", "not UTF-8"),
    ] {
        fs::write(&path, content).unwrap();
        let error = secured(&line, None).unwrap_err().to_string();
        assert!(
            error.contains(text) && error.contains("--sasl-password-file"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
    fs::write(&path, vec![b'x'; LARGEST as usize + 1]).unwrap();
    assert!(secured(&line, None).unwrap_err().to_string().contains("more than"));
    fs::remove_file(&path).unwrap();
    let error = secured(&line, None).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("cannot read it"), "{error}");
}
