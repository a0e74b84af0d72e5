//! Who runs first on a processor: real-time priorities for what stands in for interrupts and for what is measured.
//!
//! * A relay that is an ordinary process behind a real-time kernel thread stalls for some 8 ms each second: the scheduler
//!   reserves ordinary processes a share (its fair server). So what is measured is a real-time process, too.
//! * The order is that of a network interface: its interrupts before every process, the relay before what else may run.

use crate::error::Error;
use crate::tool::tool;
use std::{fs, io};

/// A place in the order; within one, who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// What does the work of interrupts.
    Interrupt,
    /// A program that is measured.
    Measured,
}

impl Precedence {
    /// As `SCHED_FIFO` has it.
    fn priority(self) -> &'static str {
        match self {
            Self::Interrupt => "2",
            Self::Measured => "1",
        }
    }
}

/// Gives a thread its place.
///
/// # Errors
/// What chrt(1) says.
pub(crate) fn give(thread: u32, precedence: Precedence) -> Result<(), Error> {
    tool("chrt", ["--fifo", "--pid", precedence.priority(), &thread.to_string()], "").map(drop)
}

/// Lets the threads of a process whose names begin so run before ordinary processes.
///
/// # Errors
/// There is no such thread, or what chrt(1) says.
pub fn run_first(process: u32, name: &str) -> Result<(), Error> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let is_named = |thread: &u32| {
        let path = format!("/proc/{process}/task/{thread}/comm");
        fs::read_to_string(path).is_ok_and(|comm| comm.starts_with(name))
    };
    let threads = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).filter(is_named);
    let threads: Vec<u32> = threads.collect();
    if threads.is_empty() {
        let what = format!("process {process} has no thread that is named {name}...");
        return Err(Error::kernel(what)(io::ErrorKind::NotFound.into()));
    }
    threads.iter().try_for_each(|thread| give(*thread, Precedence::Measured))
}
