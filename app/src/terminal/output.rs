//! Lines for the user, and the one place that prints an error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use super::escape::escape;
use crate::error::{Kind, Result};

/// Writes a line to stdout, and no more than one. A reader that has gone away, such as `head`, is
/// no error.
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
