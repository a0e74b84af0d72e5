//! The program: one task, its output, and its exit code.
//!
//! * stdout is data, stderr is talk. A failure is one line.

use crate::args::{Line, Task};
use crate::failure::Failure;
use crate::{enrol, nat_command, questions, tunnel, up};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Does what the command line says.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = Line::read(arguments).and_then(|line| match line {
        Ok(line) => tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(line)),
        Err(text) => Ok(std::io::stdout().lock().write_all(text.as_bytes())?),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If not even stderr takes the line, the exit code is all that is left to say.
            let _ = writeln!(std::io::stderr(), "reflector-endpoint: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

async fn run(line: Line) -> Result<(), Failure> {
    let (file, out) = (line.device_file(), &mut std::io::stdout());
    match line.task {
        Task::Enrol(enrol) => enrol::run(enrol, &file, out).await,
        Task::Nat(question) => nat_command::run(question, &file, out).await,
        Task::Up => up::run(&file, out).await,
        Task::Status { name, json } => questions::status(&file, name.as_ref(), json, out).await,
        Task::Send { name, text } => questions::send(&file, name, text, &mut std::io::stderr()).await,
        Task::Watch => questions::watch(&file, out).await,
        Task::Hide => questions::hide(&file, true, &mut std::io::stderr()).await,
        Task::Show => questions::hide(&file, false, &mut std::io::stderr()).await,
        Task::Tunnel(tunnel) => tunnel::run(tunnel, &file, &mut std::io::stderr()).await,
    }
}
