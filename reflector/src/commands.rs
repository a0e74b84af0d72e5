//! The program: one task, its output, and its exit code.
//!
//! * stdout is data, stderr is messages.

pub mod args;
pub mod check;
pub mod explain;
pub mod keygen;
pub mod probe;
pub mod revoke;
pub mod xdp;

use self::args::Task;
use crate::config::Config;
use crate::run::daemon;
use program::failure::Failure;
use program::run;
use program::settings::layers::Layers;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Does what the command line says.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    run::main("reflector", || {
        let task = args::parse(arguments)?;
        let out = &mut std::io::stdout().lock();
        match task {
            Task::Run(layers) => return serve(layers),
            Task::Check(layers) => check::run(&layers, out)?,
            Task::Keygen(id) => keygen::run(id, out)?,
            Task::Probe(options) => probe::run(&options, out)?,
            Task::Revoke(options) => revoke::run(&options, out)?,
            Task::Explain(question) => explain::run(&question, out)?,
            Task::XdpStatus(question) => xdp::status(&question, out)?,
            Task::XdpDetach(question) => xdp::detach(&question, out)?,
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
