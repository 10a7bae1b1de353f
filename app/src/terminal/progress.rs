//! What a run has done so far: a progress bar on a terminal, plain log lines elsewhere, a summary
//! at the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// Time between two progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Counts rows and bytes and shows them.
pub struct Progress {
    /// "shipped" or "landed".
    done: &'static str,
    rows: u64,
    bytes: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing done yet; `done` says what is done to rows.
    pub fn new(done: &'static str, quiet: bool) -> Self {
        let now = Instant::now();
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is a constant");
            bar.set_style(style);
            bar
        });
        Self {
            done,
            rows: 0,
            bytes: 0,
            started: now,
            last_line: now,
            bar,
        }
    }

    /// Adds what is safely done.
    pub fn add(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.bytes += bytes;
        match &self.bar {
            Some(bar) => {
                bar.set_message(self.line());
                bar.tick();
            }
            None if rows > 0 && self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                log::info!("{}", self.line());
            }
            None => {}
        }
    }

    /// Takes the bar off the screen, so that what follows stands alone.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// "1000 rows shipped, 152.4 KB in 0.1 s (9,874 rows/s)"
    pub fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        format!(
            "{} {} {}, {} in {seconds:.1} s ({} rows/s)",
            HumanCount(self.rows),
            if self.rows == 1 { "row" } else { "rows" },
            self.done,
            bytes(self.bytes),
            HumanCount((self.rows as f64 / seconds.max(0.001)) as u64),
        )
    }
}

/// As `indicatif` has it with `DecimalBytes`, but with one decimal up to megabytes, and KB for kB.
fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} KB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.2} GB", number as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(HumanCount(0).to_string(), "0");
        assert_eq!(HumanCount(999).to_string(), "999");
        assert_eq!(HumanCount(1_000).to_string(), "1,000");
        assert_eq!(HumanCount(12_345_678).to_string(), "12,345,678");
        assert_eq!(bytes(152_400), "152.4 KB");
    }
}
