//! A program's frame: one task, its output, and its exit code.
//!
//! * stdout is data, stderr is messages. A failure is one line, in the form that the log has by then.

use crate::failure::Failure;
use crate::log::{self, Format, Gate};
use crate::panics;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// Does a task; a failure becomes a line on stderr, which begins with the program's name, and an exit code.
pub fn main(name: &str, task: impl FnOnce() -> Result<ExitCode, Failure>) -> ExitCode {
    task().unwrap_or_else(|failure| {
        // If not even stderr takes the line, the exit code is all that is left to say.
        let _ = writeln!(std::io::stderr(), "{name}: {failure}");
        ExitCode::from(failure.code())
    })
}

/// Runs a daemon with its log; a failure, as a panic, becomes a line of the log.
pub fn serve(format: Format, daemon: impl FnOnce(Arc<Gate>) -> Result<(), Failure>) -> ExitCode {
    let gate = log::start(format);
    panics::report();
    let outcome = daemon(Arc::clone(&gate));
    gate.disarm();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(exit_code = failure.code(), "{failure}");
            ExitCode::from(failure.code())
        }
    }
}
