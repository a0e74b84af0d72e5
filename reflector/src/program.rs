//! The program: one task, its output, and its exit code.
//!
//! * stdout is data, stderr is talk. A failure is one line, in the form that the log has by then.

use crate::args::{self, Task};
use crate::config::Config;
use crate::failure::Failure;
use crate::layers::Layers;
use crate::{check, daemon, explain, keygen, log, probe, xdp_command};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Does what the command line says.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = args::parse(arguments).and_then(|task| {
        let out = &mut std::io::stdout().lock();
        match task {
            Task::Run(layers) => return serve(layers),
            Task::Check(layers) => check::run(&layers, out)?,
            Task::Keygen(id) => keygen::run(id, out)?,
            Task::Probe(options) => probe::run(&options, out)?,
            Task::Explain(question) => explain::run(&question, out)?,
            Task::XdpStatus(question) => xdp_command::status(&question, out)?,
            Task::XdpDetach(question) => xdp_command::detach(&question, out)?,
            Task::Print(text) => out.write_all(text.as_bytes())?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    });
    outcome.unwrap_or_else(|failure| {
        // If not even stderr takes the line, the exit code is all that is left to say.
        let _ = writeln!(std::io::stderr(), "reflector: {failure}");
        ExitCode::from(failure.code())
    })
}

fn serve(layers: Layers) -> Result<ExitCode, Failure> {
    let config = Config::read(&layers)?;
    let gate = log::start(config.log_format);
    let outcome = daemon::run(layers, config, gate.clone());
    gate.disarm();
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(exit_code = failure.code(), "{failure}");
            ExitCode::from(failure.code())
        }
    })
}
