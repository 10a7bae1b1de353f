//! The log: plain lines on stderr.

use std::io::Write;

use env_logger::Env;

use super::escape::escape;

/// Sends log lines to stderr as `HH:MM:SS level message`, one line each whatever the message holds:
/// from info on, with `quiet` from warn on, or as RUST_LOG says.
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

/// Lets our own words through, those of the library and those of the programs, and not those of the
/// crates below.
fn filter(quiet: bool) -> String {
    let level = if quiet { "warn" } else { "info" };
    let own = ["rowferry", "producer", "consumer", "verify"];
    own.map(|name| format!("{name}={level}")).join(",")
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
        for target in ["rowferry::land::prefetch", "producer", "consumer", "verify"] {
            assert!(shown(&log(false), target, log::Level::Info), "{target}");
            assert!(shown(&log(true), target, log::Level::Warn), "{target}");
            assert!(!shown(&log(true), target, log::Level::Info), "{target}");
        }
        assert!(!shown(&log(false), "kafka::client", log::Level::Error));
    }
}
