//! The program with `--xdp`, in network namespaces: what it finds at reflectors and forwarders that do right and wrong.
//!
//! * Needs root and what a lab needs; without it every test is reported as ignored, with the reason; with the variable
//!   NOTHING_IGNORED set, it fails instead.
//! * Two runs go side by side; nothing here judges a time that was not injected.
//! * A run during which the machine kept somebody waiting shows nothing and is repeated (`held_up`).

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../loadgen/echo.rs"]
#[allow(dead_code)] // Some mischief is for sockets only.
mod echo;
mod endpoints;
mod flows;
mod forwarder;
#[path = "../loadgen/held_up.rs"]
mod held_up;
mod mishaps;
mod rig;
#[path = "../loadgen/set_clock.rs"]
mod set_clock;

use harness::{Need, Suite};
use held_up::unless_held_up;
use std::process::ExitCode;

/// A test: its name, and what it does; it panics when it fails.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.threads(2);
    let mut add = |(name, work): Test, needs: &[Need]| suite.add(name, needs, move || unless_held_up(work));
    for test in endpoints::TESTS.into_iter().chain(flows::TESTS).chain(mishaps::TESTS) {
        add(test, &[rig::lacks]);
    }
    add(mishaps::CLOCK_TEST, &[rig::lacks, set_clock::lacks]);
    suite.run()
}
