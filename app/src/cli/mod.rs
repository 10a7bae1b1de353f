//! The options that the programs share, and what stands on a command line: times and flags.
//!
//! - `security`: the options for TLS and for a login

mod security;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;

use crate::broker::{self, ClientChoice, Compression};
use crate::error::Result;
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

    /// Proof of origin: the producer signs each record by the key in this file, and the consumer
    /// lands nothing else. The same file on both sides, at least 32 random bytes (openssl rand -hex
    /// 32 > FILE)
    #[arg(long, value_name = "FILE", env = "ROWFERRY_SIGN_KEY")]
    pub sign_key: Option<PathBuf>,

    /// Only warnings and errors: no progress, no summary
    #[arg(long, env = "ROWFERRY_QUIET", value_parser = flag())]
    pub quiet: bool,

    /// Which client speaks to Kafka. The default takes `kafka` where the brokers speak its protocol
    /// (0.9 to 3.9) and nothing is asked that it lacks: TLS, a login, lz4 and zstd; what it cannot
    /// read makes `native` take over. In others' topics `kafka` takes an empty value for a deletion,
    /// and lands what aborted transactions wrote
    #[arg(long, value_enum, env = "ROWFERRY_CLIENT", default_value_t = ClientChoice::Auto)]
    pub client: ClientChoice,

    /// TLS and logins
    #[command(flatten)]
    pub security: SecurityArgs,
}

impl BrokerArgs {
    /// What the options say of the cluster.
    pub fn options(&self, client_id: &str, compression: Compression) -> Result<broker::ClusterOptions> {
        Ok(broker::ClusterOptions {
            brokers: vec![self.brokers.clone()],
            request_timeout: self.request_timeout,
            patience: self.patience,
            client_id: client_id.to_owned(),
            compression,
            security: self.security.security()?,
            client: self.client,
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

/// A time such as 500ms, 3s or 1m30s, of whole milliseconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    // `humantime` takes more, which is a slip on a command line: spaces, fractions, and M for months.
    let mut units = text.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
    let is_plain = units.all(|unit| matches!(unit, "ms" | "s" | "m" | "h"));
    let millis = || {
        let time = humantime::parse_duration(text).ok().filter(|_| is_plain)?;
        // What is longer is beyond what can be added to an instant.
        u64::try_from(time.as_millis()).ok().filter(|&millis| millis > 0)
    };
    millis()
        .map(Duration::from_millis)
        .ok_or_else(|| "a time above zero is wanted, such as 500ms, 3s or 2m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h1ms"), Ok(Duration::from_millis(3_600_001)));
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
            "584554531y",
            "999us",
            "1m 30s",
            "2M",
            "5d",
            "2min",
            "1ms999us",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
