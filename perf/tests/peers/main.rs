//! The comparison as it is typed, on stages of its own: every subject, every file, every datagram counted.
//!
//! * Correctness only, never times: a machine that is busy fails nothing here; whether a run may be believed is not judged.
//! * Needs root, the lab's programs and coturn; without them a test is `ignored` and says why.
//! * Load stays on cables that the command makes itself, seconds in all.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They would take each other's cores.
    arguments.test_threads = Some(1);
    let missing = perf::lacks::missing();
    let staged = |name: &str, work: fn()| trial(name, work, missing.clone());
    let trials = vec![
        staged("a_short_comparison_counts_everything", command::a_short_comparison_counts_everything),
        staged("an_interrupt_leaves_nothing_behind", command::an_interrupt_leaves_nothing_behind),
        trial("what_is_missing_is_named_with_its_package", command::what_is_missing_is_named, None),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial that runs unless something is missing; its work panics when it fails.
fn trial(name: &str, work: fn(), missing: Option<String>) -> Trial {
    Trial::ignorable_test(name, move || match missing {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => {
            let outcome = catch_unwind(AssertUnwindSafe(work)).map(|()| Completion::Completed);
            outcome.map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                Failed::from(text.unwrap_or("a panic without words"))
            })
        }
    })
}
