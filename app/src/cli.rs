//! What the commands share: the log, lines for the user, the one place that prints an error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use env_logger::Env;

use crate::error::{Kind, Result};

/// Sends log lines to stderr as `HH:MM:SS level message`: from info on, with `quiet` from warn on, or as RUST_LOG says.
pub fn start_log(quiet: bool) {
    let level = if quiet { "warn" } else { "info" };
    env_logger::Builder::from_env(Env::default().default_filter_or(level))
        .format(|out, record| {
            let time = out.timestamp_seconds().to_string(); // 2026-01-31T23:59:59Z
            let level = record.level().as_str().to_lowercase();
            writeln!(out, "{} {level} {}", time.get(11..19).unwrap_or(&time), record.args())
        })
        .init();
}

/// Writes a line to stdout. A reader that has gone away, such as `head`, is no error.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Ends a command: prints the error if there is one, and gives the exit code.
pub fn exit_with(result: Result<u8>) -> ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            if error.kind() != Kind::Stopped {
                eprintln!("error: {error}");
            }
            error.exit_code().into()
        }
    }
}
