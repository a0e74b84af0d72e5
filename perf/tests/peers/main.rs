//! The comparison as it is typed, on stages of its own: every subject, every file, every datagram counted.
//!
//! * Correctness only, never times: a machine that is busy fails nothing here; whether a run may be believed is not judged.
//! * Needs root, the lab's programs and coturn; without them a test is `ignored` and says why.
//! * Load stays on cables that the command makes itself, seconds in all.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command;

use harness::{Missing, Suite};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    // They would take each other's cores.
    suite.threads(1);
    let [counts, interrupt] =
        [command::a_short_comparison_counts_everything, command::an_interrupt_leaves_nothing_behind];
    suite.add("a_short_comparison_counts_everything", &[stages], counts);
    suite.add("an_interrupt_leaves_nothing_behind", &[stages], interrupt);
    suite.add("what_is_missing_is_named_with_its_package", &[], command::what_is_missing_is_named);
    suite.run()
}

/// What the stages of a comparison need.
fn stages() -> Option<Missing> {
    let coturn = Missing::programs(&[(perf::rig::coturn::NAME, "coturn")]);
    let programs = Missing::both(Missing::programs(&lab::PROGRAMS), coturn);
    let all = Missing::both(Missing::root("network namespaces"), programs);
    all.or_else(|| perf::rig::lacks::missing().map(Missing::feature))
}
