//! The program with `--xdp`, in network namespaces: what it finds at reflectors and forwarders that do right and wrong.
//!
//! * Needs root and what a lab needs; without it every test is reported as ignored, with the reason; with the variable
//!   NOTHING_IGNORED set, it fails instead.
//! * Runs come one after the other, so that they do not starve each other; nothing here judges a time that was not injected.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../loadgen/echo.rs"]
#[allow(dead_code)] // Some mischief is for sockets only.
mod echo;
mod endpoints;
mod flows;
mod forwarder;
mod mishaps;
mod rig;
#[path = "../loadgen/set_clock.rs"]
mod set_clock;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test: its name, and what it does; it panics when it fails.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let trials = endpoints::TESTS
        .iter()
        .chain(&flows::TESTS)
        .chain(&mishaps::TESTS)
        .map(|test| trial(*test))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial((name, work): Test) -> Trial {
    Trial::ignorable_test(name, move || match rig::lacks() {
        Some(reason) if std::env::var_os(NOTHING_IGNORED).is_some() => {
            Err(Failed::from(format!("{reason}; and {NOTHING_IGNORED} is set")))
        }
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => {
            let outcome = catch_unwind(work).map(|()| Completion::Completed);
            outcome.map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                Failed::from(text.unwrap_or("a panic without words"))
            })
        }
    })
}

/// Set where everything must be there.
const NOTHING_IGNORED: &str = "NOTHING_IGNORED";
