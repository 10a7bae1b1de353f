//! The sink's errors.

use std::fmt;

use crate::error::Error;
use crate::sqlite::error::{Database, SqlFault, explain};
use crate::stop::Stop;

/// The sentence for what could not be done in the sink.
pub(super) fn cannot(fault: impl Into<SqlFault>, what: impl fmt::Display) -> Error {
    explain(fault, Database::Sink { what: &what }, None)
}

/// The same for what waits for a lock, which is given up on only when the user wants to stop.
pub(super) fn stopped_or(fault: impl Into<SqlFault>, stop: &Stop, what: impl fmt::Display) -> Error {
    explain(fault, Database::Sink { what: &what }, Some(stop))
}
