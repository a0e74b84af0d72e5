//! The program: one task, its output, and its exit code.
//!
//! * stdout is data, stderr is talk. A failure is one line, in the form that the log has by then.

use crate::args::{self, Task};
use crate::config::Config;
use crate::failure::Failure;
use crate::layers::Layers;
use crate::now::SharedClock;
use crate::{account_command, daemon, keygen, log, mint_command};
use engine::host::clock::Clock;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Does what the command line says.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = args::parse(arguments).and_then(|task| {
        let out = &mut std::io::stdout().lock();
        match task {
            Task::Run(layers) => return serve(layers),
            Task::Keygen(id) => keygen::run(id, out)?,
            Task::Ring(layers, reflector) => mint_command::ring(&layers, &reflector, out)?,
            Task::Mint(question) => {
                mint_command::mint(&question, SharedClock::new(&Clock::start()).now(), out)?;
            }
            Task::Account(layers, task) => {
                account_command::run(&layers, task, &mut std::io::stdin().lock(), out)?;
            }
            Task::Print(text) => out.write_all(text.as_bytes())?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    });
    outcome.unwrap_or_else(|failure| {
        // If not even stderr takes the line, the exit code is all that is left to say.
        let _ = writeln!(std::io::stderr(), "reflector-access: {failure}");
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
