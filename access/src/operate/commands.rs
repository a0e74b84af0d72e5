//! The program: one task, its output, and its exit code.
//!
//! * stdout is data, stderr is messages.

use crate::config::Config;
use crate::now::SharedClock;
use crate::operate::args;
use crate::operate::args::Task;
use crate::operate::{account, daemon, keygen, mint};
use engine::host::clock::Clock;
use program::failure::Failure;
use program::run;
use program::settings::layers::Layers;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Does what the command line says.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    run::main("reflector-access", || {
        let task = args::parse(arguments)?;
        let out = &mut std::io::stdout().lock();
        match task {
            Task::Run(layers) => return serve(layers),
            Task::Keygen(id) => keygen::run(id, out)?,
            Task::Ring(layers, reflector) => mint::ring(&layers, &reflector, out)?,
            Task::Mint(question) => {
                mint::mint(&question, SharedClock::new(&Clock::start()).now(), out)?;
            }
            Task::Account(layers, task) => {
                account::run(&layers, task, &mut std::io::stdin().lock(), out)?;
            }
            Task::Print(text) => out.write_all(text.as_bytes())?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

fn serve(layers: Layers) -> Result<ExitCode, Failure> {
    let config = Config::read(&layers)?;
    Ok(run::serve(config.log_format, |gate| daemon::run(layers, config, gate)))
}
