//! What the programs share: the log, lines for the user, the one place that prints an error, the options that lead to a broker.
//!
//! - `security`: the options for TLS and for a login

mod security;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use env_logger::Env;

use crate::broker::{self, Compression};
use crate::error::{Kind, Result};
use crate::terminal::escape::escape;
use crate::wire::sign::SignKey;

pub use security::SecurityArgs;

/// The end of every `--help`.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 error, 2 usage, 3 a gap or a loss was found.\n\
    Logging: RUST_LOG=debug shows more, --quiet shows only warnings and errors.";

/// Where the brokers are, and how long to wait for them.
#[derive(Debug, clap::Args)]
pub struct BrokerArgs {
    /// Where Kafka is; several with commas between
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        env = "ROWFERRY_BROKERS",
        default_value = "localhost:9092"
    )]
    pub brokers: String,

    /// How long one request may take (500ms, 15s)
    #[arg(long, value_name = "TIME", env = "ROWFERRY_REQUEST_TIMEOUT", default_value = "15s", value_parser = duration)]
    pub request_timeout: Duration,

    /// How long to wait for brokers that went away, or are not ready yet (30s, 10m)
    #[arg(long, value_name = "TIME", env = "ROWFERRY_PATIENCE", default_value = "2m", value_parser = duration)]
    pub patience: Duration,

    /// Proof of origin: the producer signs each record by the key in this file, and the consumer lands nothing else. The same file on both
    /// sides, at least 32 random bytes (openssl rand -hex 32 > FILE)
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SIGN_KEY")]
    pub sign_key: Option<PathBuf>,

    /// Only warnings and errors: no progress, no summary
    #[arg(long, env = "ROWFERRY_QUIET", value_parser = flag())]
    pub quiet: bool,

    #[command(flatten)]
    pub security: SecurityArgs,
}

impl BrokerArgs {
    pub fn options(&self, client_id: &str, compression: Compression) -> Result<broker::Options> {
        Ok(broker::Options {
            brokers: vec![self.brokers.clone()],
            request_timeout: self.request_timeout,
            patience: self.patience,
            client_id: client_id.to_owned(),
            compression,
            security: self.security.security()?,
        })
    }

    /// What --sign-key names, where it is given.
    pub fn sign_key(&self) -> Result<Option<SignKey>> {
        self.sign_key.as_deref().map(SignKey::read).transpose()
    }
}

/// A flag whose environment variable may be 1, true or yes.
pub fn flag() -> FalseyValueParser {
    FalseyValueParser::new()
}

/// A time such as 500ms, 3s or 2m.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)) {
        Some(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err("a time above zero is wanted, such as 500ms, 3s or 2m".into()),
    }
}

/// Sends log lines to stderr as `HH:MM:SS level message`, one line each whatever the message holds: from info on, with `quiet` from warn
/// on, or as RUST_LOG says.
pub fn start_log(quiet: bool) {
    env_logger::Builder::from_env(Env::default().default_filter_or(filter(quiet)))
        .format(|out, record| {
            let time = out.timestamp_seconds().to_string(); // 2026-01-31T23:59:59Z
            let level = record.level().as_str().to_lowercase();
            let message = record.args().to_string();
            let time = time.get(11..19).unwrap_or(&time);
            writeln!(out, "{time} {level} {}", escape(&message))
        })
        .init();
}

/// Lets our own words through, those of the library and those of the programs, and not those of the crates below.
fn filter(quiet: bool) -> String {
    let level = if quiet { "warn" } else { "info" };
    let own = ["rowferry", "producer", "consumer", "verify"];
    own.map(|name| format!("{name}={level}")).join(",")
}

/// Writes a line to stdout, and no more than one. A reader that has gone away, such as `head`, is no error.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{}", escape(&line.to_string()));
}

/// Ends a command: prints the error if there is one, and gives the exit code.
pub fn exit_with(result: Result<u8>) -> ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            if error.kind() != Kind::Stopped {
                eprintln!("error: {error:#}");
            }
            error.exit_code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_holds_the_words_of_the_library_and_of_the_programs_alone() {
        let log = |quiet| env_logger::Builder::new().parse_filters(&filter(quiet)).build();
        let shown = |log: &env_logger::Logger, target: &str, level| {
            log::Log::enabled(log, &log::Metadata::builder().target(target).level(level).build())
        };
        for target in ["rowferry::land::lane", "producer", "consumer", "verify"] {
            assert!(shown(&log(false), target, log::Level::Info), "{target}");
            assert!(shown(&log(true), target, log::Level::Warn), "{target}");
            assert!(!shown(&log(true), target, log::Level::Info), "{target}");
        }
        assert!(!shown(&log(false), "kafka::client", log::Level::Error));
    }

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in [
            "",
            "3",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "3 s",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
